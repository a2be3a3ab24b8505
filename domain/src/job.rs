//! Long work that somebody started by hand and that survives a restart.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::delivery::{Reason, State, StoredEvent};
use crate::id::{JobKey, TenantKey, WebhookKey};

/// What a job does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum JobKind {
    /// Retries every delivery of a webhook that had failed when it started.
    RetryFailed,
    /// Sends again what of a webhook is over and was selected when it started, or
    /// sends it what it has not heard of.
    Replay,
    /// Calls off every delivery of a webhook that had failed when it started.
    #[serde(rename = "discard_failed")]
    Discard,
}

impl JobKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::RetryFailed, Self::Replay, Self::Discard];

    /// The name used in JSON and SQL.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RetryFailed => "retry_failed",
            Self::Replay => "replay",
            Self::Discard => "discard_failed",
        }
    }
}

/// What a replay sends to a webhook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Selection {
    /// Only from this time on: deliveries by when they were made, what is missing
    /// by when the event was accepted.
    pub since: Timestamp,
    /// Only from before this time.
    pub until: Option<Timestamp>,
    /// Events that the webhook hears and that it has no delivery of, instead of
    /// deliveries.
    #[serde(default)]
    pub missing: bool,
    /// Only deliveries in one of these states; none where what is missing is
    /// wanted.
    pub states: Vec<State>,
    /// Only of this event type.
    #[serde(rename = "type")]
    pub type_name: Option<String>,
    /// Only about the subject with this id.
    #[serde(rename = "subject")]
    pub subject_id: Option<String>,
}

impl Selection {
    /// The states of deliveries that can be sent again: the others are still
    /// to be sent.
    pub const STATES: [State; 4] = [State::Delivered, State::Failed, State::Cancelled, State::Superseded];

    /// What is missing of the moment in which an event was accepted, and of its type
    /// and subject.
    #[must_use]
    pub fn of_event(event: &StoredEvent) -> Self {
        Self {
            since: event.accepted_at,
            until: Some(later(event.accepted_at, Duration::from_micros(1))),
            missing: true,
            states: Vec::new(),
            type_name: Some(event.type_name.clone()),
            subject_id: Some(event.subject_id.clone()),
        }
    }
}

/// Rows to look at, as a store numbers them: deliveries, failed attempts, or
/// events where what is missing is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// The first.
    pub from: i64,
    /// What follows the last.
    pub to: i64,
}

/// How far something was counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counted {
    /// What is selected of it.
    pub selected: u64,
    /// What was looked at.
    pub looked_at: u64,
    /// Where to go on counting; `None` at the end.
    pub next: Option<i64>,
}

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// It has work left.
    Running,
    /// It has done all of it.
    Finished,
    /// Somebody stopped it; what it did stays done.
    Stopped,
}

impl JobState {
    /// The name used in JSON and SQL.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Finished => "finished",
            Self::Stopped => "stopped",
        }
    }
}

/// A job and its progress.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    /// Its row.
    pub key: JobKey,
    /// Whose it is.
    pub tenant: TenantKey,
    /// The webhook it works for.
    pub webhook: WebhookKey,
    /// What it does.
    pub kind: JobKind,
    /// What a replay sends.
    pub selection: Option<Selection>,
    /// Of what has failed, only what failed so.
    pub reason: Option<Reason>,
    /// Where it stands.
    pub state: JobState,
    /// Deliveries that it is to make due, or to call off; `None` while they are being
    /// counted.
    pub total: Option<u64>,
    /// Deliveries that it has made due, or called off.
    pub done: u64,
    /// Rows that it has looked at to find them.
    pub looked_at: u64,
    /// Most deliveries that it makes due a second, if there is such a bound.
    pub rate_per_second: Option<f64>,
    /// When the deliveries so far would have been made due at an even rate.
    pub paced_until: Timestamp,
    /// What it has not looked at yet.
    pub left: Range,
    /// Where the counting of `total` goes on; `None` when it is counted.
    pub counted_to: Option<i64>,
    /// When it started.
    pub created_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
}

/// Share of a second whose deliveries may be made due at once: whoever moves
/// jobs on does not come by for each single one, and may come a little late.
const BURST: Duration = Duration::from_millis(100);

impl Job {
    /// What it may look at now. It never passes the counting, so that nothing it
    /// has moved already is left out of the count.
    #[must_use]
    pub fn reach(&self) -> Range {
        let to = self.counted_to.map_or(self.left.to, |counted| counted.min(self.left.to));
        Range { from: self.left.from, to }
    }

    /// How many deliveries it may make due at `now`, of `most`.
    #[must_use]
    pub fn allowed(&self, now: Timestamp, most: usize) -> usize {
        let Some(wait) = self.wait() else { return most };
        let (mut allowed, mut at) = (0, self.base(wait, now));
        while allowed < most && at <= now {
            allowed += 1;
            at = later(at, wait);
        }
        allowed
    }

    /// When it may make the next delivery due, if it may not at `now`.
    #[must_use]
    pub fn resumes_at(&self, now: Timestamp) -> Option<Timestamp> {
        let base = self.base(self.wait()?, now);
        (base > now).then_some(base)
    }

    /// [`Self::paced_until`] after it has made `moved` deliveries due at `now`.
    #[must_use]
    pub fn paced_after(&self, moved: usize, now: Timestamp) -> Timestamp {
        let Some(wait) = self.wait().filter(|_| moved > 0) else { return self.paced_until };
        let moved = u32::try_from(moved).unwrap_or(u32::MAX);
        later(self.base(wait, now), wait.saturating_mul(moved))
    }

    /// The time from one delivery to the next.
    fn wait(&self) -> Option<Duration> {
        let rate = self.rate_per_second.filter(|rate| *rate > 0.0)?;
        Duration::try_from_secs_f64(rate.recip()).ok()
    }

