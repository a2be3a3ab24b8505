//! Jobs: what was failed, or was selected, when somebody asked is sent again or
//! called off, and what is missing is sent late, a step at a time.

use callboard_domain::audit::{By, Change};
use callboard_domain::clock::Timestamp;
use callboard_domain::delivery::{MAX_ATTEMPTS, Reason};
use callboard_domain::id::{JobKey, TenantKey, WebhookKey};
use callboard_domain::job::{Counted, Job, JobKind, JobState, Range, Selection};
use callboard_domain::store::{Late, Listed, Page};
use rusqlite::{Connection, Row};

use super::attempts::NUMBERS;
use super::failure::Failure;
use super::ledger::Write;
use super::{audit, by_hand, echoes, replay, sql, webhooks};
use crate::rows::jobs::{Asked, Columns, Piece, Step, Work, job};
use crate::rows::{before, cause_text, count, listed, micros, natural, wanted};

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT key, tenant, webhook, kind, state, total, done, created_at, ended_at, selection,
                 looked_at, rate_per_second, paced_until, after_key, last_key, counted_to FROM jobs ",
            $rest
        )
    };
}

fn read(row: &Row<'_>) -> Result<Job, Failure> {
    Ok(job(Columns {
        key: row.get(0)?,
        tenant: row.get(1)?,
        webhook: row.get(2)?,
        kind: row.get(3)?,
        state: row.get(4)?,
        total: row.get(5)?,
        done: row.get(6)?,
        created_at: row.get(7)?,
        ended_at: row.get(8)?,
        selection: row.get(9)?,
        looked_at: row.get(10)?,
        rate_per_second: row.get(11)?,
        paced_until: row.get(12)?,
        after_key: row.get(13)?,
        last_key: row.get(14)?,
        counted_to: row.get(15)?,
    })?)
}

/// What of a webhook is failed now, for a reason if there is one. Counting may take a
/// while, so it is for a reader to do.
pub(super) const FAILED: &str = "SELECT count(*), max(key) FROM attempts WHERE webhook = ?1 AND state = 3
    AND (?2 IS NULL OR cause IS ?2) AND (?3 IS NULL OR status IS ?3)";

/// Measures the work of a job.
pub(super) fn measure(conn: &Connection, webhook: WebhookKey, asked: Asked) -> Result<Work, Failure> {
    let Reason { cause, status } = asked.reason.unwrap_or_default();
    let values = (webhook.0, cause.and_then(cause_text), status);
    let failed = sql::one(conn, FAILED, values, |row| {
        let last = row.get::<_, Option<i64>>(1)?.unwrap_or(0);
        Ok(asked.work(natural(row.get(0)?)?, last))
    })?;
    Ok(failed.unwrap_or_else(|| asked.work(0, 0)))
}

/// Starts a job, unless one of its kind and reason is running for the webhook already.
pub(super) fn create(
    write: &mut Write<'_>,
    tenant: TenantKey,
    webhook: WebhookKey,
    work: &Work,
    by: &By,
) -> Result<Job, Failure> {
    let running = select!("WHERE webhook = ?1 AND state = 'running' AND tenant = ?2 AND kind = ?3");
    let kind = work.kind_text();
    if let Some(job) = sql::one(write.conn, running, (webhook.0, tenant.0, &kind), read)? {
        return Ok(job);
    }
    sql::run(
        write.conn,
        "INSERT INTO jobs (tenant, webhook, kind, state, selection, after_key, last_key, total, done, created_at,
             counted_to, rate_per_second)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 0, ?9, ?10, ?11)",
        (
            tenant.0,
            webhook.0,
            kind,
            JobState::Running.as_str(),
            work.selection_text()?,
            work.range.from - 1,
            work.range.to - 1,
            work.total.cast_signed(),
            micros(by.at),
            work.counted_to,
            work.rate_per_second,
        ),
    )?;
    let key = write.conn.last_insert_rowid();
    let job = by_key(write.conn, JobKey(key))?;
    let job = job.ok_or_else(|| Failure::Corrupt(format!("job {key} is gone")))?;
    let webhook = webhooks::id_of(write.conn, webhook)?;
    audit::write(write.conn, Some(tenant), by, &Change::job_started(&job, webhook))?;
    Ok(job)
}

