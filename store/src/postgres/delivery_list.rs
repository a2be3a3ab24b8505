//! Lists a webhook's deliveries, newest first, at any size of the database.

use callboard_domain::delivery::DeliverySummary;
use callboard_domain::id::WebhookKey;
use callboard_domain::store::{DeliveryFilter, Listed, Page};

use super::failure::Failure;
use super::sql::Connection;

/// A page of the webhook's deliveries. With a filter it may be short of the
/// limit, even empty, while more follow.
pub(super) async fn list(
    conn: &Connection,
    webhook: WebhookKey,
    filter: &DeliveryFilter,
    page: Page,
) -> Result<Listed<DeliverySummary>, Failure> {
    let _ = (conn, webhook, filter, page);
    Err(Failure::Unavailable("not written yet".to_owned()))
}
