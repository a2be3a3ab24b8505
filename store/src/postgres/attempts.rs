//! Writes attempts down and moves their deliveries on.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use callboard_domain::clock::Timestamp;
use callboard_domain::delivery::{Attempt, LoggedAttempt, Outcome, State};
use callboard_domain::id::WebhookKey;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::chains;
use super::failure::Failure;
use super::sql::{self, Connection, get};
use crate::rows::attempts::{
    Columns, Ending, Waiting, detail_text, due_again, duration_us, logged, state_after_all, unattempted,
};
use crate::rows::counts::{self, Counted};
use crate::rows::{cause_text, micros, state, state_code};

/// Attempts that one caller wants written down.
pub(super) struct Finishing {
    pub(super) attempts: Arc<Vec<Attempt>>,
    /// The detail of each, as it is stored.
    pub(super) details: Vec<Option<String>>,
    pub(super) now: Timestamp,
}

/// One attempt, and which of the callers brought it.
#[derive(Clone, Copy)]
struct Finished<'a> {
    caller: usize,
    attempt: &'a Attempt,
    detail: Option<&'a str>,
}

/// The chains of deliveries that wait.
pub(super) const CHAINS: &str = "SELECT chain FROM pending WHERE delivery = ANY($1) AND chain <> 0";

/// Writes down what several callers bring, and tells each the lanes in which
/// something is due now that waited behind one of its own.
pub(super) async fn finish(
    conn: &Connection,
    asked: &[&Finishing],
    counted: &mut Counted,
) -> Result<Vec<Vec<WebhookKey>>, Failure> {
    let mut due = vec![Vec::new(); asked.len()];
    let mut left: Vec<Finished<'_>> = Vec::new();
    for (caller, finishing) in asked.iter().enumerate() {
        let details = finishing.details.iter().map(Option::as_deref);
        let finished = finishing.attempts.iter().zip(details);
        left.extend(finished.map(|(attempt, detail)| Finished { caller, attempt, detail }));
    }
    let Some(now) = asked.iter().map(|finishing| finishing.now).max() else { return Ok(due) };
    let deliveries: Vec<i64> = left.iter().map(|finished| finished.attempt.delivery.0).collect();
    let chains: Vec<i64> = sql::many(conn, CHAINS, &[&deliveries], |row| get(row, 0)).await?;
    chains::lock(conn, &chains).await?;
    while !left.is_empty() {
        // One statement moves a delivery once.
        let mut seen = HashSet::new();
        let (mut round, rest): (Vec<_>, Vec<_>) =
            left.into_iter().partition(|finished| seen.insert(finished.attempt.delivery));
        // In one order, so that nobody waits in a circle.
        round.sort_unstable_by_key(|finished| finished.attempt.delivery);
        for (caller, webhook) in finish_round(conn, &round, now, counted).await? {
            due[caller].push(webhook);
        }
        left = rest;
    }
    Ok(due)
}

async fn finish_round(
    conn: &Connection,
    round: &[Finished<'_>],
    now: Timestamp,
    counted: &mut Counted,
) -> Result<Vec<(usize, WebhookKey)>, Failure> {
    let moved = move_on(conn, round).await?;
    let (waited, late): (Vec<&Finished<'_>>, Vec<&Finished<'_>>) =
        round.iter().partition(|finished| moved.contains_key(&finished.attempt.delivery.0));
    for finished in waited {
        counts::count(counted, finished.attempt, finished.attempt.outcome.state());
    }
    if !late.is_empty() {
        write_late(conn, &late, counted).await?;
    }
    let gone = chains::let_next_go(conn, moved.values().copied(), now).await?;
    let is_due = |finished: &&Finished<'_>| {
        moved.get(&finished.attempt.delivery.0).is_some_and(|chain| gone.contains(chain))
    };
    Ok(round.iter().filter(is_due).map(|finished| (finished.caller, finished.attempt.webhook)).collect())
}

