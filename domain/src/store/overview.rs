//! The storage port of overviews: reads over many webhooks at a time.

use async_trait::async_trait;

use super::{Listed, Page, Result};
use crate::clock::Timestamp;
use crate::delivery::LoggedAttempt;
use crate::id::{TenantKey, WebhookKey};
use crate::stats::{StatsBucket, WebhookStats};
use crate::webhook::{Status, Webhook};
use crate::wire::Dialect;

/// Up to how many waiting deliveries are counted for [`Vitals::queued`].
pub const VITALS_QUEUED: u64 = 1_000;

/// Among how many of a webhook's newest deliveries [`Vitals::last_attempt`] is looked
/// for.
pub const VITALS_DELIVERIES: usize = 10;

/// Which webhooks of a tenant to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WebhookFilter {
    /// Only those whose name or URL holds this text, in whatever case.
    pub text: Option<String>,
    /// Only those of this dialect.
    pub dialect: Option<Dialect>,
    /// Only those with this status.
    pub status: Option<Status>,
    /// Only those that have done nothing but fail since a while.
    pub failing: bool,
}

/// How many webhooks a tenant has; deleted ones don't count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WebhookCounts {
    /// All of them.
    pub all: u64,
    /// Those that are active.
    pub active: u64,
    /// Those that are paused.
    pub paused: u64,
    /// Those that are disabled.
    pub disabled: u64,
    /// Those that have done nothing but fail since a while, whatever their status.
    pub failing: u64,
}

/// How one webhook fares, briefly.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Vitals {
    /// The hours in which something happened, oldest first.
    pub buckets: Vec<StatsBucket>,
    /// Deliveries that are pending or waiting, counted up to [`VITALS_QUEUED`].
    pub queued: u64,
    /// The latest of the last attempts of its newest [`VITALS_DELIVERIES`] deliveries,
    /// by when they began; `None` when none of those was attempted yet. What ended
    /// without anything being sent is no attempt here.
    pub last_attempt: Option<LoggedAttempt>,
}

/// What a database takes on disk, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Space {
    /// All of it.
    pub bytes: u64,
    /// How much of that holds nothing at present and is used before more is taken;
    /// `None` where the database does not tell.
    pub free_bytes: Option<u64>,
}

/// Up to how many deliveries are counted for [`Backlog::deliveries`].
pub const BACKLOG_COUNTED: u64 = 1_000_000;

/// What waits in the database, of all tenants.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Deliveries that are not over and have a row of their own, those included that
    /// processes hold; counted up to [`BACKLOG_COUNTED`].
    pub deliveries: u64,
    /// When that one was due which nobody holds and which has been due for the longest
    /// time; `None` when nothing is due.
    pub due_since: Option<Timestamp>,
}

/// Reads that an overview is made of.
#[async_trait]
pub trait OverviewStore: Send + Sync {
    /// The tenant's webhooks that a filter lets through, newest first. A page may be
    /// short of its limit, even empty, while more follow.
    async fn find_webhooks(
        &self,
        tenant: TenantKey,
        filter: WebhookFilter,
        page: Page,
    ) -> Result<Listed<Webhook>>;

    /// How many webhooks the tenant has.
    async fn count_webhooks(&self, tenant: TenantKey) -> Result<WebhookCounts>;

    /// How each of these webhooks has fared since the hour of `since`, in the order
    /// asked. What it costs grows with the webhooks and the hours, and with nothing else.
    async fn vitals(&self, webhooks: Vec<WebhookKey>, since: Timestamp) -> Result<Vec<Vitals>>;

    /// What happened to the deliveries of a tenant since the hour of `since`, by the
    /// hour: the sums over all its webhooks, those included that are deleted since. What
    /// waits for those that are not is counted up to
    /// [`QUEUED_COUNTED`](crate::stats::QUEUED_COUNTED) in all, and the oldest is that
    /// of those counted.
    async fn tenant_stats(&self, tenant: TenantKey, since: Timestamp) -> Result<WebhookStats>;

    /// What waits at `now`. It costs a step for each delivery counted and for each
    /// webhook that something waits for.
    async fn backlog(&self, now: Timestamp) -> Result<Backlog>;

    /// What the database takes on disk.
    async fn space(&self) -> Result<Space>;
}
