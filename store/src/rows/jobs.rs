//! Rows of jobs: what one is to work through, and what a step of it comes to.

use callboard_domain::delivery::{MAX_ATTEMPTS, Reason, State};
use callboard_domain::id::{JobKey, TenantKey, WebhookKey};
use callboard_domain::job::{Counted, Job, JobKind, JobState, Range, Selection};
use callboard_domain::store::NewReplay;

use super::{Corrupt, cause, cause_text, natural, timestamp, timestamp_option};

/// The columns of a job, as they are read.
pub(crate) struct Columns {
    pub(crate) key: i64,
    pub(crate) tenant: i64,
    pub(crate) webhook: i64,
    pub(crate) kind: String,
    pub(crate) state: String,
    pub(crate) selection: Option<String>,
    pub(crate) total: i64,
    pub(crate) done: i64,
    pub(crate) looked_at: i64,
    pub(crate) rate_per_second: Option<f64>,
    pub(crate) paced_until: i64,
    pub(crate) after_key: i64,
    pub(crate) last_key: i64,
    pub(crate) counted_to: Option<i64>,
    pub(crate) created_at: i64,
    pub(crate) ended_at: Option<i64>,
}

/// The job that a row tells of.
pub(crate) fn job(columns: Columns) -> Result<Job, Corrupt> {
    let Columns { kind, state, counted_to, .. } = columns;
    let state = [JobState::Running, JobState::Finished, JobState::Stopped]
        .into_iter()
        .find(|known| known.as_str() == state)
        .ok_or_else(|| Corrupt(format!("{state:?} is no state of a job")))?;
    let (kind, reason) = kind_and_reason(&kind)?;
    let selection = columns.selection.as_deref().map(serde_json::from_str).transpose();
    let selection = selection.map_err(|error| Corrupt(format!("the selection of a job: {error}")))?;
    let total = natural(columns.total)?;
    Ok(Job {
        key: JobKey(columns.key),
        tenant: TenantKey(columns.tenant),
        webhook: WebhookKey(columns.webhook),
        kind,
        selection,
        reason,
        state,
        total: counted_to.is_none().then_some(total),
        done: natural(columns.done)?,
        looked_at: natural(columns.looked_at)?,
        rate_per_second: columns.rate_per_second,
        paced_until: timestamp(columns.paced_until)?,
        left: Range { from: columns.after_key.saturating_add(1), to: columns.last_key.saturating_add(1) },
        counted_to,
        created_at: timestamp(columns.created_at)?,
        ended_at: timestamp_option(columns.ended_at)?,
    })
}

/// Stands for a cause or status that does not matter.
const ANY: &str = "-";

/// The column value of a kind, and of the reason that a job goes for. They are one
/// text so that of each one runs at a time, and a version that knows no reasons does
/// not take such a job for one that has none.
fn kind_text(kind: JobKind, reason: Option<Reason>) -> String {
    let Some(Reason { cause, status }) = reason else { return kind.as_str().to_owned() };
    let any = || ANY.to_owned();
    let cause = cause.and_then(cause_text).unwrap_or_else(any);
    let status = status.map_or_else(any, |status| status.to_string());
    format!("{}/{cause}/{status}", kind.as_str())
}

fn kind_and_reason(text: &str) -> Result<(JobKind, Option<Reason>), Corrupt> {
    let (kind, rest) = text.split_once('/').map_or((text, None), |(kind, rest)| (kind, Some(rest)));
    let kind = JobKind::ALL.into_iter().find(|known| known.as_str() == kind);
    match (kind, rest.map(reason)) {
        (Some(kind), None) => Ok((kind, None)),
        (Some(kind), Some(Some(reason))) => Ok((kind, Some(reason))),
        _ => Err(Corrupt(format!("{text:?} is no kind of job"))),
    }
}

/// The reason that stands behind a kind.
fn reason(text: &str) -> Option<Reason> {
    let (word, status) = text.split_once('/')?;
    let cause = if word == ANY { None } else { Some(cause(word.to_owned()).ok()?) };
    let status = if status == ANY { None } else { Some(status.parse().ok()?) };
    Some(Reason { cause, status })
}

/// What a job is to do with what is failed now.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked {
    pub(crate) kind: JobKind,
    pub(crate) reason: Option<Reason>,
    pub(crate) rate_per_second: Option<f64>,
}

impl Asked {
    /// Retries it.
    pub(crate) fn retry(reason: Option<Reason>, rate_per_second: Option<f64>) -> Self {
        Self { kind: JobKind::RetryFailed, reason: reason.and_then(Reason::choosing), rate_per_second }
    }

    /// Calls it off.
    pub(crate) fn discard(reason: Option<Reason>) -> Self {
        let reason = reason.and_then(Reason::choosing);
        Self { kind: JobKind::Discard, reason, rate_per_second: None }
    }

