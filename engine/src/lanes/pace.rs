//! How hard a receiver may be called at the moment: how many requests at a
//! time, how many a second, and whether at all.
//!
//! A pure state machine. It is told what began and how it ended, and says when
//! the next attempt may begin; it waits for nothing itself.

use std::time::Duration;

use callboard_domain::clock::Timestamp;

/// Failures in a row before the breaker may open.
const FAILURES: u32 = 20;

/// How long they must go on at least: a restart of a receiver that hears much
/// fails more often than that within a second.
const FAILING_FOR: Duration = Duration::from_secs(10);

/// How long the breaker stays open the first time.
const FIRST_REST: Duration = Duration::from_secs(5);

/// Longest that it stays open; it doubles up to this.
const LONGEST_REST: Duration = Duration::from_mins(5);

/// Share of a second whose attempts may begin at once: timers are too coarse to
/// space single ones out.
const BURST: Duration = Duration::from_millis(100);

/// How an attempt ended, as far as it says something about the receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It was delivered.
    Worked,
    /// The receiver works, and did not take this one.
    Refused,
    /// The receiver asks for less, or is too slow.
    Overloaded,
    /// The receiver does not work, or is not there.
    Down,
    /// The receiver asks never to be called again.
    Gone,
}

impl Ended {
    /// Whether it was not delivered.
    #[must_use]
    pub const fn failed(self) -> bool {
        !matches!(self, Self::Worked)
    }
}

/// Why no attempt may begin now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// One that is under way has to end first.
    Place,
    /// Not before this time.
    Until(Timestamp),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Breaker {
    /// Attempts are made; so many have failed in a row, the first at that time.
    Closed { failures: u32, since: Timestamp },
    /// None is made before that time. It has opened so many times in a row.
    Open { until: Timestamp, times: u32, run: Run },
    /// One is made, to see.
    Probing { times: u32, run: Run },
}

/// What has happened since the breaker opened, and not closed again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Run {
    /// When it opened first.
    since: Timestamp,
    /// Failures in a row, those before it opened included.
    failures: u32,
}

impl Run {
    /// After one more failure.
    const fn failed(self) -> Self {
        Self { failures: self.failures.saturating_add(1), ..self }
    }
}

impl Breaker {
    const CLOSED: Self = Self::Closed { failures: 0, since: Timestamp::MIN };

    fn open(now: Timestamp, times: u32, run: Run) -> Self {
        let rest = FIRST_REST.saturating_mul(2_u32.saturating_pow(times)).min(LONGEST_REST);
        Self::Open { until: later(now, rest), times: times.saturating_add(1), run }
    }
}

/// Whether a receiver is called at all, for those who look on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerView {
    /// It is called.
    Closed,
    /// It is left alone, because nothing but failures came of it.
    Open {
        /// Since when; a probe that fails in between does not begin it anew.
        since: Timestamp,
        /// When one attempt is made next, to see.
        probe_at: Timestamp,
        /// How many attempts failed in a row so far.
        failures: u32,
    },
    /// One attempt is under way, to see.
    Probing {
        /// Since when it was left alone.
        since: Timestamp,
    },
}

/// The pace of one lane.
#[derive(Debug)]
pub struct Pace {
    /// Most attempts at a time, as was learnt; at least 1.
    window: f64,
    /// When it was halved the last time.
    halved_at: Timestamp,
    /// When the attempts so far would have been made at an even rate.
    paced_until: Timestamp,
    breaker: Breaker,
}

impl Pace {
    /// Nothing is known yet: as many as the webhook's owner allows.
    #[must_use]
    pub fn new(most: u32) -> Self {
        Self {
            window: f64::from(most.max(1)),
            halved_at: Timestamp::MIN,
            paced_until: Timestamp::MIN,
            breaker: Breaker::CLOSED,
        }
    }

