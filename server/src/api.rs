//! The HTTP interface: who is asking, what they may do, and the answers.

use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::{Extension, Router};

mod admin;
mod auth;
mod directory;
mod health;
mod native;
mod oauth;
mod page;
mod problem;
mod read;
mod serve;
mod state;
mod token;

pub use admin::AdminToken;
pub use native::openapi;
pub use serve::serve;
pub use state::State;

use crate::api::problem::Problem;

/// Largest body of a request, in bytes.
pub const MAX_BODY: usize = 10 * 1024 * 1024;

/// Everything that is served.
fn router(state: State) -> Router {
    let (routes, document) = native::routes().split_for_parts();
    let document = native::Document(document.to_pretty_json().unwrap_or_default().into());
    routes
        .layer(Extension(document))
        .fallback(|| async { Problem::not_found() })
        .method_not_allowed_fallback(|| async {
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "this path does not take this method")
                .into_response()
        })
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(state)
}
