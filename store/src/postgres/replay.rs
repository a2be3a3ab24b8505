//! Finds what a replay is to send again, oldest first, a piece at a time.

use callboard_domain::id::WebhookKey;
use callboard_domain::job::{Counted, Range, Selection};

use super::failure::Failure;
use super::sql::Connection;

/// What was made in the times that are selected, up to the newest there is now:
/// what is accepted later is not part of a replay.
pub(super) async fn range(conn: &Connection, selection: &Selection) -> Result<Range, Failure> {
    let _ = (conn, selection);
    Err(Failure::Unavailable("not written yet".to_owned()))
}

/// Counts what is selected among the first `limit` deliveries of a range.
pub(super) async fn count(
    conn: &Connection,
    webhook: WebhookKey,
    selection: &Selection,
    range: Range,
    limit: usize,
) -> Result<Counted, Failure> {
    let _ = (conn, webhook, selection, range, limit);
    Err(Failure::Unavailable("not written yet".to_owned()))
}
