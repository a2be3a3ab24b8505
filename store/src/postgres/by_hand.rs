//! Retrying and calling off single deliveries, as people ask for it.

use callboard_domain::clock::Timestamp;
use callboard_domain::id::{DeliveryKey, TenantKey};
use callboard_domain::store::ByHand;

use super::failure::Failure;
use super::sql::Connection;

/// Makes one delivery due at once.
pub(super) async fn retry(
    conn: &Connection,
    tenant: TenantKey,
    delivery: DeliveryKey,
    now: Timestamp,
) -> Result<Option<ByHand>, Failure> {
    let _ = (conn, tenant, delivery, now);
    Err(Failure::Unavailable("not written yet".to_owned()))
}

/// Lets deliveries that are over wait again, due at once: each with how many
/// attempts it had. Tells how many do. Locks their chains, so nothing else may have
/// been locked before but a job.
pub(super) async fn revive(
    conn: &Connection,
    ended: &[(i64, u32)],
    now: Timestamp,
) -> Result<usize, Failure> {
    let _ = (conn, ended, now);
    Err(Failure::Unavailable("not written yet".to_owned()))
}

/// Calls one delivery off.
pub(super) async fn cancel(
    conn: &Connection,
    tenant: TenantKey,
    delivery: DeliveryKey,
    now: Timestamp,
) -> Result<Option<ByHand>, Failure> {
    let _ = (conn, tenant, delivery, now);
    Err(Failure::Unavailable("not written yet".to_owned()))
}

/// Calls off what waits for deleted webhooks, at most `limit` deliveries.
pub(super) async fn cancel_orphans(
    conn: &Connection,
    webhooks: &[i64],
    limit: usize,
    now: Timestamp,
) -> Result<usize, Failure> {
    let _ = (conn, webhooks, limit, now);
    Err(Failure::Unavailable("not written yet".to_owned()))
}

/// Deleted webhooks for which something waits.
pub(super) async fn orphaned_lanes(conn: &Connection) -> Result<Vec<i64>, Failure> {
    let _ = (conn);
    Err(Failure::Unavailable("not written yet".to_owned()))
}
