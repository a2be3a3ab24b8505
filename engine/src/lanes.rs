//! The lanes: one bounded in-memory queue for each webhook that has something
//! to be sent.
//!
//! A lane knows how much may be under way at a time and what else the store
//! holds for it. It sends nothing itself: [`Lane::take`] hands out work, and
//! whoever takes it gives its place back with [`Lane::finished`].

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use callboard_domain::clock::{Clock, Timestamp};
use callboard_domain::delivery::StoredEvent;
use callboard_domain::id::{DeliveryKey, WebhookKey};
use callboard_domain::store::Claimed;
use callboard_domain::trace::TraceContext;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::health::Turn;
use crate::places::Asker;
use crate::target::Target;

mod pace;
mod room;

pub use pace::{BreakerView, Ended};
use pace::{Hold, Pace};
use room::Throughput;

/// What a queued delivery costs beside its body, in bytes.
const ENTRY_BYTES: usize = 256;

/// A lane whose last attempt failed holds this many times what may be under
/// way, so that sick receivers do not fill the memory that healthy ones need.
const SICK_FACTOR: usize = 4;

/// Failures in a row after which a webhook is said to fail: fewer may be a
/// restart of its receiver.
const FAILING_AFTER: u32 = 5;

const SHARDS: usize = 16;

/// A delivery that waits in a lane.
#[derive(Debug, Clone)]
pub struct Queued {
    /// The delivery.
    pub delivery: DeliveryKey,
    /// How many attempts were made.
    pub attempts: u32,
    /// How many of them count for the present schedule.
    pub tries: u32,
    /// What to deliver.
    pub event: Arc<StoredEvent>,
    /// The trace that it belongs to, as far as that is known.
    pub trace: Option<Arc<TraceContext>>,
}

impl From<Claimed> for Queued {
    fn from(claimed: Claimed) -> Self {
        let Claimed { delivery, attempts, tries, event } = claimed;
        Self { delivery, attempts, tries, event, trace: None }
    }
}

impl Queued {
    fn bytes(&self) -> usize {
        self.event.body.len() + ENTRY_BYTES
    }
}

/// The bytes that all lanes together may hold.
#[derive(Debug)]
struct Budget {
    limit: usize,
    used: AtomicUsize,
}

impl Budget {
    fn take(&self, bytes: usize) -> bool {
        let taken = |used: usize| used.checked_add(bytes).filter(|used| *used <= self.limit);
        self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, taken).is_ok()
    }

    /// Takes what a claim brought: it is bounded by the claim already.
    fn force(&self, bytes: usize) {
        self.used.fetch_add(bytes, Ordering::Relaxed);
    }

    fn give(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }

    fn left(&self) -> usize {
        self.limit.saturating_sub(self.used.load(Ordering::Relaxed))
    }
}

/// All lanes.
#[derive(Debug)]
pub struct Lanes {
    shards: [Mutex<HashMap<WebhookKey, Arc<Lane>, foldhash::fast::RandomState>>; SHARDS],
    budget: Arc<Budget>,
    capacity: usize,
}

impl Lanes {
    /// No lanes yet. Each will hold at most `capacity` deliveries, and all
    /// together about `memory` bytes.
    #[must_use]
    pub fn new(capacity: usize, memory: usize) -> Self {
        Self {
            shards: std::array::from_fn(|_| Mutex::default()),
            budget: Arc::new(Budget { limit: memory, used: AtomicUsize::new(0) }),
            capacity,
        }
    }

    fn shard(&self, key: WebhookKey) -> &Mutex<HashMap<WebhookKey, Arc<Lane>, foldhash::fast::RandomState>> {
        let index = usize::try_from(key.0).unwrap_or(0) % SHARDS;
        &self.shards[index]
    }

    /// The webhook's lane, made if there is none.
    pub fn get_or_make(&self, target: &Arc<Target>) -> Arc<Lane> {
        let mut shard = self.shard(target.key()).lock();
        let make = || Arc::new(Lane::new(target, self.capacity, Arc::clone(&self.budget)));
        Arc::clone(shard.entry(target.key()).or_insert_with(make))
    }

