//! Counts of a webhook's attempts, by the hour.

use std::time::Duration;

use crate::clock::Timestamp;

/// Length of a bucket, in seconds.
pub const BUCKET_SECONDS: i64 = 3_600;

/// Upper bounds of the latency classes, in milliseconds; a last class holds
/// everything slower.
pub const LATENCY_BOUNDS_MS: [u64; 15] =
    [1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 15_000, 30_000];

/// Number of latency classes.
pub const LATENCY_CLASSES: usize = LATENCY_BOUNDS_MS.len() + 1;

/// The class that a latency falls into.
#[must_use]
pub fn latency_class(latency: Duration) -> usize {
    LATENCY_BOUNDS_MS
        .iter()
        .position(|bound| latency <= Duration::from_millis(*bound))
        .unwrap_or(LATENCY_BOUNDS_MS.len())
}

/// One hour of a webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatsBucket {
    /// When the hour began.
    pub start: Timestamp,
    /// Deliveries that arrived.
    pub delivered: u64,
    /// Attempts that failed.
    pub failed_attempts: u64,
    /// Deliveries that were given up.
    pub given_up: u64,
    /// Attempts by latency class, see [`LATENCY_BOUNDS_MS`].
    pub latencies: [u64; LATENCY_CLASSES],
}

impl StatsBucket {
    /// Adds what is counted in another bucket of the same hour.
    pub fn add(&mut self, other: &Self) {
        self.delivered += other.delivered;
        self.failed_attempts += other.failed_attempts;
        self.given_up += other.given_up;
        for (sum, latency) in self.latencies.iter_mut().zip(other.latencies) {
            *sum += latency;
        }
    }
}

/// How a webhook fares.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WebhookStats {
    /// The hours in which something happened, oldest first.
    pub buckets: Vec<StatsBucket>,
    /// Deliveries that are pending or waiting, counted up to
    /// [`QUEUED_COUNTED`].
    pub queued: u64,
    /// When the oldest of them was accepted.
    pub oldest_queued_at: Option<Timestamp>,
}

/// Counting further would cost more than anybody reads out of it.
pub const QUEUED_COUNTED: u64 = 100_000;

impl WebhookStats {
    /// The latency that `share` (0 to 1) of the attempts stay below, in
    /// milliseconds, estimated as the upper bound of its class; `None` without
    /// attempts, and for the slowest class its lower bound.
    #[must_use]
    pub fn latency_quantile_ms(&self, share: f64) -> Option<u64> {
        let class = |index: usize| self.buckets.iter().map(|bucket| bucket.latencies[index]).sum::<u64>();
        let counts: Vec<u64> = (0..LATENCY_CLASSES).map(class).collect();
        let total: u64 = counts.iter().sum();
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a rank among counts; a share of them is no larger and not negative"
        )]
        let rank = ((total as f64 * share.clamp(0.0, 1.0)).ceil() as u64).max(1);
        let mut seen = 0;
        let index = counts.iter().position(|count| {
            seen += count;
            seen >= rank
        })?;
        LATENCY_BOUNDS_MS.get(index).or(LATENCY_BOUNDS_MS.last()).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_the_bounds_of_their_class() {
        let mut latencies = [0; LATENCY_CLASSES];
        latencies[latency_class(Duration::from_micros(900))] = 98;
        latencies[latency_class(Duration::from_millis(40))] = 1;
        latencies[latency_class(Duration::from_mins(1))] = 1;
        let bucket = StatsBucket {
            start: Timestamp::UNIX_EPOCH,
            delivered: 98,
            failed_attempts: 2,
            given_up: 0,
            latencies,
        };
        let stats = WebhookStats { buckets: vec![bucket], ..WebhookStats::default() };
        assert_eq!(stats.latency_quantile_ms(0.5), Some(1));
        assert_eq!(stats.latency_quantile_ms(0.99), Some(50));
        assert_eq!(stats.latency_quantile_ms(1.0), Some(30_000));
        assert_eq!(WebhookStats::default().latency_quantile_ms(0.5), None);
    }

    #[test]
    fn all_that_is_counted_is_added_to_what_was_before() {
        let bucket = |by: u64| {
            let mut latencies = [0; LATENCY_CLASSES];
            (latencies[0], latencies[LATENCY_CLASSES - 1]) = (4 * by, 5 * by);
            let start = Timestamp::UNIX_EPOCH;
            StatsBucket { start, delivered: by, failed_attempts: 2 * by, given_up: 3 * by, latencies }
        };
        let mut sum = bucket(3);
        sum.add(&bucket(10));
        assert_eq!(sum, bucket(13));
    }

    #[test]
    fn a_latency_is_of_the_first_class_whose_bound_it_does_not_pass() {
        let class = |milliseconds| latency_class(Duration::from_millis(milliseconds));
        assert_eq!((class(0), class(1), class(2), class(3)), (0, 0, 1, 2));
        assert_eq!((class(30_000), class(30_001)), (LATENCY_CLASSES - 2, LATENCY_CLASSES - 1));
    }
}
