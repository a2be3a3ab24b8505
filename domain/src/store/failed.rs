//! The storage port of what has failed, over all webhooks of a tenant.

use async_trait::async_trait;

use super::{Listed, Page, Result};
use crate::clock::Timestamp;
use crate::delivery::{DeliverySummary, Reason};
use crate::id::{TenantKey, WebhookKey};

/// Deliveries of one webhook that failed alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FailedGroup {
    /// The webhook.
    pub webhook: WebhookKey,
    /// Why they failed: what is left out, they have not got.
    pub reason: Reason,
    /// How many there are.
    pub count: u64,
    /// When the earliest of their last attempts was.
    pub oldest: Timestamp,
    /// When the latest of their last attempts was.
    pub newest: Timestamp,
}

/// What has failed, in groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedGroups {
    /// The groups, the largest first.
    pub groups: Vec<FailedGroup>,
    /// Whether there is more than was looked at, or than is told.
    pub capped: bool,
}

/// How many deliveries of one webhook are failed now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FailedCount {
    /// As many as were found.
    pub count: u64,
    /// Whether there may be more than were looked at.
    pub capped: bool,
}

/// Which failed deliveries to list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FailedFilter {
    /// Only of this webhook.
    pub webhook: Option<WebhookKey>,
    /// Only those that failed so.
    pub reason: Option<Reason>,
}

/// What is failed now. Webhooks that are deleted, or another tenant's, have nothing
/// here.
#[async_trait]
pub trait FailedStore: Send + Sync {
    /// All of it, counted by webhook and reason. The work is bounded: of very many,
    /// the newest of each webhook are looked at.
    async fn failed_groups(&self, tenant: TenantKey) -> Result<FailedGroups>;

    /// Those of one webhook, or of them those that failed for this reason, among the
    /// newest `most`. It costs a step for each that is looked at.
    async fn count_failed(
        &self,
        tenant: TenantKey,
        webhook: WebhookKey,
        reason: Option<Reason>,
        most: u64,
    ) -> Result<FailedCount>;

    /// The deliveries, newest first. A page may be short of the limit, even empty,
    /// while more follow.
    async fn list_failed(
        &self,
        tenant: TenantKey,
        filter: FailedFilter,
        page: Page,
    ) -> Result<Listed<DeliverySummary>>;
}
