//! Changes to webhooks: written down, and then obeyed.
//!
//! Both are one piece of work that goes on to its end: were it left in the
//! middle by a caller who hangs up, the lanes would go on with what the webhook
//! was before, until somebody changes it again.

use std::sync::Arc;

use callboard_domain::audit::By;
use callboard_domain::clock::Timestamp;
use callboard_domain::id::{TenantKey, WebhookId, WebhookKey};
use callboard_domain::signing::Secret;
use callboard_domain::store::{Edited, NewWebhook, Result, WebhookEdit};
use callboard_domain::webhook::Webhook;

use crate::Engine;
use crate::uncancelled::Uncancelled;

impl Engine {
    /// Makes a webhook, which hears every event that is published from then on.
    ///
    /// # Errors
    /// When the store can't do it.
    pub async fn create_webhook(
        self: &Arc<Self>,
        tenant: TenantKey,
        new: NewWebhook,
        by: By,
    ) -> Result<Webhook> {
        let engine = Arc::clone(self);
        let create = async move { engine.store.create_webhook(tenant, new, by).await };
        self.obeyed(tenant, create, |made| Some(made.key)).await
    }

    /// Edits a webhook, if it is still at `revision`.
    ///
    /// # Errors
    /// When the store can't do it.
    pub async fn update_webhook(
        self: &Arc<Self>,
        tenant: TenantKey,
        id: WebhookId,
        revision: i64,
        edit: WebhookEdit,
        by: By,
    ) -> Result<Option<Edited>> {
        let engine = Arc::clone(self);
        let update = async move { engine.store.update_webhook(tenant, id, revision, edit, by).await };
        self.obeyed(tenant, update, |edited| match edited {
            Some(Edited::Done(webhook)) => Some(webhook.key),
            Some(Edited::Stale) | None => None,
        })
        .await
    }

    /// Deletes a webhook; false when there is none.
    ///
    /// # Errors
    /// When the store can't do it.
    pub async fn delete_webhook(self: &Arc<Self>, tenant: TenantKey, id: WebhookId, by: By) -> Result<bool> {
        let engine = Arc::clone(self);
        let delete = async move { engine.store.delete_webhook(tenant, id, by).await };
        let deleted = self.obeyed(tenant, delete, |deleted| *deleted).await?;
        Ok(deleted.is_some())
    }

    /// Puts a new signing secret before the others, which go on signing until
    /// `overlap_until`.
    ///
    /// # Errors
    /// When the store can't do it.
    pub async fn rotate_secret(
        self: &Arc<Self>,
        tenant: TenantKey,
        id: WebhookId,
        secret: Secret,
        overlap_until: Timestamp,
        by: By,
    ) -> Result<Option<Webhook>> {
        let engine = Arc::clone(self);
        let rotate = async move { engine.store.rotate_secret(tenant, id, secret, overlap_until, by).await };
        self.obeyed(tenant, rotate, |rotated| rotated.as_ref().map(|webhook| webhook.key)).await
    }

    /// Waits for `change`, and obeys the webhook that it changed.
    async fn obeyed<T: Send + 'static>(
        self: &Arc<Self>,
        tenant: TenantKey,
        change: impl Future<Output = Result<T>> + Send + 'static,
        changed: fn(&T) -> Option<WebhookKey>,
    ) -> Result<T> {
        let engine = Arc::clone(self);
        let change_and_obey = async move {
            let result = change.await?;
            if let Some(webhook) = changed(&result) {
                engine.obey(tenant, webhook).await;
            }
            Ok(result)
        };
        Uncancelled::new(change_and_obey).await
    }

    /// Obeys a webhook as the store has it now. Its change is durable, so when
    /// that fails it is not undone: upkeep tries again.
    pub(crate) async fn obey(self: &Arc<Self>, tenant: TenantKey, webhook: WebhookKey) {
        if let Err(error) = self.refresh(tenant, webhook).await {
            tracing::warn!(%error, ?webhook, "a change of a webhook can't be obeyed yet");
            self.unobeyed.lock().push((tenant, webhook));
        }
    }
}

/// Obeys the changes that could not be obeyed when they were made.
pub(crate) async fn catch_up(engine: &Arc<Engine>) {
    let unobeyed = std::mem::take(&mut *engine.unobeyed.lock());
    for (tenant, webhook) in unobeyed {
        engine.obey(tenant, webhook).await;
    }
}
