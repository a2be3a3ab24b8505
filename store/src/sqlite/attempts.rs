//! Writes attempts down and moves their deliveries on.

use callboard_domain::clock::Timestamp;
use callboard_domain::delivery::{AnswerClass, Attempt, Outcome, State};
use callboard_domain::id::WebhookKey;
use rusqlite::{CachedStatement, Connection, Row, ToSql};

use super::failure::Failure;
use super::ledger::Write;
use super::unwritten::Lease;
use super::{chains, sql};
use crate::rows::attempts::{
    Columns, Ending, Waiting, detail_text, due_again, duration_us, logged, unattempted,
};
use crate::rows::deliveries::AttemptRow;
use crate::rows::{self, cause, cause_text, counts, micros, state, state_code};

/// Attempt rows that a delivery has room for.
pub(crate) const NUMBERS: i64 = 1_024;

/// The row that a delivery's attempts follow. Ids from outside may name
/// deliveries that no database has room for.
pub(super) const fn first_key(delivery: i64) -> i64 {
    delivery.saturating_mul(NUMBERS)
}

/// Row of an attempt. Numbers stay below [`NUMBERS`] because a delivery gets
/// fewer attempts than that; one that would not is kept from reaching the
/// rows of the next delivery.
pub(super) fn attempt_key(delivery: i64, number: u32) -> i64 {
    first_key(delivery).saturating_add(i64::from(number).min(NUMBERS - 1))
}

/// Writes each attempt down.
pub(super) fn finish(
    write: &mut Write<'_>,
    attempts: &[Attempt],
    details: &[Option<String>],
    now: Timestamp,
) -> Result<Vec<WebhookKey>, Failure> {
    let mut due = Vec::new();
    // Looked up once: that costs as much as running them.
    let mut end_free = write.conn.prepare_cached(END_FREE)?;
    let mut record = write.conn.prepare_cached(RECORD)?;
    for (attempt, detail) in attempts.iter().zip(details) {
        let moved = match write.ledger.unwritten.take(attempt.delivery.0) {
            Some(lease) => Some(move_on_unwritten(write.conn, lease, attempt)?),
            None => move_on(write.conn, &mut end_free, attempt)?,
        };
        let state = match moved {
            Some(ended) => {
                if chains::let_next_go(write.conn, ended, now)? {
                    due.push(attempt.webhook);
                }
                Some(attempt.outcome.state())
            }
            None => state_after_all(write.conn, attempt)?,
        };
        if let Some(state) = state {
            counts::count(&mut write.ledger.stats, attempt, state);
            insert(write.conn, &mut record, attempt, state, detail.as_deref())?;
        }
    }
    Ok(due)
}

/// Moves a delivery on that has no row yet: it gets one if it has to wait. It is in
/// no chain.
fn move_on_unwritten(conn: &Connection, lease: Lease, attempt: &Attempt) -> Result<i64, Failure> {
    if let Outcome::Retry(due_at) = attempt.outcome {
        sql::run(
            conn,
            "INSERT INTO pending (delivery, event, webhook, due_at, attempts, tries, chain)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0)",
            (
                attempt.delivery.0,
                lease.event,
                lease.webhook.0,
                due_again(due_at),
                attempt.number,
                attempt.tries,
            ),
        )?;
    }
    Ok(0)
}

/// Ends a delivery that is in no chain. It does not return the chain, because
/// SQLite builds a table in memory for what a statement returns.
const END_FREE: &str = "DELETE FROM pending WHERE delivery = ?1 AND attempts = ?2 AND chain = 0";

/// Moves the waiting delivery on, if it still waits for this very attempt.
/// Returns the chain that it was in, if it is over, and else 0.
fn move_on(
    conn: &Connection,
    end_free: &mut CachedStatement<'_>,
    attempt: &Attempt,
) -> Result<Option<i64>, Failure> {
    let (delivery, before) = (attempt.delivery.0, i64::from(attempt.number) - 1);
    if let Outcome::Retry(due_at) = attempt.outcome {
        let waits = sql::run(
            conn,
            "UPDATE pending SET due_at = ?3, attempts = ?4, tries = ?5
             WHERE delivery = ?1 AND attempts = ?2",
            (delivery, before, due_again(due_at), attempt.number, attempt.tries),
        )?;
        return Ok((waits > 0).then_some(0));
    }
    if end_free.execute((delivery, before))? > 0 {
        return Ok(Some(0));
    }
    sql::value(
        conn,
        "DELETE FROM pending WHERE delivery = ?1 AND attempts = ?2 RETURNING chain",
        (delivery, before),
    )
}

