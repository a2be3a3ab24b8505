//! The storage ports: what the engine and the API ask of a database.
//!
//! Each method is one whole transaction in the words of the domain; there is
//! no begin and no commit, because databases lock too differently to share
//! anything finer. When a method that writes returns `Ok`, the change is on
//! disk and survives a power cut; when it returns an error, nothing changed.
//! "Not there" is `None`, and so is what belongs to another tenant. What is given
//! a [`By`] writes its entry of the audit log in the same transaction, if it
//! changes anything.

use std::sync::Arc;

use async_trait::async_trait;

use crate::audit::{By, Change};
use crate::clock::Timestamp;
use crate::delivery::{AnswerClass, Attempt, DeliverySummary, LoggedAttempt, State, StoredEvent};
use crate::event::Event;
use crate::id::{DeliveryKey, EventId, EventKey, TenantKey, WebhookId, WebhookKey};
use crate::signing::Secret;
use crate::stats::WebhookStats;
use crate::webhook::{Settings, Status, Webhook};
use crate::wire::Dialect;

mod access;
mod audit;
mod failed;
mod jobs;
mod keys;
mod nodes;
mod overview;
mod portal;
mod sessions;

pub use access::{AccessStore, NewClient};
pub use audit::AuditStore;
pub use failed::{FailedCount, FailedFilter, FailedGroup, FailedGroups, FailedStore};
pub use jobs::{JobStore, Late, NewReplay, Undelivered};
pub use keys::{KeyStore, SealingKey};
pub use nodes::{Node, NodeStore, Signal};
pub use overview::{
    BACKLOG_COUNTED, Backlog, OverviewStore, Space, VITALS_DELIVERIES, VITALS_QUEUED, Vitals, WebhookCounts,
    WebhookFilter,
};
pub use portal::{NewPortalLink, PortalStore};
pub use sessions::{NewSession, SessionStore};

/// Why the database did not do it. The text is for operators, not for clients.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Try again later: it is locked, full, down or shutting down.
    #[error("the database can't be used now: {0}")]
    Unavailable(String),
    /// What it holds can't be understood.
    #[error("the database holds something unexpected: {0}")]
    Corrupt(String),
}

/// Result of a storage method.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

/// Everything a database has to offer.
pub trait Store:
    EventStore
    + DeliveryStore
    + WebhookStore
    + AccessStore
    + JobStore
    + UpkeepStore
    + NodeStore
    + AuditStore
    + PortalStore
    + SessionStore
    + FailedStore
    + KeyStore
    + OverviewStore
{
}

impl<T> Store for T where
    T: EventStore
        + DeliveryStore
        + WebhookStore
        + AccessStore
        + JobStore
        + UpkeepStore
        + NodeStore
        + AuditStore
        + PortalStore
        + SessionStore
        + FailedStore
        + KeyStore
        + OverviewStore
{
}

/// A slice of a list, newest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// Most items wanted, at least one.
    pub limit: usize,
    /// Only what comes after this position; `None` for the start.
    pub after: Option<i64>,
}

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed<T> {
    /// The items; there may be fewer than the limit even when more follow.
    pub items: Vec<T>,
    /// Where the next page starts; `None` at the end.
    pub next: Option<i64>,
}

/// An event to be recorded, with the deliveries it causes.
#[derive(Debug, Clone)]
pub struct NewEvent {
    /// The event.
    pub event: Arc<Event>,
    /// One for each webhook that hears it.
    pub deliveries: Vec<NewDelivery>,
}

/// A delivery to be recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewDelivery {
    /// The webhook.
    pub webhook: WebhookKey,
    /// Whether the caller holds a place for it in its lane and will send it
    /// without claiming it. Otherwise it is due at once, to whoever claims it.
    pub leased: bool,
    /// Whether it has to wait for others.
    pub order: Order,
}

/// Whether deliveries of a webhook wait for each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// They don't.
    Free,
    /// Those about one subject go in the order of acceptance, the next when the
    /// one before is over, and that is on disk.
    BySubject {
        /// It may be skipped when a newer one of this kind waits behind it.
        collapses: bool,
    },
}

