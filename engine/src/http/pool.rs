//! Idle connections, kept for the next delivery to the same origin.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::Endpoint;
use super::link::Link;

/// More than cores, so that two lanes seldom meet; few enough that a shard's
/// connections can be searched one by one.
const SHARDS: usize = 64;

pub(super) struct Pool {
    shards: Vec<Mutex<Shard>>,
    /// Connections in all shards.
    idle: AtomicUsize,
    limits: Limits,
}

/// How much is kept.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) idle_timeout: Duration,
    pub(super) per_origin: usize,
    pub(super) total: usize,
}

/// Connections in the order in which they were parked, so that the oldest are
/// found at the front and the warmest at the back.
type Shard = VecDeque<Parked>;

pub(super) struct Parked {
    endpoint: Endpoint,
    since: Duration,
    link: Box<Link>,
}

impl Pool {
    pub(super) fn new(limits: Limits) -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        Self { shards, idle: AtomicUsize::new(0), limits }
    }

    /// The connection to this origin that rested least, unless its time is up.
    pub(super) fn take(&self, endpoint: &Endpoint, now: Duration) -> Option<Box<Link>> {
        let mut shard = self.shard(endpoint).lock();
        let warmest = shard.iter().rposition(|parked| parked.endpoint.same_origin(endpoint))?;
        if self.expired(&shard[warmest], now) {
            // The others of this origin rested longer still; a reaping ends them.
            return None;
        }
        let parked = shard.remove(warmest)?;
        drop(shard);
        self.idle.fetch_sub(1, Ordering::Relaxed);
        Some(parked.link)
    }

    /// Keeps a connection, or closes it or another when there are too many.
    pub(super) fn put(&self, endpoint: &Endpoint, link: Box<Link>, now: Duration) {
        let mut shard = self.shard(endpoint).lock();
        // Closing costs a system call, so it happens when the lock is gone.
        let mut closing = self.take_expired(&mut shard, now);
        let same = shard.iter().filter(|parked| parked.endpoint.same_origin(endpoint)).count();
        let mut full = same >= self.limits.per_origin;
        if !full && self.idle.load(Ordering::Relaxed) >= self.limits.total {
            // Rather the one that rested longest than the one that was busy.
            match shard.pop_front() {
                Some(oldest) => {
                    self.idle.fetch_sub(1, Ordering::Relaxed);
                    closing.push(oldest);
                }
                None => full = true,
            }
        }
        if !full {
            self.idle.fetch_add(1, Ordering::Relaxed);
            shard.push_back(Parked { endpoint: endpoint.clone(), since: now, link });
        }
        drop(shard);
        drop(closing);
    }

    /// Closes what rested too long.
    pub(super) fn reap(&self, now: Duration) {
        for shard in &self.shards {
            let closing = self.take_expired(&mut shard.lock(), now);
            drop(closing);
        }
    }

    /// How many connections rest.
    pub(super) fn idle(&self) -> usize {
        self.idle.load(Ordering::Relaxed)
    }

    fn shard(&self, endpoint: &Endpoint) -> &Mutex<Shard> {
        let count = self.shards.len();
        #[expect(clippy::cast_possible_truncation, reason = "any bits of a hash will do")]
        let hash = endpoint.origin_hash() as usize;
        &self.shards[hash % count]
    }

    fn take_expired(&self, shard: &mut Shard, now: Duration) -> Vec<Parked> {
        let count = shard.iter().take_while(|parked| self.expired(parked, now)).count();
        if count == 0 {
            return Vec::new();
        }
        self.idle.fetch_sub(count, Ordering::Relaxed);
        shard.drain(..count).collect()
    }

    fn expired(&self, parked: &Parked, now: Duration) -> bool {
        now.saturating_sub(parked.since) >= self.limits.idle_timeout
    }
}
