//! When a failed delivery is tried again.

use std::time::Duration;

use rand::{Rng, RngExt};

/// Most entries of a schedule.
pub const MAX_RETRIES: usize = 100;

/// Longest wait between two attempts: `Retry-After` is capped by it, and no
/// schedule may ask for more.
pub const MAX_WAIT: Duration = Duration::from_hours(24);

/// Share of a wait by which chance shortens or lengthens it, so that
/// deliveries that failed together do not come back together.
const JITTER: f64 = 0.2;

/// The native default, in seconds: the example of Standard Webhooks.
const DEFAULT_SECONDS: [u64; 9] = [5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400];

/// The waits after the first, second, ... failed attempt of a delivery. An
/// empty schedule means one attempt and no more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule(Box<[Duration]>);

impl Default for Schedule {
    fn default() -> Self {
        Self(DEFAULT_SECONDS.map(Duration::from_secs).into())
    }
}

/// A schedule is too long or waits too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must hold at most {MAX_RETRIES} waits of 0 to 86400 seconds")]
pub struct InvalidSchedule;

impl Schedule {
    /// A schedule of these waits, in seconds; fractions are allowed.
    ///
    /// # Errors
    /// When there are more than [`MAX_RETRIES`], or one is negative, not a
    /// number, or longer than [`MAX_WAIT`].
    pub fn from_seconds(seconds: &[f64]) -> Result<Self, InvalidSchedule> {
        if seconds.len() > MAX_RETRIES {
            return Err(InvalidSchedule);
        }
        let wait = |seconds: &f64| {
            Duration::try_from_secs_f64(*seconds).ok().filter(|wait| *wait <= MAX_WAIT).ok_or(InvalidSchedule)
        };
        seconds.iter().map(wait).collect::<Result<Box<[_]>, _>>().map(Self)
    }

    /// The waits in seconds.
    pub fn seconds(&self) -> impl Iterator<Item = f64> {
        self.0.iter().map(Duration::as_secs_f64)
    }

    /// How long to wait after `tries` failed attempts (at least one), or
    /// `None` when it is time to give up. A receiver's `retry_after` replaces
    /// a shorter wait of the schedule, up to [`MAX_WAIT`], and is not
    /// shortened by chance.
    pub fn wait(&self, tries: u32, retry_after: Option<Duration>, rng: &mut dyn Rng) -> Option<Duration> {
        let index = usize::try_from(tries).ok()?.checked_sub(1)?;
        let scheduled = self.0.get(index)?;
        let jittered = scheduled.mul_f64(rng.random_range(1.0 - JITTER..=1.0 + JITTER));
        Some(jittered.max(retry_after.unwrap_or_default().min(MAX_WAIT)))
    }
}

/// How the deliveries of one webhook are retried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Policy {
    /// By waits of its own.
    Schedule(Schedule),
    /// This many retries. The wait before the first is the deployment's, and
    /// doubles after each; chance has no part in it, because the platform
    /// promises its integrators just this.
    Doubling {
        /// At most [`MAX_RETRIES`].
        retries: u32,
    },
}

impl Default for Policy {
    fn default() -> Self {
        Self::Schedule(Schedule::default())
    }
}

impl Policy {
    /// Most retries of one delivery.
    #[must_use]
    pub fn retries(&self) -> u32 {
        match self {
            Self::Schedule(schedule) => u32::try_from(schedule.0.len()).unwrap_or(u32::MAX),
            Self::Doubling { retries } => *retries,
        }
    }

    /// See [`Schedule::wait`]; `base` is the wait that doubles.
    pub fn wait(
        &self,
        tries: u32,
        retry_after: Option<Duration>,
        base: Duration,
        rng: &mut dyn Rng,
    ) -> Option<Duration> {
        match self {
            Self::Schedule(schedule) => schedule.wait(tries, retry_after, rng),
            Self::Doubling { retries } if (1..=*retries).contains(&tries) => {
                Some(doubled(base, tries - 1).max(retry_after.unwrap_or_default().min(MAX_WAIT)))
            }
            Self::Doubling { .. } => None,
        }
    }

    /// Every wait in seconds, without chance; `base` is the wait that doubles.
    #[must_use]
    pub fn seconds(&self, base: Duration) -> Vec<f64> {
        match self {
            Self::Schedule(schedule) => schedule.seconds().collect(),
            Self::Doubling { retries } => {
                (0..*retries).map(|times| doubled(base, times).as_secs_f64()).collect()
            }
        }
    }
}