/// What became of one event of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// The event's row.
    pub key: EventKey,
    /// The row of its first delivery; the others follow, in the order given.
    pub first_delivery: DeliveryKey,
    /// When it was accepted; for a duplicate, when that was the first time.
    pub accepted_at: Timestamp,
    /// It was there already: nothing was recorded, none of its deliveries made.
    pub duplicate: bool,
    /// See [`StoredEvent::quantity_diff`].
    pub quantity_diff: Option<i64>,
    /// Which of its deliveries, counted in the order given, wait behind another
    /// one: the caller does not hold them, whatever it asked for.
    pub behind: Vec<usize>,
}

/// Why a batch of events was not recorded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// The id of the event at this index is taken by another fact.
    #[error("event {0} has the id of another event")]
    Conflict(usize),
    /// The database did not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Which events of a tenant to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// Only this type.
    pub type_name: Option<String>,
    /// Only about this subject.
    pub subject_id: Option<String>,
    /// Only those accepted at or after this time.
    pub since: Option<Timestamp>,
    /// Only those accepted before this time.
    pub until: Option<Timestamp>,
}

/// A stretch of the log of events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stretch {
    /// The events, and where a webhook was asked for, the delivery for it.
    pub events: Vec<(Arc<StoredEvent>, Option<DeliveryKey>)>,
    /// Its end: what was looked at, and what follows comes after it.
    pub end: EventKey,
    /// Whether more follows already.
    pub more: bool,
}

/// Published events.
#[async_trait]
pub trait EventStore: Send + Sync {
    /// Records all events with all their deliveries, or nothing. `now` is the
    /// time of acceptance, which the store never lets run backwards.
    ///
    /// # Errors
    /// See [`RecordError`].
    async fn record_events(
        &self,
        tenant: TenantKey,
        events: Vec<NewEvent>,
        now: Timestamp,
    ) -> Result<Vec<Recorded>, RecordError>;

    /// Like [`Self::record_events`] with one event that somebody asked for by hand:
    /// `audited` is by whom, and what the audit log says of it.
    async fn record_by_hand(
        &self,
        tenant: TenantKey,
        event: NewEvent,
        audited: (By, Change),
    ) -> Result<Recorded, RecordError>;

    /// One event by its public id.
    async fn event(&self, tenant: TenantKey, id: &EventId) -> Result<Option<StoredEvent>>;

    /// The tenant's events, newest first.
    async fn list_events(
        &self,
        tenant: TenantKey,
        filter: EventFilter,
        page: Page,
    ) -> Result<Listed<StoredEvent>>;

    /// The place behind every event accepted before `time`, or behind all that
    /// were accepted so far.
    async fn place(&self, before: Option<Timestamp>) -> Result<EventKey>;

    /// What follows `after`, a place in the log: the tenant's events, or those
    /// that have a delivery for `webhook`, the oldest first. At most `limit`, and
    /// their bodies stay below about `max_bytes`; one at least is read where
    /// there is one.
    async fn events_after(
        &self,
        tenant: TenantKey,
        webhook: Option<WebhookKey>,
        after: EventKey,
        limit: usize,
        max_bytes: usize,
    ) -> Result<Stretch>;

    /// The deliveries of one event, in the order of their making, late ones
    /// included.
    async fn deliveries_of_event(&self, event: EventKey, page: Page) -> Result<Listed<DeliverySummary>>;
}

/// How much of a lane's waiting work to claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClaimRequest {
    /// The lane.
    pub webhook: WebhookKey,
    /// Most deliveries.
    pub limit: usize,
    /// Whether nobody else may claim for this lane while this process is at work:
    /// what keeps the pace of a webhook must see all of its deliveries.
    pub alone: bool,
}

/// What was claimed for one lane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaneClaim {
    /// The lane.
    pub webhook: WebhookKey,
    /// The deliveries, longest due first; they are leased to the caller now.
    pub deliveries: Vec<Claimed>,
    /// Those of the deliveries that were made later than with their event, and never
    /// attempted, in their order; and when they were made.
    pub late: Vec<(DeliveryKey, Timestamp)>,
    /// When the earliest of those left behind is due; `None` when none is left.
    pub next_due: Option<Timestamp>,
}

/// A delivery that is to be attempted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimed {
    /// The delivery.
    pub delivery: DeliveryKey,
    /// How many attempts were made.
    pub attempts: u32,
    /// How many of them count for the present schedule.
    pub tries: u32,
    /// What to deliver; shared by deliveries of one event.
    pub event: Arc<StoredEvent>,
}

