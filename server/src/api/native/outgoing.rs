//! The `webhooks` of the OpenAPI document: what receivers of the native dialect are
//! sent, one for each event type. The examples are rendered by what renders
//! deliveries.

use callboard_domain::catalogue;
use callboard_domain::clock::Timestamp;
use callboard_domain::event::{self, Event, Subject, read_events};
use callboard_domain::event_type::{EventType, Operational};
use callboard_domain::id::EventId;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::openapi::path::{PathItem, Paths};
use utoipa::{PartialSchema as _, ToSchema};

/// What a receiver of the native dialect is sent (Standard Webhooks).
#[derive(Serialize, ToSchema)]
pub struct NativeDelivery {
    /// The event type.
    #[serde(rename = "type")]
    #[schema(example = "order.paid")]
    type_name: String,
    /// When it happened.
    #[schema(format = DateTime)]
    timestamp: String,
    /// The latest values.
    #[schema(value_type = Object)]
    data: Value,
    /// The event's id: the same in every attempt, and in the header `webhook-id`.
    #[schema(example = "order-9917-paid")]
    id: String,
    /// What it happened to.
    #[schema(value_type = Object, example = json!({"id": "9917", "name": "Order 9917"}))]
    subject: Value,
    /// Ids of related resources, by the resource.
    #[schema(value_type = Object, example = json!({"event": ["24724"]}))]
    related: Value,
    /// Who did it, if that is known.
    #[schema(value_type = Option<Object>)]
    actor: Value,
    /// What they did, in the publisher's words.
    action: Option<String>,
    /// What changed, where something was edited.
    #[schema(value_type = Option<Object>)]
    changes: Value,
}

/// Adds the section to the document.
pub(super) fn describe(document: &mut utoipa::openapi::OpenApi) {
    let components = document.components.get_or_insert_with(Default::default);
    components.schemas.insert(NativeDelivery::name().into_owned(), NativeDelivery::schema());
    let mut webhooks = Paths::new();
    let known = EventType::known().filter_map(|(resource, trigger)| {
        let example = published(&catalogue::example(resource, trigger))?;
        Some((example, catalogue::describe(resource, trigger)))
    });
    let own = Operational::ALL.map(|what| (operational(what), about(what)));
    for (example, description) in known.chain(own) {
        let Ok(item) = serde_json::from_value::<PathItem>(item(&example, description)) else { continue };
        webhooks.paths.insert(example.type_name, item);
    }
    document.webhooks = Some(webhooks);
}

/// An example of the catalogue, as if somebody had published it.
fn published(example: &Value) -> Option<Event> {
    let mut new_id = || EventId::derived("example");
    read_events(&example.to_string(), false, Timestamp::UNIX_EPOCH, &mut new_id).ok()?.pop()
}

fn operational(what: Operational) -> Event {
    let subject = Subject {
        id: "0198c0de-7c5e-7d3a-9d7e-2f1d6a1c0b55".to_owned(),
        name: Some("Box office".to_owned()),
    };
    event::operational(EventId::derived("example"), what, subject, &json!({}), Timestamp::UNIX_EPOCH)
}

const fn about(what: Operational) -> &'static str {
    match what {
        Operational::WebhookPing => "Somebody tries the webhook out.",
        Operational::WebhookDisabled => {
            "Another webhook was disabled, because its receiver failed or asked for it."
        }
        Operational::WebhookFailing => "Another webhook fails again and again.",
        Operational::WebhookRecovered => "Another webhook that failed works again.",
        Operational::DeliveryExhausted => "A delivery to another webhook was given up.",
    }
}

/// The request of one event type, as a path item.
fn item(event: &Event, description: &str) -> Value {
    let given = |name: &str, required: bool, about: &str, example: &str| {
        json!({
            "name": name, "in": "header", "required": required, "description": about,
            "schema": {"type": "string"}, "example": example,
        })
    };
    let header = |name: &str, about: &str, example: &str| given(name, true, about, example);
    let body: Value = serde_json::from_slice(&event.body).unwrap_or_default();
    let answer = |about: &str| json!({"description": about});
    json!({"post": {
        "operationId": format!("on_{}", event.type_name.replace('.', "_")),
        "summary": description,
        "parameters": [
            header("webhook-id", "The event's id, the same in every attempt", event.id.as_str()),
            header("webhook-timestamp", "When the attempt was made, in Unix seconds", "1795287600"),
            header(
                "webhook-signature",
                "Signatures of id, timestamp and body with full stops between them: `v1,` and HMAC-SHA256, or `v1a,` and Ed25519; several where a secret was rotated",
                "v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4="
            ),
            given(
                "traceparent",
                false,
                "The trace of whoever published the event (W3C Trace Context), with a first attempt that did not wait in the database",
                "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
            ),
            given(
                "tracestate",
                false,
                "What belongs to `traceparent`, as it was published",
                "boxoffice=00f067aa0ba902b7"
            ),
        ],
        "requestBody": {"required": true, "content": {"application/json": {
            "schema": {"$ref": "#/components/schemas/NativeDelivery"}, "example": body,
        }}},
        "responses": {
            "2XX": answer("It was received. The body of the answer is kept in the log and means nothing"),
            "410": answer("The receiver is gone for good: the webhook is disabled"),
            "429": answer("It comes too fast: it is tried again later, not before `Retry-After`"),
            "503": answer("Not now: it is tried again later, not before `Retry-After`"),
            "default": answer("It was not received: it is tried again by the webhook's schedule"),
        },
    }})
}
