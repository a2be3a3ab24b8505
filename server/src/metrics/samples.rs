//! What has to be looked for: lanes, the database and the nodes, at most every few
//! seconds, however many ask.

use std::time::Duration;

use callboard_domain::clock::Clock;
use callboard_domain::store::{Backlog, Space, Store};
use callboard_engine::{Engine, Queues};
use tokio::sync::Mutex;

/// How long what was seen is told to those who ask.
const KEPT: Duration = Duration::from_secs(2);

/// How many times as long as it took to look it is told at least: so to look takes
/// no more than a twentieth of the time, however much there is.
const KEPT_FACTOR: u32 = 20;

/// How long the database may take to answer before what it would say is left out.
const ANSWERED: Duration = Duration::from_secs(3);

/// What was seen.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Seen {
    /// The lanes of this process.
    pub(super) queues: Queues,
    /// What waits in the database; `None` when it does not say.
    pub(super) backlog: Option<Backlog>,
    /// What it takes on disk.
    pub(super) space: Option<Space>,
    /// How many nodes work on it; one where there can be no others.
    pub(super) nodes: Option<usize>,
}

/// What was seen last, and until when that will do.
#[derive(Debug, Default)]
pub struct Samples(Mutex<Option<(Duration, Seen)>>);

impl Samples {
    /// What was seen lately. Only one looks; others who ask wait for that.
    pub(super) async fn look(&self, engine: &Engine, store: &dyn Store, clock: &dyn Clock) -> Seen {
        let mut kept = self.0.lock().await;
        let began = clock.elapsed();
        if let Some((until, seen)) = &*kept
            && began < *until
        {
            return *seen;
        }
        let asked = tokio::time::timeout(ANSWERED, async {
            let backlog = store.backlog(clock.now()).await.ok();
            let space = store.space().await.ok();
            let nodes = store.nodes().await.ok().map(|nodes| nodes.len().max(1));
            (backlog, space, nodes)
        });
        let (backlog, space, nodes) = asked.await.unwrap_or_default();
        let seen = Seen { queues: engine.queues(), backlog, space, nodes };
        let took = clock.elapsed().saturating_sub(began);
        *kept = Some((clock.elapsed() + KEPT.max(took * KEPT_FACTOR), seen));
        seen
    }
}
