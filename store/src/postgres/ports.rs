//! The ports but for those of jobs, the audit log, portal links, sessions and what has failed: each method brings its work to a batch, a
//! transaction or a snapshot.

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

use super::events::Recording;
use super::failure::Failure;
use super::patience::UPKEEP;
use super::transaction::{asking, reading, writing};
use super::{
    PostgresStore, access, by_hand, claims, deliveries, delivery_list, event_list, events, nodes, retention,
    sealing, sql, stats, stream, webhooks,
};
use crate::rows::attempts::details;
use crate::rows::webhooks::StoredSettings;

/// Whether no row holds such a text: the server has no texts with U+0000.
pub(super) fn is_never_stored(text: Option<&String>) -> bool {
    text.is_some_and(|text| text.contains('\0'))
}

#[async_trait]
impl EventStore for PostgresStore {
    async fn record_events(
        &self,
        tenant: TenantKey,
        events: Vec<NewEvent>,
        now: Timestamp,
    ) -> Result<Vec<Recorded>, RecordError> {
        self.batches
            .record(Recording { tenant, events, now, audited: None })
            .await?
            .map_err(RecordError::Conflict)
    }

    async fn record_by_hand(
        &self,
        tenant: TenantKey,
        event: NewEvent,
        audited: (By, Change),
    ) -> Result<Recorded, RecordError> {
        let now = audited.0.at;
        let recording = Recording { tenant, events: vec![event], now, audited: Some(Box::new(audited)) };
        let recorded = self.batches.record(recording).await?.map_err(RecordError::Conflict)?;
        let nothing = || StoreError::Corrupt("nothing was recorded".to_owned());
        Ok(recorded.into_iter().next().ok_or_else(nothing)?)
    }

    async fn event(&self, tenant: TenantKey, id: &EventId) -> Result<Option<StoredEvent>> {
        reading!(&self.pool, |conn| events::by_id(conn, tenant, id))
    }

    async fn list_events(
        &self,
        tenant: TenantKey,
        filter: EventFilter,
        page: Page,
    ) -> Result<Listed<StoredEvent>> {
        if is_never_stored(filter.subject_id.as_ref()) || is_never_stored(filter.type_name.as_ref()) {
            return Ok(Listed { items: Vec::new(), next: None });
        }
        reading!(&self.pool, |conn| event_list::list(conn, tenant, &filter, page))
    }

    async fn place(&self, before: Option<Timestamp>) -> Result<EventKey> {
        let settled = asking!(self.pool, |conn| events::settled_before(conn))?;
        reading!(&self.pool, |conn| stream::place(conn, settled, before))
    }

    async fn events_after(
        &self,
        tenant: TenantKey,
        webhook: Option<WebhookKey>,
        after: EventKey,
        limit: usize,
        max_bytes: usize,
    ) -> Result<Stretch> {
        let settled = asking!(self.pool, |conn| events::settled_before(conn))?;
        let whose = (tenant, webhook);
        reading!(&self.pool, |conn| stream::after(conn, settled, whose, after, limit, max_bytes))
    }

    async fn deliveries_of_event(&self, event: EventKey, page: Page) -> Result<Listed<DeliverySummary>> {
        reading!(&self.pool, |conn| deliveries::of_event(conn, event, page))
    }
}

#[async_trait]
impl DeliveryStore for PostgresStore {
    async fn claim_due(
        &self,
        lanes: Vec<ClaimRequest>,
        now: Timestamp,
        max_bytes: usize,
    ) -> Result<Vec<LaneClaim>> {
        self.batches.claim(lanes, now, max_bytes).await
    }

    async fn finish_attempts(&self, attempts: Arc<Vec<Attempt>>, now: Timestamp) -> Result<Vec<WebhookKey>> {
        let details = details(&attempts).map_err(Failure::from)?;
        self.batches.finish(attempts, details, now).await
    }

    async fn release(&self, deliveries: Vec<DeliveryKey>, now: Timestamp) -> Result<()> {
        self.batches.release(deliveries, now).await
    }

    async fn waiting_lanes(&self) -> Result<Vec<(WebhookKey, Timestamp)>> {
        asking!(self.pool, |conn| claims::waiting(conn))
    }

    async fn delivery(
        &self,
        tenant: TenantKey,
        delivery: DeliveryKey,
    ) -> Result<Option<(DeliverySummary, Vec<LoggedAttempt>)>> {
        reading!(&self.pool, |conn| deliveries::one(conn, tenant, delivery))
    }

