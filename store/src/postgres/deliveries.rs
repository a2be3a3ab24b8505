//! Reads deliveries back: where each stands, and what was tried.

use callboard_domain::delivery::{AnswerClass, DeliverySummary, LoggedAttempt, State};
use callboard_domain::id::{DeliveryKey, EventKey, TenantKey};
use callboard_domain::store::{Listed, Page};
use tokio_postgres::Row;

use super::attempts::{self, attempt_columns};
use super::echoes;
use super::failure::Failure;
use super::sql::{self, Connection, get};
use crate::rows::attempts::{Waiting, waiting_state};
use crate::rows::deliveries::{AttemptRow, EventColumns, Standing};
use crate::rows::looked::Looked;
use crate::rows::{cause, count, state, wanted};

/// Deliveries with the row of each that waits, and the last attempt of each.
macro_rules! standings {
    ($columns:literal, $rest:literal) => {
        concat!(
            "SELECT wanted.delivery, ",
            $columns,
            " FROM unnest($1::bigint[]) WITH ORDINALITY AS wanted (delivery, place)
             LEFT JOIN pending ON pending.delivery = wanted.delivery
             LEFT JOIN LATERAL (
                 SELECT * FROM attempts WHERE attempts.delivery = wanted.delivery ORDER BY number DESC LIMIT 1
             ) AS last ON TRUE ",
            $rest
        )
    };
}

/// Where deliveries stand, and their events.
pub(super) const SUMMARIES: &str = standings!(
    "pending.event, pending.webhook, pending.due_at, pending.attempts, pending.tries, pending.chain,
     last.event, last.webhook, last.number, last.started_at, last.duration_us, last.state, last.status,
     last.cause, last.detail, event.id, event.type, event.subject, event.accepted_at, event.tenant",
    "CROSS JOIN LATERAL (
         SELECT id, type, subject, accepted_at, tenant FROM events
         WHERE key = coalesce(pending.event, last.event) LIMIT 1
     ) AS event
     ORDER BY wanted.place"
);

/// What a delivery is in, and how often it was attempted; only those whose event
/// is of a type and about a subject, where that is asked for.
pub(super) const STANCES: &str = standings!(
    "coalesce(pending.attempts, last.number), pending.tries, last.state, last.status, last.cause, last.delivery",
    "WHERE coalesce(pending.event, last.event) IS NOT NULL
       AND (($2::text IS NULL AND $3::text IS NULL) OR (
           SELECT ($2 IS NULL OR type = $2) AND ($3 IS NULL OR subject = $3)
           FROM events WHERE key = coalesce(pending.event, last.event)
       ))
     ORDER BY wanted.place"
);

fn standing_of(row: &Row) -> Result<Standing, Failure> {
    let delivery: i64 = get(row, 0)?;
    let waiting = match get::<Option<i64>>(row, 1)? {
        None => None,
        Some(event) => Some(Waiting {
            delivery,
            event,
            webhook: get(row, 2)?,
            due_at: get(row, 3)?,
            attempts: get::<i32>(row, 4)?.unsigned_abs(),
            tries: get::<i32>(row, 5)?.unsigned_abs(),
            chain: get(row, 6)?,
        }),
    };
    let last = match get::<Option<i64>>(row, 7)? {
        None => None,
        Some(event) => Some(AttemptRow { event, webhook: get(row, 8)?, logged: attempts::read(row, 9)? }),
    };
    Standing::of(delivery, waiting, last)
        .ok_or_else(|| Failure::Corrupt("a delivery without rows".to_owned()))
}

/// A delivery, and whose it is.
pub(super) struct Owned {
    pub(super) tenant: TenantKey,
    pub(super) standing: Standing,
    event: EventColumns,
}

fn owned(row: &Row) -> Result<Owned, Failure> {
    let event = EventColumns {
        id: get(row, 16)?,
        type_name: get(row, 17)?,
        subject: get(row, 18)?,
        accepted_at: get(row, 19)?,
    };
    Ok(Owned { tenant: TenantKey(get(row, 20)?), standing: standing_of(row)?, event })
}

