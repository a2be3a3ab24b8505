//! Runs one seed: the engine on a real store, in simulated time and beside
//! simulated receivers, from one start of the process to the next.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use callboard_domain::audit::By;
use callboard_domain::clock::Clock as _;
use callboard_domain::event::read_events;
use callboard_domain::id::{DeliveryKey, EventId, TenantKey, WebhookId, WebhookKey};
use callboard_domain::job::Selection;
use callboard_domain::signing::Secret;
use callboard_domain::store::{
    NewWebhook, RecordError, Result as Stored, Store, WebhookEdit, WebhookStore as _,
};
use callboard_domain::webhook::{Status, read_settings};
use callboard_engine::guard::Guard;
use callboard_engine::http::{Client, ClientOptions, Resolver};
use callboard_engine::{Engine, Options};
use callboard_store::sealing::{EncryptionKey, Keys};
use callboard_store::sqlite;
use parking_lot::Mutex;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use tokio::runtime::Builder;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::judge::{self, Fate, Tally};
use super::network::Outside;
use super::plan::{Action, Plan};
use super::receiver::Receiver;
use super::record::{End, Record};
use super::store::{CrashPoint, SimulatedStore, at_once};

/// How long the process is away between two runs.
const RESTART: Duration = Duration::from_millis(1_500);

/// How long after the last trouble everything may take: the longest rest of a
/// breaker, the longest wait of a schedule, and the slowest rate for all that
/// is left.
const MOST_AFTERMATH: Duration = Duration::from_mins(12);

/// How long the store may hold something due while nothing is in memory.
const MOST_IDLENESS: Duration = Duration::from_millis(1_500);

/// How often somebody looks whether that is so. Seldom, because it costs a read
/// each time.
const LOOK: Duration = Duration::from_millis(2_100);

/// How a run of the process ended.
enum Over {
    Crash,
    Stop,
    /// Nothing is left to be done.
    Quiet(Vec<Fate>),
}

/// One run of the process.
struct Life {
    engine: Arc<Engine>,
    store: Arc<SimulatedStore>,
    publishers: TaskTracker,
    /// Publishers don't try again what failed.
    closing: CancellationToken,
    stop: CancellationToken,
    running: JoinHandle<()>,
}

struct World {
    seed: u64,
    plan: Plan,
    record: Arc<Record>,
    database: Database,
    tenant: TenantKey,
    hooks: Vec<(WebhookKey, WebhookId)>,
    receivers: Vec<Arc<Receiver>>,
    /// The first action that was not begun.
    next: usize,
    /// Events that were published, whether or not that was answered.
    begun: usize,
}

/// What came of a seed.
pub(crate) struct Run {
    pub(crate) trace: Vec<String>,
    pub(crate) verdict: Result<Tally, String>,
}

/// Runs a seed to its end and judges it.
pub(crate) fn run(seed: u64, traced: bool) -> Run {
    let record = Arc::new(Record::new(traced));
    let mut world = World::new(seed, &record);
    let verdict = world.run();
    Run { trace: record.trace(), verdict }
}

/// A database of one seed, in memory where the machine has such a folder.
struct Database(PathBuf);

impl Database {
    fn new(seed: u64) -> Self {
        static TEMPLATE: OnceLock<Vec<u8>> = OnceLock::new();
        static NUMBER: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let memory = PathBuf::from("/dev/shm");
        let folder = if memory.is_dir() { memory } else { std::env::temp_dir() };
        let name = format!("callboard-simulation-{}-{seed}-{number}.db", std::process::id());
        let database = Self(folder.join(name));
        // Making the tables takes longer than most seeds.
        let template = TEMPLATE.get_or_init(|| {
            let made = Self(database.0.with_extension("template"));
            let runtime = Builder::new_current_thread().build().unwrap();
            runtime.block_on(made.open().close());
            std::fs::read(&made.0).unwrap()
        });
        std::fs::write(&database.0, template).unwrap();
        database
    }

    fn open(&self) -> Arc<dyn Store> {
        let key = EncryptionKey::from_bytes(callboard_testing::ENCRYPTION_KEY);
        let keys = Keys::new(&[key], Box::new(StdRng::seed_from_u64(0)));
        Arc::new(sqlite::open(&self.0, &keys, sqlite::Options::default()).unwrap())
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        for suffix in ["", "-wal", "-shm", "-lock"] {
            let mut path = self.0.clone().into_os_string();
            path.push(suffix);
            let _ = std::fs::remove_file(path);
        }
    }
}

