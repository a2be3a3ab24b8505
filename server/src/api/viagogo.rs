//! The webhooks API of viagogo under `/viagogo/v2`, for clients that were
//! written for that platform. What is sent to its receivers is in the domain,
//! under `wire::viagogo`.

use axum::http::{HeaderName, Uri, header};
use axum::middleware::from_fn_with_state;
use axum::response::Response;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::problem::Problem;
use super::state::State;

mod error;
mod hal;
mod input;
mod query;
mod speak;
mod webhooks;

/// Where it is mounted.
const ROOT: &str = "/viagogo/v2";

/// The routes together with their description.
pub(super) fn routes() -> OpenApiRouter<State> {
    OpenApiRouter::new()
        .routes(routes!(webhooks::root))
        .routes(routes!(webhooks::list, webhooks::create))
        .routes(routes!(webhooks::show, webhooks::edit, webhooks::delete))
        .routes(routes!(webhooks::ping))
}

/// Lets routes speak the dialect: what they answer, problems included.
pub(super) fn speaking(routes: axum::Router<State>, state: &State) -> axum::Router<State> {
    routes.layer(from_fn_with_state(state.clone(), speak::speak))
}

/// Whether a path is below [`ROOT`].
pub(super) fn is_below(uri: &Uri) -> bool {
    uri.path().strip_prefix(ROOT).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// A problem in the form of the dialect.
pub(super) fn render(problem: &Problem, response: Response) -> Response {
    error::render(problem, response)
}

const HAL: &str = "application/hal+json";

const CONTENT_TYPE: HeaderName = header::CONTENT_TYPE;
