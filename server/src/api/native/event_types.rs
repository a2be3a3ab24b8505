//! `/v1/event-types`: the catalogue, with a schema and an example of each type.

use axum::Json;
use callboard_domain::catalogue;
use callboard_domain::event_type::EventType;
use callboard_domain::resource::Resource;
use callboard_domain::trigger::Trigger;
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::problem::{Problem, ProblemDocument};
use crate::api::read::Id;

/// What can be published about a resource.
#[derive(Debug, Serialize, ToSchema)]
pub struct EventTypeView {
    #[serde(rename = "type")]
    #[schema(example = "order.paid")]
    type_name: String,
    #[schema(example = "order")]
    resource: &'static str,
    #[schema(example = "paid")]
    trigger: &'static str,
    description: String,
    /// Resources whose webhooks it also reaches, where they ask for that.
    #[schema(example = json!(["event", "ticket", "product"]))]
    propagates_to: Vec<&'static str>,
}

/// An event type with its schema and an example.
#[derive(Debug, Serialize, ToSchema)]
pub struct EventTypeDetail {
    #[serde(flatten)]
    about: EventTypeView,
    /// JSON Schema of an event of this type, as it is published.
    #[schema(value_type = Object)]
    schema: serde_json::Value,
    /// An event of this type, ready to be published.
    #[schema(value_type = Object)]
    example: serde_json::Value,
}

/// Every known event type.
#[derive(Debug, Serialize, ToSchema)]
pub struct EventTypes {
    items: Vec<EventTypeView>,
}

fn view(resource: Resource, trigger: Trigger) -> EventTypeView {
    EventTypeView {
        type_name: EventType::Known(resource, trigger).to_string(),
        resource: resource.as_str(),
        trigger: trigger.as_str(),
        description: catalogue::describe(resource, trigger).to_owned(),
        propagates_to: resource.propagates_to(trigger).iter().map(|related| related.as_str()).collect(),
    }
}

/// List the known event types. Needs no token.
#[utoipa::path(
    get, path = "/v1/event-types", operation_id = "list_event_types", tag = "events", security(()),
    responses((status = 200, description = "Every known type", body = EventTypes))
)]
pub(in crate::api) async fn list() -> Json<EventTypes> {
    Json(EventTypes {
        items: EventType::known().map(|(resource, trigger)| view(resource, trigger)).collect(),
    })
}

/// Show one event type with its schema and an example. Needs no token.
#[utoipa::path(
    get, path = "/v1/event-types/{type}", operation_id = "show_event_type", tag = "events", security(()),
    params(("type" = String, Path, description = "The event type", example = "order.paid")),
    responses(
        (status = 200, description = "The type", body = EventTypeDetail),
        (status = 404, description = "No known type", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(in crate::api) async fn show(Id(event_type): Id<EventType>) -> Result<Json<EventTypeDetail>, Problem> {
    let EventType::Known(resource, trigger) = event_type else { return Err(Problem::not_found()) };
    Ok(Json(EventTypeDetail {
        about: view(resource, trigger),
        schema: catalogue::schema(resource, trigger),
        example: catalogue::example(resource, trigger),
    }))
}