impl World {
    fn new(seed: u64, record: &Arc<Record>) -> Self {
        let plan = Plan::draw(seed);
        let receiver = |(number, hook): (usize, &super::plan::Hook)| {
            Arc::new(Receiver {
                number,
                record: Arc::clone(record),
                weather: Arc::clone(&plan.weather),
                rng: Mutex::new(StdRng::seed_from_u64(seed ^ (0x10 + number as u64))),
                most: hook.max_in_flight,
                busy: Mutex::default(),
            })
        };
        let receivers = plan.hooks.iter().enumerate().map(receiver).collect();
        Self {
            seed,
            plan,
            record: Arc::clone(record),
            database: Database::new(seed),
            tenant: TenantKey(0),
            hooks: Vec::new(),
            receivers,
            next: 0,
            begun: 0,
        }
    }

    fn run(&mut self) -> Result<Tally, String> {
        loop {
            let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
            let over = runtime.block_on(self.live());
            // All that was under way ends here, wherever it was.
            drop(runtime);
            if let Some(fault) = self.record.fault() {
                return Err(fault);
            }
            let end = if matches!(over, Over::Crash) { End::Crash } else { End::Stop };
            self.record.ends.lock().push(end);
            self.record.life.fetch_add(1, Ordering::Relaxed);
            if let Over::Quiet(fates) = over {
                return judge::judge(&self.plan, &self.record, &fates);
            }
        }
    }

    async fn live(&mut self) -> Over {
        self.record.timeline.begin();
        let over = CancellationToken::new();
        *self.record.over.lock() = over.clone();
        let inner = self.database.open();
        if self.hooks.is_empty() {
            at_once(self.prepare(&*inner)).unwrap();
        }
        let life = self.begin(&inner);
        tokio::spawn(watch(Arc::clone(&life.engine), Arc::clone(&life.store)));
        let ended = tokio::select! {
            biased;
            () = over.cancelled() => Over::Crash,
            ended = self.drive(life) => ended,
        };
        at_once(inner.close());
        // Outside of the runtime its clock is the machine's.
        self.record.timeline.end(RESTART);
        ended
    }

    fn rng(&self, what: u64) -> StdRng {
        StdRng::seed_from_u64(self.seed ^ (what << 40) ^ (u64::from(self.record.life()) << 50))
    }

    /// Makes the tenant and its webhooks.
    async fn prepare(&mut self, store: &dyn Store) -> Stored<()> {
        let (now, mut rng) = (self.record.timeline.now(), self.rng(1));
        let tenant =
            store.create_tenant("acme".parse().unwrap(), "Acme".to_owned(), None, By::system(now)).await?;
        self.tenant = tenant.unwrap().key;
        for hook in &self.plan.hooks {
            let (settings, _) = read_settings(&hook.settings, None).unwrap();
            let secret = Secret::generate(settings.signature, &mut rng);
            let id = WebhookId::generate(now, &mut rng);
            let webhook = NewWebhook { id, settings, status: Status::Active, secret, nonce: None };
            let made = store.create_webhook(self.tenant, webhook, By::system(now)).await?;
            self.hooks.push((made.key, made.id));
        }
        Ok(())
    }

    /// Starts the process.
    fn begin(&self, inner: &Arc<dyn Store>) -> Life {
        let record = &self.record;
        record.note(|| format!("run {} of the process begins", record.life()));
        let store = Arc::new(SimulatedStore {
            inner: Arc::clone(inner),
            record: Arc::clone(record),
            outages: self.plan.outages.clone(),
            late: self.plan.late,
            rng: Mutex::new(self.rng(2)),
            crash: Mutex::default(),
        });
        let outside = Arc::new(Outside {
            record: Arc::clone(record),
            weather: Arc::clone(&self.plan.weather),
            receivers: self.receivers.clone(),
            rng: Mutex::new(self.rng(3)),
        });
        let client = ClientOptions {
            connect_timeout: Duration::from_secs(2),
            resolver: Resolver::Custom(Arc::clone(&outside) as _),
            network: outside,
            system_roots: false,
            ..ClientOptions::default()
        };
        let client = Client::new(Guard::default(), client, Arc::clone(&record.timeline) as _);
        let options = Options {
            lane_capacity: self.plan.lane_capacity,
            queue_memory: self.plan.queue_memory,
            ..Options::default()
        };
        let clock = Arc::clone(&record.timeline) as _;
        let engine = Engine::new(Arc::clone(&store) as _, clock, Box::new(self.rng(4)), client, options);
        let stop = CancellationToken::new();
        let running = tokio::spawn(Arc::clone(&engine).run(stop.clone()));
        let (publishers, closing) = (TaskTracker::new(), CancellationToken::new());
        Life { engine, store, publishers, closing, stop, running }
    }

