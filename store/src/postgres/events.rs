//! Records events with their deliveries, and reads single events back.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use callboard_domain::clock::Timestamp;
use callboard_domain::delivery::StoredEvent;
use callboard_domain::id::{EventId, EventKey, TenantKey};
use callboard_domain::wire::Renderings;
use tokio_postgres::Row;

use super::failure::Failure;
use super::sql::{self, Connection, get};
use crate::rows::{count, micros, parsed, timestamp};

/// Keys for new events and deliveries, and when they are accepted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Keys {
    pub(super) first_event: i64,
    pub(super) first_delivery: i64,
    /// In microseconds.
    pub(super) accepted_at: i64,
}

/// Takes keys. Chains are locked before.
pub(super) async fn next_keys(
    conn: &Connection,
    events: usize,
    deliveries: usize,
    now: Timestamp,
) -> Result<Keys, Failure> {
    let sql = "SELECT first_event, first_delivery, accepted_at FROM next_keys($1, $2, $3)";
    let keys = sql::one(conn, sql, &[&count(events), &count(deliveries), &micros(now)], |row| {
        Ok(Keys { first_event: get(row, 0)?, first_delivery: get(row, 1)?, accepted_at: get(row, 2)? })
    })
    .await?;
    keys.ok_or_else(|| Failure::Corrupt("there are no keys".to_owned()))
}

/// A key of events below which nothing can still appear. Only a snapshot that is
/// taken afterwards shows everything below it, so this is asked before a
/// transaction begins that reads on one.
pub(super) async fn settled_before(conn: &Connection) -> Result<i64, Failure> {
    let settled = sql::value(conn, "SELECT settled_before()", &[]).await?;
    settled.ok_or_else(|| Failure::Corrupt("no key is settled".to_owned()))
}

/// The columns that [`stored_event`] reads, of a row of events named `event`. An
/// echo takes the rest from its origin.
macro_rules! stored_event_columns {
    () => {
        "event.key, event.tenant, event.id, event.type, event.subject,
         coalesce(origin.accepted_at, event.accepted_at),
         length(event.webhooks) / 4 + (SELECT count(*) FROM late_deliveries WHERE origin = event.key),
         coalesce(origin.body, event.body), coalesce(origin.quantity_diff, event.quantity_diff)"
    };
}

/// Where [`stored_event_columns`] come from.
macro_rules! stored_event_source {
    () => {
        " FROM events AS event LEFT JOIN events AS origin ON origin.key = event.origin "
    };
}
pub(super) use {stored_event_columns, stored_event_source};

/// Reads a row of [`stored_event_columns`].
pub(super) fn stored_event(row: &Row) -> Result<StoredEvent, Failure> {
    Ok(StoredEvent {
        key: EventKey(get(row, 0)?),
        tenant: TenantKey(get(row, 1)?),
        id: parsed(row.try_get::<_, &str>(2)?, "event id")?,
        type_name: get(row, 3)?,
        subject_id: get(row, 4)?,
        accepted_at: timestamp(get(row, 5)?)?,
        deliveries: u32::try_from(get::<i64>(row, 6)?).unwrap_or(u32::MAX),
        body: Bytes::from(get::<Vec<u8>>(row, 7)?),
        quantity_diff: get(row, 8)?,
        renderings: Renderings::default(),
    })
}

/// One event by its public id.
pub(super) async fn by_id(
    conn: &Connection,
    tenant: TenantKey,
    id: &EventId,
) -> Result<Option<StoredEvent>, Failure> {
    let sql = concat!(
        "SELECT ",
        stored_event_columns!(),
        stored_event_source!(),
        "WHERE event.key = (SELECT event FROM event_ids WHERE tenant = $1 AND id = $2)"
    );
    sql::one(conn, sql, &[&tenant.0, &id.as_str()], stored_event).await
}

/// Events by their rows, to be shared; those that are gone are left out.
pub(super) async fn by_keys(
    conn: &Connection,
    keys: &[i64],
) -> Result<HashMap<i64, Arc<StoredEvent>>, Failure> {
    let sql =
        concat!("SELECT ", stored_event_columns!(), stored_event_source!(), "WHERE event.key = ANY($1)");
    let events = sql::many(conn, sql, &[&keys], |row| stored_event(row).map(Arc::new)).await?;
    Ok(events.into_iter().map(|event| (event.key.0, event)).collect())
}
