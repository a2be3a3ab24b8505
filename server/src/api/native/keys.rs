//! `/v1/keys`: the keys that seal secrets in the database, for the operator only.

use axum::Json;
use callboard_domain::store::SealingKey;
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::auth::Operator;
use crate::api::problem::{Problem, ProblemDocument};

/// Most rows that one request seals anew, in one transaction.
const ROWS_A_REQUEST: usize = 500;

/// A key that seals secrets in the database, or could.
#[derive(Debug, Serialize, ToSchema)]
pub struct KeyView {
    /// What sealed values name it by; it tells nothing of the key.
    #[schema(example = "9f2d01c4a37be650")]
    id: String,
    /// Whether the process that answers seals with it.
    seals: bool,
    /// Whether the process that answers has it.
    at_hand: bool,
    /// How many rows are sealed with it.
    rows: u64,
}

impl From<SealingKey> for KeyView {
    fn from(key: SealingKey) -> Self {
        let SealingKey { id, at_hand, seals, rows } = key;
        Self { id, seals, at_hand, rows }
    }
}

/// The keys.
#[derive(Debug, Serialize, ToSchema)]
pub struct EncryptionKeys {
    items: Vec<KeyView>,
}

/// What one step of sealing anew has done.
#[derive(Debug, Serialize, ToSchema)]
pub struct SealedAnew {
    /// How many rows it has sealed anew.
    sealed: usize,
    /// How many rows are left that another key has sealed.
    left: u64,
}

/// List the keys that seal secrets in the database.
///
/// The one that seals first, then all others that are at hand or that something is
/// sealed with. The keys themselves are never shown.
#[utoipa::path(
    get, path = "/v1/keys", operation_id = "list_keys", tag = "keys",
    responses(
        (status = 200, description = "All keys", body = EncryptionKeys),
        (status = 403, description = "For the operator only", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(in crate::api) async fn list(access: Operator) -> Result<Json<EncryptionKeys>, Problem> {
    let items = access.store().sealing_keys().await?.into_iter().map(KeyView::from).collect();
    Ok(Json(EncryptionKeys { items }))
}

/// Seal some rows anew with the key that seals.
///
/// At most 500 rows; ask again until none is left. Everything goes on meanwhile.
#[utoipa::path(
    post, path = "/v1/keys/rotate", operation_id = "rotate_keys", tag = "keys",
    responses(
        (status = 200, description = "What was done, and what is left", body = SealedAnew),
        (status = 403, description = "For the operator only", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(in crate::api) async fn rotate(access: Operator) -> Result<Json<SealedAnew>, Problem> {
    let sealed = access.store().seal_anew(ROWS_A_REQUEST).await?.rows;
    let keys = access.store().sealing_keys().await?;
    let left = keys.iter().filter(|key| !key.seals).map(|key| key.rows).sum();
    Ok(Json(SealedAnew { sealed, left }))
}
