//! The storage port of jobs, and of what they look at.

use async_trait::async_trait;

use super::{Listed, Page, Result};
use crate::audit::By;
use crate::clock::Timestamp;
use crate::delivery::{Reason, StoredEvent};
use crate::id::{EventKey, JobKey, TenantKey, WebhookKey};
use crate::job::{Counted, Job, JobState, Range, Selection};

/// A replay to be started.
#[derive(Debug, Clone, PartialEq)]
pub struct NewReplay {
    /// What it sends.
    pub selection: Selection,
    /// Where that is: [`JobStore::range_of`].
    pub range: Range,
    /// How much of it was counted; the rest is counted later.
    pub counted: Counted,
    /// Most deliveries that it makes due a second.
    pub rate_per_second: Option<f64>,
}

/// Events that a webhook has no delivery of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undelivered {
    /// The events, oldest first, each with how many were looked at before it.
    pub events: Vec<(usize, StoredEvent)>,
    /// How many were looked at in all.
    pub looked_at: usize,
    /// Where the next ones start; `None` at the end.
    pub next: Option<i64>,
}

/// What one step of a job found that its webhook is to hear late.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Late {
    /// Where the step started: what the job had not looked at then.
    pub from: i64,
    /// Where the next one starts. Said in full, because by now the job may reach
    /// further than the step could.
    pub next: i64,
    /// How many events were looked at.
    pub looked_at: usize,
    /// The events, oldest first.
    pub events: Vec<EventKey>,
}

/// Jobs. One that walks over deliveries is moved on by the store itself; of one
/// that looks for what is missing the store only knows candidates, and whoever
/// knows the webhooks says which of them are heard.
#[async_trait]
pub trait JobStore: Send + Sync {
    /// Starts retrying everything of a webhook that is failed now, or only what
    /// failed for a reason; an unfinished job of the same kind and reason is returned
    /// instead of a second one. Those of other reasons may run beside it: whichever
    /// comes to a delivery first has it.
    async fn create_retry_job(
        &self,
        tenant: TenantKey,
        webhook: WebhookKey,
        reason: Option<Reason>,
        rate_per_second: Option<f64>,
        by: By,
    ) -> Result<Job>;

    /// Starts calling off what is failed now, otherwise like
    /// [`Self::create_retry_job`].
    async fn create_discard_job(
        &self,
        tenant: TenantKey,
        webhook: WebhookKey,
        reason: Option<Reason>,
        by: By,
    ) -> Result<Job>;

    /// Starts a replay, oldest first. While another replay of the webhook is
    /// unfinished, that one is returned.
    async fn create_replay_job(
        &self,
        tenant: TenantKey,
        webhook: WebhookKey,
        replay: NewReplay,
        by: By,
    ) -> Result<Job>;

    /// What lies within the times of a selection, up to the newest there is now.
    async fn range_of(&self, selection: Selection) -> Result<Range>;

    /// Looks at the first `limit` of a webhook's deliveries in the range, and
    /// counts those that a selection by state would send again.
    async fn count_selected(
        &self,
        webhook: WebhookKey,
        selection: Selection,
        range: Range,
        limit: usize,
    ) -> Result<Counted>;

    /// Looks at the first `limit` of the tenant's events in the range that are of
    /// the type and subject selected, and returns those that the webhook has no
    /// delivery of. Their bodies stay below about `max_bytes`; then fewer are
    /// looked at, but at least one.
    async fn undelivered(
        &self,
        tenant: TenantKey,
        webhook: WebhookKey,
        selection: Selection,
        range: Range,
        limit: usize,
        max_bytes: usize,
    ) -> Result<Undelivered>;

    /// One job.
    async fn job(&self, tenant: TenantKey, job: JobKey) -> Result<Option<Job>>;

    /// The tenant's jobs, newest first.
    async fn list_jobs(&self, tenant: TenantKey, page: Page) -> Result<Listed<Job>>;

    /// Every job that still has work to do.
    async fn running_jobs(&self) -> Result<Vec<Job>>;

    /// Adds to the total of a running job what was counted from `from` on, unless
    /// somebody has already.
    async fn note_counted(&self, job: JobKey, from: i64, counted: Counted) -> Result<()>;

    /// Moves a running job on that retries, sends again, or discards: it looks at no
    /// more than `limit` rows, and keeps to its rate. Tells how it stands; `None` when
    /// there is no such job. One whose webhook was deleted is stopped instead.
    async fn advance_job(&self, job: JobKey, limit: usize, now: Timestamp) -> Result<Option<Job>>;

    /// Makes late deliveries, due at once, for the webhook of a running job, and
    /// moves the job on: both or neither. An event that the webhook has a delivery
    /// of is passed over, and so is one that retention has taken; nothing happens
    /// when the job no longer stands where the step started. One about a subject
    /// that asks for order goes behind what waits of it. Otherwise like
    /// [`Self::advance_job`].
    async fn add_late(&self, job: JobKey, late: Late, now: Timestamp) -> Result<Option<Job>>;

    /// Ends a running job as `state`; `None` when there is no such job.
    async fn end_job(&self, tenant: TenantKey, job: JobKey, state: JobState, by: By) -> Result<Option<Job>>;
}
