//! What people ask for by hand: retry, cancel, ping, and the end of a job.

use std::sync::Arc;

use callboard_domain::audit::{By, Change};
use callboard_domain::event;
use callboard_domain::event_type::Operational;
use callboard_domain::id::{DeliveryKey, EventId, JobKey, TenantKey, WebhookKey};
use callboard_domain::job::{Job, JobState};
use callboard_domain::store::{ByHand, RecordError, Result, StoreError};

use crate::publish::Published;
use crate::uncancelled::Uncancelled;
use crate::{Engine, health, publish};

impl Engine {
    /// Makes one delivery due at once, with its whole schedule before it.
    ///
    /// # Errors
    /// When the store can't do it.
    pub async fn retry(
        self: &Arc<Self>,
        tenant: TenantKey,
        delivery: DeliveryKey,
        by: By,
    ) -> Result<Option<ByHand>> {
        let now = by.at;
        let done = self.store.retry_delivery(tenant, delivery, by).await?;
        if let Some(ByHand::Done(webhook)) = done {
            self.note_stored(webhook, now);
        }
        Ok(done)
    }

    /// Calls one delivery off. An attempt that is under way ends as it ends.
    ///
    /// # Errors
    /// When the store can't do it.
    pub async fn cancel(
        self: &Arc<Self>,
        tenant: TenantKey,
        delivery: DeliveryKey,
        by: By,
    ) -> Result<Option<ByHand>> {
        let now = by.at;
        let mut done = self.store.cancel_delivery(tenant, delivery, by.clone()).await?;
        if let Some(ByHand::OnItsWay) = done
            && self.lanes.all().iter().any(|lane| lane.remove(delivery))
        {
            // It only waited here, so it can be given back, and then called off.
            self.store.release(vec![delivery], now).await?;
            done = self.store.cancel_delivery(tenant, delivery, by).await?;
        }
        if let Some(ByHand::Done(webhook)) = done {
            if let Some(lane) = self.lanes.get(webhook) {
                lane.remove(delivery);
            }
            // Another one may have waited behind it, or for its place.
            self.note_stored(webhook, now);
            self.agenda.add(now, webhook);
        }
        Ok(done)
    }

    /// Sends a `webhook.ping` to one webhook and to no other. `None` when there
    /// is no such webhook.
    ///
    /// # Errors
    /// When the event can't be recorded.
    pub async fn ping(
        self: &Arc<Self>,
        tenant: TenantKey,
        webhook: WebhookKey,
        by: By,
    ) -> Result<Option<Published>, StoreError> {
        let Some(target) = self.registry.target(webhook).await?.filter(|target| target.tenant() == tenant)
        else {
            return Ok(None);
        };
        let now = self.clock.now();
        let id = EventId::generate(now, &mut *self.rng.lock());
        let about = health::subject(&target.webhook);
        let ping = event::operational(id, Operational::WebhookPing, about, &serde_json::json!({}), now);
        let audited = (by, Change::pinged(target.webhook.id));
        let recorded = publish::record_by_hand(Arc::clone(self), tenant, ping, vec![target], audited);
        match Uncancelled::new(recorded).await {
            Ok(mut published) => Ok(published.pop()),
            Err(RecordError::Store(error)) => Err(error),
            Err(conflict @ RecordError::Conflict(_)) => Err(StoreError::Corrupt(conflict.to_string())),
        }
    }

    /// Stops a job; what it did stays done.
    ///
    /// # Errors
    /// When the store can't do it.
    pub async fn stop_job(&self, tenant: TenantKey, job: JobKey, by: By) -> Result<Option<Job>> {
        self.store.end_job(tenant, job, JobState::Stopped, by).await
    }
}
