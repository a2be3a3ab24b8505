//! Publishers that go to any process that lives, and the judgement of what came
//! of what they published.

#![expect(clippy::print_stdout, reason = "it reports figures")]

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Cluster;
use crate::process::hearer::Hearer;
use crate::process::load::{self, Delivery, PUBLISHERS};
use crate::process::publisher::{Ledger, Publisher};
use crate::process::{Process, seed};

/// Between two requests of a publisher: what waits must not pile up for minutes.
const PAUSE: Duration = Duration::from_millis(40);

/// What a fault may repeat of which a test can't tell what it is.
#[derive(Debug, Clone, Default)]
pub(super) struct Unnoted {
    pub(super) most: usize,
    /// When each of it came first.
    pub(super) during: Vec<Range<Duration>>,
}

pub(super) struct Load {
    pub(super) hearer: Hearer,
    pub(super) ledger: Arc<Ledger>,
    pub(super) webhooks: HashMap<&'static str, String>,
    pub(super) rng: StdRng,
    /// How often each delivery was in flight when something broke.
    in_flight: HashMap<Delivery, u32>,
    stop: CancellationToken,
    publishers: TaskTracker,
}

impl Load {
    pub(super) async fn on(cluster: &Cluster) -> Self {
        let hearer = load::hearer().await;
        let webhooks = load::make_webhooks(cluster.node(0), &hearer).await;
        for process in cluster.nodes.iter().flatten() {
            load::until_known(process).await;
        }
        let mut rng = StdRng::seed_from_u64(seed());
        let (ledger, stop, publishers) =
            (Arc::new(Ledger::default()), CancellationToken::new(), TaskTracker::new());
        for number in 0..PUBLISHERS {
            let publisher = Publisher::new(number, rng.random(), Arc::clone(&ledger)).pausing(PAUSE);
            publishers.spawn(publisher.run(cluster.addresses.subscribe(), stop.clone()));
        }
        publishers.close();
        Self { hearer, ledger, webhooks, rng, in_flight: HashMap::new(), stop, publishers }
    }

    /// Waits until so many events more are accepted.
    pub(super) async fn until_accepted(&self, more: usize) {
        let before = self.ledger.accepted();
        crate::process::until("events are accepted", async || {
            (self.ledger.accepted() >= before + more).then_some(())
        })
        .await;
    }

    /// Notes what has come and is not written down, for it may come once more.
    pub(super) async fn note_in_flight(&mut self, process: &Process) {
        let unwritten = load::unwritten(process, &self.webhooks, &self.hearer).await;
        self.note(unwritten);
    }

    /// The same, read from the database.
    pub(super) fn unwritten_in(&self, url: &str) -> HashSet<Delivery> {
        load::unwritten_in(url, &self.hearer)
    }

    /// Notes what may come once more because of one fault.
    pub(super) fn note(&mut self, unwritten: HashSet<Delivery>) {
        for delivery in unwritten {
            *self.in_flight.entry(delivery).or_default() += 1;
        }
    }

    /// Ends the publishers, and waits until everything is delivered.
    pub(super) async fn drain(&self, cluster: &Cluster) {
        self.stop.cancel();
        self.publishers.wait().await;
        let process = cluster.nodes.iter().flatten().next().expect("one that lives");
        process.until_drained(&self.webhooks.values().map(String::as_str).collect::<Vec<_>>()).await;
        for id in self.webhooks.values() {
            assert!(process.deliveries(id, "failed,cancelled,superseded").await.is_empty());
        }
    }

    /// Nothing is lost, order holds, and what came twice was noted as in flight, each
    /// of it. Where a fault can also repeat what could not be noted, that came first
    /// in this time, and was no more than this.
    pub(super) fn judge(&self, what: &str, unnoted: Option<Unnoted>) {
        let (accepted, unsure) = self.ledger.sums();
        let expected = load::expected(&accepted);
        let delivered = load::delivered(&self.hearer);
        let lost: Vec<_> = expected.iter().filter(|delivery| !delivered.contains_key(delivery)).collect();
        let again: u32 = delivered.values().map(|times| times - 1).sum();
        let in_flight: u32 = self.in_flight.values().sum();
        let longest = load::judge_order(&self.hearer);
        let noted = |delivery| self.in_flight.get(delivery).copied().unwrap_or(0);
        let surprises: Vec<_> =
            delivered.iter().filter(|(delivery, times)| **times - 1 > noted(delivery)).collect();
        println!(
            "cluster: {what}: {} events accepted, {} deliveries expected, {} delivered, {} lost, \
             {again} duplicates, {in_flight} were in flight, {} of the duplicates were not among them, \
             {} refused, {} without an answer, in order the \
             longest of {longest}, the longest wait for a 202 {:?}",
            accepted.len(),
            expected.len(),
            delivered.len(),
            lost.len(),
            surprises.len(),
            self.ledger.refused(),
            unsure.len(),
            self.ledger.longest_wait(),
        );
        assert!(lost.is_empty(), "{lost:?}");
        assert!(longest > 2, "nothing that could have been out of order");
        let unnoted = unnoted.unwrap_or_default();
        assert!(surprises.len() <= unnoted.most, "{} came again, {surprises:?}", surprises.len());
        for ((path, id), times) in surprises.into_iter().filter(|(delivery, _)| noted(delivery) == 0) {
            let first = self.hearer.first_at(path, id).expect("it came");
            let during = unnoted.during.iter().any(|during| during.contains(&first));
            assert!(during, "{path} {id} came {times} times, first at {first:?}; {:?}", unnoted.during);
        }
        load::judge_unsure(&unsure, &expected, delivered);
    }
}
