//! The port of jobs: each method brings its work to a transaction or a snapshot.

use async_trait::async_trait;
use callboard_domain::audit::By;
use callboard_domain::clock::Timestamp;
use callboard_domain::delivery::Reason;
use callboard_domain::id::{JobKey, TenantKey, WebhookKey};
use callboard_domain::job::{Counted, Job, JobState, Range, Selection};
use callboard_domain::store::{JobStore, Late, Listed, NewReplay, Page, Result, Undelivered};

use super::transaction::{asking, reading, writing};
use super::{PostgresStore, jobs, missing, replay};
use crate::rows::jobs::{Asked, Work};

#[async_trait]
impl JobStore for PostgresStore {
    async fn create_retry_job(
        &self,
        tenant: TenantKey,
        webhook: WebhookKey,
        reason: Option<Reason>,
        rate_per_second: Option<f64>,
        by: By,
    ) -> Result<Job> {
        let asked = Asked::retry(reason, rate_per_second);
        let work = asking!(self.pool, |conn| jobs::measure(conn, webhook, asked))?;
        writing!(&self.pool, |conn| jobs::create(conn, tenant, webhook, &work, &by))
    }

    async fn create_discard_job(
        &self,
        tenant: TenantKey,
        webhook: WebhookKey,
        reason: Option<Reason>,
        by: By,
    ) -> Result<Job> {
        let asked = Asked::discard(reason);
        let work = asking!(self.pool, |conn| jobs::measure(conn, webhook, asked))?;
        writing!(&self.pool, |conn| jobs::create(conn, tenant, webhook, &work, &by))
    }

    async fn create_replay_job(
        &self,
        tenant: TenantKey,
        webhook: WebhookKey,
        replay: NewReplay,
        by: By,
    ) -> Result<Job> {
        let work = Work::from(replay);
        writing!(&self.pool, |conn| jobs::create(conn, tenant, webhook, &work, &by))
    }

    async fn range_of(&self, selection: Selection) -> Result<Range> {
        reading!(&self.pool, |conn| replay::range(conn, &selection))
    }

    async fn count_selected(
        &self,
        webhook: WebhookKey,
        selection: Selection,
        range: Range,
        limit: usize,
    ) -> Result<Counted> {
        reading!(&self.pool, |conn| replay::count(conn, webhook, &selection, range, limit))
    }

    async fn undelivered(
        &self,
        tenant: TenantKey,
        webhook: WebhookKey,
        selection: Selection,
        range: Range,
        limit: usize,
        max_bytes: usize,
    ) -> Result<Undelivered> {
        let whose = (tenant, webhook);
        reading!(&self.pool, |conn| missing::find(conn, whose, &selection, range, limit, max_bytes))
    }

    async fn job(&self, tenant: TenantKey, job: JobKey) -> Result<Option<Job>> {
        asking!(self.pool, |conn| jobs::one(conn, tenant, job))
    }

    async fn list_jobs(&self, tenant: TenantKey, page: Page) -> Result<Listed<Job>> {
        asking!(self.pool, |conn| jobs::list(conn, tenant, page))
    }

    async fn running_jobs(&self) -> Result<Vec<Job>> {
        asking!(self.pool, |conn| jobs::running(conn))
    }

    async fn note_counted(&self, job: JobKey, from: i64, counted: Counted) -> Result<()> {
        writing!(&self.pool, |conn| jobs::note_counted(conn, job, from, counted))
    }

    async fn advance_job(&self, job: JobKey, limit: usize, now: Timestamp) -> Result<Option<Job>> {
        writing!(&self.pool, |conn| jobs::advance(conn, job, limit, now))
    }

    async fn add_late(&self, job: JobKey, late: Late, now: Timestamp) -> Result<Option<Job>> {
        writing!(&self.pool, |conn| jobs::add_late(conn, job, &late, now))
    }

    async fn end_job(&self, tenant: TenantKey, job: JobKey, state: JobState, by: By) -> Result<Option<Job>> {
        writing!(&self.pool, |conn| jobs::end(conn, tenant, job, state, &by))
    }
}
