//! When each event of an even rate is due, whatever became of those before.

use std::time::Duration;

/// An even rate from a moment on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pacing {
    begun: Duration,
    per_second: f64,
}

impl Pacing {
    /// `per_second` events a second, the first at `begun`, on the same clock as
    /// all other times here.
    pub(super) const fn new(begun: Duration, per_second: f64) -> Self {
        Self { begun, per_second }
    }

    /// When event `number`, counted from 0, is due. It is computed from the
    /// start, so that rounding does not add up.
    #[expect(clippy::cast_precision_loss, reason = "2^52 events are more than anybody waits for")]
    pub(super) fn due(&self, number: u64) -> Duration {
        let after = Duration::try_from_secs_f64(number as f64 / self.per_second);
        self.begun.saturating_add(after.unwrap_or(Duration::MAX))
    }

    /// How many events are due within `length`; at least one.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rate is positive, and what is too large for the type means without end"
    )]
    pub(super) fn events_within(&self, length: Duration) -> u64 {
        ((length.as_secs_f64() * self.per_second).round() as u64).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_due_evenly_from_the_start() {
        let pacing = Pacing::new(Duration::from_secs(7), 50.0);
        assert_eq!(pacing.due(0), Duration::from_secs(7));
        assert_eq!(pacing.due(1), Duration::from_millis(7_020));
        assert_eq!(pacing.due(500), Duration::from_secs(17));
        let thirds = Pacing::new(Duration::ZERO, 3.0);
        assert_eq!(thirds.due(3_000_000), Duration::from_secs(1_000_000));
    }

    #[test]
    fn a_length_holds_as_many_events_as_are_due_in_it() {
        let pacing = Pacing::new(Duration::ZERO, 200.0);
        assert_eq!(pacing.events_within(Duration::from_millis(500)), 100);
        assert_eq!(pacing.due(pacing.events_within(Duration::from_secs(3))), Duration::from_secs(3));
        assert_eq!(pacing.events_within(Duration::ZERO), 1);
        assert_eq!(pacing.events_within(Duration::MAX), u64::MAX);
    }

    #[test]
    fn what_is_never_due_is_no_overflow() {
        assert_eq!(Pacing::new(Duration::from_secs(1), 1e-300).due(u64::MAX), Duration::MAX);
    }
}
