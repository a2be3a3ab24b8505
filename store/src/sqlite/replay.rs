//! Finds what a replay is to send again, oldest first, a piece at a time.

use callboard_domain::delivery::MAX_ATTEMPTS;
use callboard_domain::id::WebhookKey;
use callboard_domain::job::Selection;
use rusqlite::Connection;

use super::deliveries::{Wanted, standing};
use super::failure::Failure;
use super::{log_index, sql, timeline};

/// Delivery keys: from the first to before the last.
pub(super) type Range = (i64, i64);

/// What one piece of a walk came to.
pub(super) struct Piece {
    /// What is selected: deliveries with the number of their attempts.
    pub(super) selected: Vec<(i64, u32)>,
    /// Where the next piece starts; `None` at the end.
    pub(super) next: Option<i64>,
}

/// The deliveries of the times that are selected, up to the newest there is
/// now: what is accepted later is not part of a replay.
pub(super) fn range(conn: &Connection, selection: &Selection) -> Result<Range, Failure> {
    let (from, to) = timeline::span(conn, Some(selection.since), selection.until)?;
    let end = "SELECT first_delivery + length(webhooks) / 4 FROM events ORDER BY key DESC LIMIT 1";
    let end = sql::value::<i64>(conn, end, [])?.unwrap_or(0);
    Ok((from.first_delivery, to.first_delivery.min(end)))
}

/// Looks at the next `limit` deliveries of a webhook.
pub(super) fn walk(
    conn: &Connection,
    webhook: WebhookKey,
    selection: &Selection,
    range: Range,
    limit: usize,
) -> Result<Piece, Failure> {
    let candidates = log_index::deliveries_upwards(conn, webhook, range, 0, limit)?;
    let wanted = Wanted {
        tenant: None,
        type_name: selection.type_name.as_deref(),
        subject_id: selection.subject_id.as_deref(),
    };
    let mut selected = Vec::new();
    for delivery in &candidates {
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
    Ok(Piece { selected, next })
}