fn doubled(base: Duration, times: u32) -> Duration {
    base.saturating_mul(2_u32.saturating_pow(times)).min(MAX_WAIT)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    #[test]
    fn the_default_spans_three_days_and_then_gives_up() {
        let schedule = Schedule::default();
        let total: f64 = schedule.seconds().sum();
        assert!((total / 3_600.0 - 75.585).abs() < 0.01, "{total}");
        let mut rng = StdRng::seed_from_u64(1);
        assert!(schedule.wait(9, None, &mut rng).is_some());
        assert_eq!(schedule.wait(10, None, &mut rng), None);
    }

    #[test]
    fn an_empty_schedule_is_one_attempt() {
        let schedule = Schedule::from_seconds(&[]).expect("valid");
        assert_eq!(schedule.wait(1, None, &mut StdRng::seed_from_u64(1)), None);
    }

    #[test]
    fn impossible_schedules_are_refused() {
        for seconds in [&[-1.0][..], &[f64::NAN], &[f64::INFINITY], &[86_401.0], &[1.0; 101]] {
            assert_eq!(Schedule::from_seconds(seconds), Err(InvalidSchedule), "{seconds:?}");
        }
        let longest = [86_400.0; MAX_RETRIES];
        assert!(Schedule::from_seconds(&longest).is_ok_and(|schedule| schedule.seconds().eq(longest)));
    }

    #[test]
    fn chance_shortens_and_lengthens_waits() {
        let schedule = Schedule::from_seconds(&[100.0]).expect("valid");
        let mut rng = StdRng::seed_from_u64(1);
        let waits: Vec<_> =
            (0..1_000).map(|_| schedule.wait(1, None, &mut rng).expect("a wait").as_secs_f64()).collect();
        let count = |least: f64, most: f64| waits.iter().filter(|wait| (least..most).contains(*wait)).count();
        assert!(count(80.0, 90.0) > 150 && count(110.0, 120.0) > 150, "{waits:?}");
        assert_eq!(count(80.0, 120.1), 1_000);
    }

    #[test]
    fn doubling_waits_double_up_to_a_day_and_end() {
        let mut rng = StdRng::seed_from_u64(1);
        let base = Duration::from_secs(30);
        let three = Policy::Doubling { retries: 3 };
        let waits: Vec<_> = (0..6).map(|tries| three.wait(tries, None, base, &mut rng)).collect();
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        assert_eq!(waits, [None, seconds(30), seconds(60), seconds(120), None, None]);
        assert_eq!(three.wait(1, seconds(90), base, &mut rng), seconds(90));
        assert_eq!(three.seconds(base), [30.0, 60.0, 120.0]);
        let many = Policy::Doubling { retries: 100 };
        assert_eq!(many.wait(100, None, base, &mut rng), Some(MAX_WAIT));
        assert_eq!(Policy::Doubling { retries: 0 }.wait(1, None, base, &mut rng), None);
        assert_eq!((three.retries(), Policy::default().retries()), (3, 9));
    }

    proptest! {
        #[test]
        fn waits_stay_within_the_jitter(
            seconds in proptest::collection::vec(0.0..86_400.0_f64, 0..20), tries in 0_u32..25,
            after in proptest::option::of(0_u64..200_000), seed: u64,
        ) {
            let schedule = Schedule::from_seconds(&seconds).expect("valid");
            let after = after.map(Duration::from_secs);
            let wait = schedule.wait(tries, after, &mut StdRng::seed_from_u64(seed));
            let index = usize::try_from(tries).expect("small").checked_sub(1);
            match index.and_then(|index| seconds.get(index)) {
                None => prop_assert_eq!(wait, None),
                Some(scheduled) => {
                    let wait = wait.expect("a wait").as_secs_f64();
                    let floor = after.map_or(0.0, |after| after.min(MAX_WAIT).as_secs_f64());
                    prop_assert!(wait >= floor - 1e-6);
                    prop_assert!(wait <= (scheduled * 1.2).max(floor) + 1e-6);
                    prop_assert!(wait >= scheduled * 0.8 - 1e-6);
                }
            }
        }
    }
}