    /// Begins an attempt, beside `in_flight` that are under way. At most `most`
    /// at a time and `rate` a second are allowed.
    ///
    /// # Errors
    /// What has to happen first.
    pub fn begin(
        &mut self,
        now: Timestamp,
        in_flight: usize,
        most: u32,
        rate: Option<f64>,
    ) -> Result<(), Hold> {
        if in_flight >= self.at_a_time(most) {
            return Err(Hold::Place);
        }
        match self.breaker {
            // Unless the machine's clock was set back, it rests no longer than this.
            Breaker::Open { until, .. } if now < until && until <= later(now, LONGEST_REST) => {
                return Err(Hold::Until(until));
            }
            // The next to end must be the probe, or it could not be told.
            Breaker::Open { .. } | Breaker::Probing { .. } if in_flight > 0 => return Err(Hold::Place),
            Breaker::Open { times, run, .. } => self.breaker = Breaker::Probing { times, run },
            Breaker::Closed { .. } | Breaker::Probing { .. } => {}
        }
        if let Some(interval) = rate.and_then(|rate| Duration::try_from_secs_f64(1.0 / rate).ok()) {
            let ahead = BURST.saturating_sub(interval);
            // The clock may have been set back since.
            self.paced_until = self.paced_until.min(later(now, interval.max(BURST)));
            let from = self.paced_until.saturating_sub(ahead).unwrap_or(Timestamp::MIN);
            if now < from {
                return Err(Hold::Until(from));
            }
            self.paced_until = later(self.paced_until.max(now), interval);
        }
        Ok(())
    }

    /// An attempt that began at `began` is over.
    pub fn ended(&mut self, ended: Ended, began: Timestamp, now: Timestamp) {
        match ended {
            Ended::Worked => self.window += 1.0 / self.window,
            // Those that were under way together count once.
            Ended::Overloaded if began > self.halved_at => {
                self.window = (self.window / 2.0).max(1.0);
                self.halved_at = now;
            }
            _ => {}
        }
        let is_up = matches!(ended, Ended::Worked | Ended::Refused);
        self.breaker = match self.breaker {
            _ if is_up => Breaker::CLOSED,
            Breaker::Closed { failures, since } => {
                let since = if failures == 0 { now } else { since };
                let failing = Duration::try_from(now.duration_since(since)).unwrap_or_default();
                if failures + 1 >= FAILURES && failing >= FAILING_FOR {
                    Breaker::open(now, 0, Run { since: now, failures }.failed())
                } else {
                    Breaker::Closed { failures: failures.saturating_add(1), since }
                }
            }
            // What began before it opened says nothing new, but counts.
            Breaker::Open { until, times, run } => Breaker::Open { until, times, run: run.failed() },
            Breaker::Probing { times, run } => Breaker::open(now, times, run.failed()),
        };
    }

    /// How many may be under way; never more than `most`, and what was learnt
    /// does not grow beyond that.
    fn at_a_time(&mut self, most: u32) -> usize {
        self.window = self.within(most);
        usize::try_from(self.width(most)).unwrap_or(usize::MAX)
    }

    /// How many may be under way, where `most` are allowed.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the window is at least 1 and at most a 32-bit number"
    )]
    pub fn width(&self, most: u32) -> u32 {
        self.within(most) as u32
    }

    fn within(&self, most: u32) -> f64 {
        self.window.clamp(1.0, f64::from(most.max(1)))
    }

    /// Whether the receiver is called at all.
    #[must_use]
    pub const fn breaker(&self) -> BreakerView {
        match self.breaker {
            Breaker::Closed { .. } => BreakerView::Closed,
            Breaker::Open { until, run: Run { since, failures }, .. } => {
                BreakerView::Open { since, probe_at: until, failures }
            }
            Breaker::Probing { run, .. } => BreakerView::Probing { since: run.since },
        }
    }
}

