//! `/v1/sign-in-links`: links by which the operator signs in to the dashboard.

use axum::Json;
use axum::extract::State as Shared;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use callboard_domain::clock::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::State;
use crate::api::auth::Operator;
use crate::api::links::Links;
use crate::api::problem::{Problem, ProblemDocument};
use crate::api::sign_in_links;

/// A link that was just made.
#[derive(Debug, Serialize, ToSchema)]
pub struct CreatedSignInLink {
    /// Where it leads. Shown this once: whoever has it gets in, once.
    #[schema(
        example = "https://callboard.example/dashboard/sign-in/cbl_XWw54-HN8SpVvRXv6d2eWeKTp49mnKxl9D0QmrZaoWc"
    )]
    url: String,
    /// When it opens nothing any more.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
}

/// Make a link that signs the operator in to the dashboard.
///
/// It is for a browser, may be opened once, and expires after an hour.
#[utoipa::path(
    post, path = "/v1/sign-in-links", operation_id = "create_sign_in_link", tag = "access",
    responses(
        (status = 201, description = "Made; its URL is shown this once", body = CreatedSignInLink),
        (status = 403, description = "For the operator only", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(in crate::api) async fn create(
    operator: Operator,
    links: Links,
    Shared(state): Shared<State>,
) -> Result<impl IntoResponse, Problem> {
    let link = sign_in_links::make(&state, operator.by()).await?;
    let created = CreatedSignInLink { url: link.url(&links.base), expires_at: link.expires_at };
    Ok((StatusCode::CREATED, [(header::CACHE_CONTROL, "no-store")], Json(created)))
}
