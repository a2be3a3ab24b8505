//! Jobs: what was failed, or was selected, when somebody asked is sent again or
//! called off, and what is missing is sent late, a step at a time.

use callboard_domain::audit::{By, Change};
use callboard_domain::clock::Timestamp;
use callboard_domain::delivery::Reason;
use callboard_domain::id::{JobKey, TenantKey, WebhookKey};
use callboard_domain::job::{Counted, Job, JobKind, JobState, Range, Selection};
use callboard_domain::store::{Late, Listed, Page};
use tokio_postgres::Row;

use super::failure::Failure;
use super::sql::{self, Connection, get};
use super::{audit, by_hand, echoes, replay, webhooks};
use crate::rows::jobs::{Asked, Columns, Piece, Step, Work, job};
use crate::rows::{before, cause_text, count, listed, micros, natural, wanted};

macro_rules! columns {
    () => {
        "key, tenant, webhook, kind, state, selection, total, done, looked_at, rate_per_second, paced_until,
         after_key, last_key, counted_to, created_at, ended_at"
    };
}

macro_rules! select {
    ($rest:literal) => {
        concat!("SELECT ", columns!(), " FROM jobs ", $rest)
    };
}

fn read(row: &Row) -> Result<Job, Failure> {
    Ok(job(Columns {
        key: get(row, 0)?,
        tenant: get(row, 1)?,
        webhook: get(row, 2)?,
        kind: get(row, 3)?,
        state: get(row, 4)?,
        selection: get(row, 5)?,
        total: get(row, 6)?,
        done: get(row, 7)?,
        looked_at: get(row, 8)?,
        rate_per_second: get(row, 9)?,
        paced_until: get(row, 10)?,
        after_key: get(row, 11)?,
        last_key: get(row, 12)?,
        counted_to: get(row, 13)?,
        created_at: get(row, 14)?,
        ended_at: get(row, 15)?,
    })?)
}

/// What of a webhook is failed now, for a reason if there is one: one row a delivery.
pub(super) const FAILED: &str =
    "SELECT count(*), max(delivery) FROM attempts WHERE webhook = $1 AND state = 3
    AND ($2::text IS NULL OR cause = $2) AND ($3::integer IS NULL OR status = $3)";

/// Measures the work of a job.
pub(super) async fn measure(conn: &Connection, webhook: WebhookKey, asked: Asked) -> Result<Work, Failure> {
    let (cause, status) = columns(asked.reason);
    let failed = sql::one(conn, FAILED, &[&webhook.0, &cause, &status], |row| {
        let last = get::<Option<i64>>(row, 1)?.unwrap_or(0);
        Ok(asked.work(natural(get(row, 0)?)?, last))
    })
    .await?;
    Ok(failed.unwrap_or_else(|| asked.work(0, 0)))
}

/// The column values of a reason; what does not matter is null.
pub(super) fn columns(reason: Option<Reason>) -> (Option<String>, Option<i32>) {
    let Reason { cause, status } = reason.unwrap_or_default();
    (cause.and_then(cause_text), status.map(i32::from))
}

/// Makes a job, unless one of its kind and reason is running for the webhook.
const CREATE: &str = concat!(
    "INSERT INTO jobs (tenant, webhook, kind, state, selection, after_key, last_key, total, done, created_at,
         counted_to, rate_per_second)
     VALUES ($1, $2, $3, 'running', $4, $5, $6, $7, 0, $8, $9, $10)
     ON CONFLICT (webhook, kind) WHERE state = 'running' DO NOTHING
     RETURNING ",
    columns!()
);

