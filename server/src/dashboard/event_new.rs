//! Sends a test event: an example of the catalogue, changed at will, published as any
//! other.

use askama::Template;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use callboard_domain::catalogue;
use callboard_domain::event_type::EventType;

use super::events::known_types;
use super::form::Posted;
use super::frame::{Frame, Section, page_of};
use super::list::Query;
use super::note::Note;
use super::visit::{Entered, Visit, lead_with};
use crate::api::auth::WriteEvents;
use crate::api::events;
use crate::api::problem::Problem;
use crate::api::read::JsonText;

/// What the form begins with where no type is chosen.
const FIRST: &str = "order.paid";

#[derive(Template)]
#[template(path = "event_new.html")]
struct NewEventPage {
    frame: Frame,
    types: Vec<String>,
    chosen: String,
    about: &'static str,
    body: String,
    /// Where in the body something is wrong, and what.
    faults: Vec<(String, String)>,
}

/// An example that can be published again and again: without an id, which would make
/// the second one a duplicate.
pub(super) fn example(event_type: &EventType) -> Option<String> {
    let EventType::Known(resource, trigger) = event_type else { return None };
    let mut example = catalogue::example(*resource, *trigger);
    example.as_object_mut().and_then(|event| event.shift_remove("id"));
    serde_json::to_string_pretty(&example).ok()
}

fn form(visit: &Visit, chosen: &str, body: Option<String>, faults: Vec<(String, String)>) -> NewEventPage {
    let event_type = chosen.parse().ok();
    let about = match &event_type {
        Some(EventType::Known(resource, trigger)) => catalogue::describe(*resource, *trigger),
        _ => "",
    };
    NewEventPage {
        frame: Frame::new(visit, Section::Events, "Send a test event"),
        types: known_types(),
        chosen: chosen.to_owned(),
        about,
        body: body.or_else(|| example(event_type.as_ref()?)).unwrap_or_default(),
        faults,
    }
}

/// `/dashboard/t/{tenant}/send-event`.
pub(super) async fn show(
    Entered { visit, .. }: Entered<WriteEvents>,
    query: Query,
) -> Result<Response, Problem> {
    page_of(StatusCode::OK, &form(&visit, query.get("type").unwrap_or(FIRST), None, Vec::new()))
}

/// Publishes what the form holds.
pub(super) async fn submit(
    Posted { visit, access, fields }: Posted<WriteEvents>,
) -> Result<Response, Problem> {
    let body = JsonText { text: fields.get("body").to_owned(), lines: false };
    let again = |status, faults, text: String| {
        page_of(status, &form(&visit, fields.trimmed("type"), Some(text), faults))
    };
    if !events::is_single(&body) {
        let fault = (String::new(), "must be one event: a JSON object".to_owned());
        return again(StatusCode::UNPROCESSABLE_ENTITY, vec![fault], body.text);
    }
    let published = match events::publish(&access, &body, None).await {
        Ok(published) => published,
        Err(problem) => {
            let status = match problem.status() {
                StatusCode::BAD_REQUEST => StatusCode::UNPROCESSABLE_ENTITY,
                status => status,
            };
            let wait = problem.clone().into_response().headers_mut().remove(header::RETRY_AFTER);
            let mut page = again(status, faults(&problem), body.text)?;
            page.headers_mut().extend(wait.map(|wait| (header::RETRY_AFTER, wait)));
            return Ok(page);
        }
    };
    let Some(event) = published.first() else { return Err(Problem::not_found()) };
    let note = if event.duplicate { Note::EventKnown } else { Note::EventPublished };
    let base = visit.base_of(&access.tenant);
    Ok(lead_with(&visit, format!("{base}/events/{}", event.id), &note))
}

fn faults(problem: &Problem) -> Vec<(String, String)> {
    let places: Vec<_> =
        problem.places().map(|(place, fault)| (place.to_owned(), fault.to_owned())).collect();
    if places.is_empty() { vec![(String::new(), problem.detail().to_owned())] } else { places }
}
