//! The program is killed again and again while it accepts and delivers, always
//! on the same database: nothing that was accepted is lost, what comes twice was
//! in flight at a kill, and what goes in order comes in order.

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test that can't go on has failed, and this one reports counts"
)]

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use callboard_domain::delivery::State;
use callboard_domain::store::{DeliveryFilter, Page};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::json;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::process::hearer::{Hearer, Manner};
use crate::process::{Home, figure, seed};

mod publisher;

use publisher::{Ledger, Publisher};

const PUBLISHERS: u64 = 4;

/// Most requests that a webhook of this test has under way.
const IN_FLIGHT: usize = 16;

/// Most requests that come between one kill and the next.
const MOST_HEARD: u64 = 3_000;

/// One kill in so many comes as soon as the program listens, while it finds
/// out what the one before left behind.
const EARLY: u32 = 5;

/// A webhook of this test: its path, what it hears, how it answers.
const WEBHOOKS: [(&str, &str, Manner); 4] = [
    ("/fast", "*", Manner::Prompt),
    ("/slow", "order.*", Manner::Slow(Duration::from_millis(10))),
    ("/flaky", "ticket.*", Manner::Failing(3)),
    (ORDERED, "order.*", Manner::Failing(7)),
];

/// The path of the webhook that asks for order by subject.
const ORDERED: &str = "/ordered";

/// The paths that an event of this type has to come to.
fn paths(type_name: &str) -> impl Iterator<Item = &'static str> {
    let resource = type_name.split('.').next().unwrap_or_default().to_owned();
    let hears = move |pattern: &str| pattern == "*" || pattern.strip_suffix(".*") == Some(&resource);
    WEBHOOKS.into_iter().filter(move |(_, pattern, _)| hears(pattern)).map(|(path, ..)| path)
}

