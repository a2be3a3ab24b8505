//! The simulated time: the runtime's paused clock, which jumps to the next
//! timer whenever nothing else is left to do, going on over restarts.

use std::time::Duration;

use callboard_domain::clock::{Clock, Timestamp};
use parking_lot::Mutex;
use tokio::time::Instant;

/// One clock for the engine, the network and the receivers of a seed.
pub(crate) struct Timeline {
    /// When the present runtime began, and what had passed before.
    began: Mutex<(Option<Instant>, Duration)>,
    start: Timestamp,
}

impl Timeline {
    pub(crate) fn new() -> Self {
        let start = Timestamp::from_second(1_795_000_000).unwrap();
        Self { began: Mutex::new((None, Duration::ZERO)), start }
    }

    /// A runtime whose clock is paused has begun.
    #[expect(clippy::disallowed_methods, reason = "the runtime's clock is the simulated one here")]
    pub(crate) fn begin(&self) {
        self.began.lock().0 = Some(Instant::now());
    }

    /// The runtime is about to end; the next begins this much later.
    pub(crate) fn end(&self, pause: Duration) {
        let passed = self.elapsed();
        *self.began.lock() = (None, passed + pause);
    }

    /// The time of day as time since the start.
    pub(crate) fn since_start(&self, time: Timestamp) -> Duration {
        Duration::try_from(time.duration_since(self.start)).unwrap_or_default()
    }
}

impl Clock for Timeline {
    fn now(&self) -> Timestamp {
        let now = self.start.saturating_add(self.elapsed()).unwrap();
        Timestamp::from_microsecond(now.as_microsecond()).unwrap()
    }

    fn elapsed(&self) -> Duration {
        let (began, before) = *self.began.lock();
        before + began.map_or(Duration::ZERO, |began| began.elapsed())
    }
}
