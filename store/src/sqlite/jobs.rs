//! Jobs: what was failed, or was selected, when somebody asked is sent again, a
//! step at a time.

use callboard_domain::clock::Timestamp;
use callboard_domain::delivery::MAX_ATTEMPTS;
use callboard_domain::id::{JobKey, TenantKey, WebhookKey};
use callboard_domain::job::{Job, JobKind, JobState, Selection};
use callboard_domain::store::{Listed, Page};
use rusqlite::{Connection, Row};

use super::attempts::NUMBERS;
use super::columns::{before, count, listed, micros, natural, timestamp, timestamp_option, wanted};
use super::failure::Failure;
use super::ledger::Write;
use super::replay::{self, Range};
use super::{by_hand, sql};

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT key, tenant, webhook, kind, state, total, done, created_at, ended_at, selection FROM jobs ",
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
    let kind = [JobKind::RetryFailed, JobKind::Replay]
        .into_iter()
        .find(|known| known.as_str() == kind)
        .ok_or_else(|| Failure::Corrupt(format!("{kind:?} is no kind of job")))?;
    let selection: Option<String> = row.get(9)?;
    let selection = selection.as_deref().map(serde_json::from_str).transpose();
    let selection =
        selection.map_err(|error| Failure::Corrupt(format!("the selection of a job: {error}")))?;
    Ok(Job {
        key: JobKey(row.get(0)?),
        tenant: TenantKey(row.get(1)?),
        webhook: WebhookKey(row.get(2)?),
        kind,
        selection,
        state,
        total: natural(row, 5)?,
        done: natural(row, 6)?,
        created_at: timestamp(row.get(7)?)?,
        ended_at: timestamp_option(row.get(8)?)?,
    })
}

/// What a job is to work through: keys above `after` and up to `last`.
#[derive(Debug, Clone)]
pub(super) struct Work {
    selection: Option<Selection>,
    total: u64,
    after: i64,
    last: i64,
}

impl Work {
    /// A replay of `total` deliveries out of a range.
    pub(super) fn replay(selection: Selection, (from, to): Range, total: u64) -> Self {
        Self { selection: Some(selection), total, after: from - 1, last: to - 1 }
    }

    fn kind(&self) -> JobKind {
        if self.selection.is_some() { JobKind::Replay } else { JobKind::RetryFailed }
    }
}

/// What of a webhook is failed now. Counting may take a while, so it is for a
/// reader to do.
pub(super) const FAILED: &str = "SELECT count(*), max(key) FROM attempts WHERE webhook = ?1 AND state = 3";

/// Measures the work of a job.
pub(super) fn measure(conn: &Connection, webhook: WebhookKey) -> Result<Work, Failure> {
    let work = sql::one(conn, FAILED, [webhook.0], |row| {
        let last = row.get::<_, Option<i64>>(1)?.unwrap_or(0);
        Ok(Work { selection: None, total: natural(row, 0)?, after: 0, last })
    })?;
    Ok(work.unwrap_or(Work { selection: None, total: 0, after: 0, last: 0 }))
}

/// Starts a job, unless one of its kind is running for the webhook already.
pub(super) fn create(
    write: &mut Write<'_>,
    tenant: TenantKey,
    webhook: WebhookKey,
    work: &Work,
    now: Timestamp,
) -> Result<Job, Failure> {
    let running = select!("WHERE webhook = ?1 AND state = 'running' AND tenant = ?2 AND kind = ?3");
    let kind = work.kind().as_str();
    if let Some(job) = sql::one(write.conn, running, (webhook.0, tenant.0, kind), read)? {
        return Ok(job);
    }
    let selection = work.selection.as_ref().map(serde_json::to_string).transpose();
    let selection = selection.map_err(|error| Failure::Corrupt(format!("the selection: {error}")))?;
    sql::run(
        write.conn,
        "INSERT INTO jobs (tenant, webhook, kind, state, selection, after_key, last_key, total, done, created_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 0, ?9)",
        (
            tenant.0,
            webhook.0,
            kind,
            JobState::Running.as_str(),
            selection,
            work.after,
            work.last,
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
    // What is sent again for a deleted webhook would only be called off, and so
    // stand in the log as cancelled although it was delivered.
    let gone = "SELECT deleted_at IS NOT NULL FROM webhooks WHERE key = ?1";
    if sql::value(write.conn, gone, [job.webhook.0])? != Some(false) {
        set_state(write.conn, key, JobState::Stopped, now)?;
        return by_key(write.conn, key);
    }
    let cursors = "SELECT after_key, last_key FROM jobs WHERE key = ?1";
    let cursors = sql::one(write.conn, cursors, [key.0], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let (after, last): (i64, i64) = cursors.unwrap_or_default();
    let step = match &job.selection {
        None => retry_failed(write.conn, job.webhook, (after, last), limit, now)?,
        Some(selection) => send_again(write.conn, job.webhook, selection, (after, last), limit, now)?,
    };
    let after = step.after.unwrap_or(last);
    sql::run(
        write.conn,
        "UPDATE jobs SET after_key = ?2, done = done + ?3 WHERE key = ?1",
        (key.0, after, count(step.moved)),
    )?;
    if after >= last {
        set_state(write.conn, key, JobState::Finished, now)?;
    }
    by_key(write.conn, key)
}

/// What one step of a job came to.
struct Step {
    moved: usize,
    /// The last key that was looked at; `None` when nothing is left.
    after: Option<i64>,
}

fn retry_failed(
    conn: &Connection,
    webhook: WebhookKey,
    (after, last): (i64, i64),
    limit: usize,
    now: Timestamp,
) -> Result<Step, Failure> {
    let failed: Vec<i64> =
        sql::many(conn, NEXT_FAILED, (webhook.0, after, last, count(limit)), |row| Ok(row.get(0)?))?;
    let mut moved = 0;
    for attempt in &failed {
        let number = u32::try_from(attempt % NUMBERS).unwrap_or(MAX_ATTEMPTS);
        // One that has had all its attempts stays failed.
        if number < MAX_ATTEMPTS {
            by_hand::revive(conn, attempt / NUMBERS, number, now)?;
            moved += 1;
        }
    }
    Ok(Step { moved, after: failed.last().copied().filter(|_| failed.len() == limit) })
}

fn send_again(
    conn: &Connection,
    webhook: WebhookKey,
    selection: &Selection,
    (after, last): (i64, i64),
    limit: usize,
    now: Timestamp,
) -> Result<Step, Failure> {
    let range = (after.saturating_add(1), last.saturating_add(1));
    let piece = replay::walk(conn, webhook, selection, range, limit)?;
    for (delivery, attempts) in &piece.selected {
        by_hand::revive(conn, *delivery, *attempts, now)?;
    }
    Ok(Step { moved: piece.selected.len(), after: piece.next.map(|next| next - 1) })
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
