//! Counts of attempts by webhook and hour, collected before they are written.

use std::collections::HashMap;

use callboard_domain::delivery::{Attempt, Outcome, State};
use callboard_domain::stats::{BUCKET_SECONDS, LATENCY_CLASSES, latency_class};

use foldhash::fast::RandomState;

use super::micros;

/// Length of an hour in the unit of the columns.
const BUCKET_MICROS: i64 = BUCKET_SECONDS * 1_000_000;

/// What happened to a webhook in one hour of one transaction.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Counts {
    pub(crate) delivered: i64,
    pub(crate) failed_attempts: i64,
    pub(crate) given_up: i64,
    pub(crate) latencies: [i64; LATENCY_CLASSES],
}

impl Counts {
    /// Adds what happened to another webhook.
    pub(crate) fn add(&mut self, other: &Self) {
        self.delivered += other.delivered;
        self.failed_attempts += other.failed_attempts;
        self.given_up += other.given_up;
        for (sum, latency) in self.latencies.iter_mut().zip(other.latencies) {
            *sum += latency;
        }
    }
}

/// Counts by webhook and hour.
pub(crate) type Counted = HashMap<(i64, i64), Counts, RandomState>;

/// The hour that a time falls into.
pub(crate) fn bucket(micros: i64) -> i64 {
    micros.div_euclid(BUCKET_MICROS) * BUCKET_MICROS
}

/// Counts an attempt that led to `state`. What was never sent is no attempt.
pub(crate) fn count(collected: &mut Counted, attempt: &Attempt, state: State) {
    if matches!(attempt.outcome, Outcome::Superseded | Outcome::Cancelled) {
        return;
    }
    let counts = collected.entry((attempt.webhook.0, bucket(micros(attempt.started_at)))).or_default();
    if attempt.outcome == Outcome::Delivered {
        counts.delivered += 1;
    } else {
        counts.failed_attempts += 1;
    }
    counts.given_up += i64::from(state == State::Failed);
    counts.latencies[latency_class(attempt.duration)] += 1;
}