    /// Does what was planned, and ends the run.
    async fn drive(&mut self, life: Life) -> Over {
        for number in 0..self.begun {
            if !self.record.accepted.lock().contains_key(&number) {
                self.publish(&life, number, 1);
            }
        }
        while let Some(&(at, action)) = self.plan.actions.get(self.next) {
            sleep(at.saturating_sub(self.record.elapsed())).await;
            // Only now: what was not begun is done in the next run.
            self.next += 1;
            self.record.note(|| format!("{action:?}"));
            match action {
                Action::Publish { first, count } => {
                    self.begun = first + count;
                    self.publish(&life, first, count);
                }
                Action::Stop => return self.stop(life).await,
                Action::Crash { .. } => *life.store.crash.lock() = CrashPoint::of(action),
                // What can't be done now is not done.
                _ => drop(self.by_hand(&life, action).await),
            }
        }
        sleep(self.plan.weather.heals.saturating_sub(self.record.elapsed())).await;
        *life.store.crash.lock() = None;
        for hook in 0..self.hooks.len() {
            self.set_status(&life, hook, Status::Active).await.unwrap();
        }
        self.until_quiet(&life).await;
        let (waiting, left) = (life.engine.load(), life.engine.memory_left());
        if waiting != (0, 0) || left != self.plan.queue_memory {
            let most = self.plan.queue_memory;
            self.record.fail(|| format!("at the end {waiting:?} in the lanes, {left} of {most} bytes left"));
        }
        let inner = Arc::clone(&life.store.inner);
        self.stop(life).await;
        Over::Quiet(at_once(judge::fates(&*inner, self.tenant, &self.hooks)).unwrap())
    }

    async fn stop(&self, life: Life) -> Over {
        life.closing.cancel();
        life.publishers.close();
        life.publishers.wait().await;
        let began = self.record.elapsed();
        life.stop.cancel();
        life.running.await.unwrap();
        let ended = self.record.elapsed();
        // What can't be written while it stops is lost, as in a crash.
        let out = life.store.outages.iter().any(|(from, to)| *from <= ended && began <= *to);
        if out { Over::Crash } else { Over::Stop }
    }

    fn publish(&self, life: &Life, first: usize, count: usize) {
        let bodies: Vec<&str> =
            self.plan.facts[first..first + count].iter().map(|fact| &*fact.body).collect();
        let publisher = Publisher {
            engine: Arc::clone(&life.engine),
            record: Arc::clone(&self.record),
            tenant: self.tenant,
            first,
            body: format!("[{}]", bodies.join(",")),
            closing: life.closing.clone(),
        };
        life.publishers.spawn(publisher.run());
    }

    /// All that was accepted so far.
    fn deliveries(&self) -> Vec<DeliveryKey> {
        let accepted = self.record.accepted.lock();
        let keys = accepted.values().flat_map(|published| {
            let first = published.first_delivery.0;
            (first..).take(published.deliveries).map(DeliveryKey)
        });
        keys.collect()
    }

    async fn by_hand(&self, life: &Life, action: Action) -> Stored<()> {
        let (engine, tenant) = (&life.engine, self.tenant);
        let deliveries = self.deliveries();
        let picked = |which: u32| deliveries.get(which as usize % deliveries.len().max(1)).copied();
        match action {
            Action::Pause(hook) => self.set_status(life, hook, Status::Paused).await?,
            Action::Resume(hook) => self.set_status(life, hook, Status::Active).await?,
            Action::Disable(hook) => {
                self.record.disabled.lock().insert(self.hooks[hook].0);
                self.set_status(life, hook, Status::Disabled).await?;
            }
            Action::Delete(hook) => {
                engine.delete_webhook(tenant, self.hooks[hook].1, self.by()).await?;
            }
            Action::Ping(hook) => drop(engine.ping(tenant, self.hooks[hook].0, self.by()).await?),
            Action::Retry(which) => {
                if let Some(delivery) = picked(which) {
                    engine.retry(tenant, delivery, self.by()).await?;
                }
            }
            Action::Cancel(which) => {
                if let Some(delivery) = picked(which) {
                    engine.cancel(tenant, delivery, self.by()).await?;
                }
            }
            Action::RetryFailed(hook) => {
                drop(engine.retry_failed(tenant, self.hooks[hook].0, None, None, self.by()).await?);
            }
            Action::Replay(hook) => {
                let selection = Selection {
                    since: callboard_domain::clock::Timestamp::UNIX_EPOCH,
                    until: None,
                    states: Selection::STATES.to_vec(),
                    missing: false,
                    type_name: None,
                    subject_id: None,
                };
                engine.replay(tenant, self.hooks[hook].0, selection, None, self.by()).await?;
            }
            Action::Publish { .. } | Action::Crash { .. } | Action::Stop => {}
        }
        Ok(())
    }

