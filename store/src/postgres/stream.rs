//! Reads the log of events forwards, from any place in it.
//!
//! Nothing may appear behind a place that somebody has read up to. So reading stops
//! at `settled`, a key below which nothing can (`settled_before`).

use callboard_domain::clock::Timestamp;
use callboard_domain::id::{DeliveryKey, EventKey, TenantKey, WebhookKey};
use callboard_domain::store::Stretch;

use super::event_list::candidates;
use super::failure::Failure;
use super::sql::{self, Connection, get};
use super::{events, timeline};
use crate::rows::count;

/// The place behind every event accepted before a time, or behind all.
pub(super) async fn place(
    conn: &Connection,
    settled: i64,
    before: Option<Timestamp>,
) -> Result<EventKey, Failure> {
    let last = settled - 1;
    let Some(before) = before else { return Ok(EventKey(last)) };
    let (first, _) = timeline::span(conn, Some(before), None).await?;
    Ok(EventKey((first.event - 1).min(last)))
}

/// The tenant's events, with the sizes of their bodies.
pub(super) const ALL: &str = candidates!("key, NULL::bigint, octet_length(body)", "", "");

/// The events that a webhook has a delivery of, with those deliveries. The body of
/// an echo is that of its origin.
pub(super) const HEARD: &str = "SELECT event, delivery, (
        SELECT octet_length(coalesce(origin.body, events.body))
        FROM events LEFT JOIN LATERAL (
            SELECT body FROM events AS event WHERE event.key = events.origin LIMIT 1
        ) AS origin ON TRUE
        WHERE events.key = known.event AND events.tenant = $1
    ) FROM (
        (SELECT event, delivery FROM pending WHERE webhook = $5 AND delivery >= $6 ORDER BY delivery LIMIT $4)
        UNION
        (SELECT event, delivery FROM attempts WHERE webhook = $5 AND number = 1 AND delivery >= $6
         ORDER BY delivery LIMIT $4)
    ) AS known WHERE event >= $2 AND event < $3 ORDER BY delivery LIMIT $4";

/// What follows a place in the log, for a tenant or one of its webhooks.
pub(super) async fn after(
    conn: &Connection,
    settled: i64,
    (tenant, webhook): (TenantKey, Option<WebhookKey>),
    after: EventKey,
    limit: usize,
    max_bytes: usize,
) -> Result<Stretch, Failure> {
    let limit = limit.max(1);
    let end = (settled - 1).max(after.0);
    // One more than needed tells whether more follow.
    let (from, to, most) = (after.0 + 1, end.saturating_add(1), count(limit.saturating_add(1)));
    let read = |row: &tokio_postgres::Row| Ok((get(row, 0)?, get(row, 1)?, get(row, 2)?));
    let found: Vec<(i64, Option<i64>, Option<i32>)> = match webhook {
        None => sql::many(conn, ALL, &[&tenant.0, &from, &to, &most], read).await?,
        Some(webhook) => match timeline::first_after(conn, after.0).await? {
            None => Vec::new(),
            Some(first) => {
                let first = first.first_delivery;
                sql::many(conn, HEARD, &[&tenant.0, &from, &to, &most, &webhook.0, &first], read).await?
            }
        },
    };
    let (mut chosen, mut room, mut more) = (Vec::new(), max_bytes, false);
    for (key, delivery, bytes) in found {
        let Some(bytes) = bytes.and_then(|bytes| usize::try_from(bytes).ok()) else { continue };
        if chosen.len() == limit || (bytes > room && !chosen.is_empty()) {
            more = true;
            break;
        }
        room = room.saturating_sub(bytes);
        chosen.push((key, delivery));
    }
    let end = chosen.last().filter(|_| more).map_or(end, |(key, _)| *key);
    let keys: Vec<i64> = chosen.iter().map(|(key, _)| *key).collect();
    let mut read = events::by_keys(conn, &keys).await?;
    let events = chosen
        .into_iter()
        .filter_map(|(key, delivery)| Some((read.remove(&key)?, delivery.map(DeliveryKey))));
    Ok(Stretch { events: events.collect(), end: EventKey(end), more })
}
