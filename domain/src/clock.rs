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
    /// that others go by, and keeps to that from now on; whether it did. A clock that
    /// is moved by hand stays as it is.
    fn correct(&self, _microseconds: i64) -> bool {
        false
    }
}

/// The machine's clocks: its time of day, until that is corrected. From then on
/// time passes as on the clock that never runs backwards, whatever is done to the
/// machine's time of day: whoever sets that would else make retries late or early,
/// and tokens invalid, until the next correction.
pub struct SystemClock {
    started: std::time::Instant,
    /// The machine's time of day.
    machine: Box<dyn Fn() -> Timestamp + Send + Sync>,
    /// The time of day at `started`, in microseconds since 1970, once it was
    /// corrected.
    start: AtomicI64,
}

/// No clock that was corrected has started then.
const MACHINE: i64 = i64::MIN;

impl std::fmt::Debug for SystemClock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SystemClock").field("start", &self.start).finish_non_exhaustive()
    }
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
        Self::on(Timestamp::now)
    }

    /// The clock of a machine whose time of day is this.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clocks")]
    #[must_use]
    pub fn on(machine: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        let started = std::time::Instant::now();
        Self { started, machine: Box::new(machine), start: AtomicI64::new(MACHINE) }
    }

    /// Microseconds since `started`.
    fn passed(&self) -> i64 {
        i64::try_from(self.started.elapsed().as_micros()).unwrap_or(i64::MAX)
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        // Whole microseconds: what databases keep, and what is told before and
        // after a restart is the same.
        let micros = match self.start.load(Ordering::Relaxed) {
            MACHINE => (self.machine)().as_microsecond(),
            start => start.saturating_add(self.passed()),
        };
        Timestamp::from_microsecond(micros).unwrap_or(Timestamp::MAX)
    }

    fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    fn correct(&self, microseconds: i64) -> bool {
        let start = match self.start.load(Ordering::Relaxed) {
            MACHINE => (self.machine)().as_microsecond().saturating_sub(self.passed()),
            start => start,
        };
        self.start.store(start.saturating_add(microseconds), Ordering::Relaxed);
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn a_clock_that_was_corrected_does_not_follow_the_machines_any_more() {
        let machine = Arc::new(ManualClock::new(Timestamp::UNIX_EPOCH));
        let clock = {
            let machine = Arc::clone(&machine);
            SystemClock::on(move || machine.now())
        };
        machine.advance(Duration::from_hours(1));
        assert_eq!(clock.now().as_second(), 3_600);
        assert!(clock.correct(7_200_000_000));
        assert_eq!(clock.now().as_second(), 3 * 3_600);
        machine.advance(Duration::from_hours(5));
        assert_eq!(clock.now().as_second(), 3 * 3_600);
        assert!(clock.correct(-3_600_000_000));
        assert_eq!(clock.now().as_second(), 2 * 3_600);
    }

    #[test]
    fn a_clock_that_was_corrected_goes_on_by_itself() {
        let mut clock = SystemClock::on(|| Timestamp::UNIX_EPOCH);
        let hours = |clock: &SystemClock| clock.now().as_second() / 3_600;
        // Instead of waiting an hour the clock is made to have run for one.
        let run = |clock: &mut SystemClock| {
            clock.started = clock.started.checked_sub(Duration::from_hours(1)).expect("an earlier moment");
        };
        run(&mut clock);
        assert!((1..2).contains(&(clock.elapsed().as_secs() / 3_600)));
        assert!(clock.correct(0));
        assert_eq!(hours(&clock), 0, "however long it ran before, it is corrected by nothing");
        run(&mut clock);
        assert_eq!(hours(&clock), 1);
        assert!(clock.correct(7_200_000_000));
        assert_eq!(hours(&clock), 3);
        run(&mut clock);
        assert_eq!(hours(&clock), 4);
        assert!((3..4).contains(&(clock.elapsed().as_secs() / 3_600)));
    }

    #[test]
    fn a_manual_clock_stands_still_until_it_is_moved_and_is_not_corrected() {
        let clock = ManualClock::new(Timestamp::UNIX_EPOCH);
        assert_eq!((clock.now(), clock.elapsed()), (Timestamp::UNIX_EPOCH, Duration::ZERO));
        clock.advance(Duration::from_millis(1_500));
        clock.advance(Duration::from_millis(500));
        assert!(!clock.correct(7_200_000_000));
        assert_eq!((clock.now().as_second(), clock.elapsed()), (2, Duration::from_secs(2)));
    }
}