/// Which deliveries of a webhook to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeliveryFilter {
    /// Only those in one of these states; empty for all.
    pub states: Vec<State>,
    /// Only of this event type.
    pub type_name: Option<String>,
    /// Only about this subject.
    pub subject_id: Option<String>,
    /// Only those made at or after this time.
    pub since: Option<Timestamp>,
    /// Only those made before this time.
    pub until: Option<Timestamp>,
    /// Only those whose last attempt was answered like this.
    pub answer: Option<AnswerClass>,
}

/// What came of a change by hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ByHand {
    /// Done; the webhook is the one concerned.
    Done(WebhookKey),
    /// The delivery is in a state in which this can't be done.
    NotInState(State),
    /// The delivery is on its way at this moment.
    OnItsWay,
    /// It has had all the attempts that a delivery can have.
    Exhausted,
}

/// Deliveries and their attempts.
#[async_trait]
pub trait DeliveryStore: Send + Sync {
    /// Leases to the caller what is due in these lanes at `now`. The bodies
    /// claimed together stay below about `max_bytes`, but at least one
    /// delivery is claimed where one is due.
    async fn claim_due(
        &self,
        lanes: Vec<ClaimRequest>,
        now: Timestamp,
        max_bytes: usize,
    ) -> Result<Vec<LaneClaim>>;

    /// Writes attempts down and moves their deliveries on. A delivery that was
    /// cancelled meanwhile stays cancelled, unless it was delivered. Returns the
    /// lanes in which what waited behind one of them is due now.
    async fn finish_attempts(&self, attempts: Arc<Vec<Attempt>>, now: Timestamp) -> Result<Vec<WebhookKey>>;

    /// Gives leased deliveries back unattempted: they are due at once.
    async fn release(&self, deliveries: Vec<DeliveryKey>, now: Timestamp) -> Result<()>;

    /// Every lane in which something waits unleased, and when the earliest of
    /// it is due.
    async fn waiting_lanes(&self) -> Result<Vec<(WebhookKey, Timestamp)>>;

    /// One delivery with all its attempts, oldest first.
    async fn delivery(
        &self,
        tenant: TenantKey,
        delivery: DeliveryKey,
    ) -> Result<Option<(DeliverySummary, Vec<LoggedAttempt>)>>;

    /// A webhook's deliveries, newest first.
    async fn list_deliveries(
        &self,
        webhook: WebhookKey,
        filter: DeliveryFilter,
        page: Page,
    ) -> Result<Listed<DeliverySummary>>;

    /// Makes one delivery due at once, with its whole schedule before it: a
    /// failed, cancelled, superseded or delivered one becomes pending again,
    /// and so does a waiting one. One that is pending already is refused.
    async fn retry_delivery(
        &self,
        tenant: TenantKey,
        delivery: DeliveryKey,
        by: By,
    ) -> Result<Option<ByHand>>;

    /// Calls one delivery off: a pending or waiting one becomes cancelled. One
    /// that is leased does too, unless others may wait behind it in order.
    async fn cancel_delivery(
        &self,
        tenant: TenantKey,
        delivery: DeliveryKey,
        by: By,
    ) -> Result<Option<ByHand>>;

    /// What happened to a webhook's deliveries since `since`, by the hour.
    async fn webhook_stats(&self, webhook: WebhookKey, since: Timestamp) -> Result<WebhookStats>;
}

/// A webhook to be made.
#[derive(Debug, Clone)]
pub struct NewWebhook {
    /// Its public id.
    pub id: WebhookId,
    /// What its owner chose.
    pub settings: Settings,
    /// Whether it starts active.
    pub status: Status,
    /// Its first signing secret.
    pub secret: Secret,
    /// What tells receivers of the OpenTicket dialect which webhook is calling;
    /// no other webhook of the deployment may have it.
    pub nonce: Option<String>,
}

/// Which webhooks of one dialect to list, as a numbered page of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WebhookSlice {
    /// The dialect.
    pub dialect: Dialect,
    /// The newest first, instead of the oldest.
    pub newest_first: bool,
    /// How many to pass over.
    pub offset: u64,
    /// Most that are wanted.
    pub limit: u64,
}

