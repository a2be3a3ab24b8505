//! Finds what a replay is to send again, oldest first, a piece at a time.

use callboard_domain::id::WebhookKey;
use callboard_domain::job::{Counted, Range, Selection};

use super::deliveries::stances;
use super::failure::Failure;
use super::sql::{self, Connection, get};
use super::{delivery_list, timeline};
use crate::rows::jobs::{Piece, selects};

/// What was made in the times that are selected, up to the newest there is now:
/// what is accepted later is not part of a replay.
pub(super) async fn range(conn: &Connection, selection: &Selection) -> Result<Range, Failure> {
    let (from, to) = timeline::span(conn, Some(selection.since), selection.until).await?;
    let end = "SELECT key + 1, first_delivery + octet_length(webhooks) / 4 FROM events
        ORDER BY key DESC LIMIT 1";
    let end = sql::one(conn, end, &[], |row| Ok((get(row, 0)?, get(row, 1)?))).await?;
    let (event, delivery): (i64, i64) = end.unwrap_or_default();
    Ok(if selection.missing {
        Range { from: from.event, to: to.event.min(event) }
    } else {
        Range { from: from.first_delivery, to: to.first_delivery.min(delivery) }
    })
}

/// Counts what is selected among the first `limit` deliveries of a range.
pub(super) async fn count(
    conn: &Connection,
    webhook: WebhookKey,
    selection: &Selection,
    range: Range,
    limit: usize,
) -> Result<Counted, Failure> {
    Ok(walk(conn, webhook, selection, range, (limit, usize::MAX)).await?.into())
}

/// Looks at the first `limit` deliveries of a webhook in a range, until `most`
/// are selected.
pub(super) async fn walk(
    conn: &Connection,
    webhook: WebhookKey,
    selection: &Selection,
    Range { from, to }: Range,
    (limit, most): (usize, usize),
) -> Result<Piece, Failure> {
    let range = (from, to);
    let candidates = delivery_list::keys(conn, delivery_list::ALL_UPWARDS, webhook, range, limit).await?;
    let (type_name, subject_id) = (selection.type_name.as_deref(), selection.subject_id.as_deref());
    let stances = stances(conn, &candidates, type_name, subject_id).await?;
    let mut selected: Vec<_> = stances
        .into_iter()
        .filter(|one| selects(selection, one.state, one.attempts))
        .map(|one| (one.delivery, one.attempts))
        .collect();
    let last = most.checked_sub(1).and_then(|last| selected.get(last)).map(|(delivery, _)| *delivery);
    if let Some(last) = last {
        let looked_at = candidates.partition_point(|delivery| *delivery <= last);
        if let Some(next) = candidates.get(looked_at) {
            selected.truncate(most);
            return Ok(Piece { selected, looked_at, next: Some(*next) });
        }
    }
    let next = candidates.last().filter(|_| candidates.len() == limit).map(|last| last + 1);
    Ok(Piece { selected, looked_at: candidates.len(), next })
}
