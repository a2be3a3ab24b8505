//! How fast each tenant may publish: a bucket of events that fills with time.
//!
//! A request takes all of its events or none. One with more events than the
//! bucket holds is let in when it is full, and leaves a debt behind, so that it
//! is late and not impossible.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use callboard_domain::clock::Clock;
use callboard_domain::id::TenantKey;
use callboard_domain::store::Store;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::failures::whole_seconds;

/// How often the nodes are counted.
const COUNTED: Duration = Duration::from_secs(10);

/// Buckets of more tenants are not kept unless something is missing in them.
const KEPT: usize = 10_000;

/// The buckets of all tenants.
pub(super) struct Quota {
    /// Events a second, for the whole cluster.
    rate: f64,
    burst: f64,
    /// Among how many nodes they are shared out.
    nodes: AtomicU32,
    clock: Arc<dyn Clock>,
    buckets: Mutex<HashMap<TenantKey, Bucket>>,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    /// Below zero after a request that was larger than the bucket.
    events: f64,
    at: Duration,
}

impl Quota {
    /// So many events a second and at once; `None` where that is without limit.
    pub(super) fn new(rate: f64, burst: u32, clock: Arc<dyn Clock>) -> Option<Self> {
        let (nodes, buckets) = (AtomicU32::new(1), Mutex::default());
        (rate > 0.0).then(|| Self { rate, burst: burst.into(), nodes, clock, buckets })
    }

    /// Takes `count` events from a tenant's bucket.
    ///
    /// # Errors
    /// The seconds to wait, where there are too few in it; nothing is taken then.
    pub(super) fn take(&self, tenant: TenantKey, count: usize) -> Result<(), u64> {
        let nodes = f64::from(self.nodes.load(Ordering::Relaxed));
        let (rate, burst) = (self.rate / nodes, (self.burst / nodes).max(1.0));
        let now = self.clock.elapsed();
        let mut buckets = self.buckets.lock();
        if buckets.len() >= KEPT && !buckets.contains_key(&tenant) {
            buckets.retain(|_, bucket| filled(*bucket, now, rate, burst) < burst);
        }
        let bucket = buckets.entry(tenant).or_insert(Bucket { events: burst, at: now });
        let events = filled(*bucket, now, rate, burst);
        let count = f64::from(u32::try_from(count).unwrap_or(u32::MAX));
        let missing = count.min(burst) - events;
        if missing > 0.0 {
            return Err(whole_seconds(missing / rate));
        }
        *bucket = Bucket { events: events - count, at: now };
        Ok(())
    }

    /// Puts back what was taken for events that were not recorded.
    pub(super) fn put_back(&self, tenant: TenantKey, count: usize) {
        if let Some(bucket) = self.buckets.lock().get_mut(&tenant) {
            bucket.events += f64::from(u32::try_from(count).unwrap_or(u32::MAX));
        }
    }

    /// Shares the rate out among the nodes that live, until `stop` is cancelled.
    pub(super) async fn follow(&self, store: &dyn Store, stop: CancellationToken) {
        loop {
            // While the database is away nothing is published either.
            if let Ok(nodes) = store.nodes().await {
                let nodes = u32::try_from(nodes.len()).unwrap_or(u32::MAX).max(1);
                self.nodes.store(nodes, Ordering::Relaxed);
            }
            tokio::select! {
                () = tokio::time::sleep(COUNTED) => {}
                () = stop.cancelled() => return,
            }
        }
    }
}

/// What is in a bucket at `now`.
fn filled(bucket: Bucket, now: Duration, rate: f64, burst: f64) -> f64 {
    let since = now.saturating_sub(bucket.at).as_secs_f64();
    (bucket.events + since * rate).min(burst)
}

#[cfg(test)]
mod tests {
    use callboard_domain::clock::ManualClock;

    use super::*;

    fn quota(rate: f64, burst: u32) -> (Arc<ManualClock>, Quota) {
        let clock = Arc::new(ManualClock::new("2026-11-21T19:00:00Z".parse().expect("a time")));
        let quota = Quota::new(rate, burst, Arc::clone(&clock) as Arc<dyn Clock>).expect("a limit");
        (clock, quota)
    }

    #[test]
    fn each_tenant_has_a_bucket_that_fills_with_time() {
        let (clock, quota) = quota(10.0, 20);
        let (one, other) = (TenantKey(1), TenantKey(2));
        assert_eq!(quota.take(one, 15), Ok(()));
        assert_eq!(quota.take(one, 10), Err(1), "and nothing was taken");
        assert_eq!(quota.take(one, 5), Ok(()));
        assert_eq!(quota.take(other, 20), Ok(()));
        clock.advance(Duration::from_secs(1));
        assert_eq!(quota.take(one, 10), Ok(()));
        assert_eq!(quota.take(one, 20), Err(2));
        quota.put_back(one, 10);
        assert_eq!(quota.take(one, 10), Ok(()));
        clock.advance(Duration::from_hours(1));
        assert_eq!(quota.take(one, 20), Ok(()), "it holds no more than that");
        assert_eq!(quota.take(one, 1), Err(1));
    }

    #[test]
    fn what_is_larger_than_the_bucket_leaves_a_debt() {
        let (clock, quota) = quota(10.0, 20);
        assert_eq!(quota.take(TenantKey(1), 1_000), Ok(()));
        assert_eq!(quota.take(TenantKey(1), 1), Err(99));
        clock.advance(Duration::from_secs(99));
        assert_eq!(quota.take(TenantKey(1), 10), Ok(()));
        assert_eq!(quota.take(TenantKey(1), 1_000), Err(2), "it waits for a full one");
    }

    #[test]
    fn nodes_share_the_rate() {
        let (clock, quota) = quota(10.0, 20);
        quota.nodes.store(2, Ordering::Relaxed);
        assert_eq!(quota.take(TenantKey(1), 10), Ok(()));
        assert_eq!(quota.take(TenantKey(1), 10), Err(2));
        clock.advance(Duration::from_secs(1));
        assert_eq!(quota.take(TenantKey(1), 5), Ok(()));
        quota.nodes.store(100, Ordering::Relaxed);
        clock.advance(Duration::from_secs(10));
        assert_eq!(quota.take(TenantKey(1), 1), Ok(()), "one is always possible");
    }

    #[test]
    fn nothing_is_limited_unless_it_is_set() {
        let clock = Arc::new(ManualClock::new("2026-11-21T19:00:00Z".parse().expect("a time")));
        assert!(Quota::new(0.0, 20, clock).is_none());
    }
}