/// Moves those deliveries on that still wait for the very attempt, and writes that
/// down, in one statement.
pub(super) const MOVE_ON: &str = "WITH given AS MATERIALIZED (
        SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::integer[], $5::bigint[], $6::bigint[],
            $7::smallint[], $8::integer[], $9::text[], $10::text[], $11::bigint[], $12::integer[])
            AS given (delivery, event, webhook, number, started_at, duration_us, state, status, cause, detail,
                due_at, tries)
    ), retried AS (
        UPDATE pending SET due_at = given.due_at, attempts = given.number, tries = given.tries, node = NULL
        FROM given
        WHERE given.due_at IS NOT NULL
          AND pending.delivery = given.delivery AND pending.attempts = given.number - 1
        RETURNING given.*, 0::bigint AS chain
    ), ended AS (
        DELETE FROM pending USING given
        WHERE given.due_at IS NULL
          AND pending.delivery = given.delivery AND pending.attempts = given.number - 1
        RETURNING given.*, pending.chain
    ), moved AS (
        SELECT * FROM retried UNION ALL SELECT * FROM ended
    ), written AS (
        INSERT INTO attempts
            (delivery, event, webhook, number, started_at, duration_us, state, status, cause, detail)
        SELECT delivery, event, webhook, number, started_at, duration_us, state, status, cause, detail
        FROM moved ON CONFLICT DO NOTHING
    )
    SELECT delivery, chain FROM moved";

/// Returns the deliveries that were moved on, with the chain of those that are
/// over, and else 0.
async fn move_on(conn: &Connection, round: &[Finished<'_>]) -> Result<HashMap<i64, i64>, Failure> {
    let (mut rows, mut due_at, mut tries) = (Rows::default(), Vec::new(), Vec::new());
    for finished in round {
        rows.add(finished.attempt, finished.attempt.outcome.state(), finished.detail);
        due_at.push(match finished.attempt.outcome {
            Outcome::Retry(at) => Some(due_again(at)),
            _ => None,
        });
        tries.push(finished.attempt.tries.cast_signed());
    }
    let mut values = rows.values();
    values.push(&due_at);
    values.push(&tries);
    let moved = sql::many(conn, MOVE_ON, &values, |row| Ok((get(row, 0)?, get(row, 1)?))).await?;
    Ok(moved.into_iter().collect())
}

/// What is known of attempts that their deliveries no longer waited for: nothing
/// where the event is gone.
pub(super) const LATE: &str = "SELECT given.delivery, written.state, written.cause
    FROM unnest($1::bigint[], $2::bigint[], $3::integer[]) AS given (event, delivery, number)
    CROSS JOIN LATERAL (SELECT FROM events WHERE key = given.event LIMIT 1) AS event
    LEFT JOIN LATERAL (
        SELECT state, cause FROM attempts
        WHERE attempts.delivery = given.delivery AND attempts.number = given.number LIMIT 1
    ) AS written ON TRUE";

async fn write_late(conn: &Connection, late: &[&Finished<'_>], counted: &mut Counted) -> Result<(), Failure> {
    let events: Vec<i64> = late.iter().map(|finished| finished.attempt.event.0).collect();
    let deliveries: Vec<i64> = late.iter().map(|finished| finished.attempt.delivery.0).collect();
    let numbers: Vec<i32> = late.iter().map(|finished| finished.attempt.number.cast_signed()).collect();
    let known = sql::many(conn, LATE, &[&events, &deliveries, &numbers], |row| {
        let code: Option<i16> = get(row, 1)?;
        let written = code.map(|code| Ok::<_, Failure>((state(code.into())?, get(row, 2)?))).transpose()?;
        Ok((get::<i64>(row, 0)?, written))
    })
    .await?;
    let mut known: HashMap<i64, Option<(State, Option<String>)>> = known.into_iter().collect();
    let mut rows = Rows::default();
    for finished in late {
        let Some(written) = known.remove(&finished.attempt.delivery.0) else { continue };
        if let Some(state) = state_after_all(finished.attempt, written) {
            counts::count(counted, finished.attempt, state);
            rows.add(finished.attempt, state, finished.detail);
        }
    }
    rows.write(conn).await
}

/// Ends waiting deliveries without an attempt, which leaves a row of each all the
/// same. Whoever waits behind them is the caller's to let go.
pub(super) async fn end_unattempted(
    conn: &Connection,
    waiting: &[Waiting],
    ending: Ending<'_>,
    now: Timestamp,
) -> Result<(), Failure> {
    if waiting.is_empty() {
        return Ok(());
    }
    let deliveries: Vec<i64> = waiting.iter().map(|one| one.delivery).collect();
    sql::run(conn, "DELETE FROM pending WHERE delivery = ANY($1)", &[&deliveries]).await?;
    write_unattempted(conn, waiting, ending, now).await
}

/// Leaves the rows of deliveries that ended without an attempt.
pub(super) async fn write_unattempted(
    conn: &Connection,
    waiting: &[Waiting],
    ending: Ending<'_>,
    now: Timestamp,
) -> Result<(), Failure> {
    let attempts: Vec<Attempt> = waiting.iter().map(|one| unattempted(one, ending, now)).collect();
    let details =
        attempts.iter().map(|attempt| detail_text(&attempt.detail)).collect::<Result<Vec<_>, _>>()?;
    let mut rows = Rows::default();
    for (attempt, detail) in attempts.iter().zip(&details) {
        rows.add(attempt, attempt.outcome.state(), detail.as_deref());
    }
    rows.write(conn).await
}

/// The columns of attempts to be written.
#[derive(Default)]
struct Rows<'a> {
    deliveries: Vec<i64>,
    events: Vec<i64>,
    webhooks: Vec<i64>,
    numbers: Vec<i32>,
    started_at: Vec<i64>,
    duration_us: Vec<i64>,
    states: Vec<i16>,
    statuses: Vec<Option<i32>>,
    causes: Vec<Option<String>>,
    details: Vec<Option<&'a str>>,
}

impl<'a> Rows<'a> {
    fn add(&mut self, attempt: &Attempt, state: State, detail: Option<&'a str>) {
        self.deliveries.push(attempt.delivery.0);
        self.events.push(attempt.event.0);
        self.webhooks.push(attempt.webhook.0);
        self.numbers.push(attempt.number.cast_signed());
        self.started_at.push(micros(attempt.started_at));
        self.duration_us.push(duration_us(attempt));
        self.states.push(i16::try_from(state_code(state)).unwrap_or(i16::MAX));
        self.statuses.push(attempt.status.map(i32::from));
        self.causes.push(attempt.cause.and_then(cause_text));
        self.details.push(detail);
    }

    fn values(&self) -> Vec<&(dyn ToSql + Sync)> {
        vec![
            &self.deliveries,
            &self.events,
            &self.webhooks,
            &self.numbers,
            &self.started_at,
            &self.duration_us,
            &self.states,
            &self.statuses,
            &self.causes,
            &self.details,
        ]
    }

    /// Writes them, each in the place of one of the same number.
    async fn write(&self, conn: &Connection) -> Result<(), Failure> {
        if self.deliveries.is_empty() {
            return Ok(());
        }
        let sql = "INSERT INTO attempts
                (delivery, event, webhook, number, started_at, duration_us, state, status, cause, detail)
            SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::integer[], $5::bigint[],
                $6::bigint[], $7::smallint[], $8::integer[], $9::text[], $10::text[])
            ON CONFLICT (delivery, number) DO UPDATE SET
                started_at = excluded.started_at, duration_us = excluded.duration_us, state = excluded.state,
                status = excluded.status, cause = excluded.cause, detail = excluded.detail";
        sql::run(conn, sql, &self.values()).await.map(drop)
    }
}

