//! Finds events by time. They are accepted in the order of their keys, so
//! halving the keys does what an index over the times would do.

use callboard_domain::clock::Timestamp;
use rusqlite::Connection;

use super::failure::Failure;
use super::sql;
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
pub(super) fn span(
    conn: &Connection,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
) -> Result<(Place, Place), Failure> {
    let from = since.map_or(Ok(Place::START), |time| first_since(conn, micros_from(time)))?;
    let to = until.map_or(Ok(Place::END), |time| first_since(conn, micros_from(time)))?;
    Ok((from, to))
}

/// The first event accepted at or after a time.
fn first_since(conn: &Connection, micros: i64) -> Result<Place, Failure> {
    let bound = |sql| sql::value::<Option<i64>>(conn, sql, []).map(Option::flatten);
    let (Some(mut low), Some(last)) =
        (bound("SELECT min(key) FROM events")?, bound("SELECT max(key) FROM events")?)
    else {
        return Ok(Place::END);
    };
    let mut high = last + 1;
    while low < high {
        let middle = low + (high - low) / 2;
        // Keys have gaps, so the row found may lie above the middle.
        match row_from(conn, middle)? {
            Some((place, accepted_at)) if accepted_at < micros => low = place.event + 1,
            _ => high = middle,
        }
    }
    Ok(row_from(conn, low)?.map_or(Place::END, |(place, _)| place))
}

/// The first event behind a key.
pub(super) fn first_after(conn: &Connection, key: i64) -> Result<Option<Place>, Failure> {
    Ok(row_from(conn, key.saturating_add(1))?.map(|(place, _)| place))
}

/// The first event at or after a key.
pub(super) const FROM: &str =
    "SELECT key, first_delivery, accepted_at FROM events WHERE key >= ?1 ORDER BY key LIMIT 1";

fn row_from(conn: &Connection, key: i64) -> Result<Option<(Place, i64)>, Failure> {
    sql::one(conn, FROM, [key], |row| {
        Ok((Place { event: row.get(0)?, first_delivery: row.get(1)? }, row.get(2)?))
    })
}
