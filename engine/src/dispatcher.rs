//! Brings what waits in the store into the lanes, when it is due and there is
//! room.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use callboard_domain::clock::Timestamp;
use callboard_domain::id::{DeliveryKey, WebhookKey};
use callboard_domain::store::{ClaimRequest, Claimed, Result};
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::Engine;
use crate::lanes::Lane;

/// Most lanes served by one claim.
const LANES_PER_CLAIM: usize = 256;

/// Most deliveries that one claim brings into one lane.
const DELIVERIES_PER_LANE: usize = 256;

/// How long a lane waits after a claim that the store could not serve.
const PAUSE: Duration = Duration::from_millis(500);

/// Every so often the store is asked which lanes wait, in case something was
/// not noted.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

type Heap = Mutex<BinaryHeap<Reverse<(Timestamp, WebhookKey)>>>;

/// When which lane has something due in the store.
#[derive(Debug, Default)]
pub(crate) struct Agenda {
    entries: Heap,
    /// Lanes that hold something and rest until that time.
    resting: Heap,
    changed: Notify,
}

impl Agenda {
    /// Notes that the store holds something for this lane that is due at `due`.
    pub(crate) fn add(&self, due: Timestamp, lane: WebhookKey) {
        self.put(&self.entries, due, lane);
    }

    /// Notes that this lane holds something that may be sent from `until` on.
    pub(crate) fn rest(&self, until: Timestamp, lane: WebhookKey) {
        self.put(&self.resting, until, lane);
    }

    fn put(&self, heap: &Heap, due: Timestamp, lane: WebhookKey) {
        let mut entries = heap.lock();
        let first = entries.peek().is_none_or(|Reverse((earliest, _))| due < *earliest);
        entries.push(Reverse((due, lane)));
        drop(entries);
        if first {
            self.changed.notify_one();
        }
    }

    /// Takes the lanes that are due at `now`, each once.
    fn due(&self, now: Timestamp) -> Vec<WebhookKey> {
        Self::take(&self.entries, now)
    }

    /// Takes the lanes that have rested, each once.
    fn rested(&self, now: Timestamp) -> Vec<WebhookKey> {
        Self::take(&self.resting, now)
    }

    fn take(heap: &Heap, now: Timestamp) -> Vec<WebhookKey> {
        let mut entries = heap.lock();
        let mut lanes = Vec::new();
        while lanes.len() < LANES_PER_CLAIM
            && let Some(Reverse((due, lane))) = entries.peek().copied()
            && due <= now
        {
            entries.pop();
            if !lanes.contains(&lane) {
                lanes.push(lane);
            }
        }
        lanes
    }

    /// When the next lane is due.
    pub(crate) fn next(&self) -> Option<Timestamp> {
        let first = |heap: &Heap| heap.lock().peek().map(|Reverse((due, _))| *due);
        [first(&self.entries), first(&self.resting)].into_iter().flatten().min()
    }
}

/// Serves the lanes that are due now, and returns when the next one is.
///
/// # Errors
/// When the store can't be read or written; the lanes are noted again.
pub(crate) async fn step(engine: &Arc<Engine>) -> Result<Option<Timestamp>> {
    let now = engine.clock.now();
    engine.pump_all(engine.agenda.rested(now).into_iter().filter_map(|key| engine.lanes.get(key)).collect());
    let mut claiming: HashMap<WebhookKey, Arc<Lane>> = HashMap::new();
    let mut requests = Vec::new();
    let mut served = Ok(());
    for key in engine.agenda.due(now) {
        let lane = match engine.lane(key).await {
            Ok(Some(lane)) => lane,
            // Deleted: upkeep cancels what waits.
            Ok(None) => continue,
            Err(error) => {
                engine.agenda.add(retry_at(now), key);
                served = Err(error);
                continue;
            }
        };
        // What has no room now is asked for again when the lane has drained.
        lane.note_stored(now);
        if let Some(room) = lane.begin_claim(now) {
            requests.push(ClaimRequest {
                webhook: key,
                limit: room.min(DELIVERIES_PER_LANE),
                alone: lane.is_paced(),
            });
            claiming.insert(key, lane);
        }
    }
    if !requests.is_empty() {
        let claims = engine.store.claim_due(requests, now, engine.lanes.memory_left()).await;
        served = served.and(claims.map(|claims| {
            let mut filled = Vec::with_capacity(claims.len());
            for claim in claims {
                if let Some(lane) = claiming.remove(&claim.webhook) {
                    let deliveries = counted_from_their_making(claim.deliveries, claim.late);
                    if let Some(due) = lane.claimed(deliveries, claim.next_due, now) {
                        engine.agenda.add(due, lane.key());
                    }
                    filled.push(lane);
                }
            }
            engine.pump_all(filled);
        }));
    }
    // Whatever was asked for and not answered is asked for again.
    for lane in claiming.into_values() {
        lane.claim_failed(retry_at(now));
        engine.agenda.add(retry_at(now), lane.key());
    }
    served.map(|()| engine.agenda.next())
}

/// Gives late deliveries the time of their making, from which it counts how long they
/// have waited. Their event is older, and was nobody's to wait for.
fn counted_from_their_making(
    mut deliveries: Vec<Claimed>,
    late: Vec<(DeliveryKey, Timestamp)>,
) -> Vec<Claimed> {
    let mut late = late.into_iter().peekable();
    for claimed in &mut deliveries {
        if let Some((_, made_at)) = late.next_if(|(delivery, _)| *delivery == claimed.delivery) {
            Arc::make_mut(&mut claimed.event).accepted_at = made_at;
        }
    }
    deliveries
}

fn retry_at(now: Timestamp) -> Timestamp {
    now.saturating_add(PAUSE).unwrap_or(now)
}

/// Notes every lane for which the store holds something.
///
/// # Errors
/// When the store can't be read.
pub(crate) async fn look(engine: &Arc<Engine>) -> Result<()> {
    for (key, due) in engine.store.waiting_lanes().await? {
        if let Some(lane) = engine.lanes.get(key) {
            lane.note_stored(due);
        }
        engine.agenda.add(due, key);
    }
    Ok(())
}

/// Steps until the engine stops, and only waits in between.
pub(crate) async fn run(engine: Arc<Engine>) {
    let mut looked_at = None;
    while !engine.stopping.is_cancelled() {
        // Registered before the store is asked, so that nothing noted
        // meanwhile is slept through.
        let changed = engine.agenda.changed.notified();
        let elapsed = engine.clock.elapsed();
        if looked_at.is_none_or(|at| elapsed.saturating_sub(at) >= LOOK_AGAIN) {
            match look(&engine).await {
                Ok(()) => looked_at = Some(elapsed),
                Err(error) => tracing::warn!(%error, "can't ask the store which lanes wait"),
            }
        }
        let next = match step(&engine).await {
            Ok(next) => next,
            Err(error) => {
                tracing::warn!(%error, "can't claim deliveries");
                Some(retry_at(engine.clock.now()))
            }
        };
        let wait = next.map_or(LOOK_AGAIN, |due| {
            Duration::try_from(due.duration_since(engine.clock.now())).unwrap_or_default().min(LOOK_AGAIN)
        });
        let wait = if looked_at.is_none() { wait.min(PAUSE) } else { wait };
        // In this order, because chance comes from outside.
        tokio::select! {
            biased;
            () = changed => {}
            () = tokio::time::sleep(wait) => {}
            () = engine.stopping.cancelled() => {}
        }
    }
}
