//! The port of jobs: each method brings its work to the writer or to a reader.

use async_trait::async_trait;
use callboard_domain::audit::By;
use callboard_domain::clock::Timestamp;
use callboard_domain::delivery::Reason;
use callboard_domain::id::{JobKey, TenantKey, WebhookKey};
use callboard_domain::job::{Counted, Job, JobState, Range, Selection};
use callboard_domain::store::{JobStore, Late, Listed, NewReplay, Page, Result, Undelivered};

use super::ledger::Write;
use super::{SqliteStore, jobs, missing, replay};
use crate::rows::jobs::{Asked, Work};

/// Rows that a small change writes, about.
const FEW: usize = 4;

#[async_trait]
impl JobStore for SqliteStore {
    async fn create_retry_job(
        &self,
        tenant: TenantKey,
        webhook: WebhookKey,
        reason: Option<Reason>,
        rate_per_second: Option<f64>,
        by: By,
    ) -> Result<Job> {
        let asked = Asked::retry(reason, rate_per_second);
        let work = self.readers.run(move |conn| jobs::measure(conn, webhook, asked)).await?;
        self.writer.run(FEW, move |write| jobs::create(write, tenant, webhook, &work, &by)).await
    }

    async fn create_discard_job(
        &self,
        tenant: TenantKey,
        webhook: WebhookKey,
        reason: Option<Reason>,
        by: By,
    ) -> Result<Job> {
        let asked = Asked::discard(reason);
        let work = self.readers.run(move |conn| jobs::measure(conn, webhook, asked)).await?;
        self.writer.run(FEW, move |write| jobs::create(write, tenant, webhook, &work, &by)).await
    }

    async fn create_replay_job(
        &self,
        tenant: TenantKey,
        webhook: WebhookKey,
        replay: NewReplay,
        by: By,
    ) -> Result<Job> {
        let work = Work::from(replay);
        self.writer.run(FEW, move |write| jobs::create(write, tenant, webhook, &work, &by)).await
    }

    async fn range_of(&self, selection: Selection) -> Result<Range> {
        self.readers.run(move |conn| replay::range(conn, &selection)).await
    }

    async fn count_selected(
        &self,
        webhook: WebhookKey,
        selection: Selection,
        range: Range,
        limit: usize,
    ) -> Result<Counted> {
        self.read_pending(move |conn| replay::count(conn, webhook, &selection, range, limit)).await
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
        self.read_pending(move |conn| missing::find(conn, whose, &selection, range, limit, max_bytes)).await
    }

    async fn job(&self, tenant: TenantKey, job: JobKey) -> Result<Option<Job>> {
        self.readers.run(move |conn| jobs::one(conn, tenant, job)).await
    }

    async fn list_jobs(&self, tenant: TenantKey, page: Page) -> Result<Listed<Job>> {
        self.readers.run(move |conn| jobs::list(conn, tenant, page)).await
    }

    async fn running_jobs(&self) -> Result<Vec<Job>> {
        self.readers.run(jobs::running).await
    }

    async fn note_counted(&self, job: JobKey, from: i64, counted: Counted) -> Result<()> {
        self.writer.run(1, move |write| jobs::note_counted(write, job, from, counted)).await
    }

    async fn advance_job(&self, job: JobKey, limit: usize, now: Timestamp) -> Result<Option<Job>> {
        self.writer.run(2 * limit, move |write| jobs::advance(write, job, limit, now)).await
    }

    async fn add_late(&self, job: JobKey, late: Late, now: Timestamp) -> Result<Option<Job>> {
        let rows = FEW + 2 * late.events.len();
        self.writer.run(rows, move |write: &mut Write<'_>| jobs::add_late(write, job, &late, now)).await
    }

    async fn end_job(&self, tenant: TenantKey, job: JobKey, state: JobState, by: By) -> Result<Option<Job>> {
        self.writer.run(FEW, move |write| jobs::end(write, tenant, job, state, &by)).await
    }
}
