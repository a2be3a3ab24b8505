//! Counts of what happens, for those who watch the program.
//!
//! To count costs a few atomic additions: nothing here locks, allocates or asks for
//! the time. Whoever counts is given what to count into; there is nothing global.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use crate::clock::{Clock, Timestamp};
use crate::delivery::{AnswerClass, Attempt, Cause, Outcome, Timings};
use crate::wire::Dialect;

/// Up to how many microseconds each bucket of a time counts: from what is in memory
/// to what is nearly given up.
const TIMES: [u64; 16] = [
    500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    5_000_000, 10_000_000, 30_000_000, 60_000_000,
];

/// The same for what may be a matter of days: from the acceptance of an event to its
/// first attempt.
const LAGS: [u64; 14] = [
    1_000,
    5_000,
    10_000,
    50_000,
    100_000,
    500_000,
    1_000_000,
    5_000_000,
    15_000_000,
    60_000_000,
    300_000_000,
    1_800_000_000,
    7_200_000_000,
    86_400_000_000,
];

/// Up to how many commands each bucket of a commit counts.
const SIZES: [u64; 10] = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512];

/// Something that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Counts so many.
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// Counts one.
    pub fn one(&self) {
        self.add(1);
    }

    /// How many there were.
    #[must_use]
    pub fn read(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How many there are at present.
#[derive(Debug, Default)]
pub struct Level(AtomicI64);

impl Level {
    /// One more, until what is returned is dropped.
    #[must_use]
    pub fn enter(self: &Arc<Self>) -> Entered {
        self.0.fetch_add(1, Ordering::Relaxed);
        Entered(Arc::clone(self))
    }

    /// How many there are.
    #[must_use]
    pub fn read(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// One that a [`Level`] counts, for as long as it is kept.
#[derive(Debug)]
pub struct Entered(Arc<Level>);

impl Drop for Entered {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// How values are spread over fixed buckets.
#[derive(Debug)]
pub struct Histogram {
    bounds: &'static [u64],
    /// One more than bounds: the last is for what is above all of them.
    counts: Box<[AtomicU64]>,
    sum: AtomicU64,
}

/// A [`Histogram`] as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Distribution {
    /// Up to which value each bucket counts, and how many values were no higher.
    pub buckets: Vec<(u64, u64)>,
    /// How many values there were.
    pub count: u64,
    /// Their sum.
    pub sum: u64,
}

impl Histogram {
    fn new(bounds: &'static [u64]) -> Self {
        let counts = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Self { bounds, counts, sum: AtomicU64::new(0) }
    }

    /// For times up to a minute, in microseconds.
    #[must_use]
    pub fn of_times() -> Self {
        Self::new(&TIMES)
    }

    /// For times up to a day, in microseconds.
    #[must_use]
    pub fn of_lags() -> Self {
        Self::new(&LAGS)
    }

    /// For how many there are of something, up to 512.
    #[must_use]
    pub fn of_sizes() -> Self {
        Self::new(&SIZES)
    }

    /// Counts a value.
    pub fn note(&self, value: u64) {
        let bucket = self.bounds.partition_point(|bound| *bound < value);
        if let Some(count) = self.counts.get(bucket) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.sum.fetch_add(value, Ordering::Relaxed);
    }

    /// Counts a time.
    pub fn note_time(&self, time: Duration) {
        self.note(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
    }

    /// What it counted.
    #[must_use]
    pub fn read(&self) -> Distribution {
        let mut count = 0;
        let mut buckets = Vec::with_capacity(self.counts.len());
        for (place, one) in self.counts.iter().enumerate() {
            count += one.load(Ordering::Relaxed);
            buckets.extend(self.bounds.get(place).map(|bound| (*bound, count)));
        }
        Distribution { buckets, count, sum: self.sum.load(Ordering::Relaxed) }
    }
}

/// What a database counts of its commits.
pub struct StoreMeasures {
    clock: Arc<dyn Clock>,
    /// How long transactions took that were committed, in microseconds.
    pub commit: Histogram,
    /// How many writes each of them brought together.
    pub commands: Histogram,
    /// Transactions that were not committed.
    pub failed: Counter,
}

impl std::fmt::Debug for StoreMeasures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoreMeasures").field("failed", &self.failed).finish_non_exhaustive()
    }
}

impl StoreMeasures {
    /// Measures by this clock.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let (commit, commands) = (Histogram::of_times(), Histogram::of_sizes());
        Self { clock, commit, commands, failed: Counter::default() }
    }

    /// When something begins.
    #[must_use]
    pub fn begin(&self) -> Duration {
        self.clock.elapsed()
    }

    /// A transaction of so many writes that began then is over.
    pub fn ended(&self, began: Duration, commands: usize, committed: bool) {
        if committed {
            self.commit.note_time(self.clock.elapsed().saturating_sub(began));
            self.commands.note(commands as u64);
        } else {
            self.failed.one();
        }
    }
}

/// What the engine counts.
#[derive(Debug)]
pub struct EngineMeasures {
    /// Events that were recorded.
    pub events_accepted: Counter,
    /// Events that were known already.
    pub events_duplicate: Counter,
    /// Deliveries that were recorded with their events.
    pub deliveries_made: Counter,
    /// How long it took to match and to record what was published together, in
    /// microseconds.
    pub publish: Histogram,
    /// Deliveries that arrived, in the order of [`Dialect::ALL`].
    delivered: [Counter; Dialect::ALL.len()],
    /// Attempts that failed, in the order of [`Cause::ALL`].
    failed: [Counter; Cause::ALL.len()],
    /// Deliveries that were given up, in the order of [`Cause::ALL`].
    given_up: [Counter; Cause::ALL.len()],
    /// Attempts by their answer, in the order of [`AnswerClass::ALL`].
    answered: [Counter; AnswerClass::ALL.len()],
    /// Attempts after which a delivery waits for the next.
    pub retried: Counter,
    /// Outcomes that could not be written down at once.
    pub outcomes_delayed: Counter,
    /// From the acceptance of an event to the first attempt of a delivery that was made
    /// with it, or from the making of a late one; in microseconds.
    pub lag: Histogram,
    /// The parts of attempts, in microseconds, in the order of [`PHASES`].
    phases: [Histogram; PHASES.len()],
}

/// The parts of an attempt: see [`Timings`].
pub const PHASES: [&str; 4] = ["dns", "connect", "tls", "exchange"];

impl Default for EngineMeasures {
    fn default() -> Self {
        Self {
            events_accepted: Counter::default(),
            events_duplicate: Counter::default(),
            deliveries_made: Counter::default(),
            publish: Histogram::of_times(),
            delivered: Default::default(),
            failed: Default::default(),
            given_up: Default::default(),
            answered: Default::default(),
            retried: Counter::default(),
            outcomes_delayed: Counter::default(),
            lag: Histogram::of_lags(),
            phases: std::array::from_fn(|_| Histogram::of_times()),
        }
    }
}

impl EngineMeasures {
    /// Counts an attempt of a delivery that was made then.
    pub fn attempted(&self, attempt: &Attempt, dialect: Dialect, made_at: Timestamp) {
        if attempt.number == 1 {
            let lag = attempt.started_at.duration_since(made_at);
            self.lag.note_time(Duration::try_from(lag).unwrap_or_default());
        }
        let class = AnswerClass::of(attempt.status, attempt.cause.or(Some(Cause::Status)));
        count(&self.answered, class.and_then(|class| place(&AnswerClass::ALL, &class)));
        match attempt.outcome {
            Outcome::Delivered => count(&self.delivered, place(&Dialect::ALL, &dialect)),
            Outcome::Retry(_) => self.retried.one(),
            Outcome::GivenUp => count(&self.given_up, place_of(attempt.cause)),
            Outcome::Superseded | Outcome::Cancelled => {}
        }
        if attempt.outcome != Outcome::Delivered {
            count(&self.failed, place_of(attempt.cause));
        }
        let Timings { dns_us, connect_us, tls_us, exchange_us } = attempt.detail.timings;
        for (phase, micros) in self.phases.iter().zip([dns_us, connect_us, tls_us, exchange_us]) {
            // A part that did not happen took no time; that would not be its latency.
            if micros > 0 {
                phase.note(micros);
            }
        }
    }

    /// Deliveries that arrived, by dialect.
    pub fn delivered(&self) -> impl Iterator<Item = (Dialect, u64)> {
        Dialect::ALL.into_iter().zip(self.delivered.iter().map(Counter::read))
    }

    /// Attempts that failed, by why.
    pub fn failed(&self) -> impl Iterator<Item = (Cause, u64)> {
        failures(&self.failed)
    }

    /// Deliveries that were given up, by why their last attempt failed.
    pub fn given_up(&self) -> impl Iterator<Item = (Cause, u64)> {
        failures(&self.given_up)
    }

    /// Attempts, by what they were answered with.
    pub fn answered(&self) -> impl Iterator<Item = (AnswerClass, u64)> {
        AnswerClass::ALL.into_iter().zip(self.answered.iter().map(Counter::read))
    }

    /// The parts of attempts that took place, in microseconds.
    pub fn phases(&self) -> impl Iterator<Item = (&'static str, Distribution)> {
        PHASES.into_iter().zip(self.phases.iter().map(Histogram::read))
    }
}

/// Counts of what deliveries fail for.
fn failures(counters: &[Counter]) -> impl Iterator<Item = (Cause, u64)> {
    let all = Cause::ALL.into_iter().zip(counters.iter().map(Counter::read));
    all.filter(|(cause, _)| Cause::FAILURES.contains(cause))
}

fn place_of(cause: Option<Cause>) -> Option<usize> {
    place(&Cause::ALL, &cause?)
}

fn place<T: PartialEq>(all: &[T], one: &T) -> Option<usize> {
    all.iter().position(|other| other == one)
}

fn count(counters: &[Counter], place: Option<usize>) {
    if let Some(counter) = place.and_then(|place| counters.get(place)) {
        counter.one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;
    use crate::delivery::AttemptDetail;
    use crate::id::{DeliveryKey, EventKey, WebhookKey};

    const ACCEPTED: Timestamp = Timestamp::UNIX_EPOCH;

    fn attempt(number: u32, outcome: Outcome, status: Option<u16>, cause: Option<Cause>) -> Attempt {
        let timings = Timings { exchange_us: 1_500, ..Timings::default() };
        Attempt {
            delivery: DeliveryKey(1),
            event: EventKey(1),
            webhook: WebhookKey(1),
            number,
            tries: number,
            started_at: Timestamp::from_second(2).expect("a time"),
            duration: Duration::from_millis(2),
            outcome,
            status,
            cause,
            detail: AttemptDetail { timings, ..AttemptDetail::default() },
        }
    }

    #[test]
    fn a_value_counts_in_every_bucket_that_it_is_not_above() {
        let histogram = Histogram::of_sizes();
        for value in [0, 1, 2, 3, 512, 513] {
            histogram.note(value);
        }
        let read = histogram.read();
        assert_eq!((read.count, read.sum), (6, 1_031));
        assert_eq!(read.buckets.first(), Some(&(1, 2)));
        assert_eq!(read.buckets.get(1), Some(&(2, 3)));
        assert_eq!(read.buckets.last(), Some(&(512, 5)));
    }

    #[test]
    fn an_attempt_counts_by_its_dialect_its_cause_and_its_answer() {
        let measures = EngineMeasures::default();
        let retry = Outcome::Retry(Timestamp::MAX);
        for attempt in [
            attempt(1, Outcome::Delivered, Some(200), None),
            attempt(1, retry, Some(503), Some(Cause::Status)),
            attempt(2, retry, None, Some(Cause::Dns)),
            attempt(3, Outcome::GivenUp, None, Some(Cause::Blocked)),
        ] {
            measures.attempted(&attempt, Dialect::Viagogo, ACCEPTED);
        }
        let some = |counts: Vec<(&'static str, u64)>| -> Vec<(&'static str, u64)> {
            counts.into_iter().filter(|(_, count)| *count > 0).collect()
        };
        let words =
            |counts: Vec<(Cause, u64)>| some(counts.into_iter().map(|(c, n)| (c.as_str(), n)).collect());
        assert_eq!(some(measures.delivered().map(|(d, n)| (d.as_str(), n)).collect()), [("viagogo", 1)]);
        assert_eq!(words(measures.failed().collect()), [("dns", 1), ("blocked", 1), ("status", 1)]);
        assert_eq!(words(measures.given_up().collect()), [("blocked", 1)]);
        let answered = some(measures.answered().map(|(class, n)| (class.as_str(), n)).collect());
        assert_eq!(answered, [("2xx", 1), ("5xx", 1), ("none", 2)]);
        assert_eq!(measures.retried.read(), 2);
        // Only first attempts are late or not, and only parts that took place took time.
        let lag = measures.lag.read();
        assert_eq!((lag.count, lag.sum), (2, 4_000_000));
        let phases: Vec<u64> = measures.phases().map(|(_, phase)| phase.count).collect();
        assert_eq!(phases, [0, 0, 0, 4]);
    }

    #[test]
    fn only_the_first_attempt_of_a_delivery_tells_how_late_it_is() {
        let measures = EngineMeasures::default();
        for number in 1..=3 {
            let failed = attempt(number, Outcome::Retry(Timestamp::MAX), None, Some(Cause::Dns));
            measures.attempted(&failed, Dialect::Native, ACCEPTED);
        }
        assert_eq!(measures.lag.read().count, 1);
    }

    #[test]
    fn a_commit_takes_as_long_as_the_clock_says() {
        let clock = Arc::new(ManualClock::new(ACCEPTED));
        let measures = StoreMeasures::new(Arc::clone(&clock) as Arc<dyn Clock>);
        // The program has run for a while.
        clock.advance(Duration::from_mins(1));
        let began = measures.begin();
        clock.advance(Duration::from_millis(3));
        measures.ended(began, 7, true);
        measures.ended(began, 7, false);
        let (commit, commands) = (measures.commit.read(), measures.commands.read());
        assert_eq!((commit.count, commit.sum, commands.sum), (1, 3_000, 7));
        assert_eq!(measures.failed.read(), 1);
    }

    #[test]
    fn a_level_falls_when_what_it_counts_is_gone() {
        let level = Arc::new(Level::default());
        let (one, other) = (level.enter(), level.enter());
        assert_eq!(level.read(), 2);
        drop(one);
        assert_eq!(level.read(), 1);
        drop(other);
        assert_eq!(level.read(), 0);
    }
}
