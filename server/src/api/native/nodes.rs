//! `/v1/nodes`: the processes that share the database, for the operator only.

use axum::Json;
use callboard_domain::clock::Timestamp;
use callboard_domain::store::Node;
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::auth::Operator;
use crate::api::problem::{Problem, ProblemDocument};

/// A process that works on the database.
#[derive(Debug, Serialize, ToSchema)]
pub struct NodeView {
    /// Made anew at each start, and when a process was given up and came back.
    #[schema(example = "0193a1c4-7b1e-7c3e-9d55-6a3f0b8f2d11")]
    id: String,
    /// What people call it: the name of its machine, or the setting `postgres.node_name`.
    #[schema(example = "box-office-1")]
    name: String,
    /// The version of the program.
    #[schema(example = "0.1.0")]
    version: String,
    #[schema(value_type = String, format = DateTime)]
    started_at: Timestamp,
    /// When the others take over what it holds, unless it is heard of before.
    #[schema(value_type = String, format = DateTime)]
    lease_until: Timestamp,
    /// Deliveries that it holds: waiting in its lanes, or on their way.
    leased_deliveries: u64,
    /// Whether it is the process that answers.
    is_this: bool,
}

impl From<Node> for NodeView {
    fn from(node: Node) -> Self {
        let Node { id, name, version, started_at, lease_until, leased, is_this } = node;
        Self { id, name, version, started_at, lease_until, leased_deliveries: leased, is_this }
    }
}

/// The processes at work.
#[derive(Debug, Serialize, ToSchema)]
pub struct Nodes {
    items: Vec<NodeView>,
}

/// List the processes that share the database.
///
/// In the order of their start. Empty on SQLite, where there is only one.
#[utoipa::path(
    get, path = "/v1/nodes", operation_id = "list_nodes", tag = "nodes",
    responses(
        (status = 200, description = "All processes at work", body = Nodes),
        (status = 403, description = "For the operator only", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(in crate::api) async fn list(access: Operator) -> Result<Json<Nodes>, Problem> {
    let items = access.store().nodes().await?.into_iter().map(NodeView::from).collect();
    Ok(Json(Nodes { items }))
}