fn by_key(conn: &Connection, key: JobKey) -> Result<Option<Job>, Failure> {
    sql::one(conn, select!("WHERE key = ?1"), [key.0], read)
}

/// One job.
pub(super) fn one(conn: &Connection, tenant: TenantKey, key: JobKey) -> Result<Option<Job>, Failure> {
    Ok(by_key(conn, key)?.filter(|job| job.tenant == tenant))
}

/// The tenant's jobs, newest first.
pub(super) fn list(conn: &Connection, tenant: TenantKey, page: Page) -> Result<Listed<Job>, Failure> {
    let sql = select!("WHERE tenant = ?1 AND key < ?2 ORDER BY key DESC LIMIT ?3");
    let rows =
        sql::many(conn, sql, (tenant.0, before(page), wanted(page)), |row| Ok((row.get(0)?, read(row)?)))?;
    Ok(listed(rows, page))
}

/// Every job that has work left.
pub(super) fn running(conn: &Connection) -> Result<Vec<Job>, Failure> {
    sql::many(conn, select!("WHERE state = 'running' ORDER BY webhook"), [], read)
}

/// The next failed attempts that a job is to look at, with whether they failed so.
pub(super) const NEXT_FAILED: &str =
    "SELECT key, (?5 IS NULL OR cause IS ?5) AND (?6 IS NULL OR status IS ?6) FROM attempts
     WHERE webhook = ?1 AND state = 3 AND key > ?2 AND key <= ?3 ORDER BY key LIMIT ?4";

/// A running job that may go on; the one of a deleted webhook is stopped. What is
/// sent again for that would only be called off, and so stand in the log as
/// cancelled although it was delivered.
fn open(conn: &Connection, key: JobKey, now: Timestamp) -> Result<Option<Job>, Failure> {
    let Some(job) = by_key(conn, key)?.filter(|job| job.state == JobState::Running) else {
        return Ok(None);
    };
    let gone = "SELECT deleted_at IS NOT NULL FROM webhooks WHERE key = ?1";
    if sql::value(conn, gone, [job.webhook.0])? != Some(false) {
        set_state(conn, key, JobState::Stopped, now)?;
        return Ok(None);
    }
    Ok(Some(job))
}

/// Moves a running job on that retries, sends again or discards, past at most
/// `limit` rows.
pub(super) fn advance(
    write: &mut Write<'_>,
    key: JobKey,
    limit: usize,
    now: Timestamp,
) -> Result<Option<Job>, Failure> {
    let Some(job) = open(write.conn, key, now)? else { return by_key(write.conn, key) };
    let most = job.allowed(now, limit);
    if most == 0 {
        return Ok(Some(job));
    }
    let step = match &job.selection {
        None => walk_failed(write.conn, &job, (limit, most), now)?,
        // Which events its webhook hears is not known here.
        Some(selection) if selection.missing => return Ok(Some(job)),
        Some(selection) => send_again(write.conn, &job, selection, (limit, most), now)?,
    };
    settle(write.conn, &job, &step, now)
}

/// Makes the late deliveries that a step has found, and moves the job on.
pub(super) fn add_late(
    write: &mut Write<'_>,
    key: JobKey,
    late: &Late,
    now: Timestamp,
) -> Result<Option<Job>, Failure> {
    let Some(job) = open(write.conn, key, now)? else { return by_key(write.conn, key) };
    if job.left.from != late.from {
        // Another step was first, and has made these.
        return Ok(Some(job));
    }
    let mut moved = 0;
    for event in &late.events {
        moved += usize::from(echoes::add(write, job.tenant, *event, job.webhook, now)?);
    }
    let step = Step { moved, looked_at: late.looked_at, next: Some(late.next) };
    settle(write.conn, &job, &step, now)
}