    /// The webhook's lane, if there is one.
    pub fn get(&self, key: WebhookKey) -> Option<Arc<Lane>> {
        self.shard(key).lock().get(&key).cloned()
    }

    /// Forgets a lane: its webhook is deleted.
    pub fn forget(&self, key: WebhookKey) {
        self.shard(key).lock().remove(&key);
    }

    /// Every lane.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Lane>> {
        self.shards.iter().flat_map(|shard| shard.lock().values().cloned().collect::<Vec<_>>()).collect()
    }

    /// Forgets the lanes that hold nothing and know of nothing stored, and were
    /// not used for `idle`. `elapsed` is the clock's.
    pub fn forget_idle(&self, elapsed: Duration, idle: Duration) {
        for shard in &self.shards {
            // A lane that somebody else holds may be about to be filled.
            shard.lock().retain(|_, lane| Arc::strong_count(lane) > 1 || !lane.is_idle(elapsed, idle));
        }
    }

    /// Bytes that may still be claimed.
    #[must_use]
    pub fn memory_left(&self) -> usize {
        self.budget.left()
    }
}

/// The queue of one webhook.
#[derive(Debug)]
pub struct Lane {
    key: WebhookKey,
    capacity: usize,
    budget: Arc<Budget>,
    /// Told when something was taken out.
    freed: Notify,
    state: Mutex<LaneState>,
}

#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "four facts that are true or not, each on its own")]
struct LaneState {
    target: Arc<Target>,
    queue: VecDeque<Queued>,
    /// Places held for deliveries whose events are not durable yet.
    reserved: usize,
    in_flight: usize,
    /// When the earliest of what the store holds for this lane is due.
    stored_due: Option<Timestamp>,
    /// Something did not fit and went to the store; until that is drained,
    /// newer deliveries go there too instead of overtaking it.
    backlogged: bool,
    claiming: bool,
    /// A claim failed: no other before this time, however much is noted.
    not_before: Timestamp,
    /// Whether the last attempt failed.
    sick: bool,
    /// Since when there was nothing but failures.
    failing_since: Option<Timestamp>,
    /// How many attempts failed in a row, as far as this lane knows.
    failures: u32,
    /// Whether somebody was told that the webhook fails.
    told_failing: bool,
    pace: Pace,
    /// Until when it rests, as whoever asked for work was told.
    rests_until: Option<Timestamp>,
    /// Nothing more is handed out: the process is about to end.
    closed: bool,
    used_at: Duration,
    throughput: Throughput,
}

/// How a lane stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Deliveries that wait in it; what waits in the store is not counted.
    pub waiting: usize,
    /// Attempts under way.
    pub in_flight: usize,
    /// Most attempts at a time: as many as the webhook's owner allows, or fewer since
    /// the receiver was overrun.
    pub at_a_time: u32,
    /// Whether the receiver is called at all.
    pub breaker: BreakerView,
}

/// What [`Lane::take`] hands out.
#[derive(Debug)]
pub struct Work {
    /// The delivery to attempt.
    pub queued: Queued,
    /// The webhook as it is now.
    pub target: Arc<Target>,
    /// There is room to claim what the store holds.
    pub refill: bool,
}

/// Somebody who waits for room in a lane.
struct Waiter<'a>(&'a Lane);

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.0.state.lock().throughput.waited();
    }
}

impl Lane {
    fn new(target: &Arc<Target>, capacity: usize, budget: Arc<Budget>) -> Self {
        let state = LaneState {
            target: Arc::clone(target),
            queue: VecDeque::new(),
            reserved: 0,
            in_flight: 0,
            stored_due: None,
            backlogged: false,
            claiming: false,
            not_before: Timestamp::MIN,
            sick: target.webhook.failing_since.is_some(),
            failing_since: target.webhook.failing_since,
            failures: 0,
            // Perhaps not, but then it recovers without having failed, which
            // is better than failing without ever recovering.
            told_failing: target.webhook.failing_since.is_some(),
            pace: Pace::new(target.webhook.settings.max_in_flight),
            rests_until: None,
            closed: false,
            used_at: Duration::ZERO,
            throughput: Throughput::default(),
        };
        Self { key: target.key(), capacity, budget, freed: Notify::new(), state: Mutex::new(state) }
    }

