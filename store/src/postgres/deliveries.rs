//! Reads deliveries back: where each stands, and what was tried.

use callboard_domain::delivery::{DeliverySummary, LoggedAttempt};
use callboard_domain::id::{DeliveryKey, EventKey, TenantKey};
use callboard_domain::store::{Listed, Page};

use super::failure::Failure;
use super::sql::Connection;

/// One delivery with all its attempts, oldest first.
pub(super) async fn one(
    conn: &Connection,
    tenant: TenantKey,
    delivery: DeliveryKey,
) -> Result<Option<(DeliverySummary, Vec<LoggedAttempt>)>, Failure> {
    let _ = (conn, tenant, delivery);
    Err(Failure::Unavailable("not written yet".to_owned()))
}

/// The deliveries of one event, in the order of their making.
pub(super) async fn of_event(
    conn: &Connection,
    event: EventKey,
    page: Page,
) -> Result<Listed<DeliverySummary>, Failure> {
    let _ = (conn, event, page);
    Err(Failure::Unavailable("not written yet".to_owned()))
}