    async fn list_deliveries(
        &self,
        webhook: WebhookKey,
        filter: DeliveryFilter,
        page: Page,
    ) -> Result<Listed<DeliverySummary>> {
        if is_never_stored(filter.subject_id.as_ref()) || is_never_stored(filter.type_name.as_ref()) {
            return Ok(Listed { items: Vec::new(), next: None });
        }
        reading!(&self.pool, |conn| delivery_list::list(conn, webhook, &filter, page))
    }

    async fn retry_delivery(
        &self,
        tenant: TenantKey,
        delivery: DeliveryKey,
        by: By,
    ) -> Result<Option<ByHand>> {
        writing!(&self.pool, |conn| by_hand::retry(conn, tenant, delivery, &by))
    }

    async fn cancel_delivery(
        &self,
        tenant: TenantKey,
        delivery: DeliveryKey,
        by: By,
    ) -> Result<Option<ByHand>> {
        writing!(&self.pool, |conn| by_hand::cancel(conn, tenant, delivery, &by))
    }

    async fn webhook_stats(&self, webhook: WebhookKey, since: Timestamp) -> Result<WebhookStats> {
        reading!(&self.pool, |conn| stats::of_webhook(conn, webhook, since))
    }
}

#[async_trait]
impl WebhookStore for PostgresStore {
    async fn create_webhook(&self, tenant: TenantKey, webhook: NewWebhook, by: By) -> Result<Webhook> {
        let stored = StoredSettings::of(&webhook.settings, webhook.id.as_bytes(), &self.ring);
        let stored = stored.map_err(Failure::from)?;
        writing!(&self.pool, |conn| webhooks::create(conn, &self.ring, tenant, &webhook, &stored, &by))
    }

    async fn update_webhook(
        &self,
        tenant: TenantKey,
        id: WebhookId,
        revision: i64,
        edit: WebhookEdit,
        by: By,
    ) -> Result<Option<Edited>> {
        let stored = StoredSettings::of(&edit.settings, id.as_bytes(), &self.ring).map_err(Failure::from)?;
        let (webhook, edit) = ((tenant, id), (&edit, &stored));
        writing!(&self.pool, |conn| webhooks::update(conn, &self.ring, webhook, revision, edit, &by))
    }

    async fn disable_webhook(
        &self,
        key: WebhookKey,
        reason: String,
        now: Timestamp,
    ) -> Result<Option<Webhook>> {
        writing!(&self.pool, |conn| webhooks::disable(conn, &self.ring, key, &reason, now))
    }

    async fn set_failing_since(
        &self,
        key: WebhookKey,
        since: Option<Timestamp>,
    ) -> Result<Option<Timestamp>> {
        writing!(&self.pool, |conn| webhooks::set_failing_since(conn, key, since))
    }

    async fn delete_webhook(&self, tenant: TenantKey, id: WebhookId, by: By) -> Result<Option<WebhookKey>> {
        writing!(&self.pool, |conn| webhooks::delete(conn, &self.ring, tenant, id, &by))
    }

    async fn webhook(&self, tenant: TenantKey, id: WebhookId) -> Result<Option<Webhook>> {
        reading!(&self.pool, |conn| webhooks::by_id(conn, &self.ring, tenant, id))
    }

    async fn webhook_by_key(&self, key: WebhookKey) -> Result<Option<Webhook>> {
        reading!(&self.pool, |conn| webhooks::by_key(conn, &self.ring, key))
    }

    async fn list_webhooks(&self, tenant: TenantKey, page: Page) -> Result<Listed<Webhook>> {
        reading!(&self.pool, |conn| webhooks::list(conn, &self.ring, tenant, page))
    }

    async fn list_webhooks_in(&self, tenant: TenantKey, slice: WebhookSlice) -> Result<(Vec<Webhook>, u64)> {
        reading!(&self.pool, |conn| webhooks::list_in(conn, &self.ring, tenant, slice))
    }

    async fn webhook_or_deleted(&self, tenant: TenantKey, id: WebhookId) -> Result<Option<Webhook>> {
        reading!(&self.pool, |conn| webhooks::by_id_or_deleted(conn, &self.ring, tenant, id))
    }

    async fn webhooks_of(&self, tenant: TenantKey) -> Result<Vec<Webhook>> {
        reading!(&self.pool, |conn| webhooks::all(conn, &self.ring, tenant))
    }

    async fn rotate_secret(
        &self,
        tenant: TenantKey,
        id: WebhookId,
        secret: Secret,
        overlap_until: Timestamp,
        by: By,
    ) -> Result<Option<Webhook>> {
        let webhook = (tenant, id);
        writing!(&self.pool, |conn| webhooks::rotate(conn, &self.ring, webhook, &secret, overlap_until, &by))
    }
}

