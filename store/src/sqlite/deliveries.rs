//! Reads deliveries back: where each stands, and what was tried.

use callboard_domain::delivery::{DeliverySummary, LoggedAttempt};
use callboard_domain::id::{DeliveryKey, EventKey, TenantKey};
use callboard_domain::store::{Listed, Page};
use rusqlite::Connection;

use super::failure::Failure;
use super::{attempts, echoes, sql};
use crate::rows::deliveries::{EventColumns, Standing};

/// What of an event to ask for.
#[derive(Default)]
pub(super) struct Wanted<'a> {
    pub(super) tenant: Option<TenantKey>,
    pub(super) type_name: Option<&'a str>,
    pub(super) subject_id: Option<&'a str>,
}

/// Where the delivery stands; `None` when there is none, or it is pruned.
pub(super) fn standing(conn: &Connection, delivery: i64) -> Result<Option<Standing>, Failure> {
    let waiting = attempts::waiting(conn, delivery)?;
    let last = attempts::of_delivery(conn, delivery, 1)?.pop();
    Ok(Standing::of(delivery, waiting, last))
}

/// Whether its event is the tenant's.
pub(super) fn belongs_to(conn: &Connection, standing: &Standing, tenant: TenantKey) -> Result<bool, Failure> {
    let owner = sql::value::<i64>(conn, "SELECT tenant FROM events WHERE key = ?1", [standing.event])?;
    Ok(owner == Some(tenant.0))
}

/// Reads what is missing for a list; `None` when the event is not the one
/// wanted.
pub(super) fn summary(
    conn: &Connection,
    standing: Standing,
    wanted: &Wanted<'_>,
) -> Result<Option<DeliverySummary>, Failure> {
    sql::one(
        conn,
        "SELECT id, type, subject, accepted_at FROM events
         WHERE key = ?1 AND (?2 IS NULL OR tenant = ?2)
           AND (?3 IS NULL OR type = ?3) AND (?4 IS NULL OR subject = ?4)",
        (standing.event, wanted.tenant.map(|tenant| tenant.0), wanted.type_name, wanted.subject_id),
        |row| {
            let (id, type_name, subject, accepted_at) = (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
            Ok(standing.summary(EventColumns { id, type_name, subject, accepted_at })?)
        },
    )
}

/// One delivery with all its attempts, oldest first.
pub(super) fn one(
    conn: &Connection,
    tenant: TenantKey,
    delivery: DeliveryKey,
) -> Result<Option<(DeliverySummary, Vec<LoggedAttempt>)>, Failure> {
    let Some(standing) = standing(conn, delivery.0)? else { return Ok(None) };
    let wanted = Wanted { tenant: Some(tenant), ..Wanted::default() };
    let Some(summary) = summary(conn, standing, &wanted)? else { return Ok(None) };
    let attempts = attempts::of_delivery(conn, delivery.0, attempts::NUMBERS)?;
    Ok(Some((summary, attempts.into_iter().rev().map(|row| row.logged).collect())))
}

/// The deliveries of one event, in the order of their making.
pub(super) fn of_event(
    conn: &Connection,
    event: EventKey,
    page: Page,
) -> Result<Listed<DeliverySummary>, Failure> {
    let sql = "SELECT first_delivery, first_delivery + length(webhooks) / 4 FROM events WHERE key = ?1";
    let range = sql::one(conn, sql, [event.0], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let (first, end): (i64, i64) = range.unwrap_or_default();
    let start = page.after.map_or(first, |after| first.max(after.saturating_add(1)));
    let limit = crate::rows::count(page.limit.max(1));
    let mut keys: Vec<i64> = (start..end.min(start.saturating_add(limit))).collect();
    // One more than needed tells whether more follow.
    let room = limit.saturating_add(1) - crate::rows::count(keys.len());
    keys.extend(echoes::deliveries(conn, event, start.max(end), room)?);
    let more = crate::rows::count(keys.len()) > limit || keys.last().is_some_and(|last| last + 1 < end);
    keys.truncate(page.limit.max(1));
    let mut items = Vec::new();
    for delivery in &keys {
        if let Some(standing) = standing(conn, *delivery)? {
            items.extend(summary(conn, standing, &Wanted::default())?);
        }
    }
    Ok(Listed { items, next: keys.last().copied().filter(|_| more) })
}