fn later(time: Timestamp, by: Duration) -> Timestamp {
    time.saturating_add(by).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(millisecond: i64) -> Timestamp {
        Timestamp::from_millisecond(1_000_000_000_000 + millisecond).expect("a time")
    }

    /// Until when nothing is sent because nothing works.
    fn open_until(pace: &Pace) -> Option<Timestamp> {
        match pace.breaker() {
            BreakerView::Open { probe_at, .. } => Some(probe_at),
            BreakerView::Closed | BreakerView::Probing { .. } => None,
        }
    }

    /// How many may begin at once.
    fn begins(pace: &mut Pace, now: Timestamp) -> usize {
        (0..100).find(|in_flight| pace.begin(now, *in_flight, 16, None).is_err()).expect("a bound")
    }

    #[test]
    fn the_window_halves_once_for_all_that_were_under_way_and_creeps_back() {
        let mut pace = Pace::new(16);
        assert_eq!(begins(&mut pace, at(0)), 16);
        for _ in 0..16 {
            pace.ended(Ended::Overloaded, at(0), at(10));
        }
        assert_eq!(begins(&mut pace, at(10)), 8);
        pace.ended(Ended::Overloaded, at(11), at(20));
        pace.ended(Ended::Worked, at(11), at(20));
        assert_eq!(begins(&mut pace, at(20)), 4);
        for millisecond in 30..40 {
            pace.ended(Ended::Overloaded, at(millisecond), at(millisecond));
        }
        assert_eq!(begins(&mut pace, at(1_000)), 1, "never none");
        let mut worked = 0;
        while begins(&mut pace, at(2_000)) < 16 {
            pace.ended(Ended::Worked, at(2_000), at(2_000));
            worked += 1;
        }
        assert!((100..200).contains(&worked), "{worked}");
        for _ in 0..1_000 {
            pace.ended(Ended::Worked, at(2_000), at(2_000));
        }
        assert_eq!(begins(&mut pace, at(2_000)), 16, "and never more than allowed");
        pace.ended(Ended::Overloaded, at(3_000), at(3_000));
        assert_eq!(begins(&mut pace, at(3_000)), 8, "nor is it saved up");
    }

    #[test]
    fn a_rate_is_kept_over_time() {
        let mut pace = Pace::new(16);
        let (mut now, mut begun) = (0, Vec::new());
        while now < 10_000 {
            match pace.begin(at(now), 0, 16, Some(50.0)) {
                Ok(()) => begun.push(now),
                Err(Hold::Until(until)) => {
                    let wait = until.duration_since(at(now)).as_millis();
                    assert!(wait > 0, "a hold that has ended");
                    now += i64::try_from(wait).expect("a short wait").max(1);
                }
                Err(Hold::Place) => panic!("there is one"),
            }
        }
        assert!((500..=506).contains(&begun.len()), "{}", begun.len());
        let within = |second: i64| begun.iter().filter(|at| (second..second + 1_000).contains(*at)).count();
        assert!((0..9_000).step_by(37).all(|second| within(second) <= 56));
        let mut slow = Pace::new(16);
        assert!(slow.begin(at(0), 0, 16, Some(0.5)).is_ok());
        assert_eq!(slow.begin(at(0), 0, 16, Some(0.5)), Err(Hold::Until(at(2_000))));
    }

    #[test]
    fn the_breaker_opens_after_many_failures_over_some_time_and_probes() {
        let mut pace = Pace::new(16);
        for _ in 0..100 {
            pace.ended(Ended::Down, at(0), at(0));
        }
        assert!(pace.begin(at(0), 0, 16, None).is_ok(), "a restart is no outage");
        pace.ended(Ended::Down, at(10_000), at(10_000));
        assert_eq!(open_until(&pace), Some(at(15_000)));
        assert_eq!(pace.begin(at(14_999), 3, 16, None), Err(Hold::Until(at(15_000))));
        pace.ended(Ended::Down, at(9_000), at(14_999));
        assert_eq!(pace.begin(at(15_000), 2, 16, None), Err(Hold::Place), "the rest ends first");
        assert!(pace.begin(at(15_000), 0, 16, None).is_ok());
        assert_eq!(pace.begin(at(15_000), 1, 16, None), Err(Hold::Place), "one probe");
        pace.ended(Ended::Overloaded, at(15_000), at(16_000));
        assert_eq!(open_until(&pace), Some(at(26_000)), "twice as long");
        assert!(pace.begin(at(26_000), 0, 16, None).is_ok());
        pace.ended(Ended::Refused, at(26_000), at(26_001));
        assert_eq!(open_until(&pace), None, "who refuses works");
        assert!(pace.begin(at(26_001), 5, 16, None).is_ok());
    }

    #[test]
    fn who_looks_on_sees_since_when_nothing_works() {
        let mut pace = Pace::new(16);
        let fail = |pace: &mut Pace, millisecond| pace.ended(Ended::Down, at(millisecond), at(millisecond));
        assert_eq!((pace.breaker(), pace.width(16), pace.width(4)), (BreakerView::Closed, 16, 4));
        for _ in 0..19 {
            fail(&mut pace, 0);
        }
        assert_eq!(pace.breaker(), BreakerView::Closed);
        fail(&mut pace, 10_000);
        let open =
            |probe_at, failures| BreakerView::Open { since: at(10_000), probe_at: at(probe_at), failures };
        assert_eq!(pace.breaker(), open(15_000, 20));
        pace.ended(Ended::Overloaded, at(9_000), at(12_000));
        assert_eq!(pace.breaker(), open(15_000, 21), "what was under way counts, and changes nothing else");
        assert_eq!((pace.width(16), pace.width(0)), (8, 1));
        assert!(pace.begin(at(15_000), 0, 16, None).is_ok());
        assert_eq!(pace.breaker(), BreakerView::Probing { since: at(10_000) });
        fail(&mut pace, 16_000);
        assert_eq!(pace.breaker(), open(26_000, 22), "a probe does not begin it anew");
        assert!(pace.begin(at(26_000), 0, 16, None).is_ok());
        pace.ended(Ended::Worked, at(26_000), at(26_001));
        assert_eq!(pace.breaker(), BreakerView::Closed);
        for second in 0..20 {
            fail(&mut pace, 30_000 + second * 1_000);
        }
        let again = BreakerView::Open { since: at(49_000), probe_at: at(54_000), failures: 20 };
        assert_eq!(pace.breaker(), again);
    }

    #[test]
    fn a_clock_that_is_set_back_stops_nobody() {
        let hour = 3_600_000;
        let mut pace = Pace::new(16);
        for second in 0..30 {
            pace.ended(Ended::Down, at(hour + second * 1_000), at(hour + second * 1_000));
        }
        assert!(open_until(&pace).is_some() && pace.begin(at(0), 0, 16, None).is_ok());
        let mut paced = Pace::new(16);
        assert!(paced.begin(at(hour), 0, 16, Some(1.0)).is_ok());
        assert_eq!(paced.begin(at(0), 0, 16, Some(1.0)), Err(Hold::Until(at(1_000))));
    }

    #[test]
    fn refusals_never_open_the_breaker() {
        let mut pace = Pace::new(16);
        for second in 0..1_000 {
            pace.ended(Ended::Refused, at(second * 1_000), at(second * 1_000));
        }
        assert_eq!(open_until(&pace), None);
    }

    proptest! {
        /// Whatever happens, somebody may begin after a bounded wait.
        #[test]
        fn nothing_stops_for_ever(
            steps in proptest::collection::vec((0..5_u8, 0..20_000_i64, any::<bool>()), 0..200),
            rate in proptest::option::of(0.01..10_000.0_f64),
        ) {
            let mut pace = Pace::new(16);
            let (mut now, mut in_flight) = (0, 0_usize);
            for (what, passes, begins) in steps {
                now += passes;
                if begins && pace.begin(at(now), in_flight, 16, rate).is_ok() {
                    in_flight += 1;
                    prop_assert!(in_flight <= 16);
                } else if in_flight > 0 {
                    in_flight -= 1;
                    let ended = [Ended::Worked, Ended::Refused, Ended::Overloaded, Ended::Down, Ended::Gone];
                    pace.ended(ended[usize::from(what)], at(now - passes), at(now));
                }
            }
            for _ in 0..in_flight {
                pace.ended(Ended::Down, at(now), at(now));
            }
            // Twice: the end of a rest, and then the rate.
            for _ in 0..3 {
                match pace.begin(at(now), 0, 16, rate) {
                    Ok(()) => return Ok(()),
                    Err(Hold::Until(until)) => {
                        let wait = until.duration_since(at(now)).as_millis();
                        prop_assert!(wait <= 400_000, "{} ms", wait);
                        now += i64::try_from(wait).expect("short") + 1;
                    }
                    Err(Hold::Place) => prop_assert!(false, "nothing is under way"),
                }
            }
            prop_assert!(false, "it never begins");
        }
    }
}
