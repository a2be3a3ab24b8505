//! Whether it is worth waiting for room in a lane: how much was over lately.

use std::time::Duration;

/// What is meant by lately. So long, about, somebody waits for room at most: see
/// docs/decisions/0023-publishers-wait-a-moment-for-room.md.
pub(super) const LATELY: Duration = Duration::from_millis(25);

/// Counts the attempts that were over lately, and who waits for what follows.
#[derive(Debug, Default)]
pub(super) struct Throughput {
    /// When the present stretch of [`LATELY`] began.
    since: Duration,
    /// Attempts that were over in it.
    ended: usize,
    /// Attempts that were over in the stretch before it.
    ended_before: usize,
    /// How many wait for room.
    waiting: usize,
}

impl Throughput {
    /// An attempt was over at `elapsed`.
    pub(super) fn ended(&mut self, elapsed: Duration) {
        let age = elapsed.saturating_sub(self.since);
        if age >= LATELY {
            self.ended_before = if age < 2 * LATELY { self.ended } else { 0 };
            (self.since, self.ended) = (elapsed, 0);
        }
        self.ended += 1;
    }

    /// One more waits, if as many attempts as have to be over before it has room were over
    /// lately.
    pub(super) fn wait(&mut self, elapsed: Duration) -> bool {
        let is_worth_it = self.waiting < self.lately(elapsed);
        self.waiting += usize::from(is_worth_it);
        is_worth_it
    }

    /// One waits no longer.
    pub(super) fn waited(&mut self) {
        self.waiting -= 1;
    }

    /// Whether anything was over lately.
    pub(super) fn goes_on(&self, elapsed: Duration) -> bool {
        self.lately(elapsed) > 0
    }

    fn lately(&self, elapsed: Duration) -> usize {
        match elapsed.saturating_sub(self.since) {
            age if age < LATELY => self.ended.max(self.ended_before),
            age if age < 2 * LATELY => self.ended,
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn no_more_wait_than_were_served_lately() {
        let mut throughput = Throughput::default();
        assert!(!throughput.wait(at(0)), "nothing was over yet");
        throughput.ended(at(100));
        throughput.ended(at(124));
        assert!(throughput.wait(at(124)) && throughput.wait(at(124)));
        assert!(!throughput.wait(at(124)), "two are served in 25 ms, and two wait");
        throughput.waited();
        throughput.ended(at(125));
        assert!(throughput.wait(at(149)), "a stretch that has just begun does not stand alone");
        assert!(!throughput.wait(at(149)));
        throughput.waited();
        throughput.waited();
        assert!(throughput.wait(at(174)), "one was over in the stretch before");
        assert!(!throughput.wait(at(174)));
        assert!(throughput.goes_on(at(174)) && !throughput.goes_on(at(175)), "it stands still");
        throughput.ended(at(300));
        throughput.waited();
        assert!(
            throughput.wait(at(300)) && !throughput.wait(at(300)),
            "what was over long ago counts no more"
        );
    }
}
