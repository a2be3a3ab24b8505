//! The webhooks API of OpenTicket under `/openticket/webhook`, for clients that
//! were written for that platform. What is sent to its receivers is in the
//! domain, under `wire::openticket`.

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::problem::Problem;
use super::state::State;

mod input;
mod invocations;
mod view;
mod webhooks;

/// Where it is mounted.
const ROOT: &str = "/openticket";

/// The routes together with their description.
pub(super) fn routes() -> OpenApiRouter<State> {
    OpenApiRouter::new()
        .routes(routes!(webhooks::list, webhooks::create))
        .routes(routes!(webhooks::show, webhooks::replace, webhooks::edit, webhooks::delete))
        .routes(routes!(invocations::list))
        .routes(routes!(invocations::retry))
        .routes(routes!(invocations::retry_failed))
}

/// Lets routes speak the dialect: what they answer, problems included.
pub(super) fn speaking(routes: axum::Router<State>) -> axum::Router<State> {
    routes.layer(from_fn(async |request: Request, next: Next| {
        let mut response = next.run(request).await;
        match response.extensions_mut().remove::<Problem>() {
            Some(problem) => render(&problem, response),
            None => response,
        }
    }))
}

/// Whether a path is below [`ROOT`].
pub(super) fn is_below(uri: &Uri) -> bool {
    uri.path().strip_prefix(ROOT).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// What went wrong.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OpenTicketError)]
pub struct ErrorDocument {
    /// What happened, for people.
    #[schema(example = "the body has a fault")]
    message: String,
    /// By field: what is wrong with it.
    #[serde(skip_serializing_if = "Map::is_empty")]
    #[schema(value_type = Option<Object>, example = json!({"retries": ["must be a whole number from 0 to 100"]}))]
    errors: Map<String, Value>,
}

/// A problem in the form of the dialect. Fields that don't fit are 422 there;
/// 400 is what can't be read at all.
pub(super) fn render(problem: &Problem, response: Response) -> Response {
    let mut errors: Map<String, Value> = Map::new();
    let mut whole = Vec::new();
    for (place, detail) in problem.places() {
        let field = place.trim_start_matches('/');
        if field.is_empty() {
            whole.push(detail);
        } else if let Value::Array(messages) = errors.entry(field).or_insert_with(|| Value::Array(Vec::new()))
        {
            messages.push(detail.into());
        }
    }
    let message = if whole.is_empty() {
        problem.detail().to_owned()
    } else {
        format!("the body {}", whole.join("; it "))
    };
    let (mut parts, _) = response.into_parts();
    if parts.status == StatusCode::BAD_REQUEST && !errors.is_empty() {
        parts.status = StatusCode::UNPROCESSABLE_ENTITY;
    }
    parts.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    parts.headers.remove(header::CONTENT_LENGTH);
    // A document of texts can't fail to become JSON.
    let body = serde_json::to_vec(&ErrorDocument { message, errors }).unwrap_or_default();
    Response::from_parts(parts, Body::from(body))
}
