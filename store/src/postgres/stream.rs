//! Reads the log of events forwards, from any place in it.

use callboard_domain::clock::Timestamp;
use callboard_domain::id::{EventKey, TenantKey, WebhookKey};
use callboard_domain::store::Stretch;

use super::failure::Failure;
use super::sql::Connection;

/// The place behind every event accepted before a time, or behind all.
pub(super) async fn place(
    conn: &Connection,
    settled: i64,
    before: Option<Timestamp>,
) -> Result<EventKey, Failure> {
    let _ = (conn, settled, before);
    Err(Failure::Unavailable("not written yet".to_owned()))
}

/// What follows a place in the log, for a tenant or one of its webhooks.
pub(super) async fn after(
    conn: &Connection,
    settled: i64,
    pair1: (TenantKey, Option<WebhookKey>),
    after: EventKey,
    limit: usize,
    max_bytes: usize,
) -> Result<Stretch, Failure> {
    let _ = (conn, settled, pair1, after, limit, max_bytes);
    Err(Failure::Unavailable("not written yet".to_owned()))
}
