//! How often somebody may fail to show who they are: a count for each of them
//! that runs down with time.
//!
//! Whom it counts is the caller's affair, and so is what follows. Nothing here
//! refuses who is right.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use callboard_domain::clock::Clock;
use parking_lot::Mutex;

/// More than this are never counted at a time. Whoever makes that many of them
/// up has them all forgotten, which is what they could wait for as well.
const MOST: usize = 10_000;

/// The failures of many.
pub(crate) struct Failures<K> {
    per_minute: f64,
    clock: Arc<dyn Clock>,
    counts: Mutex<HashMap<K, Count>>,
}

#[derive(Debug, Clone, Copy)]
struct Count {
    failures: f64,
    at: Duration,
}

impl<K: Eq + Hash> Failures<K> {
    /// So many a minute, and as many at once.
    pub(crate) fn new(per_minute: u32, clock: Arc<dyn Clock>) -> Self {
        Self { per_minute: per_minute.into(), clock, counts: Mutex::default() }
    }

    /// Seconds to wait for who has failed too often; `None` for who may go on.
    pub(crate) fn wait(&self, who: &K) -> Option<u64> {
        let now = self.clock.elapsed();
        let count = self.counts.lock().get(who).copied()?;
        let over = self.left(count, now) - (self.per_minute - 1.0);
        (over > 0.0).then(|| whole_seconds(over * 60.0 / self.per_minute))
    }

    /// Counts one.
    pub(crate) fn record(&self, who: K) {
        let now = self.clock.elapsed();
        let mut counts = self.counts.lock();
        if counts.len() >= MOST && !counts.contains_key(&who) {
            counts.retain(|_, count| self.left(*count, now) > 0.0);
            if counts.len() >= MOST {
                counts.clear();
            }
        }
        let count = counts.entry(who).or_insert(Count { failures: 0.0, at: now });
        // Above that it would take longer to be let in again for nothing.
        let failures = (self.left(*count, now) + 1.0).min(self.per_minute);
        *count = Count { failures, at: now };
    }

    /// What has not run down yet.
    fn left(&self, count: Count, now: Duration) -> f64 {
        let since = now.saturating_sub(count.at).as_secs_f64();
        (count.failures - since * self.per_minute / 60.0).max(0.0)
    }
}

/// Seconds as a header says them: whole ones, and at least one.
pub(crate) fn whole_seconds(seconds: f64) -> u64 {
    // A number out of range becomes the nearest one.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is positive and small")]
    let whole = seconds.ceil() as u64;
    whole.max(1)
}

#[cfg(test)]
mod tests {
    use callboard_domain::clock::ManualClock;

    use super::*;

    fn clock() -> Arc<ManualClock> {
        Arc::new(ManualClock::new("2026-11-21T19:00:00Z".parse().expect("a time")))
    }

    #[test]
    fn who_fails_too_often_has_to_wait_and_nobody_else() {
        let clock = clock();
        let failures = Failures::new(10, Arc::clone(&clock) as Arc<dyn Clock>);
        for _ in 0..9 {
            failures.record("villain");
            assert_eq!(failures.wait(&"villain"), None);
        }
        failures.record("villain");
        assert_eq!(failures.wait(&"villain"), Some(6));
        assert_eq!(failures.wait(&"other"), None);
        // More failures make it no longer.
        for _ in 0..100 {
            failures.record("villain");
        }
        clock.advance(Duration::from_secs(5));
        assert_eq!(failures.wait(&"villain"), Some(1));
        clock.advance(Duration::from_secs(1));
        assert_eq!(failures.wait(&"villain"), None);
        failures.record("villain");
        assert_eq!(failures.wait(&"villain"), Some(6));
    }

    #[test]
    fn memory_is_bounded() {
        let clock = clock();
        let failures = Failures::new(2, Arc::clone(&clock) as Arc<dyn Clock>);
        for number in 0..3 * MOST {
            failures.record(number);
            assert!(failures.counts.lock().len() <= MOST);
        }
        // What has run down goes first.
        clock.advance(Duration::from_mins(1));
        failures.record(usize::MAX);
        failures.record(usize::MAX);
        for number in 0..MOST - 1 {
            failures.record(number);
        }
        assert!(failures.wait(&usize::MAX).is_some());
    }
}
