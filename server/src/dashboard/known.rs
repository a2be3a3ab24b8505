//! The webhooks that the rows of a list belong to, each read once.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use callboard_domain::id::WebhookKey;
use callboard_domain::store::{Store, StoreError};
use callboard_domain::webhook::Webhook;

/// What was read so far; of a deleted one that there is none.
#[derive(Default)]
pub(super) struct Known(HashMap<WebhookKey, Option<Webhook>>);

impl Known {
    /// The webhook of this row; `None` when it is deleted.
    pub(super) async fn webhook(
        &mut self,
        store: &dyn Store,
        key: WebhookKey,
    ) -> Result<Option<&Webhook>, StoreError> {
        let found = match self.0.entry(key) {
            Entry::Occupied(found) => found.into_mut(),
            Entry::Vacant(place) => place.insert(store.webhook_by_key(key).await?),
        };
        Ok(found.as_ref())
    }
}