    /// The webhook's row.
    #[must_use]
    pub const fn key(&self) -> WebhookKey {
        self.key
    }

    /// The webhook as it is now.
    #[must_use]
    pub fn target(&self) -> Arc<Target> {
        Arc::clone(&self.state.lock().target)
    }

    /// Whether its webhook's owner has set a rate.
    pub(crate) fn is_paced(&self) -> bool {
        self.state.lock().target.webhook.settings.rate_per_second.is_some()
    }

    /// Holds a place for a delivery of a body of `bytes`, until [`Self::fill`]
    /// or [`Self::give_back`]. False when it has to wait in the store.
    pub fn reserve(&self, bytes: usize) -> bool {
        let mut state = self.state.lock();
        let open = state.target.is_called() && !state.closed && !state.backlogged;
        if open && state.held() < self.limit(&state) && self.budget.take(bytes + ENTRY_BYTES) {
            state.reserved += 1;
            return true;
        }
        // Whoever asked will store it, so what follows must queue behind it.
        state.backlogged = true;
        false
    }

    /// Waits while it is full, if it gets on so well that there will be a place soon. How
    /// long at most is for the caller to see to.
    pub(crate) async fn room(&self, clock: &dyn Clock) {
        let mut waiter = None;
        loop {
            // Registered before looking, so that what is freed meanwhile is not missed.
            let freed = self.freed.notified();
            if !self.will_have_room(clock.elapsed(), &mut waiter) {
                return;
            }
            freed.await;
        }
    }

