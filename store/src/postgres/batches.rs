//! Collects what is asked for at the same time into one transaction.

use std::sync::Arc;

use callboard_domain::clock::Timestamp;
use callboard_domain::delivery::Attempt;
use callboard_domain::id::{DeliveryKey, TenantKey, WebhookKey};
use callboard_domain::store::{ClaimRequest, LaneClaim, NewEvent, Recorded, StoreError};
use deadpool_postgres::Pool;

use super::nodes::Node;

/// The way to the tasks that run batches.
pub(super) struct Batches;

impl Batches {
    pub(super) fn start(pool: Pool, node: Arc<Node>, batches: usize) -> Self {
        let _ = (pool, node, batches);
        Self
    }

    pub(super) async fn record(
        &self,
        tenant: TenantKey,
        events: Vec<NewEvent>,
        now: Timestamp,
    ) -> Result<Result<Vec<Recorded>, usize>, StoreError> {
        let _ = (tenant, events, now);
        std::future::ready(Err(StoreError::Unavailable("not written yet".to_owned()))).await
    }

    pub(super) async fn claim(
        &self,
        lanes: Vec<ClaimRequest>,
        now: Timestamp,
        max_bytes: usize,
    ) -> Result<Vec<LaneClaim>, StoreError> {
        let _ = (lanes, now, max_bytes);
        std::future::ready(Err(StoreError::Unavailable("not written yet".to_owned()))).await
    }

    pub(super) async fn finish(
        &self,
        attempts: Arc<Vec<Attempt>>,
        details: Vec<Option<String>>,
        now: Timestamp,
    ) -> Result<Vec<WebhookKey>, StoreError> {
        let _ = (attempts, details, now);
        std::future::ready(Err(StoreError::Unavailable("not written yet".to_owned()))).await
    }

    pub(super) async fn release(
        &self,
        deliveries: Vec<DeliveryKey>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let _ = (deliveries, now);
        std::future::ready(Err(StoreError::Unavailable("not written yet".to_owned()))).await
    }

    pub(super) async fn stop(&self) {
        std::future::ready(()).await;
    }
}
