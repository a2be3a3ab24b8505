//! The ports but for those of jobs, the audit log, portal links, sessions and what has failed: each method brings its work to the writer or to a reader.

use std::sync::Arc;

use async_trait::async_trait;
use callboard_domain::access::{Client, Tenant};
use callboard_domain::audit::{By, Change};
use callboard_domain::clock::Timestamp;
use callboard_domain::delivery::{Attempt, DeliverySummary, LoggedAttempt, StoredEvent};
use callboard_domain::id::{ClientId, DeliveryKey, EventId, EventKey, TenantId, TenantKey};
use callboard_domain::id::{WebhookId, WebhookKey};
use callboard_domain::signing::Secret;
use callboard_domain::stats::WebhookStats;
use callboard_domain::store::{
    AccessStore, ByHand, ClaimRequest, Cleared, DeliveryFilter, DeliveryStore, Edited, EventFilter,
    EventStore, KeyStore, LaneClaim, Listed, NewClient, NewEvent, NewWebhook, Node, NodeStore, Page,
    RecordError, Recorded, Result, SealingKey, Signal, StoreError, Stretch, UpkeepStore, WebhookEdit,
    WebhookSlice, WebhookStore,
};
use callboard_domain::webhook::Webhook;
use rusqlite::Connection;

use super::failure::Failure;
use super::ledger::Write;
use super::{
    SqliteStore, access, attempts, audit, by_hand, claims, deliveries, delivery_list, event_list, events,
    retention, sealing, stats, stream, webhooks,
};
use crate::rows::attempts::details;
use crate::rows::webhooks::StoredSettings;

/// Rows that a small change writes, about.
const FEW: usize = 4;

#[async_trait]
impl EventStore for SqliteStore {
    async fn record_events(
        &self,
        tenant: TenantKey,
        events: Vec<NewEvent>,
        now: Timestamp,
    ) -> Result<Vec<Recorded>, RecordError> {
        let rows = events.iter().map(|new| 1 + new.deliveries.len()).sum();
        let record = move |write: &mut Write<'_>| events::record(write, tenant, &events, now);
        self.writer.run_beside_unwritten(rows, record).await?.map_err(RecordError::Conflict)
    }

    async fn record_by_hand(
        &self,
        tenant: TenantKey,
        event: NewEvent,
        (by, change): (By, Change),
    ) -> Result<Recorded, RecordError> {
        let rows = FEW + event.deliveries.len();
        let events = [event];
        let record = move |write: &mut Write<'_>| {
            let recorded = events::record(write, tenant, &events, by.at)?;
            if recorded.is_ok() {
                audit::write(write.conn, Some(tenant), &by, &change)?;
            }
            Ok(recorded)
        };
        let recorded =
            self.writer.run_beside_unwritten(rows, record).await?.map_err(RecordError::Conflict)?;
        let nothing = || StoreError::Corrupt("nothing was recorded".to_owned());
        Ok(recorded.into_iter().next().ok_or_else(nothing)?)
    }

    async fn event(&self, tenant: TenantKey, id: &EventId) -> Result<Option<StoredEvent>> {
        let id = id.clone();
        self.readers.run(move |conn| events::by_id(conn, tenant, &id)).await
    }

    async fn list_events(
        &self,
        tenant: TenantKey,
        filter: EventFilter,
        page: Page,
    ) -> Result<Listed<StoredEvent>> {
        self.readers.run(move |conn| event_list::list(conn, tenant, &filter, page)).await
    }

    async fn place(&self, before: Option<Timestamp>) -> Result<EventKey> {
        self.readers.run(move |conn| stream::place(conn, before)).await
    }

    async fn events_after(
        &self,
        tenant: TenantKey,
        webhook: Option<WebhookKey>,
        after: EventKey,
        limit: usize,
        max_bytes: usize,
    ) -> Result<Stretch> {
        let read = move |conn: &Connection| stream::after(conn, (tenant, webhook), after, limit, max_bytes);
        // Only where a webhook's deliveries are wanted.
        if webhook.is_some() { self.read_pending(read).await } else { self.readers.run(read).await }
    }

    async fn deliveries_of_event(&self, event: EventKey, page: Page) -> Result<Listed<DeliverySummary>> {
        self.read_pending(move |conn| deliveries::of_event(conn, event, page)).await
    }
}

