//! `/v1/webhooks/{id}/secret`: reading and rotating what signs deliveries.

use std::time::Duration;

use axum::Json;
use axum::http::StatusCode;
use axum::http::header;
use axum::response::IntoResponse;
use callboard_domain::clock::Timestamp;
use callboard_domain::id::WebhookId;
use callboard_domain::webhook::Webhook;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::api::auth::{Granted, WriteWebhooks};
use crate::api::problem::{Problem, ProblemDocument};
use crate::api::read::{Id, Parameters};
use crate::api::webhooks::{self, MAX_OVERLAP};

/// How long an old secret goes on signing when nobody says otherwise.
const OVERLAP_SECONDS: u64 = 24 * 60 * 60;

/// What a receiver verifies signatures with.
#[derive(Serialize, ToSchema)]
pub struct SecretView {
    /// The newest: `whsec_` and the shared secret, or `whpk_` and the public
    /// key where the webhook signs with ed25519.
    #[schema(example = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw0123456789A=")]
    secret: String,
    /// Older ones that still sign, until their `expires_at`.
    previous: Vec<PreviousSecret>,
}

/// A secret that was rotated away and still signs.
#[derive(Serialize, ToSchema)]
pub struct PreviousSecret {
    secret: String,
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
}

impl SecretView {
    fn new(webhook: &Webhook, now: Timestamp) -> Self {
        let mut valid = webhook.secrets.iter().filter(|stored| stored.expires_at.is_none_or(|end| end > now));
        Self {
            secret: valid.next().map(|stored| stored.secret.verifier_text()).unwrap_or_default(),
            previous: valid
                .filter_map(|stored| {
                    let expires_at = stored.expires_at?;
                    Some(PreviousSecret { secret: stored.secret.verifier_text(), expires_at })
                })
                .collect(),
        }
    }
}

/// Show what a receiver verifies signatures with.
#[utoipa::path(
    get, path = "/v1/webhooks/{id}/secret", operation_id = "show_webhook_secret", tag = "webhooks", params(("id" = String, Path, description = "The webhook's id")),
    responses(
        (status = 200, description = "The secrets that sign now", body = SecretView),
        (status = 404, description = "No such webhook", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(in crate::api) async fn show(
    access: Granted<WriteWebhooks>,
    Id(id): Id<WebhookId>,
) -> Result<impl IntoResponse, Problem> {
    let webhook = webhooks::show_secrets(&access, id).await?;
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(SecretView::new(&webhook, access.now()))))
}

/// How to rotate.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct RotateQuery {
    /// Seconds for which the old secret signs too, 0 to 604800; 86400 if left
    /// out.
    #[param(value_type = Option<u32>, minimum = 0, maximum = 604_800)]
    overlap_seconds: Option<String>,
}

/// Make a new signing secret. The old one signs too until the overlap ends, so
/// that the receiver can change over without a gap.
#[utoipa::path(
    post, path = "/v1/webhooks/{id}/secret", operation_id = "rotate_webhook_secret", tag = "webhooks",
    params(("id" = String, Path, description = "The webhook's id"), RotateQuery),
    responses(
        (status = 201, description = "The new secret, and those that still sign", body = SecretView),
        (status = 404, description = "No such webhook", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(in crate::api) async fn rotate(
    access: Granted<WriteWebhooks>,
    Id(id): Id<WebhookId>,
    Parameters(query): Parameters<RotateQuery>,
) -> Result<impl IntoResponse, Problem> {
    let fault = || Problem::parameter("overlap_seconds", "must be a number from 0 to 604800");
    let overlap = query.overlap_seconds.map_or(Some(OVERLAP_SECONDS), |text| text.parse().ok());
    let overlap = overlap.map(Duration::from_secs).filter(|overlap| *overlap <= MAX_OVERLAP);
    let webhook = webhooks::rotate_secret(&access, id, overlap.ok_or_else(fault)?).await?;
    let no_store = [(header::CACHE_CONTROL, "no-store")];
    Ok((StatusCode::CREATED, no_store, Json(SecretView::new(&webhook, access.now()))))
}