/// Writes a step down.
fn settle(conn: &Connection, job: &Job, step: &Step, now: Timestamp) -> Result<Option<Job>, Failure> {
    let (next, ended) = step.leads_to(job);
    sql::run(
        conn,
        "UPDATE jobs SET after_key = ?2, done = done + ?3, looked_at = looked_at + ?4, paced_until = ?5
         WHERE key = ?1",
        (
            job.key.0,
            next - 1,
            count(step.moved),
            count(step.looked_at),
            micros(job.paced_after(step.moved, now)),
        ),
    )?;
    if ended {
        set_state(conn, job.key, JobState::Finished, now)?;
    }
    by_key(conn, job.key)
}

fn walk_failed(
    conn: &Connection,
    job: &Job,
    (limit, most): (usize, usize),
    now: Timestamp,
) -> Result<Step, Failure> {
    let Range { from, to } = job.left;
    let Reason { cause, status } = job.reason.unwrap_or_default();
    let values = (job.webhook.0, from - 1, to - 1, count(limit), cause.and_then(cause_text), status);
    let failed = sql::many(conn, NEXT_FAILED, values, |row| {
        let key: i64 = row.get(0)?;
        Ok((key, u32::try_from(key % NUMBERS).unwrap_or(MAX_ATTEMPTS), row.get(1)?))
    })?;
    let piece = Piece::of_failed(&failed, job, (limit, most));
    for (attempt, number) in &piece.selected {
        let delivery = attempt / NUMBERS;
        match job.kind {
            JobKind::Discard => by_hand::discard(conn, delivery, *number, now)?,
            _ => by_hand::revive(conn, delivery, *number, now)?,
        }
    }
    Ok(Step { moved: piece.selected.len(), looked_at: piece.looked_at, next: piece.next })
}

fn send_again(
    conn: &Connection,
    job: &Job,
    selection: &Selection,
    limits: (usize, usize),
    now: Timestamp,
) -> Result<Step, Failure> {
    let piece = replay::walk(conn, job.webhook, selection, job.reach(), limits)?;
    for (delivery, attempts) in &piece.selected {
        by_hand::revive(conn, *delivery, *attempts, now)?;
    }
    Ok(Step { moved: piece.selected.len(), looked_at: piece.looked_at, next: piece.next })
}

/// Adds to the total of a running job.
pub(super) fn note_counted(
    write: &mut Write<'_>,
    key: JobKey,
    from: i64,
    counted: Counted,
) -> Result<(), Failure> {
    let sql = "UPDATE jobs SET total = total + ?3, counted_to = ?4
        WHERE key = ?1 AND counted_to = ?2 AND state = 'running'";
    sql::run(write.conn, sql, (key.0, from, counted.selected.cast_signed(), counted.next)).map(drop)
}

fn set_state(conn: &Connection, key: JobKey, state: JobState, now: Timestamp) -> Result<(), Failure> {
    let sql = "UPDATE jobs SET state = ?2, ended_at = ?3 WHERE key = ?1 AND state = 'running'";
    let ended_at = (state != JobState::Running).then(|| micros(now));
    sql::run(conn, sql, (key.0, state.as_str(), ended_at)).map(drop)
}

/// Ends a running job; one that has ended stays as it is.
pub(super) fn end(
    write: &mut Write<'_>,
    tenant: TenantKey,
    key: JobKey,
    state: JobState,
    by: &By,
) -> Result<Option<Job>, Failure> {
    let Some(before) = one(write.conn, tenant, key)? else { return Ok(None) };
    if before.state != JobState::Running {
        return Ok(Some(before));
    }
    set_state(write.conn, key, state, by.at)?;
    let after = one(write.conn, tenant, key)?;
    if let Some(after) = &after {
        audit::write(write.conn, Some(tenant), by, &Change::job_stopped(&before, after))?;
    }
    Ok(after)
}
