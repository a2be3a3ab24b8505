//! Writes attempts down and moves their deliveries on.

use std::time::Duration;

use callboard_domain::clock::Timestamp;
use callboard_domain::delivery::{Attempt, AttemptDetail, Cause, LoggedAttempt, Outcome, State};
use callboard_domain::id::{DeliveryKey, EventKey, WebhookKey};
use rusqlite::{Connection, Row};

use super::columns::{BEHIND, cause, cause_text, micros, state, state_code, timestamp};
use super::failure::Failure;
use super::ledger::Write;
use super::{chains, sql, stats};

/// Attempt rows that a delivery has room for.
pub(super) const NUMBERS: i64 = 1_024;

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

/// The details of attempts as JSON, made before the writer is asked.
pub(super) fn details(attempts: &[Attempt]) -> Result<Vec<Option<String>>, Failure> {
    attempts.iter().map(|attempt| detail_text(&attempt.detail)).collect()
}

fn detail_text(detail: &AttemptDetail) -> Result<Option<String>, Failure> {
    if *detail == AttemptDetail::default() {
        return Ok(None);
    }
    serde_json::to_string(detail).map(Some).map_err(|error| Failure::Corrupt(error.to_string()))
}

/// Writes each attempt down.
pub(super) fn finish(
    write: &mut Write<'_>,
    attempts: &[Attempt],
    details: &[Option<String>],
    now: Timestamp,
) -> Result<Vec<WebhookKey>, Failure> {
    let mut due = Vec::new();
    for (attempt, detail) in attempts.iter().zip(details) {
        let state = match move_on(write.conn, attempt)? {
            Some(ended) => {
                if chains::let_next_go(write.conn, ended, now)? {
                    due.push(attempt.webhook);
                }
                Some(attempt.outcome.state())
            }
            None => state_after_all(write.conn, attempt)?,
        };
        if let Some(state) = state {
            stats::count(&mut write.ledger.stats, attempt, state);
            insert(write.conn, attempt, state, detail.as_deref())?;
        }
    }
    Ok(due)
}

/// Moves the waiting delivery on, if it still waits for this very attempt.
/// Returns the chain that it was in, if it is over, and else 0.
fn move_on(conn: &Connection, attempt: &Attempt) -> Result<Option<i64>, Failure> {
    let (delivery, before) = (attempt.delivery.0, i64::from(attempt.number) - 1);
    match attempt.outcome {
        Outcome::Retry(due_at) => sql::value(
            conn,
            "UPDATE pending SET due_at = ?3, attempts = ?4, tries = ?5
             WHERE delivery = ?1 AND attempts = ?2 RETURNING 0",
            (delivery, before, micros(due_at).min(BEHIND - 1), attempt.number, attempt.tries),
        ),
        _ => sql::value(
            conn,
            "DELETE FROM pending WHERE delivery = ?1 AND attempts = ?2 RETURNING chain",
            (delivery, before),
        ),
    }
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
    let called_off = |(state, cause): &(State, Option<String>)| {
        *state == State::Cancelled && *cause == cause_text(Cause::Cancelled)
    };
    if event.is_none() || written.is_some_and(|row| !called_off(&row)) {
        return Ok(None);
    }
    Ok(Some(if attempt.outcome == Outcome::Delivered { State::Delivered } else { State::Cancelled }))
}

fn insert(conn: &Connection, attempt: &Attempt, state: State, detail: Option<&str>) -> Result<(), Failure> {
    let duration = i64::try_from(attempt.duration.as_micros()).unwrap_or(i64::MAX);
    sql::run(
        conn,
        "INSERT OR REPLACE INTO attempts
             (key, event, webhook, started_at, duration_us, state, status, cause, detail)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        rusqlite::params![
            attempt_key(attempt.delivery.0, attempt.number),
            attempt.event.0,
            attempt.webhook.0,
            micros(attempt.started_at),
            duration,
            state_code(state),
            attempt.status,
            attempt.cause.and_then(cause_text),
            detail,
        ],
    )
    .map(drop)
}

/// A delivery that waits.
#[derive(Debug, Clone, Copy)]
pub(super) struct Waiting {
    pub(super) delivery: i64,
    pub(super) event: i64,
    pub(super) webhook: i64,
    pub(super) due_at: i64,
    pub(super) attempts: u32,
    pub(super) tries: u32,
    pub(super) chain: i64,
}

impl Waiting {
    /// Where it stands. A retry by hand starts its schedule anew, and makes it
    /// pending again.
    pub(super) const fn state(&self) -> State {
        if self.tries == 0 { State::Pending } else { State::Waiting }
    }
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

/// Why a waiting delivery ends without an attempt.
#[derive(Clone, Copy)]
pub(super) enum Ending<'a> {
    /// It was called off, for this reason.
    CalledOff(&'a str),
    /// A newer update takes its place.
    Superseded,
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
    let (outcome, cause, why) = match ending {
        Ending::CalledOff(why) => (Outcome::Cancelled, Cause::Cancelled, why),
        Ending::Superseded => {
            (Outcome::Superseded, Cause::Superseded, "a newer update of the same subject took its place")
        }
    };
    sql::run(conn, "DELETE FROM pending WHERE delivery = ?1", [waiting.delivery])?;
    let attempt = Attempt {
        delivery: DeliveryKey(waiting.delivery),
        event: EventKey(waiting.event),
        webhook: WebhookKey(waiting.webhook),
        number: waiting.attempts + 1,
        tries: 0,
        started_at: now,
        duration: Duration::ZERO,
        outcome,
        status: None,
        cause: Some(cause),
        detail: AttemptDetail { message: why.to_owned(), ..AttemptDetail::default() },
    };
    let detail = detail_text(&attempt.detail)?;
    insert(conn, &attempt, outcome.state(), detail.as_deref())
}

/// An attempt with the rows that it belongs to.
pub(super) struct AttemptRow {
    pub(super) event: i64,
    pub(super) webhook: i64,
    pub(super) logged: LoggedAttempt,
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

fn read(row: &Row<'_>) -> Result<AttemptRow, Failure> {
    let number = row.get::<_, i64>(0)? % NUMBERS;
    let detail: Option<String> = row.get(8)?;
    let detail = detail.map(|text| serde_json::from_str(&text)).transpose();
    let detail = detail.map_err(|error| Failure::Corrupt(format!("the detail of an attempt: {error}")))?;
    Ok(AttemptRow {
        event: row.get(1)?,
        webhook: row.get(2)?,
        logged: LoggedAttempt {
            number: u32::try_from(number).map_err(|_| Failure::Corrupt("a negative attempt".to_owned()))?,
            started_at: timestamp(row.get(3)?)?,
            duration: Duration::from_micros(row.get::<_, i64>(4)?.unsigned_abs()),
            state: state(row.get(5)?)?,
            status: row.get(6)?,
            cause: row.get::<_, Option<String>>(7)?.map(cause).transpose()?,
            detail: detail.unwrap_or_default(),
        },
    })
}
