//! The requests that may be under way at a time in the whole process, and who
//! gets the next one.
//!
//! Each needs a connection, and a process has only so many. So that nobody can
//! take all of them, a tenant's share is what would be left for one tenant more:
//! half for the only one, a third each for two. Of its share it may spend half
//! on receivers whose last attempt failed, so that its own dead endpoints do not
//! stop its healthy ones.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use callboard_domain::id::{TenantKey, WebhookKey};
use parking_lot::Mutex;

use crate::lanes::Lane;

/// The places of all lanes.
pub(crate) struct Places<L = Arc<Lane>> {
    limit: usize,
    state: Mutex<State<L>>,
    /// Whether somebody waits: who holds a place asks this after each attempt.
    contended: AtomicBool,
}

struct State<L> {
    used: usize,
    tenants: HashMap<TenantKey, Share<L>>,
    /// Tenants of which a lane waits, in the order of their turns.
    turns: VecDeque<TenantKey>,
    /// Lanes that wait, each once.
    waiting: HashSet<WebhookKey>,
}

/// What a tenant holds, and which of its lanes wait.
struct Share<L> {
    held: usize,
    held_by_sick: usize,
    healthy: VecDeque<(WebhookKey, L)>,
    sick: VecDeque<(WebhookKey, L)>,
}

impl<L> Default for Share<L> {
    fn default() -> Self {
        Self { held: 0, held_by_sick: 0, healthy: VecDeque::new(), sick: VecDeque::new() }
    }
}

impl<L> Share<L> {
    fn waits(&self) -> bool {
        !self.healthy.is_empty() || !self.sick.is_empty()
    }
}

/// A place that is held; to be given back by [`Places::give`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    tenant: TenantKey,
    sick: bool,
}

impl Place {
    /// Whether it was given to a lane whose last attempt had failed.
    pub(crate) const fn sick(self) -> bool {
        self.sick
    }
}

/// Who asks for a place.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asker {
    pub(crate) tenant: TenantKey,
    pub(crate) lane: WebhookKey,
    /// Whether its last attempt failed.
    pub(crate) sick: bool,
}

impl<L: Clone> Places<L> {
    pub(crate) fn new(limit: usize) -> Self {
        let state =
            State { used: 0, tenants: HashMap::new(), turns: VecDeque::new(), waiting: HashSet::new() };
        Self { limit: limit.max(4), state: Mutex::new(state), contended: AtomicBool::new(false) }
    }

    /// A place, or `None`: then the lane waits for its turn, and whoever gives a
    /// place back sets it going.
    pub(crate) fn take(&self, asker: Asker, lane: &L) -> Option<Place> {
        let mut state = self.state.lock();
        let place = Place { tenant: asker.tenant, sick: asker.sick };
        if state.has_room(place, self.limit) {
            state.hold(place);
            return Some(place);
        }
        if state.waiting.insert(asker.lane) {
            let share = state.tenants.entry(asker.tenant).or_default();
            let first = !share.waits();
            let queue = if asker.sick { &mut share.sick } else { &mut share.healthy };
            queue.push_back((asker.lane, lane.clone()));
            if first {
                state.turns.push_back(asker.tenant);
            }
            self.contended.store(true, Ordering::Release);
        }
        None
    }

    /// Whether anybody waits for a place.
    pub(crate) fn contended(&self) -> bool {
        self.contended.load(Ordering::Acquire)
    }

    /// Gives a place back. Returns lanes that waited, to be set going: they ask
    /// again. There may be one more than what was given back, because shares grow
    /// when a tenant has nothing left to do.
    pub(crate) fn give(&self, place: Place) -> impl Iterator<Item = L> + use<L> {
        let mut state = self.state.lock();
        state.let_go(place);
        let next = [state.next(self.limit), state.next(self.limit)];
        self.contended.store(!state.waiting.is_empty(), Ordering::Release);
        next.into_iter().flatten()
    }

    /// Places that are held.
    #[cfg(test)]
    fn used(&self) -> usize {
        self.state.lock().used
    }
}

impl<L> State<L> {
    fn has_room(&self, place: Place, limit: usize) -> bool {
        let held = self.tenants.get(&place.tenant).map_or((0, 0), |share| (share.held, share.held_by_sick));
        let active = self.tenants.values().filter(|share| share.held > 0).count() + usize::from(held.0 == 0);
        let share = (limit / (active + 1)).max(2);
        self.used < limit && held.0 < share && (!place.sick || held.1 < share / 2)
    }

    fn hold(&mut self, place: Place) {
        self.used += 1;
        let share = self.tenants.entry(place.tenant).or_default();
        share.held += 1;
        share.held_by_sick += usize::from(place.sick);
    }

    fn let_go(&mut self, place: Place) {
        self.used -= 1;
        if let Some(share) = self.tenants.get_mut(&place.tenant) {
            share.held -= 1;
            share.held_by_sick -= usize::from(place.sick);
            if share.held == 0 && !share.waits() {
                self.tenants.remove(&place.tenant);
            }
        }
    }

    /// The next lane for which there is room: the tenants take turns, and of a
    /// tenant the healthy lanes go first.
    fn next(&mut self, limit: usize) -> Option<L> {
        for _ in 0..self.turns.len() {
            let tenant = self.turns.pop_front()?;
            let has_room = |sick| self.has_room(Place { tenant, sick }, limit);
            let (healthy, sick) = (has_room(false), has_room(true));
            let Some(share) = self.tenants.get_mut(&tenant) else { continue };
            let next = if healthy { share.healthy.pop_front() } else { None };
            let next = next.or_else(|| if sick { share.sick.pop_front() } else { None });
            if share.waits() {
                self.turns.push_back(tenant);
            }
            if let Some((key, lane)) = next {
                self.waiting.remove(&key);
                return Some(lane);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests;