    /// When the next is allowed. What was not used is lost but for a moment's
    /// worth, or a job that could not go on for an hour would make up for it all at
    /// once.
    fn base(&self, wait: Duration, now: Timestamp) -> Timestamp {
        let before = |by| now.saturating_sub(by).unwrap_or(now);
        // A longer rest than this was never given: the machine's clock was set back.
        if self.paced_until > later(now, wait) {
            return now;
        }
        if self.paced_until >= before(BURST) { self.paced_until } else { before(BURST.saturating_sub(wait)) }
    }
}

fn later(time: Timestamp, by: Duration) -> Timestamp {
    time.saturating_add(by).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::tests::{published, stored};

    fn job(rate_per_second: Option<f64>) -> Job {
        let left = Range { from: 1, to: 1_000 };
        Job {
            key: JobKey(1),
            tenant: TenantKey(1),
            webhook: WebhookKey(1),
            kind: JobKind::Replay,
            selection: None,
            reason: None,
            state: JobState::Running,
            total: None,
            done: 0,
            looked_at: 0,
            rate_per_second,
            paced_until: Timestamp::UNIX_EPOCH,
            left,
            counted_to: Some(500),
            created_at: at(0),
            ended_at: None,
        }
    }

    fn at(milliseconds: i64) -> Timestamp {
        Timestamp::from_millisecond(1_700_000_000_000 + milliseconds).expect("a time")
    }

    /// How many are made due when somebody comes by so often, until that time.
    fn moved(job: &mut Job, every: usize, from: i64, until: i64) -> usize {
        let mut sum = 0;
        for time in (from..until).step_by(every).map(at) {
            let allowed = job.allowed(time, 250);
            assert_eq!(allowed == 0, job.resumes_at(time).is_some());
            job.paced_until = job.paced_after(allowed, time);
            sum += allowed;
        }
        sum
    }

    #[test]
    fn a_rate_is_kept_however_often_somebody_comes_by() {
        // What a tenth of a second allows, and one, may come on top.
        for (rate, every, least, most) in [
            (5.0, 1, 50, 51),
            (5.0, 150, 50, 51),
            (0.5, 10, 5, 6),
            (1_000.0, 20, 10_000, 10_101),
            (0.01, 10, 1, 1),
            (250.0, 1, 2_500, 2_526),
        ] {
            let moved = moved(&mut job(Some(rate)), every, 0, 10_000);
            assert!((least..=most).contains(&moved), "{rate} by {every}: {moved}");
        }
    }

    #[test]
    fn what_was_not_used_is_lost_and_a_clock_that_was_set_back_is_borne() {
        let mut job = job(Some(10.0));
        moved(&mut job, 10, 0, 1_000);
        assert_eq!(job.allowed(at(3_600_000), 250), 1, "not an hour's worth");
        let quicker = Job { rate_per_second: Some(100.0), ..job.clone() };
        assert_eq!(quicker.allowed(at(3_600_000), 250), 10, "a tenth of a second's");
        let ahead = Job { paced_until: at(3_600_000), ..job };
        assert_eq!(ahead.allowed(at(0), 250), 1);
        assert_eq!(ahead.paced_after(1, at(0)), at(100));
    }

    #[test]
    fn a_selection_from_before_there_was_anything_missing_is_read() {
        let stored =
            r#"{"since":"2026-11-21T19:00:00Z","until":null,"states":["failed"],"type":null,"subject":"1"}"#;
        let selection: Selection = serde_json::from_str(stored).expect("a selection");
        assert!(!selection.missing && selection.states == [State::Failed]);
    }

    #[test]
    fn a_selection_of_an_event_is_of_the_microsecond_in_which_it_was_accepted() {
        let event = serde_json::json!({"type": "order.paid", "subject": {"id": "9"}});
        let event = stored(published(&event));
        let selection = Selection::of_event(&event);
        let microsecond = Duration::from_micros(1);
        assert_eq!(
            (selection.since, selection.until),
            (event.accepted_at, Some(event.accepted_at + microsecond))
        );
        assert_eq!(
            (selection.type_name.as_deref(), selection.subject_id.as_deref()),
            (Some("order.paid"), Some("9"))
        );
        assert!(selection.missing && selection.states.is_empty(), "only what it has no delivery of");
    }

    #[test]
    fn without_a_rate_it_goes_on_as_far_as_it_was_counted() {
        let job = job(None);
        assert_eq!((job.allowed(at(0), 250), job.resumes_at(at(0))), (250, None));
        assert_eq!(job.paced_after(250, at(0)), job.paced_until);
        assert_eq!(job.reach(), Range { from: 1, to: 500 });
        assert_eq!(Job { counted_to: None, ..job }.reach(), Range { from: 1, to: 1_000 });
    }

    #[test]
    fn no_more_is_made_due_at_once_than_somebody_can_take_and_nothing_twice() {
        let quick = job(Some(100_000.0));
        assert_eq!(quick.allowed(at(0), 250), 250);
        let mut slow = job(Some(10.0));
        assert_eq!(slow.paced_after(0, at(0)), slow.paced_until, "nothing was moved");
        slow.paced_until = at(100);
        assert_eq!((slow.allowed(at(0), 250), slow.resumes_at(at(0))), (0, Some(at(100))));
    }

    #[test]
    fn kinds_and_states_have_one_name_in_json_and_sql() {
        for kind in JobKind::ALL {
            assert_eq!(serde_json::json!(kind), kind.as_str());
        }
        for state in [JobState::Running, JobState::Finished, JobState::Stopped] {
            assert_eq!(serde_json::json!(state), state.as_str());
        }
    }
}