/// The state to write down with an attempt that its delivery no longer waited
/// for: it was called off meanwhile, and perhaps retried by hand since. `None`
/// when nothing is to be written, because the event is gone or the attempt is
/// written down already (a caller may repeat what it could not see succeed).
fn state_after_all(conn: &Connection, attempt: &Attempt) -> Result<Option<State>, Failure> {
    let event = sql::value::<i64>(conn, "SELECT key FROM events WHERE key = ?1", [attempt.event.0])?;
    let written = sql::one(
        conn,
        "SELECT state, cause, status FROM attempts WHERE key = ?1",
        [attempt_key(attempt.delivery.0, attempt.number)],
        |row| Ok((state(row.get(0)?)?, row.get::<_, Option<String>>(1)?)),
    )?;
    if event.is_none() {
        return Ok(None);
    }
    Ok(rows::attempts::state_after_all(attempt, written))
}

/// An attempt in the words of `$verb`.
macro_rules! record {
    ($verb:literal) => {
        concat!(
            $verb,
            " INTO attempts (key, event, webhook, started_at, duration_us, state, status, cause, detail)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)"
        )
    };
}

/// Writes an attempt that has no row, as nearly all have none. What may replace a row
/// makes SQLite keep a copy of each page it touches, to undo this statement alone.
const RECORD: &str = record!("INSERT OR IGNORE");

/// Writes an attempt over its row.
const RECORD_AGAIN: &str = record!("INSERT OR REPLACE");

/// Writes an attempt down.
fn insert(
    conn: &Connection,
    record: &mut CachedStatement<'_>,
    attempt: &Attempt,
    state: State,
    detail: Option<&str>,
) -> Result<(), Failure> {
    let cause = attempt.cause.and_then(cause_text);
    let columns: &[&dyn ToSql] = rusqlite::params![
        attempt_key(attempt.delivery.0, attempt.number),
        attempt.event.0,
        attempt.webhook.0,
        micros(attempt.started_at),
        duration_us(attempt),
        state_code(state),
        attempt.status,
        cause,
        detail,
    ];
    if record.execute(columns)? == 0 {
        conn.prepare_cached(RECORD_AGAIN)?.execute(columns)?;
    }
    Ok(())
}

/// The delivery, if it waits.
pub(super) fn waiting(conn: &Connection, delivery: i64) -> Result<Option<Waiting>, Failure> {
    let sql = "SELECT event, webhook, due_at, attempts, tries, chain FROM pending WHERE delivery = ?1";
    sql::one(conn, sql, [delivery], |row| {
        let (event, webhook) = (row.get(0)?, row.get(1)?);
        let (due_at, attempts, tries, chain) = (row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?);
        Ok(Waiting { delivery, event, webhook, due_at, attempts, tries, chain })
    })
}

/// Ends a waiting delivery without an attempt, which leaves a row all the
/// same: where a delivery stands is told by its last row. Whoever waits behind
/// it is the caller's to let go.
pub(super) fn end_unattempted(
    conn: &Connection,
    waiting: &Waiting,
    ending: Ending<'_>,
    now: Timestamp,
) -> Result<(), Failure> {
    sql::run(conn, "DELETE FROM pending WHERE delivery = ?1", [waiting.delivery])?;
    let attempt = unattempted(waiting, ending, now);
    let detail = detail_text(&attempt.detail)?;
    insert(conn, &mut conn.prepare_cached(RECORD)?, &attempt, attempt.outcome.state(), detail.as_deref())
}

/// Reads a delivery's attempts.
pub(super) const OF_DELIVERY: &str =
    "SELECT key, event, webhook, started_at, duration_us, state, status, cause, detail FROM attempts
     WHERE key >= ?1 AND key < ?2 ORDER BY key DESC LIMIT ?3";

/// The attempts of a delivery, the last first, at most `limit`.
pub(super) fn of_delivery(conn: &Connection, delivery: i64, limit: i64) -> Result<Vec<AttemptRow>, Failure> {
    let range = (first_key(delivery), first_key(delivery.saturating_add(1)), limit);
    sql::many(conn, OF_DELIVERY, range, read)
}

/// Reads the answer to a delivery's last attempt.
const LAST_ANSWER: &str =
    "SELECT status, cause FROM attempts WHERE key >= ?1 AND key < ?2 ORDER BY key DESC LIMIT 1";

/// What a delivery's last attempt was answered with, if there was one.
pub(super) fn last_answer(conn: &Connection, delivery: i64) -> Result<Option<AnswerClass>, Failure> {
    let range = (first_key(delivery), first_key(delivery.saturating_add(1)));
    let answer = sql::one(conn, LAST_ANSWER, range, |row| {
        let cause = row.get::<_, Option<String>>(1)?.map(cause).transpose()?;
        Ok(AnswerClass::of(row.get(0)?, cause))
    })?;
    Ok(answer.flatten())
}

fn read(row: &Row<'_>) -> Result<AttemptRow, Failure> {
    Ok(AttemptRow {
        event: row.get(1)?,
        webhook: row.get(2)?,
        logged: logged(Columns {
            number: row.get::<_, i64>(0)? % NUMBERS,
            started_at: row.get(3)?,
            duration_us: row.get(4)?,
            state: row.get(5)?,
            status: row.get(6)?,
            cause: row.get(7)?,
            detail: row.get(8)?,
        })?,
    })
}
