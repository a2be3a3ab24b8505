//! Reads the log of events forwards, from any place in it.

use callboard_domain::clock::Timestamp;
use callboard_domain::id::{DeliveryKey, EventKey, TenantKey, WebhookKey};
use callboard_domain::store::Stretch;
use rusqlite::Connection;

use super::failure::Failure;
use super::{deliveries, events, log_index, sql, timeline};

/// The place behind every event accepted before a time, or behind all.
pub(super) fn place(conn: &Connection, before: Option<Timestamp>) -> Result<EventKey, Failure> {
    let last = last(conn)?;
    let Some(before) = before else { return Ok(EventKey(last)) };
    let (first, _) = timeline::span(conn, Some(before), None)?;
    Ok(EventKey((first.event - 1).min(last)))
}

/// The last event that was recorded, also when it is pruned.
fn last(conn: &Connection) -> Result<i64, Failure> {
    let sql = "SELECT max(ifnull((SELECT max(key) FROM events), 0),
                          (SELECT value - 1 FROM marks WHERE name = 'next_event'))";
    Ok(sql::value(conn, sql, [])?.unwrap_or(0))
}

/// What follows a place in the log, for a tenant or one of its webhooks.
pub(super) fn after(
    conn: &Connection,
    (tenant, webhook): (TenantKey, Option<WebhookKey>),
    after: EventKey,
    limit: usize,
    max_bytes: usize,
) -> Result<Stretch, Failure> {
    let limit = limit.max(1);
    let keys = match webhook {
        None => {
            let keys = log_index::events_upwards(
                conn,
                tenant,
                log_index::EVERY,
                (after.0 + 1, i64::MAX),
                limit + 1,
            )?;
            keys.into_iter().map(|key| (key, None)).collect()
        }
        Some(webhook) => heard_by(conn, webhook, after, limit + 1)?,
    };
    let mut bytes = 0;
    let mut stretch = Stretch { events: Vec::new(), end: EventKey(last(conn)?.max(after.0)), more: false };
    for (key, delivery) in keys {
        let Some(event) = events::by_key(conn, key)?.filter(|event| event.tenant == tenant) else { continue };
        bytes += event.body.len();
        if stretch.events.len() == limit || (bytes > max_bytes && !stretch.events.is_empty()) {
            stretch.more = true;
            break;
        }
        stretch.events.push((event, delivery.map(DeliveryKey)));
    }
    if stretch.more
        && let Some((event, _)) = stretch.events.last()
    {
        stretch.end = event.key;
    }
    Ok(stretch)
}

/// The events that a webhook has a delivery of, and those deliveries.
fn heard_by(
    conn: &Connection,
    webhook: WebhookKey,
    after: EventKey,
    limit: usize,
) -> Result<Vec<(i64, Option<i64>)>, Failure> {
    let Some(first) = timeline::first_after(conn, after.0)? else { return Ok(Vec::new()) };
    let range = (first.first_delivery, i64::MAX);
    let deliveries = log_index::deliveries_upwards(conn, webhook, range, first.event, limit)?;
    let mut heard = Vec::with_capacity(deliveries.len());
    for delivery in deliveries {
        if let Some(standing) = deliveries::standing(conn, delivery)? {
            heard.push((standing.event, Some(delivery)));
        }
    }
    Ok(heard)
}
