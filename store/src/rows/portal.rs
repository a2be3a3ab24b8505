//! Rows of portal links.

use callboard_domain::access::Scopes;
use callboard_domain::id::{PortalLinkKey, TenantKey};
use callboard_domain::portal::PortalLink;

use super::{Corrupt, parsed, timestamp, timestamp_option};

/// Sessions of one link that stay; older ones end when another one is made, so
/// that a link that is opened again and again fills no table.
pub(crate) const SESSIONS: i64 = 100;

/// The columns of a link, as they are read.
pub(crate) struct Columns {
    pub(crate) key: i64,
    pub(crate) tenant: i64,
    pub(crate) name: String,
    pub(crate) scopes: String,
    pub(crate) created_at: i64,
    pub(crate) expires_at: i64,
    pub(crate) revoked_at: Option<i64>,
}

/// The link that a row tells of.
pub(crate) fn link(columns: Columns) -> Result<PortalLink, Corrupt> {
    Ok(PortalLink {
        key: PortalLinkKey(columns.key),
        tenant: TenantKey(columns.tenant),
        name: columns.name,
        scopes: parsed::<Scopes>(&columns.scopes, "set of scopes")?,
        created_at: timestamp(columns.created_at)?,
        expires_at: timestamp(columns.expires_at)?,
        revoked_at: timestamp_option(columns.revoked_at)?,
    })
}