#[async_trait]
impl AccessStore for PostgresStore {
    async fn create_tenant(
        &self,
        id: TenantId,
        name: String,
        retention_seconds: Option<u32>,
        by: By,
    ) -> Result<Option<Tenant>> {
        writing!(&self.pool, |conn| access::create_tenant(conn, &id, &name, retention_seconds, &by))
    }

    async fn update_tenant(
        &self,
        id: &TenantId,
        name: String,
        retention_seconds: Option<u32>,
        by: By,
    ) -> Result<Option<Tenant>> {
        writing!(&self.pool, |conn| access::update_tenant(conn, id, &name, retention_seconds, &by))
    }

    async fn tenant(&self, id: &TenantId) -> Result<Option<Tenant>> {
        reading!(&self.pool, |conn| access::tenant(conn, id))
    }

    async fn tenant_by_key(&self, key: TenantKey) -> Result<Option<Tenant>> {
        reading!(&self.pool, |conn| access::tenant_by_key(conn, key))
    }

    async fn list_tenants(&self, page: Page) -> Result<Listed<Tenant>> {
        reading!(&self.pool, |conn| access::list_tenants(conn, page))
    }

    async fn create_client(&self, tenant: TenantKey, client: NewClient, by: By) -> Result<Client> {
        writing!(&self.pool, |conn| access::create_client(conn, tenant, &client, &by))
    }

    async fn client(&self, id: &ClientId) -> Result<Option<Client>> {
        reading!(&self.pool, |conn| access::client(conn, id))
    }

    async fn list_clients(&self, tenant: TenantKey, page: Page) -> Result<Listed<Client>> {
        reading!(&self.pool, |conn| access::list_clients(conn, tenant, page))
    }

    async fn set_client_enabled(
        &self,
        tenant: TenantKey,
        id: &ClientId,
        enabled: bool,
        by: By,
    ) -> Result<Option<Client>> {
        writing!(&self.pool, |conn| access::set_client_enabled(conn, tenant, id, enabled, &by))
    }

    async fn delete_client(&self, tenant: TenantKey, id: &ClientId, by: By) -> Result<bool> {
        writing!(&self.pool, |conn| access::delete_client(conn, tenant, id, &by))
    }

    async fn touch_client(&self, id: &ClientId, at: Timestamp) -> Result<()> {
        writing!(&self.pool, |conn| access::touch_client(conn, id, at))
    }

    async fn deployment_value(&self, name: &str, value: Vec<u8>) -> Result<(Vec<u8>, bool)> {
        writing!(&self.pool, |conn| access::deployment_value(conn, &self.ring, name, &value))
    }
}

#[async_trait]
impl UpkeepStore for PostgresStore {
    async fn cancel_orphans(&self, limit: usize, now: Timestamp) -> Result<Cleared> {
        let lanes = asking!(self.pool, |conn| by_hand::orphaned_lanes(conn))?;
        if lanes.is_empty() {
            return Ok(Cleared::default());
        }
        let rows = writing!(&self.pool, UPKEEP, |conn| by_hand::cancel_orphans(conn, &lanes, limit, now))?;
        Ok(Cleared { rows, more: rows >= limit })
    }

    async fn prune(&self, now: Timestamp, default_retention_seconds: u32, limit: usize) -> Result<Cleared> {
        retention::prune(&self.pool, &self.upkeep, now, default_retention_seconds, limit).await
    }

    async fn check(&self) -> Result<()> {
        let beat = "UPDATE marks SET value = value + 1 WHERE name = 'heartbeat'";
        writing!(&self.pool, |conn| sql::run(conn, beat, &[])).map(drop)
    }

    async fn close(&self) {
        self.shut().await;
    }
}

#[async_trait]
impl KeyStore for PostgresStore {
    async fn sealing_keys(&self) -> Result<Vec<SealingKey>> {
        let used = asking!(&self.pool, |conn| sealing::used(conn))?;
        Ok(self.ring.listed(&used))
    }

    async fn seal_anew(&self, limit: usize) -> Result<Cleared> {
        writing!(&self.pool, |conn| sealing::seal_anew(conn, &self.ring, limit))
    }
}

#[async_trait]
impl NodeStore for PostgresStore {
    async fn next_signals(&self) -> Vec<Signal> {
        self.signals.heard().next().await
    }

    fn is_shared(&self) -> bool {
        true
    }

    fn lease(&self) -> Option<i64> {
        self.node.lease()
    }

    async fn nodes(&self) -> Result<Vec<Node>> {
        let this = self.node.key();
        asking!(&self.pool, |conn| nodes::list(conn, this))
    }

    async fn database_time(&self) -> Result<Option<Timestamp>> {
        asking!(&self.pool, |conn| nodes::database_time(conn)).map(Some)
    }
}
