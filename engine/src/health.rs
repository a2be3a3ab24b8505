//! How webhooks fare: who hears of it, and when they are disabled because they
//! fail for too long or say that they are gone.

use std::sync::Arc;
use std::time::Duration;

use callboard_domain::clock::Timestamp;
use callboard_domain::delivery::{Attempt, Outcome};
use callboard_domain::event::{self, Event, Subject};
use callboard_domain::event_type::{EventType, Operational};
use callboard_domain::id::EventId;
use callboard_domain::store::{RecordError, Result};
use callboard_domain::webhook::Webhook;
use serde_json::{Value, json};

use crate::lanes::Work;
use crate::target::Target;
use crate::uncancelled::Uncancelled;
use crate::{Engine, publish};

/// What an attempt means for its webhook beyond the one delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Nothing new.
    None,
    /// The first failure after a success.
    BeganToFail(Timestamp),
    /// It has failed several times in a row since this time, and nobody was
    /// told yet.
    Failing(Timestamp),
    /// It has done nothing but fail since this time.
    FailsSince(Timestamp),
    /// The first success after failures.
    Recovered {
        /// Whether somebody was told that it failed.
        told: bool,
    },
    /// It answered that it is gone for good.
    Gone,
}

/// Acts on a turn.
///
/// # Errors
/// When the store can't do it; the next attempt will bring the turn again, or
/// a restart will.
pub(crate) async fn act(engine: &Arc<Engine>, target: &Target, turn: Turn) -> Result<()> {
    let webhook = &target.webhook;
    let reason = match turn {
        Turn::None => return Ok(()),
        Turn::BeganToFail(since) => {
            let noted = engine.store.set_failing_since(target.key(), Some(since)).await?;
            if let (Some(noted), Some(lane)) = (noted, engine.lanes.get(target.key())) {
                lane.fails_since(noted);
            }
            return Ok(());
        }
        Turn::Failing(since) => {
            let data = json!({ "failing_since": since });
            tell(engine, webhook, Operational::WebhookFailing, data).await;
            return Ok(());
        }
        Turn::Recovered { told } => {
            engine.store.set_failing_since(target.key(), None).await?;
            if told {
                tell(engine, webhook, Operational::WebhookRecovered, json!({})).await;
            }
            return Ok(());
        }
        Turn::FailsSince(since) if !is_too_long(engine, since) => return Ok(()),
        Turn::FailsSince(since) => format!("nothing but failures since {since}"),
        Turn::Gone => "the receiver answered 410: it is gone for good".to_owned(),
    };
    let now = engine.clock.now();
    let Some(webhook) = engine.store.disable_webhook(target.key(), reason.clone(), now).await? else {
        // Another attempt was first, and tells it.
        engine.obey(target.tenant(), target.key()).await;
        return Ok(());
    };
    tracing::warn!(webhook = %webhook.id, %reason, "webhook disabled");
    engine.obey(webhook.tenant, webhook.key).await;
    tell(engine, &webhook, Operational::WebhookDisabled, json!({ "reason": reason })).await;
    Ok(())
}

fn is_too_long(engine: &Engine, since: Timestamp) -> bool {
    let failing = engine.clock.now().duration_since(since);
    Duration::try_from(failing).is_ok_and(|failing| failing >= engine.options.disable_after)
}

/// A webhook as the subject of an event.
pub(crate) fn subject(webhook: &Webhook) -> Subject {
    Subject { id: webhook.id.to_string(), name: Some(webhook.settings.name.clone()) }
}

/// Tells the tenant's other webhooks about this one.
async fn tell(engine: &Arc<Engine>, webhook: &Webhook, what: Operational, more: Value) {
    let mut data = json!({"webhook_id": webhook.id, "url": webhook.settings.url});
    if let (Value::Object(data), Value::Object(more)) = (&mut data, more) {
        data.extend(more);
    }
    let now = engine.clock.now();
    let id = EventId::generate(now, &mut *engine.rng.lock());
    let notice = event::operational(id, what, subject(webhook), &data, now);
    notify(engine, webhook, notice, Heard::OrRecorded).await;
}

/// Tells the tenant's other webhooks that a delivery was given up. Deliveries
/// of Callboard's own events are passed over: two webhooks that fail to hear of
/// each other's failures would never come to an end.
pub(crate) async fn exhausted(engine: &Arc<Engine>, work: &Work, attempt: &Attempt) {
    if attempt.outcome != Outcome::GivenUp {
        return;
    }
    let (webhook, event) = (&work.target.webhook, &work.queued.event);
    if matches!(EventType::from_stored(&event.type_name), Ok(EventType::Operational(_))) {
        return;
    }
    // There may be as many as deliveries, and most often nobody asks. A
    // registry that can't be read says so further down.
    let what = Operational::DeliveryExhausted;
    if matches!(engine.registry.asks_for(webhook.tenant, what.as_str()).await, Ok(false)) {
        return;
    }
    // Which attempt was the last makes the id, so that it is told once also
    // when a crash makes the last attempt again.
    let Ok(id) = format!("{}-exhausted-{}", attempt.delivery, attempt.number).parse() else { return };
    let data = json!({
        "delivery_id": attempt.delivery.to_string(),
        "webhook_id": webhook.id,
        "event_id": event.id,
        "event_type": event.type_name,
        "subject_id": event.subject_id,
        "attempts": attempt.number,
        "status": attempt.status,
        "cause": attempt.cause,
        "message": attempt.detail.message,
    });
    let about = Subject { id: attempt.delivery.to_string(), name: Some(webhook.settings.name.clone()) };
    let notice = event::operational(id, what, about, &data, engine.clock.now());
    notify(engine, webhook, Event { id_given: true, ..notice }, Heard::OrNotAtAll).await;
}

/// Publishes one of Callboard's own events about `webhook` to whoever else asked
/// for it.
async fn notify(engine: &Arc<Engine>, webhook: &Webhook, notice: Event, heard: Heard) {
    let what = notice.type_name.clone();
    let events = vec![notice];
    let told = async {
        let targets = engine.targets(webhook.tenant, &events, Some(webhook.key)).await?;
        if heard == Heard::OrNotAtAll && targets.iter().all(Vec::is_empty) {
            return Ok(());
        }
        let recorded = publish::record(Arc::clone(engine), webhook.tenant, events, targets, None);
        Uncancelled::new(recorded).await.map(drop)
    };
    // A conflict means that it was told before a crash.
    if let Err(RecordError::Store(error)) = told.await {
        tracing::warn!(%error, webhook = %webhook.id, what, "can't tell others of it");
    }
}

/// Whether an event is worth recording that nobody hears.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Heard {
    /// There are few, and people look them up.
    OrRecorded,
    /// There may be as many as deliveries, whose own log says the same.
    OrNotAtAll,
}
