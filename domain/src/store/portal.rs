//! The storage port of portal links and of the sessions made from them.

use std::net::IpAddr;

use async_trait::async_trait;

use super::{Cleared, Listed, Page, Result};
use crate::access::Scopes;
use crate::audit::By;
use crate::clock::Timestamp;
use crate::id::{PortalLinkKey, TenantKey};
use crate::portal::PortalLink;

/// A portal link to be made.
#[derive(Debug, Clone)]
pub struct NewPortalLink {
    /// What people call it; may be empty.
    pub name: String,
    /// What may be done by it.
    pub scopes: Scopes,
    /// SHA-256 of its token.
    pub token_digest: [u8; 32],
    /// When it ends.
    pub expires_at: Timestamp,
}

/// Portal links and sessions. Nothing of them is remembered elsewhere, so what is
/// revoked ends at once for all processes.
#[async_trait]
pub trait PortalStore: Send + Sync {
    /// Makes a link.
    async fn create_portal_link(&self, tenant: TenantKey, link: NewPortalLink, by: By) -> Result<PortalLink>;

    /// One link.
    async fn portal_link(&self, tenant: TenantKey, link: PortalLinkKey) -> Result<Option<PortalLink>>;

    /// The tenant's links, newest first, also those that have ended a while ago.
    async fn list_portal_links(&self, tenant: TenantKey, page: Page) -> Result<Listed<PortalLink>>;

    /// Revokes a link and ends its sessions; one that is revoked stays as it is.
    async fn revoke_portal_link(
        &self,
        tenant: TenantKey,
        link: PortalLinkKey,
        by: By,
    ) -> Result<Option<PortalLink>>;

    /// Makes a session from the link whose token has this digest; `None` when there
    /// is no such link, or it opens nothing any more. Of one link only the newest
    /// sessions stay.
    async fn open_portal_link(
        &self,
        token_digest: [u8; 32],
        session_digest: [u8; 32],
        address: Option<IpAddr>,
        now: Timestamp,
    ) -> Result<Option<PortalLink>>;

    /// The link that a session was made from; `None` when the session has ended.
    async fn portal_session(&self, session_digest: [u8; 32], now: Timestamp) -> Result<Option<PortalLink>>;

    /// Ends a session.
    async fn end_portal_session(&self, session_digest: [u8; 32]) -> Result<()>;

    /// Deletes at most `limit` sessions that have ended, and as many links that
    /// ended before `links_before`. So it does with the operator's sessions and with
    /// links by which the operator signs in, which go at once when they have expired.
    async fn prune_portal(&self, now: Timestamp, links_before: Timestamp, limit: usize) -> Result<Cleared>;
}
