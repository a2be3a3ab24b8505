//! The storage port of the audit log. What changes something writes its entry
//! itself, in its own transaction; here it is read, and what changes nothing is
//! noted.

use async_trait::async_trait;

use super::{Cleared, Listed, Page, Result};
use crate::audit::{By, Change, Entry, EntryFilter};
use crate::clock::Timestamp;
use crate::id::TenantKey;

/// The audit log.
#[async_trait]
pub trait AuditStore: Send + Sync {
    /// Notes something that somebody did and that changes nothing that is stored.
    async fn note(&self, tenant: TenantKey, by: By, change: Change) -> Result<()>;

    /// The entries of a tenant, newest first; without one, those that concern the
    /// deployment and belong to no tenant. A page may be short of the limit, even
    /// empty, while more follow.
    async fn list_audit(
        &self,
        tenant: Option<TenantKey>,
        filter: EntryFilter,
        page: Page,
    ) -> Result<Listed<Entry>>;

    /// Deletes at most `limit` entries, the oldest, of what was done before
    /// `before`.
    async fn prune_audit(&self, before: Timestamp, limit: usize) -> Result<Cleared>;
}
