//! Finds events that a webhook has no delivery of, oldest first, a piece at a
//! time. Whether it hears them is not asked here.

use callboard_domain::id::{TenantKey, WebhookKey};
use callboard_domain::job::{Range, Selection};
use callboard_domain::store::Undelivered;

use super::failure::Failure;
use super::sql::Connection;

/// Looks at the first `limit` of the tenant's events in a range that have the
/// type and subject selected, or at fewer when their bodies outgrow `max_bytes`.
pub(super) async fn find(
    conn: &Connection,
    pair1: (TenantKey, WebhookKey),
    selection: &Selection,
    range: Range,
    limit: usize,
    max_bytes: usize,
) -> Result<Undelivered, Failure> {
    let _ = (conn, pair1, selection, range, limit, max_bytes);
    Err(Failure::Unavailable("not written yet".to_owned()))
}