/// Where the tenant's delivery stands; `None` when there is none, or it is pruned.
pub(super) async fn standing(
    conn: &Connection,
    tenant: TenantKey,
    delivery: DeliveryKey,
) -> Result<Option<Owned>, Failure> {
    let found = sql::one(conn, SUMMARIES, &[&[delivery.0].as_slice()], owned).await?;
    Ok(found.filter(|owned| owned.tenant == tenant))
}

/// What lists show of these deliveries, in this order; those that are pruned are
/// left out.
pub(super) async fn summaries(conn: &Connection, keys: &[i64]) -> Result<Vec<DeliverySummary>, Failure> {
    sql::many(conn, SUMMARIES, &[&keys], |row| {
        let Owned { standing, event, .. } = owned(row)?;
        Ok(standing.summary(event)?)
    })
    .await
}

/// A delivery, as far as choosing it asks for.
pub(super) struct Stance {
    pub(super) delivery: i64,
    pub(super) state: State,
    pub(super) attempts: u32,
    /// What the last attempt was answered with.
    pub(super) answer: Option<AnswerClass>,
}

/// How these deliveries stand, in this order; those that are pruned, or whose event
/// is of another type or about something else, are left out.
pub(super) async fn stances(
    conn: &Connection,
    keys: &[i64],
    type_name: Option<&str>,
    subject_id: Option<&str>,
) -> Result<Vec<Stance>, Failure> {
    sql::many(conn, STANCES, &[&keys, &type_name, &subject_id], |row| {
        let state = match get::<Option<i32>>(row, 2)? {
            Some(tries) => waiting_state(tries.unsigned_abs()),
            None => state(get::<i16>(row, 3)?.into())?,
        };
        Ok(Stance {
            delivery: get(row, 0)?,
            state,
            attempts: get::<i32>(row, 1)?.unsigned_abs(),
            answer: answer(row)?,
        })
    })
    .await
}

/// What the last attempt was answered with, if there was one.
fn answer(row: &Row) -> Result<Option<AnswerClass>, Failure> {
    if get::<Option<i64>>(row, 6)?.is_none() {
        return Ok(None);
    }
    let status = get::<Option<i32>>(row, 4)?.and_then(|status| status.try_into().ok());
    Ok(AnswerClass::of(status, get::<Option<String>>(row, 5)?.map(cause).transpose()?))
}

/// The attempts of a delivery, oldest first.
pub(super) const LOG: &str =
    concat!("SELECT ", attempt_columns!(), " FROM attempts WHERE delivery = $1 ORDER BY number");

/// One delivery with all its attempts, oldest first.
pub(super) async fn one(
    conn: &Connection,
    tenant: TenantKey,
    delivery: DeliveryKey,
) -> Result<Option<(DeliverySummary, Vec<LoggedAttempt>)>, Failure> {
    let Some(Owned { standing, event, .. }) = standing(conn, tenant, delivery).await? else {
        return Ok(None);
    };
    let log = sql::many(conn, LOG, &[&delivery.0], |row| attempts::read(row, 0)).await?;
    Ok(Some((standing.summary(event)?, log)))
}

/// The deliveries of one event, in the order of their making.
pub(super) async fn of_event(
    conn: &Connection,
    event: EventKey,
    page: Page,
) -> Result<Listed<DeliverySummary>, Failure> {
    let made =
        "SELECT first_delivery, first_delivery + octet_length(webhooks) / 4 FROM events WHERE key = $1";
    let made = sql::one(conn, made, &[&event.0], |row| Ok((get(row, 0)?, get(row, 1)?))).await?;
    let (first, end): (i64, i64) = made.unwrap_or_default();
    let start = page.after.map_or(first, |after| first.max(after.saturating_add(1)));
    // One more than needed tells whether more follow.
    let most = wanted(page);
    let mut keys: Vec<i64> = (start..end.min(start.saturating_add(most))).collect();
    let late = echoes::deliveries(conn, event, start.max(end), most - count(keys.len())).await?;
    keys.extend(late);
    let (keys, next) = Looked { fitting: keys, last: None }.cut(page);
    Ok(Listed { items: summaries(conn, &keys).await?, next })
}
