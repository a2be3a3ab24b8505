//! How events become deliveries: publishing, lanes, attempts, upkeep.
//!
//! [`Engine::publish`] is where it starts: [`registry`] says who hears an
//! event, the store makes it durable, and what fits goes straight from memory
//! into the [`lanes`]. A runner takes it from there, [`attempt`] makes the
//! request, and `outcomes` writes down what came of it. What did not fit, and
//! what has to wait, is brought back from the store by the `dispatcher`.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use callboard_domain::clock::{Clock, Timestamp};
use callboard_domain::delivery::Attempt;
use callboard_domain::event::Event;
use callboard_domain::id::{DeliveryKey, TenantKey, WebhookKey};
use callboard_domain::matching::Reach;
use callboard_domain::measures::{EngineMeasures, Level};
use callboard_domain::store::{RecordError, Result, Store};
use callboard_domain::trace::{SpanKind, TraceContext, Tracer};
use parking_lot::Mutex;
use rand::Rng;
use tokio::sync::{Notify, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

mod admission;
pub mod attempt;
mod by_hand;
mod change;
mod check;
mod dispatcher;
pub mod guard;
mod health;
pub mod http;
mod janitor;
mod jobs;
pub mod lanes;
mod outcomes;
mod places;
mod preview;
mod publish;
pub mod registry;
mod runner;
mod signals;
mod spans;
pub mod stream;
pub mod target;
mod uncancelled;

pub use check::{Step, StepKind, StepOutcome};
pub use health::Turn;
pub use outcomes::UNWRITTEN;
pub use preview::Preview;
pub use publish::Published;

use crate::dispatcher::Agenda;
use crate::http::Client;
use crate::lanes::{BreakerView, Lane, Lanes, Standing, Work};
use crate::places::{Place, Places};
use crate::registry::Registry;
use crate::stream::Tails;
use crate::target::Target;
use crate::uncancelled::Uncancelled;

/// How long a stop waits for attempts that are under way.
const GRACE: Duration = Duration::from_secs(25);

/// Lanes that are set going before others get their turn.
const AT_ONCE: usize = 16;

/// Lanes whose last attempt failed that are set going in a row, and the pause
/// behind them: a thousand take 0.6 seconds.
const SICK_AT_ONCE: usize = 8;
const BETWEEN_SICK: Duration = Duration::from_millis(5);

/// How long a lane rests while the lease of this process may have passed.
const LEASE_ASKED: Duration = Duration::from_secs(1);

/// What can be set.
#[derive(Debug, Clone)]
pub struct Options {
    /// Most deliveries waiting in one lane; the rest waits in the store.
    pub lane_capacity: usize,
    /// Most bytes of deliveries waiting in all lanes.
    pub queue_memory: usize,
    /// Most requests under way in all lanes, at least 4.
    pub max_in_flight: usize,
    /// How long events are kept, where their tenant does not say.
    pub retention_seconds: u32,
    /// How long entries of the audit log are kept.
    pub audit_retention_seconds: u32,
    /// How long a webhook may do nothing but fail before it is disabled.
    pub disable_after: Duration,
    /// The first wait of retries that double.
    pub openticket_retry_base: Duration,
    /// Where links in deliveries lead, without a slash at the end.
    pub public_url: String,
    /// Who collects spans, if anybody does.
    pub tracer: Option<Arc<dyn Tracer>>,
    /// Whether receivers get the context of the trace that a delivery belongs to.
    pub pass_traces_on: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            lane_capacity: 1_024,
            queue_memory: 64 * 1024 * 1024,
            max_in_flight: 4_096,
            retention_seconds: 7 * 24 * 60 * 60,
            audit_retention_seconds: 365 * 24 * 60 * 60,
            disable_after: Duration::from_hours(5 * 24),
            openticket_retry_base: Duration::from_secs(30),
            public_url: "http://127.0.0.1:8080".to_owned(),
            tracer: None,
            pass_traces_on: true,
        }
    }
}

/// How all lanes of this process stand.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Queues {
    /// Lanes that there are: one for each webhook that was called lately.
    pub lanes: usize,
    /// Those of receivers that are left alone, because nothing but failures came of
    /// calling them.
    pub open_breakers: usize,
    /// Deliveries that wait in memory.
    pub waiting: usize,
    /// Attempts under way.
    pub in_flight: usize,
    /// When the delivery was made that has waited in memory for the longest time.
    pub waiting_since: Option<Timestamp>,
}

