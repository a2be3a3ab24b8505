//! Leases: who has which waiting delivery in its hands.

use callboard_domain::clock::Timestamp;
use callboard_domain::id::WebhookKey;

use super::failure::Failure;
use super::sql::Connection;

/// Every lane in which something waits unleased.
pub(super) async fn waiting(conn: &Connection) -> Result<Vec<(WebhookKey, Timestamp)>, Failure> {
    let _ = conn;
    Err(Failure::Unavailable("not written yet".to_owned()))
}
