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

use callboard_domain::delivery::State;
use callboard_domain::store::{DeliveryFilter, Page};
use callboard_store::sealing::Keys;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::process::hearer::Hearer;
use crate::process::load::{self, Delivery, IN_FLIGHT, PUBLISHERS, WEBHOOKS};
use crate::process::publisher::{Ledger, Publisher};
use crate::process::{Home, figure, seed};

/// Most requests that come between one kill and the next.
const MOST_HEARD: u64 = 3_000;

/// One kill in so many comes as soon as the program listens, while it finds
/// out what the one before left behind.
const EARLY: u32 = 5;

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
    let addresses = watch::Sender::new(Vec::new());
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
    addresses.send_replace(vec![process.address]);
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
        let hearer = load::hearer().await;
        let process = home.serve().await;
        let webhooks = load::make_webhooks(&process, &hearer).await;
        process.kill().await;
        Self { home, hearer, webhooks, in_flight: HashMap::new(), kills: 0 }
    }

    /// Starts the program, and kills it once the receiver has heard this many
    /// requests more.
    async fn round(&mut self, addresses: &watch::Sender<Vec<std::net::SocketAddr>>, heard: u64) {
        let before = self.hearer.counts().heard;
        let process = crate::process::Process::start(self.home.server()).await;
        addresses.send_replace(vec![process.address]);
        self.hearer.until("requests come", |counts| counts.heard >= before + heard).await;
        process.kill().await;
        addresses.send_replace(Vec::new());
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
        let rng = Box::new(StdRng::seed_from_u64(1));
        let keys = Keys::from_file(&self.home.path("callboard.key"), rng).expect("the keys of the process");
        let store = callboard_store::open(&url, keys).await.expect("the database opens");
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

    fn judge(&self, ledger: &Ledger) {
        let (accepted, unsure) = ledger.sums();
        let expected = load::expected(&accepted);
        let delivered = load::delivered(&self.hearer);
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
        assert_eq!(ledger.refused(), 0);
        let longest = load::judge_order(&self.hearer);
        println!("crash test: in order by subject, the longest of {longest} deliveries");
        assert!(longest > 2, "nothing that could have been out of order");
        for (delivery, times) in &delivered {
            let kills = self.in_flight.get(delivery).copied().unwrap_or(0);
            assert!(times - 1 <= kills, "{delivery:?} came {times} times and was in flight at {kills} kills");
        }
        load::judge_unsure(&unsure, &expected, delivered);
    }
}