/// Takes events in and sends deliveries out.
pub struct Engine {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    rng: Mutex<Box<dyn Rng + Send>>,
    client: Client,
    options: Options,
    registry: Registry,
    lanes: Lanes,
    places: Places,
    tails: Tails,
    agenda: Agenda,
    outcomes: mpsc::Sender<Attempt>,
    /// The other end, until [`Engine::run`] takes it.
    unwritten: Mutex<Option<mpsc::Receiver<Attempt>>>,
    jobs_changed: Notify,
    /// Deliveries whose attempt ended without an outcome.
    lost: Mutex<Vec<(DeliveryKey, WebhookKey)>>,
    /// Webhooks of which a change could not be read when it was made.
    unobeyed: Mutex<Vec<(TenantKey, WebhookKey)>>,
    /// Tenants of whose webhooks a change may have been missed.
    tenants_unread: Mutex<BTreeSet<TenantKey>>,
    /// The lease under which the lanes hold what they hold.
    lease: AtomicI64,
    /// Attempts under way.
    runners: TaskTracker,
    stopping: CancellationToken,
    /// No runner is left that could send another outcome.
    outcomes_done: CancellationToken,
    /// Outcomes that can't be written at once are not waited for any longer.
    giving_up: CancellationToken,
    /// Places for checks of URLs.
    checks: Semaphore,
    measures: EngineMeasures,
    /// Streams that somebody listens to.
    streams: Arc<Level>,
}

impl Engine {
    /// An engine that takes events in, and sends once [`Self::run`] runs.
    pub fn new(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        rng: Box<dyn Rng + Send>,
        client: Client,
        options: Options,
    ) -> Arc<Self> {
        let (outcomes, unwritten) = mpsc::channel(UNWRITTEN);
        let lease = AtomicI64::new(store.lease().unwrap_or_default());
        Arc::new(Self {
            registry: Registry::new(Arc::clone(&store), Arc::clone(&clock), options.public_url.clone()),
            lanes: Lanes::new(options.lane_capacity, options.queue_memory),
            places: Places::new(options.max_in_flight),
            tails: Tails::default(),
            agenda: Agenda::default(),
            store,
            clock,
            rng: Mutex::new(rng),
            client,
            options,
            outcomes,
            unwritten: Mutex::new(Some(unwritten)),
            jobs_changed: Notify::new(),
            lost: Mutex::default(),
            unobeyed: Mutex::default(),
            tenants_unread: Mutex::default(),
            lease,
            runners: TaskTracker::new(),
            stopping: CancellationToken::new(),
            outcomes_done: CancellationToken::new(),
            giving_up: CancellationToken::new(),
            checks: Semaphore::new(check::AT_A_TIME),
            measures: EngineMeasures::default(),
            streams: Arc::default(),
        })
    }

    /// Makes `events` durable together with all their deliveries, and sends
    /// those on their way. Goes on to the end even when the caller goes away,
    /// because what is recorded has to reach its lanes.
    ///
    /// # Errors
    /// See [`RecordError`]; nothing was recorded then.
    pub async fn publish(
        self: &Arc<Self>,
        tenant: TenantKey,
        events: Vec<Event>,
    ) -> Result<Vec<Published>, RecordError> {
        self.publish_traced(tenant, events, None).await
    }

    /// Like [`Self::publish`], in the trace that the publisher has sent along.
    ///
    /// # Errors
    /// See [`RecordError`]; nothing was recorded then.
    pub async fn publish_traced(
        self: &Arc<Self>,
        tenant: TenantKey,
        events: Vec<Event>,
        parent: Option<TraceContext>,
    ) -> Result<Vec<Published>, RecordError> {
        let began = self.clock.elapsed();
        let span = self.begin_span(parent.as_ref());
        // Where no span is kept, what follows is below the publisher's own.
        let trace = span.as_ref().map(|span| span.context.clone()).or(parent);
        let published = self.publish_within(tenant, events, trace).await;
        if let Some(span) = span {
            let ended = (span, "publish", SpanKind::Producer);
            self.end_span(ended, published.is_err(), Vec::new());
        }
        if published.is_ok() {
            self.measures.publish.note_time(self.clock.elapsed().saturating_sub(began));
        }
        published
    }

    async fn publish_within(
        self: &Arc<Self>,
        tenant: TenantKey,
        events: Vec<Event>,
        trace: Option<TraceContext>,
    ) -> Result<Vec<Published>, RecordError> {
        let span = trace.as_ref().and_then(|trace| self.begin_span(Some(trace)));
        let targets = self.targets(tenant, &events, None).await;
        if let Some(span) = span {
            self.end_span((span, "match", SpanKind::Internal), targets.is_err(), Vec::new());
        }
        let recording = publish::record(Arc::clone(self), tenant, events, targets?, trace);
        Uncancelled::new(recording).await
    }

