//! `/v1/events`: publishing, and looking up what was published.

use std::convert::Infallible;

use axum::Json;
use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;
use callboard_domain::clock::Timestamp;
use callboard_domain::id::EventId;
use callboard_domain::store::EventFilter;
use callboard_domain::trace::TraceContext;
use callboard_engine::Published;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::deliveries::named;
use super::view::{DeliveryView, EventView};
use crate::api::auth::{Granted, ReadEvents, WriteEvents};
use crate::api::events;
use crate::api::page::{Items, PageQuery, page};
use crate::api::problem::{Problem, ProblemDocument};
use crate::api::read::{Id, JsonText, NO_TIME, Parameters};
use crate::api::state::State;

/// One event to be published, or an array of up to 1,000.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "describes a body that the domain reads, naming every fault")]
pub enum EventsInput {
    /// One event.
    One(Box<EventInput>),
    /// Up to 1,000 events.
    Several(Vec<EventInput>),
}

/// An event to be published.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "describes a body that the domain reads, naming every fault")]
pub struct EventInput {
    /// The publisher's own id, 1 to 64 of letters, digits, `_` and `-`; makes
    /// publishing idempotent. Made here if left out.
    #[schema(example = "order-9917-paid", pattern = "^[A-Za-z0-9_-]{1,64}$")]
    id: Option<String>,
    /// What happened: see `/v1/event-types`, or a type of your own.
    #[schema(example = "order.paid", pattern = "^[a-z0-9_]+(\\.[a-z0-9_]+)+$")]
    r#type: String,
    /// When it happened; the time of acceptance if left out.
    #[schema(format = DateTime, example = "2026-11-21T19:00:00Z")]
    occurred_at: Option<String>,
    /// What it happened to.
    subject: Named,
    /// Ids of related resources, by resource.
    #[schema(value_type = Option<BTreeMap<String, Vec<String>>>, example = json!({"event": ["24724"], "ticket": ["408218"]}))]
    related: Option<serde_json::Value>,
    /// Who caused it.
    actor: Option<Named>,
    /// What was done, in the publisher's words, at most 512 bytes.
    #[schema(min_length = 1, max_length = 512)]
    action: Option<String>,
    /// All latest values, in `snake_case`.
    #[schema(value_type = Option<Object>)]
    data: Option<serde_json::Value>,
    /// Only the changed fields, with their new values.
    #[schema(value_type = Option<Object>, example = json!({"status": "paid"}))]
    changes: Option<serde_json::Value>,
}

/// Something with an id and perhaps a name.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "describes a part of a body that the domain reads")]
pub struct Named {
    /// At most 512 bytes.
    #[schema(example = "9917", min_length = 1, max_length = 512)]
    id: String,
    /// At most 512 bytes.
    #[schema(example = "Order 9917", max_length = 512)]
    name: Option<String>,
}

/// What became of a published event.
#[derive(Debug, Serialize, ToSchema)]
pub struct PublishedView {
    #[schema(example = "order-9917-paid")]
    id: String,
    /// Whether the same event was published before under this id; it is not
    /// delivered again.
    duplicate: bool,
    /// How many webhooks hear it.
    deliveries: usize,
    #[schema(value_type = String, format = DateTime)]
    accepted_at: Timestamp,
}

/// What became of several published events, in their order.
#[derive(Debug, Serialize, ToSchema)]
pub struct PublishedBatch {
    events: Vec<PublishedView>,
}

/// What became of one published event, or of several.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum PublishedAnswer {
    /// One object was published.
    One(PublishedView),
    /// An array or NDJSON was published.
    Several(PublishedBatch),
}

impl From<Published> for PublishedView {
    fn from(published: Published) -> Self {
        let Published { id, duplicate, deliveries, accepted_at, .. } = published;
        Self { id: id.to_string(), duplicate, deliveries, accepted_at }
    }
}

