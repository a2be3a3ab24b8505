//! For load balancers and supervisors: is it alive, can it serve.

use axum::Json;
use axum::extract::State as Shared;

use super::problem::Problem;
use super::state::State;

/// `GET /healthz`: the process answers.
pub(super) async fn alive() -> Json<serde_json::Value> {
    Json(serde_json::json!({"status": "ok", "version": env!("CARGO_PKG_VERSION")}))
}

/// `GET /readyz`: the database can be written.
pub(super) async fn ready(Shared(state): Shared<State>) -> Result<Json<serde_json::Value>, Problem> {
    state.inner.store.check().await?;
    Ok(Json(serde_json::json!({"status": "ready"})))
}