/// Starts a job, unless one of its kind and reason is running for the webhook already.
pub(super) async fn create(
    conn: &Connection,
    tenant: TenantKey,
    webhook: WebhookKey,
    work: &Work,
    by: &By,
) -> Result<Job, Failure> {
    let running = select!("WHERE webhook = $1 AND kind = $2 AND state = 'running' AND tenant = $3");
    let kind = work.kind_text();
    let values: sql::Values<'_> = &[
        &tenant.0,
        &webhook.0,
        &kind,
        &work.selection_text()?,
        &(work.range.from - 1),
        &(work.range.to - 1),
        &work.total.cast_signed(),
        &micros(by.at),
        &work.counted_to,
        &work.rate_per_second,
    ];
    if let Some(job) = sql::one(conn, running, &[&webhook.0, &kind, &tenant.0], read).await? {
        return Ok(job);
    }
    if let Some(job) = sql::one(conn, CREATE, values, read).await? {
        let webhook = webhooks::id_of(conn, webhook).await?;
        audit::write(conn, Some(tenant), by, &Change::job_started(&job, webhook)).await?;
        return Ok(job);
    }
    // Another node was faster.
    let job = sql::one(conn, running, &[&webhook.0, &kind, &tenant.0], read).await?;
    job.ok_or_else(|| Failure::Unavailable("another job of the kind has ended just now".to_owned()))
}

async fn by_key(conn: &Connection, key: JobKey) -> Result<Option<Job>, Failure> {
    sql::one(conn, select!("WHERE key = $1"), &[&key.0], read).await
}

/// One job.
pub(super) async fn one(conn: &Connection, tenant: TenantKey, key: JobKey) -> Result<Option<Job>, Failure> {
    Ok(by_key(conn, key).await?.filter(|job| job.tenant == tenant))
}

/// The tenant's jobs, newest first.
pub(super) async fn list(conn: &Connection, tenant: TenantKey, page: Page) -> Result<Listed<Job>, Failure> {
    let sql = select!("WHERE tenant = $1 AND key < $2 ORDER BY key DESC LIMIT $3");
    let rows = sql::many(conn, sql, &[&tenant.0, &before(page), &wanted(page)], |row| {
        Ok((get(row, 0)?, read(row)?))
    })
    .await?;
    Ok(listed(rows, page))
}

/// Every job that has work left.
pub(super) async fn running(conn: &Connection) -> Result<Vec<Job>, Failure> {
    sql::many(conn, select!("WHERE state = 'running' ORDER BY webhook, key"), &[], read).await
}

/// A running job that may go on, held so that of all nodes one moves it at a time;
/// the one of a deleted webhook is stopped. What is sent again for that would only
/// be called off, and so stand in the log as cancelled although it was delivered.
async fn open(conn: &Connection, key: JobKey, now: Timestamp) -> Result<Option<Job>, Failure> {
    let held = select!("WHERE key = $1 AND state = 'running' FOR NO KEY UPDATE");
    let Some(job) = sql::one(conn, held, &[&key.0], read).await? else { return Ok(None) };
    let gone = "SELECT deleted_at IS NOT NULL FROM webhooks WHERE key = $1";
    if sql::value(conn, gone, &[&job.webhook.0]).await? != Some(false) {
        set_state(conn, key, JobState::Stopped, now).await?;
        return Ok(None);
    }
    Ok(Some(job))
}

/// Moves a running job on that retries, sends again or discards, past at most
/// `limit` rows.
pub(super) async fn advance(
    conn: &Connection,
    key: JobKey,
    limit: usize,
    now: Timestamp,
) -> Result<Option<Job>, Failure> {
    let Some(job) = open(conn, key, now).await? else { return by_key(conn, key).await };
    let most = job.allowed(now, limit);
    if most == 0 {
        return Ok(Some(job));
    }
    let step = match &job.selection {
        None => walk_failed(conn, &job, (limit, most), now).await?,
        // Which events its webhook hears is not known here.
        Some(selection) if selection.missing => return Ok(Some(job)),
        Some(selection) => send_again(conn, &job, selection, (limit, most), now).await?,
    };
    settle(conn, &job, &step, now).await
}

/// Makes the late deliveries that a step has found, and moves the job on.
pub(super) async fn add_late(
    conn: &Connection,
    key: JobKey,
    late: &Late,
    now: Timestamp,
) -> Result<Option<Job>, Failure> {
    let Some(job) = open(conn, key, now).await? else { return by_key(conn, key).await };
    if job.left.from != late.from {
        // Another step was first, and has made these.
        return Ok(Some(job));
    }
    let moved = echoes::add(conn, (job.tenant, job.webhook), &late.events, now).await?;
    let step = Step { moved, looked_at: late.looked_at, next: Some(late.next) };
    settle(conn, &job, &step, now).await
}