#[async_trait]
impl DeliveryStore for SqliteStore {
    async fn claim_due(
        &self,
        lanes: Vec<ClaimRequest>,
        now: Timestamp,
        max_bytes: usize,
    ) -> Result<Vec<LaneClaim>> {
        let rows = lanes.iter().map(|lane| lane.limit).sum();
        self.writer
            .run_beside_unwritten(rows, move |write| claims::claim(write, &lanes, now, max_bytes))
            .await
    }

    async fn finish_attempts(&self, attempts: Arc<Vec<Attempt>>, now: Timestamp) -> Result<Vec<WebhookKey>> {
        let details = details(&attempts).map_err(Failure::from)?;
        let rows = 2 * attempts.len();
        self.writer
            .run_beside_unwritten(rows, move |write| attempts::finish(write, &attempts, &details, now))
            .await
    }

    async fn release(&self, deliveries: Vec<DeliveryKey>, now: Timestamp) -> Result<()> {
        let rows = deliveries.len();
        let release = move |write: &mut Write<'_>| claims::release(write, &deliveries, now);
        self.writer.run_beside_unwritten(rows, release).await
    }

    async fn waiting_lanes(&self) -> Result<Vec<(WebhookKey, Timestamp)>> {
        self.readers.run(claims::waiting).await
    }

    async fn delivery(
        &self,
        tenant: TenantKey,
        delivery: DeliveryKey,
    ) -> Result<Option<(DeliverySummary, Vec<LoggedAttempt>)>> {
        self.read_pending(move |conn| deliveries::one(conn, tenant, delivery)).await
    }

    async fn list_deliveries(
        &self,
        webhook: WebhookKey,
        filter: DeliveryFilter,
        page: Page,
    ) -> Result<Listed<DeliverySummary>> {
        self.read_pending(move |conn| delivery_list::list(conn, webhook, &filter, page)).await
    }

    async fn retry_delivery(
        &self,
        tenant: TenantKey,
        delivery: DeliveryKey,
        by: By,
    ) -> Result<Option<ByHand>> {
        self.writer.run(FEW, move |write| by_hand::retry(write, tenant, delivery, &by)).await
    }

    async fn cancel_delivery(
        &self,
        tenant: TenantKey,
        delivery: DeliveryKey,
        by: By,
    ) -> Result<Option<ByHand>> {
        self.writer.run(FEW, move |write| by_hand::cancel(write, tenant, delivery, &by)).await
    }

    async fn webhook_stats(&self, webhook: WebhookKey, since: Timestamp) -> Result<WebhookStats> {
        self.read_pending(move |conn| stats::of_webhook(conn, webhook, since)).await
    }
}

#[async_trait]
impl WebhookStore for SqliteStore {
    async fn create_webhook(&self, tenant: TenantKey, webhook: NewWebhook, by: By) -> Result<Webhook> {
        let ring = self.ring();
        let stored = StoredSettings::of(&webhook.settings, webhook.id.as_bytes(), &ring);
        let stored = stored.map_err(Failure::from)?;
        let create =
            move |write: &mut Write<'_>| webhooks::create(write, &ring, tenant, &webhook, &stored, &by);
        self.writer.run(FEW, create).await
    }

