//! `/v1/webhooks`: making, showing, editing and deleting webhooks.

use axum::Json;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse;
use callboard_domain::id::WebhookId;
use callboard_domain::signing::Secret;
use callboard_domain::store::{Edited, NewWebhook};
use callboard_domain::webhook::{Status, Webhook, read_settings};
use serde::Serialize;
use utoipa::ToSchema;

use super::view::{WebhookInput, WebhookView};
use crate::api::auth::{Granted, Needed, ReadWebhooks, WriteWebhooks};
use crate::api::page::{Items, PageQuery};
use crate::api::problem::{Problem, ProblemDocument};
use crate::api::read::{Id, JsonText, Parameters};

/// A webhook that was just made.
#[derive(Debug, Serialize, ToSchema)]
pub struct CreatedWebhook {
    #[serde(flatten)]
    webhook: WebhookView,
    /// What the receiver verifies signatures with. Shown this once; later it
    /// is at `/v1/webhooks/{id}/secret`.
    #[schema(example = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw0123456789A=")]
    secret: String,
}

/// The webhook of this id, if it is the caller's.
pub(super) async fn find<S: Needed>(access: &Granted<S>, id: WebhookId) -> Result<Webhook, Problem> {
    access.store().webhook(access.tenant.key, id).await?.ok_or_else(Problem::not_found)
}

/// Make a webhook.
#[utoipa::path(
    post, path = "/v1/webhooks", operation_id = "create_webhook", tag = "webhooks", request_body = WebhookInput,
    responses(
        (status = 201, description = "Made; `Location` is its address", body = CreatedWebhook),
        (status = 400, description = "Faults, each with its JSON pointer", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(in crate::api) async fn create(
    access: Granted<WriteWebhooks>,
    body: JsonText,
) -> Result<impl IntoResponse, Problem> {
    let (settings, enabled) = read_settings(&body.text, None).map_err(Problem::faults)?;
    let now = access.now();
    let (id, secret) =
        access.with_rng(|rng| (WebhookId::generate(now, rng), Secret::generate(settings.signature, rng)));
    let status = if enabled == Some(false) { Status::Disabled } else { Status::Active };
    let shown = secret.verifier_text();
    let webhook = NewWebhook { id, settings, status, secret, now };
    let webhook = access.store().create_webhook(access.tenant.key, webhook).await?;
    access.engine().refresh(access.tenant.key, webhook.key).await?;
    let location = [(header::LOCATION, format!("/v1/webhooks/{id}"))];
    let created = CreatedWebhook { webhook: WebhookView::from(&webhook), secret: shown };
    Ok((StatusCode::CREATED, location, Json(created)))
}

/// List webhooks, newest first.
#[utoipa::path(
    get, path = "/v1/webhooks", operation_id = "list_webhooks", tag = "webhooks", params(PageQuery),
    responses((status = 200, description = "A page of webhooks", body = Items<WebhookView>))
)]
pub(in crate::api) async fn list(
    access: Granted<ReadWebhooks>,
    Parameters(query): Parameters<PageQuery>,
) -> Result<Json<Items<WebhookView>>, Problem> {
    let listed = access.store().list_webhooks(access.tenant.key, query.page()?).await?;
    Ok(Json(Items::new(listed.items.iter().map(WebhookView::from).collect(), listed.next)))
}

/// Show one webhook.
#[utoipa::path(
    get, path = "/v1/webhooks/{id}", operation_id = "show_webhook", tag = "webhooks", params(("id" = String, Path, description = "The webhook's id")),
    responses(
        (status = 200, description = "The webhook; `ETag` is its revision", body = WebhookView),
        (status = 404, description = "No such webhook", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(in crate::api) async fn show(
    access: Granted<ReadWebhooks>,
    Id(id): Id<WebhookId>,
) -> Result<impl IntoResponse, Problem> {
    let webhook = find(&access, id).await?;
    Ok(([(header::ETAG, etag(&webhook))], Json(WebhookView::from(&webhook))))
}

fn etag(webhook: &Webhook) -> String {
    format!("\"{}\"", webhook.revision)
}

/// Edit a webhook: what is left out stays as it is, null resets to the default.
///
/// With `If-Match`, the edit is refused if somebody else edited it meanwhile.
#[utoipa::path(
    patch, path = "/v1/webhooks/{id}", operation_id = "edit_webhook", tag = "webhooks", request_body = WebhookInput,
    params(("id" = String, Path, description = "The webhook's id"), ("If-Match" = Option<String>, Header, description = "The `ETag` of what is edited")),
    responses(
        (status = 200, description = "The webhook as it is now", body = WebhookView),
        (status = 400, description = "Faults, each with its JSON pointer; nothing was changed", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "No such webhook", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "Somebody else edited it at the same time", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 412, description = "`If-Match` names another revision", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(in crate::api) async fn edit(
    access: Granted<WriteWebhooks>,
    Id(id): Id<WebhookId>,
    headers: HeaderMap,
    body: JsonText,
) -> Result<impl IntoResponse, Problem> {
    let webhook = find(&access, id).await?;
    if headers.get(header::IF_MATCH).is_some_and(|wanted| wanted != "*" && *wanted != *etag(&webhook)) {
        let detail = "somebody else edited the webhook since; read it again";
        return Err(Problem::new(StatusCode::PRECONDITION_FAILED, detail));
    }
    let (settings, enabled) = read_settings(&body.text, Some(&webhook.settings)).map_err(Problem::faults)?;
    let status = match enabled {
        Some(false) => Status::Disabled,
        Some(true) if webhook.status == Status::Disabled => Status::Active,
        _ => webhook.status,
    };
    let changes_scheme = settings.signature != webhook.settings.signature;
    let store = access.store();
    let now = access.now();
    let edited = store.update_webhook(access.tenant.key, id, webhook.revision, settings, status, now).await?;
    let Edited::Done(mut webhook) = edited.ok_or_else(Problem::not_found)? else {
        return Err(Problem::new(
            StatusCode::CONFLICT,
            "somebody else edited the webhook at the same time; try again",
        ));
    };
    if changes_scheme {
        // A secret of one scheme can't sign in the other; the receiver reads
        // the new one at the webhook's secret.
        let secret = access.with_rng(|rng| Secret::generate(webhook.settings.signature, rng));
        let rotated = store.rotate_secret(access.tenant.key, id, secret, now, now).await?;
        *webhook = rotated.ok_or_else(Problem::not_found)?;
    }
    access.engine().refresh(access.tenant.key, webhook.key).await?;
    Ok(([(header::ETAG, etag(&webhook))], Json(WebhookView::from(&*webhook))))
}

/// Delete a webhook. What waits for it is cancelled; its log stays until
/// retention takes it.
#[utoipa::path(
    delete, path = "/v1/webhooks/{id}", operation_id = "delete_webhook", tag = "webhooks", params(("id" = String, Path, description = "The webhook's id")),
    responses(
        (status = 204, description = "Deleted"),
        (status = 404, description = "No such webhook", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(in crate::api) async fn delete(
    access: Granted<WriteWebhooks>,
    Id(id): Id<WebhookId>,
) -> Result<StatusCode, Problem> {
    let deleted = access.store().delete_webhook(access.tenant.key, id, access.now()).await?;
    let key = deleted.ok_or_else(Problem::not_found)?;
    access.engine().refresh(access.tenant.key, key).await?;
    Ok(StatusCode::NO_CONTENT)
}