    /// Whether it is about full, and will have room soon for one more who waits. An eighth
    /// of it is left for those who have found room at the same time: one that finds none
    /// sends all who come later to the store.
    fn will_have_room<'a>(&'a self, elapsed: Duration, waiter: &mut Option<Waiter<'a>>) -> bool {
        let mut state = self.state.lock();
        let settings = &state.target.webhook.settings;
        let gets_on = !state.sick && !state.backlogged && settings.rate_per_second.is_none();
        if !gets_on || state.held() < self.capacity - self.capacity / 8 {
            return false;
        }
        if waiter.is_some() {
            return state.throughput.goes_on(elapsed);
        }
        let waits = state.throughput.wait(elapsed);
        // Made only then: one that is dropped here would wait for this very lock.
        *waiter = waits.then(|| Waiter(self));
        waits
    }

    /// Gives a reserved place back unused. True when there is room now to claim
    /// what the store holds: a claim may have found none because of this place.
    #[must_use]
    pub fn give_back(&self, bytes: usize) -> bool {
        let mut state = self.state.lock();
        state.reserved -= 1;
        self.budget.give(bytes + ENTRY_BYTES);
        self.has_drained(&state)
    }

    /// Puts a delivery into its reserved place.
    pub fn fill(&self, queued: Queued, elapsed: Duration) {
        let mut state = self.state.lock();
        state.reserved -= 1;
        state.used_at = elapsed;
        state.queue.push_back(queued);
    }

    /// How it asks for a place among the requests of the whole process.
    pub(crate) fn asker(&self) -> Asker {
        let state = self.state.lock();
        Asker { tenant: state.target.tenant(), lane: self.key, sick: state.sick }
    }

    /// Takes the next delivery, if one waits and one more may be under way.
    ///
    /// # Errors
    /// When there is none to take: the time before which there will be none,
    /// if what waits here waits for that, and nobody was told so yet.
    pub fn take(&self, now: Timestamp) -> Result<Work, Option<Timestamp>> {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        if state.closed || !state.target.is_called() || state.queue.is_empty() {
            return Err(None);
        }
        let settings = &state.target.webhook.settings;
        match state.pace.begin(now, state.in_flight, settings.max_in_flight, settings.rate_per_second) {
            Ok(()) => {}
            Err(Hold::Place) => return Err(None),
            Err(Hold::Until(until)) => {
                // Who was told an earlier time comes back then, and asks again.
                let is_told = state.rests_until.is_some_and(|told| told > now && told <= until);
                if is_told {
                    // What they were told stays: a later time is told when they
                    // come back.
                    return Err(None);
                }
                state.rests_until = Some(until);
                return Err(Some(until));
            }
        }
        let queued = state.queue.pop_front().ok_or(None)?;
        state.in_flight += 1;
        self.budget.give(queued.bytes());
        self.freed.notify_one();
        let refill = self.has_drained(state);
        Ok(Work { queued, target: Arc::clone(&state.target), refill })
    }

    /// An attempt handed out by [`Self::take`], which began at `began`, is over.
    pub fn finished(&self, ended: Ended, began: Timestamp, now: Timestamp, elapsed: Duration) -> Turn {
        let mut state = self.state.lock();
        let failed = ended.failed();
        state.in_flight -= 1;
        state.pace.ended(ended, began, now);
        state.sick = failed;
        state.used_at = elapsed;
        state.throughput.ended(elapsed);
        state.failures = if failed { state.failures.saturating_add(1) } else { 0 };
        match (failed, state.failing_since) {
            _ if ended == Ended::Gone => Turn::Gone,
            (true, Some(since)) if state.failures >= FAILING_AFTER && !state.told_failing => {
                state.told_failing = true;
                Turn::Failing(since)
            }
            (true, Some(since)) => Turn::FailsSince(since),
            (true, None) => {
                state.failing_since = Some(now);
                Turn::BeganToFail(now)
            }
            (false, Some(_)) => {
                state.failing_since = None;
                Turn::Recovered { told: std::mem::take(&mut state.told_failing) }
            }
            (false, None) => Turn::None,
        }
    }

    /// Takes over since when the webhook fails, where that is longer than this
    /// lane remembers.
    pub fn fails_since(&self, since: Timestamp) {
        let mut state = self.state.lock();
        state.failing_since = state.failing_since.map(|known| known.min(since));
    }

    /// Notes that the store holds something for this lane that is due at
    /// `due`. True when that is earlier than what was known.
    pub fn note_stored(&self, due: Timestamp) -> bool {
        let mut state = self.state.lock();
        let earlier = state.stored_due.is_none_or(|known| due < known);
        if earlier {
            state.stored_due = Some(due);
        }
        earlier
    }

    /// How many deliveries to claim now; none when there is no room, nothing
    /// due, or a claim is under way. After a number was returned,
    /// [`Self::claimed`] or [`Self::claim_failed`] has to follow.
    pub fn begin_claim(&self, now: Timestamp) -> Option<usize> {
        let mut state = self.state.lock();
        let due = state.stored_due.is_some_and(|due| due <= now);
        if !due || now < state.not_before || state.claiming || state.closed || !state.target.is_called() {
            return None;
        }
        let room = self.limit(&state).saturating_sub(state.held());
        if room == 0 {
            return None;
        }
        state.claiming = true;
        state.stored_due = None;
        Some(room)
    }

    /// Takes in what was claimed. Returns when the earliest of what is left
    /// behind is due; what was noted during the claim counts too.
    pub fn claimed(
        &self,
        deliveries: Vec<Claimed>,
        next_due: Option<Timestamp>,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let mut state = self.state.lock();
        state.claiming = false;
        state.backlogged = next_due.is_some_and(|due| due <= now);
        for claimed in deliveries {
            let queued = Queued::from(claimed);
            self.budget.force(queued.bytes());
            state.queue.push_back(queued);
        }
        state.stored_due = match (state.stored_due, next_due) {
            (Some(noted), Some(left)) => Some(noted.min(left)),
            (noted, left) => noted.or(left),
        };
        state.stored_due
    }

    /// The claim did not work out; it may be tried again at `retry_at`.
    pub fn claim_failed(&self, retry_at: Timestamp) {
        let mut state = self.state.lock();
        state.claiming = false;
        state.not_before = retry_at;
        state.stored_due = Some(state.stored_due.map_or(retry_at, |noted| noted.min(retry_at)));
    }

    /// Takes over an edited webhook. When it may no longer be called, or got a pace
    /// that one process alone keeps, the waiting deliveries are returned, to be
    /// released.
    pub fn update(&self, target: Arc<Target>) -> Vec<DeliveryKey> {
        let mut state = self.state.lock();
        // An edit of the status by hand starts the count of failures anew.
        state.failing_since = target.webhook.failing_since;
        if state.failing_since.is_none() {
            (state.failures, state.told_failing) = (0, false);
        }
        let was_paced = state.target.webhook.settings.rate_per_second.is_some();
        let gets_pace = !was_paced && target.webhook.settings.rate_per_second.is_some();
        state.target = target;
        if state.target.is_called() && !gets_pace { Vec::new() } else { self.drain(&mut state) }
    }

    /// Hands out nothing more, and returns what waits, to be released.
    pub fn close(&self) -> Vec<DeliveryKey> {
        let mut state = self.state.lock();
        state.closed = true;
        self.drain(&mut state)
    }

    /// Removes one waiting delivery; false when it is not here, or under way.
    pub fn remove(&self, delivery: DeliveryKey) -> bool {
        let mut state = self.state.lock();
        let Some(index) = state.queue.iter().position(|queued| queued.delivery == delivery) else {
            return false;
        };
        if let Some(queued) = state.queue.remove(index) {
            self.budget.give(queued.bytes());
        }
        true
    }

    /// Deliveries waiting here, and attempts under way.
    #[must_use]
    pub fn load(&self) -> (usize, usize) {
        let state = self.state.lock();
        (state.queue.len(), state.in_flight)
    }

    /// How it stands.
    #[must_use]
    pub fn standing(&self) -> Standing {
        let state = self.state.lock();
        Standing {
            waiting: state.queue.len(),
            in_flight: state.in_flight,
            at_a_time: state.pace.width(state.target.webhook.settings.max_in_flight),
            breaker: state.pace.breaker(),
        }
    }

    /// When the event was accepted of the delivery that is next.
    #[must_use]
    pub fn waiting_since(&self) -> Option<Timestamp> {
        self.state.lock().queue.front().map(|queued| queued.event.accepted_at)
    }

    /// Whether the store holds something for which there is room again. A claim
    /// that finds no room is not made later by itself, so whatever takes
    /// something out of the lane has to ask.
    fn has_drained(&self, state: &LaneState) -> bool {
        state.stored_due.is_some() && !state.claiming && state.held() <= self.limit(state) / 2
    }

    /// Hands out nothing that it holds, because the claims of this process may be
    /// void; what waits is to be released.
    pub fn empty(&self) -> Vec<DeliveryKey> {
        self.drain(&mut self.state.lock())
    }

    fn drain(&self, state: &mut LaneState) -> Vec<DeliveryKey> {
        let drained: Vec<Queued> = state.queue.drain(..).collect();
        self.budget.give(drained.iter().map(Queued::bytes).sum());
        drained.into_iter().map(|queued| queued.delivery).collect()
    }

    fn limit(&self, state: &LaneState) -> usize {
        if !state.sick {
            return self.capacity;
        }
        let in_flight = usize::try_from(state.target.webhook.settings.max_in_flight).unwrap_or(usize::MAX);
        in_flight.saturating_mul(SICK_FACTOR).min(self.capacity)
    }

    fn is_idle(&self, elapsed: Duration, idle: Duration) -> bool {
        let state = self.state.lock();
        state.held() == 0
            && state.in_flight == 0
            && state.stored_due.is_none()
            && !state.claiming
            && elapsed.saturating_sub(state.used_at) >= idle
    }
}

impl LaneState {
    fn held(&self) -> usize {
        self.queue.len() + self.reserved
    }
}

#[cfg(test)]
mod tests;
