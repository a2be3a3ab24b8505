//! Lists a tenant's events, newest first, at any size of the database.

use callboard_domain::delivery::StoredEvent;
use callboard_domain::id::TenantKey;
use callboard_domain::store::{EventFilter, Listed, Page};

use super::failure::Failure;
use super::sql::Connection;

/// A page of the tenant's events. With a filter it may be short of the limit,
/// even empty, while more follow.
pub(super) async fn list(
    conn: &Connection,
    tenant: TenantKey,
    filter: &EventFilter,
    page: Page,
) -> Result<Listed<StoredEvent>, Failure> {
    let _ = (conn, tenant, filter, page);
    Err(Failure::Unavailable("not written yet".to_owned()))
}
