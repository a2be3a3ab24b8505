//! Hears what other nodes did, and tells them what this one did.

use callboard_domain::id::{TenantKey, WebhookKey};
use callboard_domain::store::Signal;

use super::failure::Failure;
use super::open::Target;
use super::sql::{self, Connection};

/// What was heard.
pub(super) struct Signals;

impl Signals {
    /// Starts to listen.
    pub(super) async fn start(target: Target) -> Result<Self, Failure> {
        let _ = (target.config, target.tls, target.settings);
        std::future::ready(Ok(Self)).await
    }

    pub(super) fn stop(&self) {}

    /// Waits for the next signals.
    pub(super) async fn next(&self) -> Vec<Signal> {
        std::future::pending().await
    }
}

/// Tells the others, once this transaction is committed, that a webhook was
/// made, edited or deleted.
pub(super) async fn webhook_changed(
    conn: &Connection,
    tenant: TenantKey,
    webhook: WebhookKey,
) -> Result<(), Failure> {
    let sql = "SELECT signal(0, $1)";
    sql::run(conn, sql, &[&format!("webhook {} {}", tenant.0, webhook.0)]).await.map(drop)
}
