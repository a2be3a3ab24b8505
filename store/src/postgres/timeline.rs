//! Finds events by time. They are accepted in the order of their keys, so
//! halving the keys does what an index over the times would do.

use callboard_domain::clock::Timestamp;

use super::failure::Failure;
use super::sql::{self, Connection, get};
use crate::rows::micros_from;

/// A place among the events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// The event.
    pub(super) event: i64,
    /// Its first delivery; those of earlier events are below it.
    pub(super) first_delivery: i64,
}

impl Place {
    /// Before everything.
    pub(super) const START: Self = Self { event: 0, first_delivery: 0 };

    /// After everything.
    pub(super) const END: Self = Self { event: i64::MAX, first_delivery: i64::MAX };
}

/// Where the events from `since` to before `until` begin and end.
pub(super) async fn span(
    conn: &Connection,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
) -> Result<(Place, Place), Failure> {
    let from = match since {
        Some(time) => first_since(conn, time).await?,
        None => Place::START,
    };
    let to = match until {
        Some(time) => first_since(conn, time).await?,
        None => Place::END,
    };
    Ok((from, to))
}

/// The first event accepted at or after a time. Keys have gaps, so the event
/// found for the middle may lie above it.
pub(super) const FIRST_SINCE: &str = "WITH RECURSIVE halving (low, high) AS (
        (
            SELECT
                (SELECT key FROM events ORDER BY key LIMIT 1),
                (SELECT key + 1 FROM events ORDER BY key DESC LIMIT 1)
        )
        UNION ALL
        SELECT
            CASE WHEN found.accepted_at < $1 THEN found.key + 1 ELSE low END,
            CASE WHEN found.accepted_at < $1 THEN high ELSE low + (high - low) / 2 END
        FROM halving CROSS JOIN LATERAL (
            SELECT key, accepted_at FROM events WHERE key >= low + (high - low) / 2 ORDER BY key LIMIT 1
        ) AS found
        WHERE low < high
    )
    SELECT found.key, found.first_delivery FROM halving CROSS JOIN LATERAL (
        SELECT key, first_delivery FROM events WHERE key >= low ORDER BY key LIMIT 1
    ) AS found
    WHERE low >= high";

async fn first_since(conn: &Connection, time: Timestamp) -> Result<Place, Failure> {
    let found = sql::one(conn, FIRST_SINCE, &[&micros_from(time)], |row| {
        Ok(Place { event: get(row, 0)?, first_delivery: get(row, 1)? })
    })
    .await?;
    Ok(found.unwrap_or(Place::END))
}

/// The first event behind a key.
pub(super) const FIRST_AFTER: &str =
    "SELECT key, first_delivery FROM events WHERE key > $1 ORDER BY key LIMIT 1";

/// The first event behind a key.
pub(super) async fn first_after(conn: &Connection, key: i64) -> Result<Option<Place>, Failure> {
    sql::one(conn, FIRST_AFTER, &[&key], |row| {
        Ok(Place { event: get(row, 0)?, first_delivery: get(row, 1)? })
    })
    .await
}
