//! Rows of jobs: what one is to work through, and what a step of it comes to.

use callboard_domain::delivery::{MAX_ATTEMPTS, State};
use callboard_domain::id::{JobKey, TenantKey, WebhookKey};
use callboard_domain::job::{Counted, Job, JobKind, JobState, Range, Selection};
use callboard_domain::store::NewReplay;

use super::{Corrupt, natural, timestamp, timestamp_option};

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
    let kind = [JobKind::RetryFailed, JobKind::Replay]
        .into_iter()
        .find(|known| known.as_str() == kind)
        .ok_or_else(|| Corrupt(format!("{kind:?} is no kind of job")))?;
    let selection = columns.selection.as_deref().map(serde_json::from_str).transpose();
    let selection = selection.map_err(|error| Corrupt(format!("the selection of a job: {error}")))?;
    let total = natural(columns.total)?;
    Ok(Job {
        key: JobKey(columns.key),
        tenant: TenantKey(columns.tenant),
        webhook: WebhookKey(columns.webhook),
        kind,
        selection,
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

/// What a job is to work through.
#[derive(Debug, Clone)]
pub(crate) struct Work {
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
        Self { selection: Some(selection), range, total, counted_to, rate_per_second }
    }
}

impl Work {
    /// Of a job that retries what failed: how many rows there are, and the last.
    pub(crate) fn failed(total: u64, last: i64, rate_per_second: Option<f64>) -> Self {
        let range = Range { from: 1, to: last.saturating_add(1) };
        Self { selection: None, range, total, counted_to: None, rate_per_second }
    }

    /// The kind of job that does it.
    pub(crate) fn kind(&self) -> JobKind {
        if self.selection.is_some() { JobKind::Replay } else { JobKind::RetryFailed }
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
