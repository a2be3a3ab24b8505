//! What was published: found by what it was about, which is what people ask first.

use askama::Template;
use axum::Router;
use axum::response::Response;
use axum::routing::{get, post};
use callboard_domain::access::Scope;
use callboard_domain::delivery::StoredEvent;
use callboard_domain::event_type::EventType;
use callboard_domain::store::EventFilter;
use serde::Deserialize;

use super::frame::{Frame, Section, page};
use super::list::{Pager, Query, curl};
use super::mark::{Time, counted};
use super::payload::visible;
use super::visit::Entered;
use super::{event, event_new};
use crate::api::State;
use crate::api::auth::ReadEvents;
use crate::api::problem::Problem;

pub(super) fn routes() -> Router<State> {
    Router::new()
        .route("/dashboard/t/{tenant}/events", get(show))
        .route("/dashboard/t/{tenant}/send-event", get(event_new::show).post(event_new::submit))
        .route("/dashboard/t/{tenant}/events/{id}", get(event::show))
        .route("/dashboard/t/{tenant}/events/{id}/replay", post(event::replay))
}

/// An event in the list.
struct Row {
    id: String,
    type_name: String,
    subject: String,
    name: String,
    at: Time,
    heard: String,
    is_heard: bool,
}

#[derive(Template)]
#[template(path = "events.html")]
struct EventsPage {
    frame: Frame,
    rows: Vec<Row>,
    subject: String,
    type_name: String,
    since: String,
    until: String,
    types: Vec<String>,
    is_filtered: bool,
    pager: Pager,
    curl: String,
    may_publish: bool,
}

/// What a native body says of its subject.
#[derive(Debug, Default, Deserialize)]
struct About {
    subject: Subject,
}

#[derive(Debug, Default, Deserialize)]
struct Subject {
    name: Option<String>,
}

/// The name of what an event is about; empty where it has none.
pub(super) fn subject_name(event: &StoredEvent) -> String {
    let about: About = serde_json::from_slice(&event.body).unwrap_or_default();
    visible(&about.subject.name.unwrap_or_default())
}

/// Every type that dialects know.
pub(super) fn known_types() -> Vec<String> {
    EventType::known().map(|(resource, trigger)| EventType::Known(resource, trigger).to_string()).collect()
}

/// How many webhooks heard an event, in words.
pub(super) fn heard(event: &StoredEvent) -> String {
    match event.deliveries {
        0 => "nobody".to_owned(),
        count => counted(count.into(), "webhook", "webhooks"),
    }
}

/// `/dashboard/t/{tenant}/events`.
pub(super) async fn show(
    Entered { visit, access }: Entered<ReadEvents>,
    query: Query,
) -> Result<Response, Problem> {
    let text = |name| query.get(name).map(str::to_owned);
    let filter = EventFilter {
        type_name: text("type"),
        subject_id: text("subject"),
        since: query.time("since")?,
        until: query.time("until")?,
    };
    let times = [filter.since, filter.until].map(|time| time.map(|time| time.to_string()));
    let listed = access.store().list_events(access.tenant.key, filter, query.page()?).await?;
    let parameters = [
        ("subject", query.get("subject")),
        ("type", query.get("type")),
        ("since", times[0].as_deref()),
        ("until", times[1].as_deref()),
    ];
    let template = EventsPage {
        frame: Frame::new(&visit, Section::Events, "Events"),
        rows: listed.items.iter().map(row).collect(),
        subject: query.text("subject").to_owned(),
        type_name: query.text("type").to_owned(),
        since: query.text("since").to_owned(),
        until: query.text("until").to_owned(),
        types: known_types(),
        is_filtered: query.filters(),
        pager: Pager::new(&query, listed.next),
        curl: curl(&visit, "GET", "/v1/events", &parameters),
        may_publish: access.may(Scope::WriteEvents),
    };
    page(&template)
}

fn row(event: &StoredEvent) -> Row {
    Row {
        id: event.id.to_string(),
        type_name: event.type_name.clone(),
        subject: visible(&event.subject_id),
        name: subject_name(event),
        at: Time(event.accepted_at),
        heard: heard(event),
        is_heard: event.deliveries > 0,
    }
}
