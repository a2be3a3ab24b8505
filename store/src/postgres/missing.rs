//! Finds events that a webhook has no delivery of, oldest first, a piece at a
//! time. Whether it hears them is not asked here.

use std::sync::Arc;

use callboard_domain::id::{TenantKey, WebhookKey};
use callboard_domain::job::{Range, Selection};
use callboard_domain::store::Undelivered;
use tokio_postgres::Row;

use super::echoes::heard;
use super::event_list::candidates;
use super::events;
use super::failure::Failure;
use super::sql::{self, Connection, get};
use crate::rows::count;
use crate::rows::packed::pack_one;

/// Events with the sizes of their bodies, whether the webhook has a delivery of
/// each, and whether it is of the type that is selected.
macro_rules! looked_at {
    ($fits:literal, $condition:literal) => {
        candidates!(
            concat!("key, length(body), ", heard!("$5::bytea", "$6::bigint"), ", ", $fits),
            $condition,
            ""
        )
    };
}

/// The tenant's events.
pub(super) const ALL: &str = looked_at!("TRUE", "");

/// Those of one type.
pub(super) const OF_TYPE: &str = looked_at!("TRUE", " AND type = $7");

/// Those about one subject.
pub(super) const ABOUT: &str = looked_at!("TRUE", " AND subject = $7");

/// Those about one subject, and whether they are of a type.
pub(super) const ABOUT_AND_TYPE: &str = looked_at!("type = $8", " AND subject = $7");

/// An event that was looked at.
struct Candidate {
    key: i64,
    bytes: usize,
    heard: bool,
    fits: bool,
}

fn candidate(row: &Row) -> Result<Candidate, Failure> {
    let bytes = usize::try_from(get::<i32>(row, 1)?).unwrap_or(0);
    Ok(Candidate { key: get(row, 0)?, bytes, heard: get(row, 2)?, fits: get(row, 3)? })
}

/// Looks at the first `limit` of the tenant's events in a range that have the
/// type and subject selected, or at fewer when their bodies outgrow `max_bytes`.
pub(super) async fn find(
    conn: &Connection,
    (tenant, webhook): (TenantKey, WebhookKey),
    selection: &Selection,
    range: Range,
    limit: usize,
    max_bytes: usize,
) -> Result<Undelivered, Failure> {
    let candidates = look_at(conn, (tenant, webhook), selection, range, limit).await?;
    let (mut chosen, mut room) = (Vec::new(), max_bytes);
    let (mut looked_at, mut next) = (candidates.len(), None);
    if candidates.len() == limit {
        next = candidates.last().map(|last| last.key + 1);
    }
    for (index, one) in candidates.iter().enumerate() {
        if one.heard || !one.fits {
            continue;
        }
        if one.bytes > room && !chosen.is_empty() {
            (looked_at, next) = (index, Some(one.key));
            break;
        }
        room = room.saturating_sub(one.bytes);
        chosen.push((index, one.key));
    }
    let keys: Vec<i64> = chosen.iter().map(|(_, key)| *key).collect();
    let mut found = events::by_keys(conn, &keys).await?;
    let events = chosen
        .into_iter()
        .filter_map(|(index, key)| Some((index, Arc::unwrap_or_clone(found.remove(&key)?))));
    Ok(Undelivered { events: events.collect(), looked_at, next })
}

async fn look_at(
    conn: &Connection,
    (tenant, webhook): (TenantKey, WebhookKey),
    selection: &Selection,
    Range { from, to }: Range,
    limit: usize,
) -> Result<Vec<Candidate>, Failure> {
    let (packed, most) = (pack_one(webhook)?, count(limit));
    let packed = packed.as_slice();
    let (tenant, webhook) = (tenant.0, webhook.0);
    match (&selection.subject_id, &selection.type_name) {
        (None, None) => {
            sql::many(conn, ALL, &[&tenant, &from, &to, &most, &packed, &webhook], candidate).await
        }
        (None, Some(name)) => {
            sql::many(conn, OF_TYPE, &[&tenant, &from, &to, &most, &packed, &webhook, name], candidate).await
        }
        (Some(id), None) => {
            sql::many(conn, ABOUT, &[&tenant, &from, &to, &most, &packed, &webhook, id], candidate).await
        }
        (Some(id), Some(name)) => {
            let values: sql::Values<'_> = &[&tenant, &from, &to, &most, &packed, &webhook, id, name];
            sql::many(conn, ABOUT_AND_TYPE, values, candidate).await
        }
    }
}