    async fn update_webhook(
        &self,
        tenant: TenantKey,
        id: WebhookId,
        revision: i64,
        edit: WebhookEdit,
        by: By,
    ) -> Result<Option<Edited>> {
        let ring = self.ring();
        let stored = StoredSettings::of(&edit.settings, id.as_bytes(), &ring).map_err(Failure::from)?;
        let update = move |write: &mut Write<'_>| {
            webhooks::update(write, &ring, (tenant, id), revision, (&edit, &stored), &by)
        };
        self.writer.run(FEW, update).await
    }

    async fn disable_webhook(
        &self,
        key: WebhookKey,
        reason: String,
        now: Timestamp,
    ) -> Result<Option<Webhook>> {
        let ring = self.ring();
        self.writer.run(FEW, move |write| webhooks::disable(write, &ring, key, &reason, now)).await
    }

    async fn set_failing_since(
        &self,
        key: WebhookKey,
        since: Option<Timestamp>,
    ) -> Result<Option<Timestamp>> {
        self.writer.run(FEW, move |write| webhooks::set_failing_since(write, key, since)).await
    }

    async fn delete_webhook(&self, tenant: TenantKey, id: WebhookId, by: By) -> Result<Option<WebhookKey>> {
        let ring = self.ring();
        self.writer.run(FEW, move |write| webhooks::delete(write, &ring, tenant, id, &by)).await
    }

    async fn webhook(&self, tenant: TenantKey, id: WebhookId) -> Result<Option<Webhook>> {
        let ring = self.ring();
        self.readers.run(move |conn| webhooks::by_id(conn, &ring, tenant, id)).await
    }

    async fn webhook_by_key(&self, key: WebhookKey) -> Result<Option<Webhook>> {
        let ring = self.ring();
        self.readers.run(move |conn| webhooks::by_key(conn, &ring, key)).await
    }

    async fn list_webhooks(&self, tenant: TenantKey, page: Page) -> Result<Listed<Webhook>> {
        let ring = self.ring();
        self.readers.run(move |conn| webhooks::list(conn, &ring, tenant, page)).await
    }

    async fn list_webhooks_in(&self, tenant: TenantKey, slice: WebhookSlice) -> Result<(Vec<Webhook>, u64)> {
        let ring = self.ring();
        self.readers.run(move |conn| webhooks::list_in(conn, &ring, tenant, slice)).await
    }

    async fn webhook_or_deleted(&self, tenant: TenantKey, id: WebhookId) -> Result<Option<Webhook>> {
        let ring = self.ring();
        self.readers.run(move |conn| webhooks::by_id_or_deleted(conn, &ring, tenant, id)).await
    }

    async fn webhooks_of(&self, tenant: TenantKey) -> Result<Vec<Webhook>> {
        let ring = self.ring();
        self.readers.run(move |conn| webhooks::all(conn, &ring, tenant)).await
    }

    async fn rotate_secret(
        &self,
        tenant: TenantKey,
        id: WebhookId,
        secret: Secret,
        overlap_until: Timestamp,
        by: By,
    ) -> Result<Option<Webhook>> {
        let ring = self.ring();
        let rotate = move |write: &mut Write<'_>| {
            webhooks::rotate(write, &ring, (tenant, id), &secret, overlap_until, &by)
        };
        self.writer.run(FEW, rotate).await
    }
}

#[async_trait]
impl AccessStore for SqliteStore {
    async fn create_tenant(
        &self,
        id: TenantId,
        name: String,
        retention_seconds: Option<u32>,
        by: By,
    ) -> Result<Option<Tenant>> {
        let create =
            move |write: &mut Write<'_>| access::create_tenant(write, &id, &name, retention_seconds, &by);
        self.writer.run(FEW, create).await
    }

    async fn update_tenant(
        &self,
        id: &TenantId,
        name: String,
        retention_seconds: Option<u32>,
        by: By,
    ) -> Result<Option<Tenant>> {
        let id = id.clone();
        let update =
            move |write: &mut Write<'_>| access::update_tenant(write, &id, &name, retention_seconds, &by);
        self.writer.run(FEW, update).await
    }

    async fn tenant(&self, id: &TenantId) -> Result<Option<Tenant>> {
        let id = id.clone();
        self.readers.run(move |conn| access::tenant(conn, &id)).await
    }

    async fn tenant_by_key(&self, key: TenantKey) -> Result<Option<Tenant>> {
        self.readers.run(move |conn| access::tenant_by_key(conn, key)).await
    }