    /// Somebody, now.
    fn by(&self) -> By {
        By::system(self.record.timeline.now())
    }

    /// Edits a webhook as the API does.
    async fn set_status(&self, life: &Life, hook: usize, status: Status) -> Stored<()> {
        let (tenant, id) = (self.tenant, self.hooks[hook].1);
        let Some(webhook) = life.store.webhook(tenant, id).await? else { return Ok(()) };
        let edit = WebhookEdit { settings: webhook.settings, status, secret: None };
        life.engine.update_webhook(tenant, id, webhook.revision, edit, self.by()).await.map(drop)
    }

    /// Waits until everything is published and nothing is left to be sent.
    async fn until_quiet(&self, life: &Life) {
        let latest = self.plan.weather.heals.max(self.record.elapsed()) + MOST_AFTERMATH;
        let mut quiet = 0;
        // Twice, because an outcome may be on its way to the store.
        while quiet < 2 {
            sleep(Duration::from_secs(3)).await;
            let published = self.record.accepted.lock().len() == self.plan.facts.len();
            let idle = published && life.engine.load() == (0, 0) && {
                let inner = &life.store.inner;
                at_once(inner.waiting_lanes()).unwrap().is_empty()
                    && at_once(inner.running_jobs()).unwrap().is_empty()
            };
            quiet = if idle { quiet + 1 } else { 0 };
            if self.record.elapsed() > latest {
                self.record.fail(|| {
                    let waiting = at_once(life.store.inner.waiting_lanes());
                    format!("not quiet after {MOST_AFTERMATH:?}: {:?}, {waiting:?}", life.engine.load())
                });
                return;
            }
        }
    }
}

/// Somebody who publishes, and does so again until it is accepted.
struct Publisher {
    engine: Arc<Engine>,
    record: Arc<Record>,
    tenant: TenantKey,
    first: usize,
    body: String,
    closing: CancellationToken,
}

impl Publisher {
    async fn run(self) {
        loop {
            let now = self.record.timeline.now();
            let new_id = &mut || EventId::generate(now, &mut StdRng::seed_from_u64(0));
            let events = read_events(&self.body, false, now, new_id).unwrap();
            match self.engine.publish(self.tenant, events).await {
                Ok(published) => {
                    self.record.accepted.lock().extend((self.first..).zip(published));
                    return;
                }
                Err(RecordError::Conflict(_)) => self.record.fail(|| "a conflict of ids".to_owned()),
                Err(RecordError::Store(_)) => {}
            }
            if self.closing.is_cancelled() {
                return;
            }
            sleep(Duration::from_millis(300)).await;
        }
    }
}

/// Looks every now and then whether something is due that nobody sends.
async fn watch(engine: Arc<Engine>, store: Arc<SimulatedStore>) {
    let mut since: BTreeMap<WebhookKey, Duration> = BTreeMap::new();
    loop {
        sleep(LOOK).await;
        let now = store.record.elapsed();
        let mut idle = Vec::new();
        if engine.load() == (0, 0) && !store.is_out() {
            idle = at_once(store.inner.waiting_lanes()).unwrap();
            let is_active = |key| {
                let found = at_once(store.inner.webhook_by_key(key)).unwrap();
                found.is_some_and(|webhook| webhook.status == Status::Active)
            };
            idle.retain(|(key, due)| store.record.since_start(*due) < now && is_active(*key));
        }
        since.retain(|key, _| idle.iter().any(|(other, _)| other == key));
        for (webhook, due) in idle {
            let idle = now.saturating_sub(*since.entry(webhook).or_insert(now));
            if idle > MOST_IDLENESS {
                store.record.fail(|| format!("{webhook:?} is due since {due}, and nobody sends it"));
            }
        }
    }
}
