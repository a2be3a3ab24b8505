//! Where time comes from: a [`Clock`] that the composition root chooses.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

pub use jiff::Timestamp;

/// The time of day and a clock that never runs backwards.
pub trait Clock: Send + Sync {
    /// The time of day, for what is stored, sent and shown.
    fn now(&self) -> Timestamp;

    /// Time since a fixed moment, for measuring how long something took.
    fn elapsed(&self) -> Duration;

    /// Moves the time of day by so many microseconds, because it differs from one
    /// that others go by; whether it did. A clock that is moved by hand stays as it is.
    fn correct(&self, _microseconds: i64) -> bool {
        false
    }
}

/// The machine's clocks.
#[derive(Debug)]
pub struct SystemClock {
    started: std::time::Instant,
    /// How far the time of day is ahead of the machine's, in microseconds.
    ahead: AtomicI64,
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
        Self { started: std::time::Instant::now(), ahead: AtomicI64::new(0) }
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clocks")]
    fn now(&self) -> Timestamp {
        // Whole microseconds: what databases keep, and what is told before and
        // after a restart is the same.
        let now = Timestamp::now();
        let corrected = now.as_microsecond().saturating_add(self.ahead.load(Ordering::Relaxed));
        Timestamp::from_microsecond(corrected).unwrap_or(now)
    }

    fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    fn correct(&self, microseconds: i64) -> bool {
        self.ahead.fetch_add(microseconds, Ordering::Relaxed);
        true
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
