//! For load balancers and supervisors: is it alive, can it serve.

use axum::Json;
use axum::extract::State as Shared;

use serde::Serialize;
use utoipa::ToSchema;

use super::problem::{Problem, ProblemDocument};
use super::state::State;

/// How the server is.
#[derive(Debug, Serialize, ToSchema)]
pub struct Health {
    /// `ok` or `ready`.
    #[schema(example = "ok")]
    status: &'static str,
    /// The program's version.
    #[schema(example = "0.1.0")]
    version: &'static str,
    /// Where events are taken from NATS: `consuming`; `connecting` or `away`
    /// while it can't be reached; `held` while the database can't take them.
    /// The server itself is ready all the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "consuming")]
    nats: Option<&'static str>,
}

impl Health {
    const fn new(status: &'static str) -> Self {
        Self { status, version: env!("CARGO_PKG_VERSION"), nats: None }
    }
}

/// Tell that the process answers. Needs no token.
#[utoipa::path(
    get, path = "/healthz", operation_id = "alive", tag = "about", security(()),
    responses((status = 200, description = "It answers", body = Health))
)]
pub(super) async fn alive() -> Json<Health> {
    Json(Health::new("ok"))
}

/// Tell whether the database can be written. Needs no token.
#[utoipa::path(
    get, path = "/readyz", operation_id = "ready", tag = "about", security(()),
    responses(
        (status = 200, description = "It can be written", body = Health),
        (status = 503, description = "It can't be used", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn ready(Shared(state): Shared<State>) -> Result<Json<Health>, Problem> {
    state.inner.store.check().await?;
    let nats = state.inner.options.nats.as_ref().map(|nats| nats.condition().as_str());
    Ok(Json(Health { nats, ..Health::new("ready") }))
}
