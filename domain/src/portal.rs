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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_open_until_it_ends_or_is_revoked() {
        let at = |second| Timestamp::from_second(second).expect("a time");
        let link = PortalLink {
            key: PortalLinkKey(1),
            tenant: TenantKey(1),
            name: String::new(),
            scopes: Scopes::all(),
            created_at: at(0),
            expires_at: at(10),
            revoked_at: None,
        };
        assert!(link.is_open(at(9)) && !link.is_open(at(10)) && !link.is_open(at(11)));
        assert!(!PortalLink { revoked_at: Some(at(5)), ..link }.is_open(at(9)));
    }
}
