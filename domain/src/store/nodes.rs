//! The storage port of the processes, "nodes", that work on one database.

use async_trait::async_trait;

use super::Result;
use crate::clock::Timestamp;
use crate::id::{TenantKey, WebhookKey};

/// Something that another process did to the database, or that was done to this
/// one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// A webhook was made, edited or deleted.
    WebhookChanged {
        /// Whose it is.
        tenant: TenantKey,
        /// The webhook.
        webhook: WebhookKey,
    },
    /// Deliveries are due that nobody holds;
    /// [`DeliveryStore::waiting_lanes`](super::DeliveryStore::waiting_lanes) tells which.
    WorkDue,
    /// A tenant's log of events has grown.
    EventsRecorded {
        /// The tenant.
        tenant: TenantKey,
    },
    /// What this process had claimed was given to others, because nothing was
    /// heard of it for too long.
    LeaseLost,
    /// Signals may have been missed: everything is to be looked at again.
    MissedSome,
}

/// A process that works on the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its own id, which no other process ever has.
    pub id: String,
    /// What people call it, such as the name of its machine; may be empty.
    pub name: String,
    /// The version of the program.
    pub version: String,
    /// Since when it is one, by the database's time.
    pub started_at: Timestamp,
    /// When others take over what it holds, unless it is heard of before.
    pub lease_until: Timestamp,
    /// Deliveries that it holds.
    pub leased: u64,
    /// Whether it is this process.
    pub is_this: bool,
}

/// The processes that share a database. Where there can be only one, nothing is
/// ever signalled, and its lease never passes.
#[async_trait]
pub trait NodeStore: Send + Sync {
    /// Waits for the next signals; at least one is returned. Nobody may rely on
    /// them: a signal only saves the time until the next look.
    async fn next_signals(&self) -> Vec<Signal>;

    /// Whether several processes may work on the database.
    fn is_shared(&self) -> bool;

    /// The number of the lease under which this process holds what it has claimed;
    /// `None` when it may have passed. Nothing may be sent then that was claimed
    /// under another number.
    fn lease(&self) -> Option<i64>;

    /// The processes at work, in the order of their start; none where there can be
    /// only one.
    async fn nodes(&self) -> Result<Vec<Node>>;

    /// The time of the database itself, which all processes share; `None` where it
    /// is that of this process.
    async fn database_time(&self) -> Result<Option<Timestamp>>;
}
