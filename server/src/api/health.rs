//! For load balancers and supervisors: is it alive, can it serve.

use axum::Json;
use axum::extract::State as Shared;
use axum::http::StatusCode;
use callboard_domain::store::StoreError;
use serde::Serialize;
use tokio_util::sync::CancellationToken;
use utoipa::ToSchema;

use super::problem::{Problem, ProblemDocument};
use super::state::State;
use crate::source::{Condition, Watch};

/// How the server is.
#[derive(Debug, Serialize, ToSchema)]
pub struct Health {
    /// `ok`; of `/readyz`, `ready`, or `degraded` where events are taken from NATS and
    /// it can't be reached, or what it gave can't be recorded: requests are served all
    /// the same.
    #[schema(example = "ok")]
    status: &'static str,
    /// The program's version.
    #[schema(example = "0.1.0")]
    version: &'static str,
    /// Where events are taken from NATS: `consuming`; `connecting` or `away`
    /// while it can't be reached; `held` while the database can't take them.
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

/// Tell whether requests can be served. Needs no token.
#[utoipa::path(
    get, path = "/readyz", operation_id = "ready", tag = "about", security(()),
    responses(
        (status = 200, description = "They can: `ready`, or `degraded` while a source of events is away", body = Health),
        (status = 503, description = "They can't, or others should get them. `condition` is `starting`, `degraded` while the database can't be written, or `draining` once a stop was asked for", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn ready(Shared(state): Shared<State>) -> Result<Json<Health>, Problem> {
    if state.inner.stopping.get().is_some_and(CancellationToken::is_cancelled) {
        let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the server stops; ask another one");
        return Err(problem.with_condition("draining"));
    }
    let degraded = |error: StoreError| Problem::from(error).with_condition("degraded");
    state.inner.store.check().await.map_err(degraded)?;
    let nats = state.inner.options.nats.as_ref().map(Watch::condition);
    let status = if nats.is_none_or(|nats| nats == Condition::Consuming) { "ready" } else { "degraded" };
    Ok(Json(Health { nats: nats.map(Condition::as_str), ..Health::new(status) }))
}