    /// That work, where there are so many rows, and this is the last.
    pub(crate) fn work(self, total: u64, last: i64) -> Work {
        let Self { kind, reason, rate_per_second } = self;
        let range = Range { from: 1, to: last.saturating_add(1) };
        Work { kind, reason, selection: None, range, total, counted_to: None, rate_per_second }
    }
}

/// What a job is to work through.
#[derive(Debug, Clone)]
pub(crate) struct Work {
    kind: JobKind,
    reason: Option<Reason>,
    pub(crate) selection: Option<Selection>,
    pub(crate) range: Range,
    /// What was counted of it.
    pub(crate) total: u64,
    pub(crate) counted_to: Option<i64>,
    pub(crate) rate_per_second: Option<f64>,
}

impl From<NewReplay> for Work {
    fn from(NewReplay { selection, range, counted, rate_per_second }: NewReplay) -> Self {
        let (total, counted_to) = (counted.selected, counted.next);
        let (kind, reason) = (JobKind::Replay, None);
        Self { kind, reason, selection: Some(selection), range, total, counted_to, rate_per_second }
    }
}

impl Work {
    /// The kind of job that does it, as it is stored.
    pub(crate) fn kind_text(&self) -> String {
        kind_text(self.kind, self.reason)
    }

    /// The selection as JSON.
    pub(crate) fn selection_text(&self) -> Result<Option<String>, Corrupt> {
        let text = self.selection.as_ref().map(serde_json::to_string).transpose();
        text.map_err(|error| Corrupt(format!("the selection: {error}")))
    }
}

/// What one step of a job came to.
pub(crate) struct Step {
    pub(crate) moved: usize,
    pub(crate) looked_at: usize,
    /// Where the next one starts; `None` at the end of what it could reach.
    pub(crate) next: Option<i64>,
}

impl Step {
    /// Where the job stands after it, and whether it has come to its end.
    pub(crate) fn leads_to(&self, job: &Job) -> (i64, bool) {
        let next = self.next.unwrap_or_else(|| job.reach().to).max(job.left.from);
        (next, next >= job.left.to && job.counted_to.is_none())
    }
}

/// What one piece of a walk over deliveries came to.
pub(crate) struct Piece {
    /// What is selected: deliveries with the number of their attempts.
    pub(crate) selected: Vec<(i64, u32)>,
    /// How many deliveries were looked at.
    pub(crate) looked_at: usize,
    /// Where the next piece starts; `None` at the end.
    pub(crate) next: Option<i64>,
}

impl Piece {
    /// What a job is to move of failed rows: their keys, with the number of the
    /// attempt, and with whether they fit. The first `limit` were read, and at most
    /// `most` are moved.
    pub(crate) fn of_failed(rows: &[(i64, u32, bool)], job: &Job, (limit, most): (usize, usize)) -> Self {
        // One that has had all its attempts can only be discarded.
        let movable = |number| job.kind == JobKind::Discard || number < MAX_ATTEMPTS;
        let mut selected = Vec::new();
        for (index, (key, number, fits)) in rows.iter().enumerate() {
            if selected.len() == most {
                return Self { selected, looked_at: index, next: Some(*key) };
            }
            if *fits && movable(*number) {
                selected.push((*key, *number));
            }
        }
        let next = rows.last().filter(|_| rows.len() == limit).map(|(last, ..)| last + 1);
        Self { selected, looked_at: rows.len(), next }
    }
}

impl From<Piece> for Counted {
    fn from(piece: Piece) -> Self {
        let (selected, looked_at) = (piece.selected.len() as u64, piece.looked_at as u64);
        Self { selected, looked_at, next: piece.next }
    }
}

/// Whether a delivery that stands so is selected. One that has had all its
/// attempts can have no more.
pub(crate) fn selects(selection: &Selection, state: State, attempts: u32) -> bool {
    selection.states.contains(&state) && attempts < MAX_ATTEMPTS
}

#[cfg(test)]
mod tests {
    use callboard_domain::delivery::Cause;

    use super::*;

    #[test]
    fn a_kind_is_stored_with_its_reason_and_nothing_else_is_one() {
        let reasons = [None, Some(Cause::Timeout), Some(Cause::InvalidAnswer)]
            .into_iter()
            .flat_map(|cause| [None, Some(503)].map(|status| Some(Reason { cause, status })))
            .chain([None]);
        for reason in reasons {
            for kind in JobKind::ALL {
                let text = kind_text(kind, reason);
                assert_eq!(kind_and_reason(&text).expect("a kind"), (kind, reason), "{text}");
            }
        }
        assert_eq!(kind_text(JobKind::RetryFailed, None), "retry_failed");
        let reason = Reason { cause: Some(Cause::Status), status: Some(503) };
        assert_eq!(kind_text(JobKind::Discard, Some(reason)), "discard_failed/status/503");
        for odd in [
            "",
            "retry",
            "retry_failed/",
            "retry_failed/status",
            "retry_failed/luck/-",
            "retry_failed/-/many",
            "retry_failed/-/-/-",
        ] {
            assert!(kind_and_reason(odd).is_err(), "{odd}");
        }
    }
}
