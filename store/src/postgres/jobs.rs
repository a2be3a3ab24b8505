//! Jobs: what was failed, or was selected, when somebody asked is sent again, and
//! what is missing is sent late, a step at a time.

use callboard_domain::clock::Timestamp;
use callboard_domain::id::{JobKey, TenantKey, WebhookKey};
use callboard_domain::job::{Counted, Job, JobState};
use callboard_domain::store::{Late, Listed, NewReplay, Page};

use super::failure::Failure;
use super::sql::Connection;

/// What a job is to work through.
#[derive(Debug, Clone)]
pub(super) struct Work;

impl From<NewReplay> for Work {
    fn from(_: NewReplay) -> Self {
        Self
    }
}

/// Measures the work of a job.
pub(super) async fn measure(
    conn: &Connection,
    webhook: WebhookKey,
    rate_per_second: Option<f64>,
) -> Result<Work, Failure> {
    let _ = (conn, webhook, rate_per_second);
    Err(Failure::Unavailable("not written yet".to_owned()))
}

/// Starts a job, unless one of its kind is running for the webhook already.
pub(super) async fn create(
    conn: &Connection,
    tenant: TenantKey,
    webhook: WebhookKey,
    work: &Work,
    now: Timestamp,
) -> Result<Job, Failure> {
    let _ = (conn, tenant, webhook, work, now);
    Err(Failure::Unavailable("not written yet".to_owned()))
}

/// One job.
pub(super) async fn one(conn: &Connection, tenant: TenantKey, key: JobKey) -> Result<Option<Job>, Failure> {
    let _ = (conn, tenant, key);
    Err(Failure::Unavailable("not written yet".to_owned()))
}

/// The tenant's jobs, newest first.
pub(super) async fn list(conn: &Connection, tenant: TenantKey, page: Page) -> Result<Listed<Job>, Failure> {
    let _ = (conn, tenant, page);
    Err(Failure::Unavailable("not written yet".to_owned()))
}

/// Every job that has work left.
pub(super) async fn running(conn: &Connection) -> Result<Vec<Job>, Failure> {
    let _ = (conn);
    Err(Failure::Unavailable("not written yet".to_owned()))
}

/// Moves a running job on that retries or sends again, past at most `limit`
/// rows.
pub(super) async fn advance(
    conn: &Connection,
    key: JobKey,
    limit: usize,
    now: Timestamp,
) -> Result<Option<Job>, Failure> {
    let _ = (conn, key, limit, now);
    Err(Failure::Unavailable("not written yet".to_owned()))
}

/// Makes the late deliveries that a step has found, and moves the job on.
pub(super) async fn add_late(
    conn: &Connection,
    key: JobKey,
    late: &Late,
    now: Timestamp,
) -> Result<Option<Job>, Failure> {
    let _ = (conn, key, late, now);
    Err(Failure::Unavailable("not written yet".to_owned()))
}

/// Adds to the total of a running job.
pub(super) async fn note_counted(
    conn: &Connection,
    key: JobKey,
    from: i64,
    counted: Counted,
) -> Result<(), Failure> {
    let _ = (conn, key, from, counted);
    Err(Failure::Unavailable("not written yet".to_owned()))
}

/// Ends a running job; one that has ended stays as it is.
pub(super) async fn end(
    conn: &Connection,
    tenant: TenantKey,
    key: JobKey,
    state: JobState,
    now: Timestamp,
) -> Result<Option<Job>, Failure> {
    let _ = (conn, tenant, key, state, now);
    Err(Failure::Unavailable("not written yet".to_owned()))
}