/// A delivery: the path, and the event's id.
type Delivery = (&'static str, String);

struct Run {
    home: Home,
    hearer: Hearer,
    /// By path.
    webhooks: HashMap<&'static str, String>,
    /// At how many kills each delivery was in flight.
    in_flight: HashMap<Delivery, u32>,
    kills: u32,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_moment_it_loses_nothing() {
    let rounds = figure("CALLBOARD_SOAK_ROUNDS", 16);
    let seed = figure("CALLBOARD_SOAK_SEED", usize::try_from(seed()).expect("64 bits"));
    let mut rng = StdRng::seed_from_u64(seed as u64);
    let mut run = Run::new().await;
    let database = if run.home.server_url().is_some() { "PostgreSQL" } else { "SQLite" };
    println!("crash test: {database}, seed {seed} (CALLBOARD_SOAK_SEED={seed} chooses the same moments)");
    let ledger = Arc::new(Ledger::default());
    let addresses = watch::Sender::new(None);
    let stop = CancellationToken::new();
    let publishers = TaskTracker::new();
    for number in 0..PUBLISHERS {
        let publisher = Publisher::new(number, rng.random(), Arc::clone(&ledger));
        publishers.spawn(publisher.run(addresses.subscribe(), stop.clone()));
    }
    publishers.close();
    for _ in 0..rounds {
        let heard = if rng.random_ratio(1, EARLY) { 0 } else { rng.random_range(1..MOST_HEARD) };
        run.round(&addresses, heard).await;
    }
    let process = run.home.serve().await;
    addresses.send_replace(Some(process.address));
    stop.cancel();
    publishers.wait().await;
    process.until_drained(&run.webhooks.values().map(String::as_str).collect::<Vec<_>>()).await;
    for id in run.webhooks.values() {
        assert!(process.deliveries(id, "failed,cancelled,superseded").await.is_empty());
    }
    process.stop().await;
    run.judge(&ledger);
}

impl Run {
    async fn new() -> Self {
        let home = Home::new();
        let hearer = Hearer::start(&WEBHOOKS.map(|(path, _, manner)| (path, manner))).await;
        let process = home.serve().await;
        // Never given up: no delivery fails this often in a row.
        let schedule: Vec<f64> = [0.05, 0.1, 0.2].into_iter().chain([0.3; 27]).collect();
        let mut webhooks = HashMap::new();
        for (path, pattern, _) in WEBHOOKS {
            let settings = json!({
                "url": hearer.url(path), "events": [pattern], "max_in_flight": IN_FLIGHT,
                "ordering": if path == ORDERED { "subject" } else { "none" },
                "retry": {"schedule_seconds": schedule},
            });
            webhooks.insert(path, process.make_webhook(&settings).await);
        }
        process.kill().await;
        Self { home, hearer, webhooks, in_flight: HashMap::new(), kills: 0 }
    }

    /// Starts the program, and kills it once the receiver has heard this many
    /// requests more.
    async fn round(&mut self, addresses: &watch::Sender<Option<std::net::SocketAddr>>, heard: u64) {
        let before = self.hearer.counts().heard;
        let process = crate::process::Process::start(self.home.server()).await;
        addresses.send_replace(Some(process.address));
        self.hearer.until("requests come", |counts| counts.heard >= before + heard).await;
        process.kill().await;
        addresses.send_replace(None);
        self.kills += 1;
        // What was still on the wire is heard, or is gone, only now.
        self.hearer.until("no connection is left", |counts| counts.open == 0).await;
        let unwritten = self.unwritten().await;
        let most = WEBHOOKS.len() * IN_FLIGHT + callboard_engine::UNWRITTEN;
        assert!(unwritten.len() <= most, "{} were in flight, {most} may be", unwritten.len());
        for delivery in unwritten {
            *self.in_flight.entry(delivery).or_default() += 1;
        }
    }

    /// Copies the files, so that the program meets them as they were.
    fn copy(&self) -> PathBuf {
        for suffix in ["", "-wal", "-shm"] {
            let (from, to) = (format!("callboard.db{suffix}"), format!("copy.db{suffix}"));
            // There is no log when the kill came before the first write.
            let _ = std::fs::remove_file(self.home.path(&to));
            let _ = std::fs::copy(self.home.path(&from), self.home.path(&to));
        }
        self.home.path("copy.db")
    }

    /// What the receiver has taken and the database, as the kill left it, does
    /// not know to be delivered.
    async fn unwritten(&self) -> HashSet<Delivery> {
        let url = match self.home.server_url() {
            Some(url) => url.to_owned(),
            None => format!("sqlite:{}", self.copy().display()),
        };
        let store = callboard_store::open(&url).await.expect("the database opens");
        let tenant =
            store.tenant(&"default".parse().expect("an id")).await.expect("a read").expect("a tenant");
        let filter =
            DeliveryFilter { states: vec![State::Pending, State::Waiting], ..DeliveryFilter::default() };
        let mut unwritten = HashSet::new();
        for (path, id) in &self.webhooks {
            let found = store.webhook(tenant.key, id.parse().expect("an id")).await.expect("a read");
            let webhook = found.expect("a webhook").key;
            let taken = self.hearer.taken(path);
            let mut page = Page { limit: 1_000, after: None };
            loop {
                let listed = store.list_deliveries(webhook, filter.clone(), page).await.expect("a read");
                let ids = listed.items.into_iter().map(|delivery| delivery.event_id.to_string());
                unwritten.extend(ids.filter(|id| taken.contains_key(id)).map(|id| (*path, id)));
                let Some(next) = listed.next else { break };
                page.after = Some(next);
            }
        }
        store.close().await;
        unwritten
    }

    /// Each publisher publishes about a subject in the order of its own numbers.
    fn judge_order(&self) {
        let mut subjects: HashMap<String, Vec<(u64, Duration)>> = HashMap::new();
        for (id, taken) in self.hearer.taken(ORDERED) {
            subjects
                .entry(publisher::subject(&id))
                .or_default()
                .push((publisher::number(&id), taken.first_at));
        }
        let mut longest = 0;
        for (subject, mut taken) in subjects {
            longest = longest.max(taken.len());
            taken.sort_unstable();
            let in_order = taken.is_sorted_by(|(_, one), (_, next)| one < next);
            assert!(in_order, "{subject} came out of order: {taken:?}");
        }
        println!("crash test: in order by subject, the longest of {longest} deliveries");
        assert!(longest > 2, "nothing that could have been out of order");
    }

    fn judge(&self, ledger: &Ledger) {
        let (accepted, unsure) = ledger.sums();
        let mut expected = HashSet::new();
        for (id, type_name) in &accepted {
            expected.extend(paths(type_name).map(|path| (path, id.clone())));
        }
        let mut delivered = HashMap::new();
        for (path, ..) in WEBHOOKS {
            delivered
                .extend(self.hearer.taken(path).into_iter().map(|(id, taken)| ((path, id), taken.times)));
        }
        let lost = expected.iter().filter(|delivery| !delivered.contains_key(delivery)).count();
        let duplicates: u32 = delivered.values().map(|times| times - 1).sum();
        let in_flight: u32 = self.in_flight.values().sum();
        println!(
            "crash test: {} kills, {} events accepted, {} deliveries expected, {} delivered, {lost} lost, \
             {duplicates} duplicates, {in_flight} in flight at the kills, {} events without an answer",
            self.kills,
            accepted.len(),
            expected.len(),
            delivered.len(),
            unsure.iter().map(Vec::len).sum::<usize>(),
        );
        assert_eq!(lost, 0);
        self.judge_order();
        for (delivery, times) in &delivered {
            let kills = self.in_flight.get(delivery).copied().unwrap_or(0);
            assert!(times - 1 <= kills, "{delivery:?} came {times} times and was in flight at {kills} kills");
        }
        // A batch that got no answer is there as a whole, or not at all.
        for batch in &unsure {
            let all: Vec<Delivery> =
                batch.iter().flat_map(|(id, name)| paths(name).map(|path| (path, id.clone()))).collect();
            let there = all.iter().filter(|delivery| delivered.remove(*delivery).is_some()).count();
            assert!(there == 0 || there == all.len(), "{there} of {} deliveries of one batch", all.len());
        }
        delivered.retain(|delivery, _| !expected.contains(delivery));
        assert!(delivered.is_empty(), "delivered without having been published: {delivered:?}");
    }
}