/// Publish one event, or up to 1,000.
///
/// One JSON object, an array of them, or NDJSON (`application/x-ndjson`). The
/// answer comes when every event of the request is on disk together with its
/// deliveries; if one of them is wrong, none is recorded. One object is
/// answered with one object, anything else with `{"events": [...]}`.
#[utoipa::path(
    post, path = "/v1/events", operation_id = "publish_events", tag = "events",
    params(
        ("traceparent" = Option<String>, Header, description = "The trace that the events are published within (W3C Trace Context); first attempts pass it on to receivers. One that is not well-formed is ignored", example = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
        ("tracestate" = Option<String>, Header, description = "What belongs to `traceparent`, and is passed on as it is, if it has at most 512 bytes", example = "boxoffice=00f067aa0ba902b7"),
    ),
    request_body(content((EventsInput = "application/json"), (String = "application/x-ndjson"))),
    responses(
        (status = 202, description = "Durable, and on its way", body = PublishedAnswer),
        (status = 400, description = "Faults, each with its JSON pointer; nothing was recorded", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 401, description = "No valid token", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 403, description = "The scope `write:events` is missing", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "An id is taken by another event; nothing was recorded", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 413, description = "More than 10 MiB (or `limits.body_mib`), 1,000 events, or 256 KiB an event", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 415, description = "Neither JSON nor NDJSON", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 429, description = "The tenant publishes faster than it may; nothing was recorded, try again after `Retry-After` seconds", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, description = "The database can't be written; try again after `Retry-After` seconds", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(in crate::api) async fn publish(
    access: Granted<WriteEvents>,
    Trace(trace): Trace,
    body: JsonText,
) -> Result<(StatusCode, Json<PublishedAnswer>), Problem> {
    let mut published = events::publish(&access, &body, trace).await?;
    let single = events::is_single(&body);
    let answer = match published.pop() {
        Some(only) if single => PublishedAnswer::One(only.into()),
        last => {
            let events = published.into_iter().chain(last).map(PublishedView::from).collect();
            PublishedAnswer::Several(PublishedBatch { events })
        }
    };
    Ok((StatusCode::ACCEPTED, Json(answer)))
}

/// The trace that the publisher has sent along.
pub(in crate::api) struct Trace(Option<TraceContext>);

impl FromRequestParts<State> for Trace {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &State) -> Result<Self, Infallible> {
        let text = |name| parts.headers.get(name).and_then(|value| value.to_str().ok());
        let read = |parent| TraceContext::read(parent, text("tracestate"));
        Ok(Self(text("traceparent").and_then(read)))
    }
}

/// Which events to list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct EventQuery {
    /// Only of this type.
    r#type: Option<String>,
    /// Only about the subject with this id.
    subject: Option<String>,
    /// Only those accepted at or after this time (RFC 3339).
    #[param(format = DateTime)]
    since: Option<String>,
    /// Only those accepted before this time (RFC 3339).
    #[param(format = DateTime)]
    until: Option<String>,
    /// Most items wanted, 1 to 200; 50 if left out.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 200)]
    limit: Option<String>,
    /// `next` of the page before.
    #[param(pattern = "^[A-Za-z0-9_-]{10}[AEIMQUYcgkosw048]$")]
    cursor: Option<String>,
}

/// Reads a time of a query.
pub(super) fn time(name: &str, text: Option<&str>) -> Result<Option<Timestamp>, Problem> {
    text.map(|text| text.parse().map_err(|_| Problem::parameter(name, NO_TIME))).transpose()
}

/// List events, newest first.
#[utoipa::path(
    get, path = "/v1/events", operation_id = "list_events", tag = "events", params(EventQuery),
    responses((status = 200, description = "A page of events", body = Items<EventView>))
)]
pub(in crate::api) async fn list(
    access: Granted<ReadEvents>,
    Parameters(query): Parameters<EventQuery>,
) -> Result<Json<Items<EventView>>, Problem> {
    let page = page(("limit", query.limit.as_deref()), query.cursor.as_deref())?;
    let filter = EventFilter {
        since: time("since", query.since.as_deref())?,
        until: time("until", query.until.as_deref())?,
        type_name: query.r#type,
        subject_id: query.subject,
    };
    let listed = access.store().list_events(access.tenant.key, filter, page).await?;
    let items = listed.items.into_iter().map(EventView::new).collect::<Result<_, _>>()?;
    Ok(Json(Items::new(items, listed.next)))
}

/// Show one event.
#[utoipa::path(
    get, path = "/v1/events/{id}", operation_id = "show_event", tag = "events", params(("id" = String, Path, description = "The event's id")),
    responses(
        (status = 200, description = "The event", body = EventView),
        (status = 404, description = "No such event, or expired by retention", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(in crate::api) async fn show(
    access: Granted<ReadEvents>,
    Id(id): Id<EventId>,
) -> Result<Json<EventView>, Problem> {
    let event = access.store().event(access.tenant.key, &id).await?.ok_or_else(Problem::not_found)?;
    Ok(Json(EventView::new(event)?))
}

/// List the deliveries of one event: whom it reached.
#[utoipa::path(
    get, path = "/v1/events/{id}/deliveries", operation_id = "list_deliveries_of_event", tag = "events",
    params(("id" = String, Path, description = "The event's id"), PageQuery),
    responses(
        (status = 200, description = "A page of deliveries, in the order of their making", body = Items<DeliveryView>),
        (status = 404, description = "No such event, or expired by retention", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(in crate::api) async fn fan_out(
    access: Granted<ReadEvents>,
    Id(id): Id<EventId>,
    Parameters(query): Parameters<PageQuery>,
) -> Result<Json<Items<DeliveryView>>, Problem> {
    let event = access.store().event(access.tenant.key, &id).await?.ok_or_else(Problem::not_found)?;
    let listed = access.store().deliveries_of_event(event.key, query.page()?).await?;
    Ok(Json(Items::new(named(access.store(), listed.items).await?, listed.next)))
}