    /// The webhooks that hear each of `events`, but for one.
    pub(crate) async fn targets(
        &self,
        tenant: TenantKey,
        events: &[Event],
        except: Option<WebhookKey>,
    ) -> Result<Vec<Vec<Arc<Target>>>> {
        let found = self.registry.matches(tenant, events).await?;
        let others = |found: Vec<(Arc<Target>, Reach)>| {
            found
                .into_iter()
                .map(|(target, _)| target)
                .filter(|target| Some(target.key()) != except)
                .collect()
        };
        Ok(found.into_iter().map(others).collect())
    }

    /// Obeys a webhook as the store has it now: after each change.
    ///
    /// # Errors
    /// When it can't be read, or what no longer may be sent can't be released.
    async fn refresh(self: &Arc<Self>, tenant: TenantKey, webhook: WebhookKey) -> Result<()> {
        let target = self.registry.refresh(tenant, webhook).await?;
        let now = self.clock.now();
        let Some(target) = target else {
            let waiting = self.lanes.get(webhook).map(|lane| lane.close()).unwrap_or_default();
            self.store.release(waiting, now).await?;
            self.lanes.forget(webhook);
            self.jobs_changed.notify_one();
            return Ok(());
        };
        let called = target.is_called();
        if let Some(lane) = self.lanes.get(webhook) {
            let waiting = lane.update(target);
            self.store.release(waiting, now).await?;
            self.pump(&lane);
        }
        if called {
            // It may have been paused or disabled, with deliveries waiting of
            // which its lane knows and the agenda no longer does.
            self.note_stored(webhook, now);
            self.agenda.add(now, webhook);
        }
        Ok(())
    }