/// What an edit puts in the place of what was.
#[derive(Debug, Clone)]
pub struct WebhookEdit {
    /// The settings, all of them.
    pub settings: Settings,
    /// The status.
    pub status: Status,
    /// What signs from now on instead of all other secrets, where those can't
    /// sign in the scheme that the settings name.
    pub secret: Option<Secret>,
}

/// What came of an edit.
#[derive(Debug, Clone, PartialEq)]
pub enum Edited {
    /// The webhook as it is now.
    Done(Box<Webhook>),
    /// Somebody else edited it since the revision that the edit is based on.
    Stale,
}

/// Webhooks and their secrets.
#[async_trait]
pub trait WebhookStore: Send + Sync {
    /// Makes a webhook.
    async fn create_webhook(&self, tenant: TenantKey, webhook: NewWebhook, by: By) -> Result<Webhook>;

    /// Edits a webhook that is still at `revision`.
    async fn update_webhook(
        &self,
        tenant: TenantKey,
        id: WebhookId,
        revision: i64,
        edit: WebhookEdit,
        by: By,
    ) -> Result<Option<Edited>>;

    /// Disables a webhook because its receiver asks for it or fails too long, which
    /// the audit log says that Callboard itself did;
    /// `None` when it is disabled already, or deleted. The next edit of its
    /// status by hand clears the reason.
    async fn disable_webhook(
        &self,
        key: WebhookKey,
        reason: String,
        now: Timestamp,
    ) -> Result<Option<Webhook>>;

    /// Notes since when a webhook has done nothing but fail; `None` when it
    /// works again. An earlier time that was noted before stays, and what is
    /// noted now is returned. No edit: the revision stays.
    async fn set_failing_since(&self, key: WebhookKey, since: Option<Timestamp>)
    -> Result<Option<Timestamp>>;

    /// Deletes a webhook: it is gone from every method of this port but
    /// [`Self::webhook_or_deleted`], while its log stays until retention takes it. What waits is cancelled later, by
    /// [`UpkeepStore::cancel_orphans`].
    async fn delete_webhook(&self, tenant: TenantKey, id: WebhookId, by: By) -> Result<Option<WebhookKey>>;

    /// One webhook.
    async fn webhook(&self, tenant: TenantKey, id: WebhookId) -> Result<Option<Webhook>>;

    /// One webhook by its row.
    async fn webhook_by_key(&self, key: WebhookKey) -> Result<Option<Webhook>>;

    /// The tenant's webhooks, newest first.
    async fn list_webhooks(&self, tenant: TenantKey, page: Page) -> Result<Listed<Webhook>>;

    /// The tenant's webhooks of one dialect, and how many there are in all.
    async fn list_webhooks_in(&self, tenant: TenantKey, slice: WebhookSlice) -> Result<(Vec<Webhook>, u64)>;

    /// One webhook, also when it is deleted.
    async fn webhook_or_deleted(&self, tenant: TenantKey, id: WebhookId) -> Result<Option<Webhook>>;

    /// All webhooks of a tenant, for the index.
    async fn webhooks_of(&self, tenant: TenantKey) -> Result<Vec<Webhook>>;

    /// Puts a new signing secret before the others; those go on signing until
    /// `overlap_until`, or until their own end where that is earlier. Secrets
    /// past their end are removed.
    async fn rotate_secret(
        &self,
        tenant: TenantKey,
        id: WebhookId,
        secret: Secret,
        overlap_until: Timestamp,
        by: By,
    ) -> Result<Option<Webhook>>;
}

/// What one step of clearing away did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cleared {
    /// Rows of the kind in question that are gone, or were moved on.
    pub rows: usize,
    /// Whether there is more to do at once.
    pub more: bool,
}

/// Retention, and what else goes on behind.
#[async_trait]
pub trait UpkeepStore: Send + Sync {
    /// Cancels what waits for deleted webhooks, at most `limit` deliveries.
    async fn cancel_orphans(&self, limit: usize, now: Timestamp) -> Result<Cleared>;

    /// Deletes at most `limit` events that are older than their tenant's
    /// retention, with their deliveries and attempts, and gives space back.
    async fn prune(&self, now: Timestamp, default_retention_seconds: u32, limit: usize) -> Result<Cleared>;

    /// Whether the database answers and can be written.
    async fn check(&self) -> Result<()>;

    /// Finishes what is under way and closes the database. Every method fails
    /// as unavailable afterwards.
    async fn close(&self);
}
