//! Webhooks that fail for too long, or say that they are gone, are disabled,
//! and whoever asked for it hears of that.

use std::sync::Arc;
use std::time::Duration;

use callboard_domain::clock::Timestamp;
use callboard_domain::event::{self, Event};
use callboard_domain::event_type::Operational;
use callboard_domain::id::EventId;
use callboard_domain::store::Result;
use callboard_domain::webhook::Webhook;

use crate::Engine;
use crate::target::Target;

/// What an attempt means for its webhook beyond the one delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Nothing new.
    None,
    /// The first failure after a success.
    BeganToFail(Timestamp),
    /// The first success after failures.
    Recovered,
    /// It has done nothing but fail since this time.
    FailsSince(Timestamp),
    /// It answered that it is gone for good.
    Gone,
}

/// Acts on a turn.
///
/// # Errors
/// When the store can't do it; the next attempt will bring the turn again, or
/// a restart will.
pub(crate) async fn act(engine: &Arc<Engine>, target: &Target, turn: Turn) -> Result<()> {
    let reason = match turn {
        Turn::None => return Ok(()),
        Turn::BeganToFail(since) => return engine.store.set_failing_since(target.key(), Some(since)).await,
        Turn::Recovered => return engine.store.set_failing_since(target.key(), None).await,
        Turn::FailsSince(since) if !is_too_long(engine, since) => return Ok(()),
        Turn::FailsSince(since) => format!("nothing but failures since {since}"),
        Turn::Gone => "the receiver answered 410: it is gone for good".to_owned(),
    };
    let now = engine.clock.now();
    let Some(webhook) = engine.store.disable_webhook(target.key(), reason.clone(), now).await? else {
        // Another attempt was first, and tells it.
        return engine.refresh(target.tenant(), target.key()).await;
    };
    tracing::warn!(webhook = %webhook.id, %reason, "webhook disabled");
    engine.refresh(webhook.tenant, webhook.key).await?;
    let notice = disabled(engine, &webhook, &reason, now);
    if let Err(error) = engine.publish(webhook.tenant, vec![notice]).await {
        tracing::warn!(%error, webhook = %webhook.id, "can't tell that the webhook was disabled");
    }
    Ok(())
}

fn is_too_long(engine: &Engine, since: Timestamp) -> bool {
    let failing = engine.clock.now().duration_since(since);
    Duration::try_from(failing).is_ok_and(|failing| failing >= engine.options.disable_after)
}

fn disabled(engine: &Engine, webhook: &Webhook, reason: &str, now: Timestamp) -> Event {
    let id = EventId::generate(now, &mut *engine.rng.lock());
    let data = serde_json::json!({"webhook_id": webhook.id, "url": webhook.settings.url, "reason": reason});
    event::operational(
        id,
        Operational::WebhookDisabled,
        &webhook.id.to_string(),
        &webhook.settings.name,
        &data,
        now,
    )
}
