//! Portal links: how a person without a token of their own gets to see one tenant
//! for a while.

use crate::access::Scopes;
use crate::clock::Timestamp;
use crate::id::{PortalLinkKey, TenantKey};

/// A link that opens the pages of one tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortalLink {
    /// Its row.
    pub key: PortalLinkKey,
    /// Whose pages it opens.
    pub tenant: TenantKey,
    /// What people call it; may be empty.
    pub name: String,
    /// What may be done there.
    pub scopes: Scopes,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends, and its sessions with it.
    pub expires_at: Timestamp,
    /// When it was revoked, and its sessions with it.
    pub revoked_at: Option<Timestamp>,
}

impl PortalLink {
    /// Whether it opens something at `now`.
    #[must_use]
    pub fn is_open(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && now < self.expires_at
    }
}
