//! `/metrics`: what the program counts, for Prometheus.

use axum::extract::{FromRequestParts, State as Shared};
use axum::http::header;
use axum::http::request::Parts;
use axum::response::IntoResponse;

use super::auth::Operator;
use super::peer::Peer;
use super::problem::{Problem, ProblemDocument};
use super::state::State;
use crate::metrics;

/// Somebody who may see how the whole deployment fares: by an address that the
/// settings admit, or by the operator's token.
pub(super) struct Watcher;

impl FromRequestParts<State> for Watcher {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, Problem> {
        let peer = Peer::of(state, &parts.extensions, &parts.headers);
        if !state.inner.options.metrics.admits(peer.address) {
            Operator::from_request_parts(parts, state).await?;
        }
        Ok(Self)
    }
}

/// Show metrics in the text format of Prometheus, version 0.0.4.
///
/// Needs the operator's token, unless `metrics.open` or `metrics.allow` admits
/// who asks.
#[utoipa::path(
    get, path = "/metrics", operation_id = "show_metrics", tag = "about",
    responses(
        (status = 200, description = "The metrics", body = String, content_type = "text/plain"),
        (status = 401, description = "No valid token", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 403, description = "Not the operator's token", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn show(_: Watcher, Shared(state): Shared<State>) -> impl IntoResponse {
    let content_type = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    (content_type, metrics::tell(&state).await)
}
