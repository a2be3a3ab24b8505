//! Lists a tenant's events, newest first, at any size of the database.

use callboard_domain::delivery::StoredEvent;
use callboard_domain::id::TenantKey;
use callboard_domain::store::{EventFilter, Listed, Page};
use rusqlite::Connection;

use super::events::{stored_event, stored_event_columns};
use super::failure::Failure;
use super::{log_index, sql, timeline};
use crate::rows::before;
use crate::rows::looked::look;

/// A page of the tenant's events. With a filter it may be short of the limit,
/// even empty, while more follow.
pub(super) fn list(
    conn: &Connection,
    tenant: TenantKey,
    filter: &EventFilter,
    page: Page,
) -> Result<Listed<StoredEvent>, Failure> {
    let (from, to) = timeline::span(conn, filter.since, filter.until)?;
    let range = (from.event, to.event.min(before(page)));
    let facet = facet(filter);
    let limit = page.limit.max(1);
    let exact = facet == log_index::EVERY;
    let look = look(page, exact);
    let candidates = log_index::events(conn, tenant, facet, range, look)?;
    let mut items = Vec::new();
    for (index, key) in candidates.iter().copied().enumerate() {
        items.extend(fitting(conn, key, filter)?);
        let more = index + 1 < candidates.len() || (!exact && candidates.len() == look);
        if more && (items.len() == limit || index + 1 == candidates.len()) {
            return Ok(Listed { items, next: Some(key) });
        }
    }
    Ok(Listed { items, next: None })
}

/// The facet whose log holds everything that the filter lets through, and the
/// least else.
pub(super) fn facet(filter: &EventFilter) -> i64 {
    match filter {
        EventFilter { subject_id: Some(subject), .. } => log_index::subject_facet(subject),
        EventFilter { type_name: Some(type_name), .. } => log_index::type_facet(type_name),
        _ => log_index::EVERY,
    }
}

/// The event, if its type and subject are those of the filter; its body is not
/// read otherwise.
pub(super) fn fitting(
    conn: &Connection,
    key: i64,
    filter: &EventFilter,
) -> Result<Option<StoredEvent>, Failure> {
    sql::one(
        conn,
        concat!(
            "SELECT ",
            stored_event_columns!(),
            " FROM events WHERE key = ?1 AND (?2 IS NULL OR type = ?2) AND (?3 IS NULL OR subject = ?3)"
        ),
        (key, &filter.type_name, &filter.subject_id),
        stored_event,
    )
}
