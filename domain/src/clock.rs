//! Where time comes from: a [`Clock`] that the composition root chooses.

use std::time::Duration;

pub use jiff::Timestamp;

/// The time of day and a clock that never runs backwards.
pub trait Clock: Send + Sync {
    /// The time of day, for what is stored, sent and shown.
    fn now(&self) -> Timestamp;

    /// Time since a fixed moment, for measuring how long something took.
    fn elapsed(&self) -> Duration;
}

/// The machine's clocks.
#[derive(Debug)]
pub struct SystemClock {
    started: std::time::Instant,
}

impl SystemClock {
    /// A clock whose [`Clock::elapsed`] counts from this call.
    #[expect(
        clippy::disallowed_methods,
        clippy::new_without_default,
        reason = "the one place that reads the machine's clocks; its start is no default value"
    )]
    #[must_use]
    pub fn new() -> Self {
        Self { started: std::time::Instant::now() }
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clocks")]
    fn now(&self) -> Timestamp {
        // Whole microseconds: what databases keep, and what is told before and
        // after a restart is the same.
        let now = Timestamp::now();
        Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now)
    }

    fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }
}

/// A clock that stands still until a test moves it.
#[derive(Debug)]
pub struct ManualClock {
    state: std::sync::Mutex<(Timestamp, Duration)>,
}

impl ManualClock {
    /// A clock that shows `start`.
    #[must_use]
    pub const fn new(start: Timestamp) -> Self {
        Self { state: std::sync::Mutex::new((start, Duration::ZERO)) }
    }

    /// Moves both clocks forward.
    pub fn advance(&self, by: Duration) {
        let mut state = self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        state.0 = state.0.saturating_add(by).unwrap_or(Timestamp::MAX);
        state.1 = state.1.saturating_add(by);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner).0
    }

    fn elapsed(&self) -> Duration {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner).1
    }
}
