//! Late deliveries: each is an echo of its event, a row of its own that stands
//! where it was made, and takes everything but its delivery from the origin.

use callboard_domain::clock::Timestamp;
use callboard_domain::delivery::StoredEvent;
use callboard_domain::id::{EventKey, TenantKey, WebhookKey};

use super::failure::Failure;
use super::sql::Connection;

/// Whether the webhook has a delivery of the event; `None` when the tenant has
/// no such event.
pub(super) async fn is_heard(
    conn: &Connection,
    tenant: TenantKey,
    event: i64,
    webhook: WebhookKey,
) -> Result<Option<bool>, Failure> {
    let _ = (conn, tenant, event, webhook);
    Err(Failure::Unavailable("not written yet".to_owned()))
}

/// Makes a late delivery, due at once; false when the webhook has one of the
/// event, or there is no such event any more.
pub(super) async fn add(
    conn: &Connection,
    tenant: TenantKey,
    event: EventKey,
    webhook: WebhookKey,
    now: Timestamp,
) -> Result<bool, Failure> {
    let _ = (conn, tenant, event, webhook, now);
    Err(Failure::Unavailable("not written yet".to_owned()))
}

/// Gives an echo that was read what it takes from its origin; any other event
/// stays as it is.
pub(super) async fn complete(conn: &Connection, event: &mut StoredEvent) -> Result<(), Failure> {
    let _ = (conn, event);
    Err(Failure::Unavailable("not written yet".to_owned()))
}

/// The late deliveries of an event, from `from` on, at most `limit`.
pub(super) async fn deliveries(
    conn: &Connection,
    event: EventKey,
    from: i64,
    limit: i64,
) -> Result<Vec<i64>, Failure> {
    let _ = (conn, event, from, limit);
    Err(Failure::Unavailable("not written yet".to_owned()))
}
