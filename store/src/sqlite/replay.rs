//! Finds what a replay is to send again, oldest first, a piece at a time.

use callboard_domain::delivery::MAX_ATTEMPTS;
use callboard_domain::id::WebhookKey;
use callboard_domain::job::{Counted, Range, Selection};
use rusqlite::Connection;

use super::deliveries::{Wanted, standing};
use super::failure::Failure;
use super::{log_index, sql, timeline};

/// What one piece of a walk came to.
pub(super) struct Piece {
    /// What is selected: deliveries with the number of their attempts.
    pub(super) selected: Vec<(i64, u32)>,
    /// How many deliveries were looked at.
    pub(super) looked_at: usize,
    /// Where the next piece starts; `None` at the end.
    pub(super) next: Option<i64>,
}

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
    let piece = walk(conn, webhook, selection, range, (limit, usize::MAX))?;
    let (selected, looked_at) = (piece.selected.len() as u64, piece.looked_at as u64);
    Ok(Counted { selected, looked_at, next: piece.next })
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
        let fits = standing.filter(|standing| {
            // One that has had all its attempts can have no more.
            selection.states.contains(&standing.state) && standing.attempts < MAX_ATTEMPTS
        });
        if let Some(summary) = fits.map(|standing| standing.summary(conn, &wanted)).transpose()?.flatten() {
            selected.push((*delivery, summary.attempts));
        }
    }
    let next = candidates.last().filter(|_| candidates.len() == limit).map(|last| last + 1);
    Ok(Piece { selected, looked_at: candidates.len(), next })
}
