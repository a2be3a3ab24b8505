//! What is done with events, whether a program asks or a person: publishing them, and
//! sending one of them to one webhook.

use axum::http::StatusCode;
use callboard_domain::delivery::StoredEvent;
use callboard_domain::event::read_events;
use callboard_domain::id::{DeliveryKey, EventId, JobKey, WebhookKey};
use callboard_domain::job::Selection;
use callboard_domain::matching::{Explanation, explain_stored};
use callboard_domain::store::{Page, RecordError, Store, StoreError};
use callboard_domain::trace::TraceContext;
use callboard_domain::webhook::{Status, Webhook};
use callboard_engine::Published;

use super::auth::{Granted, WriteEvents, WriteWebhooks};
use super::by_hand::answer;
use super::problem::Problem;
use super::read::JsonText;

/// Deliveries of an event that are read at a time.
const READ_AT_ONCE: usize = 500;

/// Whether a body is one event, and not a list of them.
pub fn is_single(body: &JsonText) -> bool {
    !body.lines && !body.text.trim_start().starts_with('[')
}

/// Publishes the events of a body, all or none, out of what the tenant may publish.
/// `trace` is that of who asks.
pub async fn publish(
    access: &Granted<WriteEvents>,
    body: &JsonText,
    trace: Option<TraceContext>,
) -> Result<Vec<Published>, Problem> {
    let now = access.now();
    let events =
        read_events(&body.text, body.lines, now, &mut || access.with_rng(|rng| EventId::generate(now, rng)))
            .map_err(Problem::faults)?;
    let count = events.len();
    access.take_from_quota(count)?;
    access.engine().publish_traced(access.tenant.key, events, trace).await.map_err(|error| {
        access.put_back_into_quota(count);
        match error {
            // The pointer of a single event does not start with an index.
            RecordError::Conflict(_) if is_single(body) => Problem::conflict_of("/id"),
            error => error.into(),
        }
    })
}

/// What came of sending one event to one webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sent {
    /// It had a delivery, which is due again.
    Again(DeliveryKey),
    /// It had none, and this job makes one.
    Late(JobKey),
    /// Nothing was done; why, as a sentence goes on after the webhook's name.
    Not(String),
}

/// Sends an event to a webhook, and to no other: again, or for the first time if the
/// webhook hears it as it is set now.
pub async fn send_to(
    access: &Granted<WriteWebhooks>,
    event: &StoredEvent,
    webhook: &Webhook,
) -> Result<Sent, Problem> {
    let tenant = access.tenant.key;
    if let Some(delivery) = delivery_for(access.store(), event, webhook.key).await? {
        answer(access.engine().retry(tenant, delivery, access.by()).await?, "sent again")?;
        return Ok(Sent::Again(delivery));
    }
    let explained = explain_stored(webhook, event).map_err(|error| StoreError::Corrupt(error.to_string()))?;
    if !matches!(explained, Explanation::Heard(_)) {
        return Ok(Sent::Not(format!("would not hear it: {explained}")));
    }
    if webhook.status == Status::Disabled {
        return Ok(Sent::Not("is disabled; enable it first".to_owned()));
    }
    let job = access.engine().replay_event(tenant, webhook.key, event, access.by()).await?;
    if job.selection.as_ref() != Some(&Selection::of_event(event)) {
        let detail =
            format!("{} replays something else of this webhook; stop it, or wait for its end", job.key);
        return Err(Problem::new(StatusCode::CONFLICT, detail));
    }
    Ok(Sent::Late(job.key))
}

/// The delivery of an event to a webhook.
async fn delivery_for(
    store: &dyn Store,
    event: &StoredEvent,
    webhook: WebhookKey,
) -> Result<Option<DeliveryKey>, StoreError> {
    let mut page = Page { limit: READ_AT_ONCE, after: None };
    loop {
        let listed = store.deliveries_of_event(event.key, page).await?;
        if let Some(found) = listed.items.iter().find(|delivery| delivery.webhook == webhook) {
            return Ok(Some(found.key));
        }
        if listed.next.is_none() {
            return Ok(None);
        }
        page.after = listed.next;
    }
}
