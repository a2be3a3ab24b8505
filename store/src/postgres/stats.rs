//! Counts of attempts by webhook and hour, and what is told of them.

use callboard_domain::clock::Timestamp;
use callboard_domain::id::WebhookKey;
use callboard_domain::stats::WebhookStats;

use super::failure::Failure;
use super::sql::Connection;

/// What happened to a webhook's deliveries since the hour of `since`, and
/// what waits.
pub(super) async fn of_webhook(
    conn: &Connection,
    webhook: WebhookKey,
    since: Timestamp,
) -> Result<WebhookStats, Failure> {
    let _ = (conn, webhook, since);
    Err(Failure::Unavailable("not written yet".to_owned()))
}