/// Writes a step down.
async fn settle(conn: &Connection, job: &Job, step: &Step, now: Timestamp) -> Result<Option<Job>, Failure> {
    let (next, ended) = step.leads_to(job);
    sql::run(
        conn,
        "UPDATE jobs SET after_key = $2, done = done + $3, looked_at = looked_at + $4, paced_until = $5
         WHERE key = $1",
        &[
            &job.key.0,
            &(next - 1),
            &count(step.moved),
            &count(step.looked_at),
            &micros(job.paced_after(step.moved, now)),
        ],
    )
    .await?;
    if ended {
        set_state(conn, job.key, JobState::Finished, now).await?;
    }
    by_key(conn, job.key).await
}

/// The next failed deliveries that a job is to look at, with whether they failed so.
pub(super) const NEXT_FAILED: &str = "SELECT delivery, number,
        ($5::text IS NULL OR cause = $5) AND ($6::integer IS NULL OR status = $6) FROM attempts
    WHERE webhook = $1 AND state = 3 AND delivery >= $2 AND delivery < $3 ORDER BY delivery LIMIT $4";

async fn walk_failed(
    conn: &Connection,
    job: &Job,
    (limit, most): (usize, usize),
    now: Timestamp,
) -> Result<Step, Failure> {
    let Range { from, to } = job.left;
    let (cause, status) = columns(job.reason);
    let values: sql::Values<'_> = &[&job.webhook.0, &from, &to, &count(limit), &cause, &status];
    let failed = sql::many(conn, NEXT_FAILED, values, |row| {
        let fits: Option<bool> = get(row, 2)?;
        Ok((get(row, 0)?, get::<i32>(row, 1)?.unsigned_abs(), fits == Some(true)))
    })
    .await?;
    let piece = Piece::of_failed(&failed, job, (limit, most));
    let moved = match job.kind {
        JobKind::Discard => by_hand::discard(conn, &piece.selected, now).await?,
        _ => by_hand::revive(conn, &piece.selected, now).await?,
    };
    Ok(Step { moved, looked_at: piece.looked_at, next: piece.next })
}

async fn send_again(
    conn: &Connection,
    job: &Job,
    selection: &Selection,
    limits: (usize, usize),
    now: Timestamp,
) -> Result<Step, Failure> {
    let piece = replay::walk(conn, job.webhook, selection, job.reach(), limits).await?;
    let moved = by_hand::revive(conn, &piece.selected, now).await?;
    Ok(Step { moved, looked_at: piece.looked_at, next: piece.next })
}

/// Adds to the total of a running job.
pub(super) async fn note_counted(
    conn: &Connection,
    key: JobKey,
    from: i64,
    counted: Counted,
) -> Result<(), Failure> {
    let sql = "UPDATE jobs SET total = total + $3, counted_to = $4
        WHERE key = $1 AND counted_to = $2 AND state = 'running'";
    let selected = counted.selected.cast_signed();
    sql::run(conn, sql, &[&key.0, &from, &selected, &counted.next]).await.map(drop)
}

async fn set_state(conn: &Connection, key: JobKey, state: JobState, now: Timestamp) -> Result<(), Failure> {
    let sql = "UPDATE jobs SET state = $2, ended_at = $3 WHERE key = $1 AND state = 'running'";
    let ended_at = (state != JobState::Running).then(|| micros(now));
    sql::run(conn, sql, &[&key.0, &state.as_str(), &ended_at]).await.map(drop)
}

/// Ends a running job; one that has ended stays as it is.
pub(super) async fn end(
    conn: &Connection,
    tenant: TenantKey,
    key: JobKey,
    state: JobState,
    by: &By,
) -> Result<Option<Job>, Failure> {
    let held = select!("WHERE key = $1 FOR NO KEY UPDATE");
    let before = sql::one(conn, held, &[&key.0], read).await?.filter(|job| job.tenant == tenant);
    let Some(before) = before else { return Ok(None) };
    if before.state != JobState::Running {
        return Ok(Some(before));
    }
    set_state(conn, key, state, by.at).await?;
    let after = one(conn, tenant, key).await?;
    if let Some(after) = &after {
        audit::write(conn, Some(tenant), by, &Change::job_stopped(&before, after)).await?;
    }
    Ok(after)
}