/// The columns of attempts that [`read`] reads.
macro_rules! attempt_columns {
    () => {
        "number, started_at, duration_us, state, status, cause, detail"
    };
}
pub(super) use attempt_columns;

/// Reads [`attempt_columns`] of a row, from the column `first` on.
pub(super) fn read(row: &Row, first: usize) -> Result<LoggedAttempt, Failure> {
    let status: Option<i32> = get(row, first + 4)?;
    Ok(logged(Columns {
        number: get::<i32>(row, first)?.into(),
        started_at: get(row, first + 1)?,
        duration_us: get(row, first + 2)?,
        state: get::<i16>(row, first + 3)?.into(),
        status: status.and_then(|status| u16::try_from(status).ok()),
        cause: get(row, first + 5)?,
        detail: get(row, first + 6)?,
    })?)
}

/// The columns of pending that [`read_waiting`] reads.
macro_rules! waiting_columns {
    () => {
        "delivery, event, webhook, due_at, attempts, tries, chain"
    };
}
pub(super) use waiting_columns;

/// Reads [`waiting_columns`] of a row.
pub(super) fn read_waiting(row: &Row) -> Result<Waiting, Failure> {
    Ok(Waiting {
        delivery: get(row, 0)?,
        event: get(row, 1)?,
        webhook: get(row, 2)?,
        due_at: get(row, 3)?,
        attempts: get::<i32>(row, 4)?.unsigned_abs(),
        tries: get::<i32>(row, 5)?.unsigned_abs(),
        chain: get(row, 6)?,
    })
}

/// The delivery, if it waits.
pub(super) async fn waiting(conn: &Connection, delivery: i64) -> Result<Option<Waiting>, Failure> {
    let sql = concat!("SELECT ", waiting_columns!(), " FROM pending WHERE delivery = $1");
    sql::one(conn, sql, &[&delivery], read_waiting).await
}