    /// Sends and keeps house until `stop` is cancelled; then lets what is under
    /// way end, for at most 25 seconds, and leaves the rest due in the store.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let Some(unwritten) = self.unwritten.lock().take() else { return };
        let background = TaskTracker::new();
        background.spawn(dispatcher::run(Arc::clone(&self)));
        background.spawn(janitor::run(Arc::clone(&self)));
        background.spawn(signals::run(Arc::clone(&self)));
        let writer = tokio::spawn(outcomes::run(Arc::clone(&self), unwritten));
        stop.cancelled().await;
        self.stopping.cancel();
        // Before what is under way has ended: other nodes may send what waits here.
        self.release_all().await;
        background.close();
        self.runners.close();
        if tokio::time::timeout(GRACE, self.runners.wait()).await.is_err() {
            tracing::warn!(
                "attempts still under way after {GRACE:?} are not waited for; they are due again at the next start"
            );
        }
        self.giving_up.cancel();
        background.wait().await;
        // What a claim has brought meanwhile.
        self.release_all().await;
        self.outcomes_done.cancel();
        if let Err(error) = writer.await {
            tracing::error!(%error, "the writer of outcomes failed");
        }
    }

    /// Closes the lanes, and makes what waits in them due for whoever runs.
    async fn release_all(&self) {
        let waiting: Vec<DeliveryKey> = self.lanes.all().iter().flat_map(|lane| lane.close()).collect();
        if waiting.is_empty() {
            return;
        }
        if let Err(error) = self.store.release(waiting, self.clock.now()).await {
            tracing::warn!(%error, "what waits can't be released; it is due again at the next start");
        }
    }

    /// Notes that the store holds something of this webhook, due at `due`.
    pub(crate) fn note_stored(&self, webhook: WebhookKey, due: Timestamp) {
        if self.lanes.get(webhook).is_none_or(|lane| lane.note_stored(due)) {
            self.agenda.add(due, webhook);
        }
    }

    /// The lane of a webhook, made if there is none; `None` when the webhook is
    /// deleted.
    async fn lane(&self, key: WebhookKey) -> Result<Option<Arc<Lane>>> {
        if let Some(lane) = self.lanes.get(key) {
            return Ok(Some(lane));
        }
        Ok(self.registry.target(key).await?.map(|target| self.lanes.get_or_make(&target)))
    }

    /// Sets as many attempts going as the lane allows and there are places for.
    pub(crate) fn pump(self: &Arc<Self>, lane: &Arc<Lane>) {
        let mut others = Vec::new();
        self.pump_one(lane, &mut others);
        while let Some(lane) = others.pop() {
            self.pump_one(&lane, &mut others);
        }
    }

    /// The place that the lane has no use for is passed on to `others`.
    fn pump_one(self: &Arc<Self>, lane: &Arc<Lane>, others: &mut Vec<Arc<Lane>>) {
        while let Some(place) = self.places.take(lane.asker(), lane) {
            match self.next_work(lane) {
                Some(work) => {
                    let run = runner::run(Arc::clone(self), Arc::clone(lane), work, place);
                    self.runners.spawn(run);
                }
                None => return others.extend(self.places.give(place)),
            }
        }
    }

    /// Sets lanes going a few at a time: what an event for a thousand webhooks
    /// gives to do must not stand as a whole before what others have to do.
    /// Those whose last attempt failed go last, and slowly: they may wait, and
    /// writing down that they fail again costs most.
    pub(crate) fn pump_all(self: &Arc<Self>, lanes: Vec<Arc<Lane>>) {
        if lanes.len() <= AT_ONCE {
            return self.pump_each(&lanes);
        }
        let (sick, well): (Vec<_>, Vec<_>) = lanes.into_iter().partition(|lane| lane.asker().sick);
        let engine = Arc::clone(self);
        self.runners.spawn(async move {
            for lanes in well.chunks(AT_ONCE) {
                engine.pump_each(lanes);
                tokio::task::yield_now().await;
            }
            for lanes in sick.chunks(SICK_AT_ONCE) {
                engine.pump_each(lanes);
                tokio::time::sleep(BETWEEN_SICK).await;
            }
        });
    }

    fn pump_each(self: &Arc<Self>, lanes: &[Arc<Lane>]) {
        for lane in lanes {
            self.pump(lane);
        }
    }

    /// Gives a place back, and sets going who waited for it.
    pub(crate) fn free(self: &Arc<Self>, place: Place) {
        for lane in self.places.give(place) {
            self.pump(&lane);
        }
    }

    /// The next work of a lane. Where it has to rest first, the dispatcher will
    /// come back to it.
    pub(crate) fn next_work(&self, lane: &Lane) -> Option<Work> {
        if !self.holds_its_lease() {
            // Others may have what the lanes hold. They are emptied soon, or the
            // lease turns out to be good.
            self.agenda.rest(self.clock.now().saturating_add(LEASE_ASKED).unwrap_or_default(), lane.key());
            return None;
        }
        lane.take(self.clock.now())
            .map_err(|rests| {
                if let Some(until) = rests {
                    self.agenda.rest(until, lane.key());
                }
            })
            .ok()
    }

    /// Whether what was claimed is surely still this process'.
    fn holds_its_lease(&self) -> bool {
        self.store.lease() == Some(self.lease.load(Ordering::Acquire))
    }

    /// Goes by a new lease: what the lanes held under the old one is out of them.
    fn obey_lease(&self, lease: Option<i64>) {
        if let Some(lease) = lease {
            self.lease.store(lease, Ordering::Release);
        }
    }

    /// Brings what is due in the store into the lanes, once; returns when the
    /// next lane is due. [`Self::run`] does so all the time.
    ///
    /// # Errors
    /// When the store can't be read or written.
    pub async fn step(self: &Arc<Self>) -> Result<Option<Timestamp>> {
        dispatcher::step(self).await
    }

    /// Does one unit of each kind of upkeep, and returns whether there is more
    /// to do at once. [`Self::run`] does so all the time.
    ///
    /// # Errors
    /// When the store can't be read or written.
    pub async fn upkeep(self: &Arc<Self>) -> Result<bool> {
        Ok(janitor::step(self).await?.more)
    }

    /// Deliveries waiting in memory, and attempts under way.
    #[must_use]
    pub fn load(&self) -> (usize, usize) {
        let add = |sum: (usize, usize), lane: &Arc<Lane>| {
            let (waiting, in_flight) = lane.load();
            (sum.0 + waiting, sum.1 + in_flight)
        };
        self.lanes.all().iter().fold((0, 0), add)
    }

    /// How all lanes together stand. It looks at each of them.
    #[must_use]
    pub fn queues(&self) -> Queues {
        let mut queues = Queues::default();
        for lane in self.lanes.all() {
            let standing = lane.standing();
            queues.lanes += 1;
            queues.open_breakers += usize::from(standing.breaker != BreakerView::Closed);
            queues.waiting += standing.waiting;
            queues.in_flight += standing.in_flight;
            queues.waiting_since = [queues.waiting_since, lane.waiting_since()].into_iter().flatten().min();
        }
        queues
    }

    /// What was counted so far.
    #[must_use]
    pub const fn measures(&self) -> &EngineMeasures {
        &self.measures
    }

    /// How many streams somebody listens to.
    #[must_use]
    pub fn streams(&self) -> i64 {
        self.streams.read()
    }

    /// How the lane of a webhook stands in this process. `None` when it has none:
    /// nothing was sent or due for a while, or all of that is another node's.
    #[must_use]
    pub fn standing(&self, webhook: WebhookKey) -> Option<Standing> {
        self.lanes.get(webhook).map(|lane| lane.standing())
    }

    /// What was set.
    #[must_use]
    pub const fn options(&self) -> &Options {
        &self.options
    }

    /// Bytes of deliveries that may still wait in memory.
    #[must_use]
    pub fn memory_left(&self) -> usize {
        self.lanes.memory_left()
    }
}
