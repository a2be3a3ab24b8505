//! The HTTP interface: who is asking, what they may do, and the answers.

use std::sync::OnceLock;

use axum::Router;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;

mod admin;
pub(crate) mod auth;
pub(crate) mod by_hand;
pub(crate) mod clients;
mod connections;
mod directory;
pub(crate) mod events;
mod failures;
pub(crate) mod frames;
mod health;
pub(crate) mod links;
mod metrics;
mod native;
mod oauth;
mod oidc;
mod openticket;
pub(crate) mod page;
mod patience;
pub(crate) mod peer;
pub(crate) mod portal_links;
pub(crate) mod problem;
mod quota;
pub(crate) mod read;
pub(crate) mod replays;
mod request;
pub(crate) mod serve;
pub(crate) mod sign_in_links;
pub(crate) mod starting;
pub(crate) mod state;
pub(crate) mod tenants;
mod tls;
mod token;
mod upload;
mod viagogo;
pub(crate) mod webhooks;
mod words;

pub use admin::AdminToken;
pub(crate) use directory::Directory;
pub(crate) use native::DeliveryView;
pub use peer::{Peer, Proxies};
pub use serve::serve;
pub use state::{Deployment, Options, State};
pub use tls::Certificate;

use crate::api::problem::Problem;
use crate::{dashboard, reference};

/// Largest message of a source, in bytes; of a request, where the settings do not
/// say otherwise.
pub const MAX_BODY: usize = 10 * 1024 * 1024;

/// Everything that is served.
fn router(state: State) -> Router {
    let [native, viagogo, openticket] =
        [native::routes(), viagogo::routes(), openticket::routes()].map(|routes| routes.split_for_parts().0);
    native
        .method_not_allowed_fallback(method_not_allowed)
        .merge(dashboard::routes(&state))
        .merge(reference::routes(document))
        .merge(viagogo::speaking(viagogo.method_not_allowed_fallback(method_not_allowed), &state))
        .merge(openticket::speaking(openticket.method_not_allowed_fallback(method_not_allowed)))
        .fallback(nothing_here)
        .with_state(state)
}

async fn method_not_allowed() -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "this path does not take this method")
}

async fn nothing_here(uri: Uri) -> Response {
    let problem = Problem::no_such_path();
    let response = problem.clone().into_response();
    if viagogo::is_below(&uri) {
        viagogo::render(&problem, response)
    } else if openticket::is_below(&uri) {
        openticket::render(&problem, response)
    } else {
        response
    }
}

/// The OpenAPI document as JSON, written when somebody asks for it: most processes are
/// never asked, and need neither the time nor the memory.
fn document() -> Bytes {
    static DOCUMENT: OnceLock<Bytes> = OnceLock::new();
    DOCUMENT.get_or_init(|| openapi().to_pretty_json().unwrap_or_default().into()).clone()
}

/// The OpenAPI document.
#[must_use]
pub fn openapi() -> utoipa::openapi::OpenApi {
    let mut document = native::routes().split_for_parts().1;
    for routes in [viagogo::routes(), openticket::routes()] {
        document.merge(routes.split_for_parts().1);
    }
    native::complete(&mut document);
    document
}
