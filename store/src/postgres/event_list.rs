//! Lists a tenant's events, newest first, at any size of the database.

use std::sync::Arc;

use callboard_domain::delivery::StoredEvent;
use callboard_domain::id::TenantKey;
use callboard_domain::store::{EventFilter, Listed, Page};

use super::failure::Failure;
use super::sql::{self, Connection, get};
use super::{events, timeline};
use crate::rows::looked::{Looked, look};
use crate::rows::{before, count};

macro_rules! candidates {
    ($columns:expr, $condition:literal, $direction:literal) => {
        concat!(
            "SELECT ",
            $columns,
            " FROM events WHERE tenant = $1 AND origin IS NULL AND key >= $2 AND key < $3",
            $condition,
            " ORDER BY key ",
            $direction,
            " LIMIT $4"
        )
    };
}
pub(super) use candidates;

/// The tenant's events.
pub(super) const ALL: &str = candidates!("key, TRUE", "", "DESC");

/// Those of one type.
pub(super) const OF_TYPE: &str = candidates!("key, TRUE", " AND type = $5", "DESC");

/// Those about one subject.
pub(super) const ABOUT: &str = candidates!("key, TRUE", " AND subject = $5", "DESC");

/// Those about one subject, and whether they are of a type.
pub(super) const ABOUT_AND_TYPE: &str = candidates!("key, type = $6", " AND subject = $5", "DESC");

/// A page of the tenant's events. With a filter by type and subject it may be
/// short of the limit, even empty, while more follow.
pub(super) async fn list(
    conn: &Connection,
    tenant: TenantKey,
    filter: &EventFilter,
    page: Page,
) -> Result<Listed<StoredEvent>, Failure> {
    let (from, to) = timeline::span(conn, filter.since, filter.until).await?;
    let (from, to) = (from.event, to.event.min(before(page)));
    let exact = filter.type_name.is_none() || filter.subject_id.is_none();
    let look = look(page, exact);
    let most = count(look);
    let read = |row: &tokio_postgres::Row| Ok((get(row, 0)?, get(row, 1)?));
    let candidates: Vec<(i64, bool)> = match (&filter.subject_id, &filter.type_name) {
        (None, None) => sql::many(conn, ALL, &[&tenant.0, &from, &to, &most], read).await?,
        (None, Some(name)) => sql::many(conn, OF_TYPE, &[&tenant.0, &from, &to, &most, name], read).await?,
        (Some(id), None) => sql::many(conn, ABOUT, &[&tenant.0, &from, &to, &most, id], read).await?,
        (Some(id), Some(name)) => {
            sql::many(conn, ABOUT_AND_TYPE, &[&tenant.0, &from, &to, &most, id, name], read).await?
        }
    };
    let last = candidates.last().filter(|_| candidates.len() == look).map(|(key, _)| *key);
    let fitting = candidates.iter().filter(|(_, fits)| *fits).map(|(key, _)| *key).collect();
    let (keys, next) = Looked { fitting, last }.cut(page);
    let mut found = events::by_keys(conn, &keys).await?;
    let items = keys.iter().filter_map(|key| found.remove(key)).map(Arc::unwrap_or_clone).collect();
    Ok(Listed { items, next })
}