    async fn list_tenants(&self, page: Page) -> Result<Listed<Tenant>> {
        self.readers.run(move |conn| access::list_tenants(conn, page)).await
    }

    async fn create_client(&self, tenant: TenantKey, client: NewClient, by: By) -> Result<Client> {
        self.writer.run(FEW, move |write| access::create_client(write, tenant, &client, &by)).await
    }

    async fn client(&self, id: &ClientId) -> Result<Option<Client>> {
        let id = id.clone();
        self.readers.run(move |conn| access::client(conn, &id)).await
    }

    async fn list_clients(&self, tenant: TenantKey, page: Page) -> Result<Listed<Client>> {
        self.readers.run(move |conn| access::list_clients(conn, tenant, page)).await
    }

    async fn set_client_enabled(
        &self,
        tenant: TenantKey,
        id: &ClientId,
        enabled: bool,
        by: By,
    ) -> Result<Option<Client>> {
        let id = id.clone();
        self.writer.run(FEW, move |write| access::set_client_enabled(write, tenant, &id, enabled, &by)).await
    }

    async fn delete_client(&self, tenant: TenantKey, id: &ClientId, by: By) -> Result<bool> {
        let id = id.clone();
        self.writer.run(FEW, move |write| access::delete_client(write, tenant, &id, &by)).await
    }

    async fn touch_client(&self, id: &ClientId, at: Timestamp) -> Result<()> {
        let id = id.clone();
        self.writer.run(1, move |write| access::touch_client(write, &id, at)).await
    }

    async fn deployment_value(&self, name: &str, value: Vec<u8>) -> Result<(Vec<u8>, bool)> {
        let (name, ring) = (name.to_owned(), self.ring());
        self.writer.run(FEW, move |write| access::deployment_value(write, &ring, &name, &value)).await
    }
}

#[async_trait]
impl UpkeepStore for SqliteStore {
    async fn cancel_orphans(&self, limit: usize, now: Timestamp) -> Result<Cleared> {
        let lanes = self.read_pending(by_hand::orphaned_lanes).await?;
        if lanes.is_empty() {
            return Ok(Cleared::default());
        }
        let cancel = move |write: &mut Write<'_>| by_hand::cancel_orphans(write, &lanes, limit, now);
        let rows = self.writer.run(2 * limit, cancel).await?;
        Ok(Cleared { rows, more: rows >= limit })
    }

    async fn prune(&self, now: Timestamp, default_retention_seconds: u32, limit: usize) -> Result<Cleared> {
        let prune =
            move |write: &mut Write<'_>| retention::prune(write, now, default_retention_seconds, limit);
        self.writer.run(FEW * limit, prune).await
    }

    async fn check(&self) -> Result<()> {
        let beat = "UPDATE marks SET value = value + 1 WHERE name = 'heartbeat'";
        self.writer.run(1, move |write| super::sql::run(write.conn, beat, []).map(drop)).await
    }

    async fn close(&self) {
        self.shut().await;
    }
}

#[async_trait]
impl KeyStore for SqliteStore {
    async fn sealing_keys(&self) -> Result<Vec<SealingKey>> {
        let ring = self.ring();
        let used = self.readers.run(sealing::used).await?;
        Ok(ring.listed(&used))
    }

    async fn seal_anew(&self, limit: usize) -> Result<Cleared> {
        let ring = self.ring();
        self.writer.run(limit, move |write| sealing::seal_anew(write, &ring, limit)).await
    }
}

#[async_trait]
impl NodeStore for SqliteStore {
    async fn next_signals(&self) -> Vec<Signal> {
        std::future::pending().await
    }

    fn is_shared(&self) -> bool {
        false
    }

    fn lease(&self) -> Option<i64> {
        Some(0)
    }

    async fn nodes(&self) -> Result<Vec<Node>> {
        Ok(Vec::new())
    }

    async fn database_time(&self) -> Result<Option<Timestamp>> {
        Ok(None)
    }
}
