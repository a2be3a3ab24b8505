//! Jobs: what was failed when somebody asked is retried, a step at a time.

use callboard_domain::clock::Timestamp;
use callboard_domain::delivery::MAX_ATTEMPTS;
use callboard_domain::id::{JobKey, TenantKey, WebhookKey};
use callboard_domain::job::{Job, JobKind, JobState};
use callboard_domain::store::{Listed, Page};
use rusqlite::{Connection, Row};

use super::attempts::NUMBERS;
use super::columns::{before, count, listed, micros, natural, timestamp, timestamp_option, wanted};
use super::failure::Failure;
use super::ledger::Write;
use super::{by_hand, sql};

const RETRY_FAILED: &str = "retry_failed";

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT key, tenant, webhook, kind, state, total, done, created_at, ended_at FROM jobs ",
            $rest
        )
    };
}

fn read(row: &Row<'_>) -> Result<Job, Failure> {
    let (kind, state): (String, String) = (row.get(3)?, row.get(4)?);
    let state = [JobState::Running, JobState::Finished, JobState::Stopped]
        .into_iter()
        .find(|known| known.as_str() == state)
        .ok_or_else(|| Failure::Corrupt(format!("{state:?} is no state of a job")))?;
    if kind != RETRY_FAILED {
        return Err(Failure::Corrupt(format!("{kind:?} is no kind of job")));
    }
    Ok(Job {
        key: JobKey(row.get(0)?),
        tenant: TenantKey(row.get(1)?),
        webhook: WebhookKey(row.get(2)?),
        kind: JobKind::RetryFailed,
        state,
        total: natural(row, 5)?,
        done: natural(row, 6)?,
        created_at: timestamp(row.get(7)?)?,
        ended_at: timestamp_option(row.get(8)?)?,
    })
}

/// What a job is to work through.
#[derive(Debug, Clone, Copy)]
pub(super) struct Work {
    total: u64,
    last_attempt: i64,
}

/// What of a webhook is failed now. Counting may take a while, so it is for a
/// reader to do.
pub(super) const FAILED: &str = "SELECT count(*), max(key) FROM attempts WHERE webhook = ?1 AND state = 3";

/// Measures the work of a job.
pub(super) fn measure(conn: &Connection, webhook: WebhookKey) -> Result<Work, Failure> {
    let work = sql::one(conn, FAILED, [webhook.0], |row| {
        Ok(Work { total: natural(row, 0)?, last_attempt: row.get::<_, Option<i64>>(1)?.unwrap_or(0) })
    })?;
    Ok(work.unwrap_or(Work { total: 0, last_attempt: 0 }))
}

/// Starts a job, unless one of its kind is running for the webhook already.
pub(super) fn create(
    write: &mut Write<'_>,
    tenant: TenantKey,
    webhook: WebhookKey,
    work: Work,
    now: Timestamp,
) -> Result<Job, Failure> {
    let running =
        select!("WHERE webhook = ?1 AND state = 'running' AND tenant = ?2 AND kind = 'retry_failed'");
    if let Some(job) = sql::one(write.conn, running, (webhook.0, tenant.0), read)? {
        return Ok(job);
    }
    sql::run(
        write.conn,
        "INSERT INTO jobs (tenant, webhook, kind, state, after_attempt, last_attempt, total, done, created_at)
         VALUES (?1, ?2, ?3, ?4, 0, ?5, ?6, 0, ?7)",
        (
            tenant.0,
            webhook.0,
            RETRY_FAILED,
            JobState::Running.as_str(),
            work.last_attempt,
            work.total.cast_signed(),
            micros(now),
        ),
    )?;
    let key = write.conn.last_insert_rowid();
    by_key(write.conn, JobKey(key))?.ok_or_else(|| Failure::Corrupt(format!("job {key} is gone")))
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

/// The next failed attempts that a job is to look at.
pub(super) const NEXT_FAILED: &str = "SELECT key FROM attempts
    WHERE webhook = ?1 AND state = 3 AND key > ?2 AND key <= ?3 ORDER BY key LIMIT ?4";

/// Moves a running job at most `limit` deliveries on.
pub(super) fn advance(
    write: &mut Write<'_>,
    key: JobKey,
    limit: usize,
    now: Timestamp,
) -> Result<Option<Job>, Failure> {
    let Some(job) = by_key(write.conn, key)?.filter(|job| job.state == JobState::Running) else {
        return by_key(write.conn, key);
    };
    let cursors = "SELECT after_attempt, last_attempt FROM jobs WHERE key = ?1";
    let cursors = sql::one(write.conn, cursors, [key.0], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let (after, last): (i64, i64) = cursors.unwrap_or_default();
    let failed: Vec<i64> = sql::many(
        write.conn,
        NEXT_FAILED,
        (job.webhook.0, after, last, count(limit)),
        |row| Ok(row.get(0)?),
    )?;
    let mut moved = 0;
    for attempt in &failed {
        let number = u32::try_from(attempt % NUMBERS).unwrap_or(MAX_ATTEMPTS);
        // One that has had all its attempts stays failed.
        if number < MAX_ATTEMPTS {
            by_hand::revive(write.conn, attempt / NUMBERS, number, now)?;
            moved += 1;
        }
    }
    let after = failed.last().copied().unwrap_or(last);
    sql::run(
        write.conn,
        "UPDATE jobs SET after_attempt = ?2, done = done + ?3 WHERE key = ?1",
        (key.0, after, moved),
    )?;
    if failed.len() < limit || after >= last {
        set_state(write.conn, key, JobState::Finished, now)?;
    }
    by_key(write.conn, key)
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
    now: Timestamp,
) -> Result<Option<Job>, Failure> {
    if one(write.conn, tenant, key)?.is_none() {
        return Ok(None);
    }
    set_state(write.conn, key, state, now)?;
    one(write.conn, tenant, key)
}
