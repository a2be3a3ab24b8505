//! Finds what a replay is to send again, oldest first, a piece at a time.

use callboard_domain::id::WebhookKey;
use callboard_domain::job::{Counted, Range, Selection};
use rusqlite::Connection;

use super::deliveries::{Wanted, standing, summary};
use super::failure::Failure;
use super::{log_index, sql, timeline};
use crate::rows::jobs::{Piece, selects};

/// What was made in the times that are selected, up to the newest there is now:
/// what is accepted later is not part of a replay.
pub(super) fn range(conn: &Connection, selection: &Selection) -> Result<Range, Failure> {
    let (from, to) = timeline::span(conn, Some(selection.since), selection.until)?;
    let end = "SELECT key + 1, first_delivery + length(webhooks) / 4 FROM events ORDER BY key DESC LIMIT 1";
    let end = sql::one(conn, end, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let (event, delivery): (i64, i64) = end.unwrap_or_default();
    Ok(if selection.missing {
        Range { from: from.event, to: to.event.min(event) }
    } else {
        Range { from: from.first_delivery, to: to.first_delivery.min(delivery) }
    })
}

/// Counts what is selected among the first `limit` deliveries of a range.
pub(super) fn count(
    conn: &Connection,
    webhook: WebhookKey,
    selection: &Selection,
    range: Range,
    limit: usize,
) -> Result<Counted, Failure> {
    Ok(walk(conn, webhook, selection, range, (limit, usize::MAX))?.into())
}

/// Looks at the first `limit` deliveries of a webhook in a range, until `most`
/// are selected.
pub(super) fn walk(
    conn: &Connection,
    webhook: WebhookKey,
    selection: &Selection,
    Range { from, to }: Range,
    (limit, most): (usize, usize),
) -> Result<Piece, Failure> {
    let candidates = log_index::deliveries_upwards(conn, webhook, (from, to), 0, limit)?;
    let wanted = Wanted {
        tenant: None,
        type_name: selection.type_name.as_deref(),
        subject_id: selection.subject_id.as_deref(),
    };
    let mut selected = Vec::new();
    for (index, delivery) in candidates.iter().enumerate() {
        if selected.len() == most {
            return Ok(Piece { selected, looked_at: index, next: Some(*delivery) });
        }
        let standing = standing(conn, *delivery)?;
        let fits = standing.filter(|standing| selects(selection, standing.state, standing.attempts));
        if let Some(summary) = fits.map(|standing| summary(conn, standing, &wanted)).transpose()?.flatten() {
            selected.push((*delivery, summary.attempts));
        }
    }
    let next = candidates.last().filter(|_| candidates.len() == limit).map(|last| last + 1);
    Ok(Piece { selected, looked_at: candidates.len(), next })
}
