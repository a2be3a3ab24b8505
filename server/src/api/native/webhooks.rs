//! `/v1/webhooks`: making, showing, editing and deleting webhooks.

use axum::Json;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse;
use callboard_domain::id::WebhookId;
use callboard_domain::store::WebhookFilter;
use callboard_domain::webhook::{Status, Webhook, read_settings};
use callboard_domain::wire::Dialect;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::view::{WebhookInput, WebhookView};
use crate::api::auth::{Granted, ReadWebhooks, WriteWebhooks};
use crate::api::page::{Items, page};
use crate::api::problem::{Problem, ProblemDocument};
use crate::api::read::{Id, JsonText, Parameters};
use crate::api::webhooks::{self, find};
use crate::api::words::{DialectWord, StatusWord};

/// A webhook that was just made.
#[derive(Serialize, ToSchema)]
pub struct CreatedWebhook {
    #[serde(flatten)]
    webhook: WebhookView,
    /// What the receiver verifies signatures with. Shown this once; later it
    /// is at `/v1/webhooks/{id}/secret`.
    #[schema(example = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw0123456789A=")]
    secret: String,
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
    let (settings, enabled) = read_settings(body.single()?, None).map_err(Problem::faults)?;
    let (webhook, secret) = webhooks::make(&access, settings, enabled).await?;
    let location = format!("/v1/webhooks/{}", webhook.id);
    // The secret is in it.
    let headers = [(header::LOCATION, location), (header::CACHE_CONTROL, "no-store".to_owned())];
    let created = CreatedWebhook { webhook: WebhookView::new(&webhook, access.retry_base()), secret };
    Ok((StatusCode::CREATED, headers, Json(created)))
}

/// Which webhooks to list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct WebhookQuery {
    /// Only those whose name or URL holds this text, in whatever case.
    search: Option<String>,
    /// Only those with this status.
    #[param(value_type = Option<StatusWord>, inline)]
    status: Option<String>,
    /// Only those of this dialect.
    #[param(value_type = Option<DialectWord>)]
    dialect: Option<String>,
    /// `true` for only those that have done nothing but fail since a while.
    #[param(value_type = Option<bool>)]
    failing: Option<String>,
    /// Most items wanted, 1 to 200; 50 if left out.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 200)]
    limit: Option<String>,
    /// `next` of the page before.
    #[param(pattern = "^[A-Za-z0-9_-]{10}[AEIMQUYcgkosw048]$")]
    cursor: Option<String>,
}

impl WebhookQuery {
    fn filter(self) -> Result<WebhookFilter, Problem> {
        let dialect =
            |word: String| word.parse::<Dialect>().map_err(|unknown| Problem::parameter("dialect", &unknown));
        Ok(WebhookFilter {
            text: self.search,
            status: self.status.as_deref().map(status).transpose()?,
            dialect: self.dialect.map(dialect).transpose()?,
            failing: match self.failing.as_deref() {
                None | Some("false") => false,
                Some("true") => true,
                Some(_) => return Err(Problem::parameter("failing", "must be true or false")),
            },
        })
    }
}

fn status(word: &str) -> Result<Status, Problem> {
    let found = Status::ALL.into_iter().find(|status| status.as_str() == word);
    found.ok_or_else(|| {
        let all = Status::ALL.map(Status::as_str).join(", ");
        Problem::parameter("status", &format!("{word:?} is no status; they are {all}"))
    })
}

/// List webhooks, newest first.
#[utoipa::path(
    get, path = "/v1/webhooks", operation_id = "list_webhooks", tag = "webhooks", params(WebhookQuery),
    responses((status = 200, description = "A page of webhooks", body = Items<WebhookView>))
)]
pub(in crate::api) async fn list(
    access: Granted<ReadWebhooks>,
    Parameters(query): Parameters<WebhookQuery>,
) -> Result<Json<Items<WebhookView>>, Problem> {
    let page = page(("limit", query.limit.as_deref()), query.cursor.as_deref())?;
    let listed = access.store().find_webhooks(access.tenant.key, query.filter()?, page).await?;
    let base = access.retry_base();
    let items = listed.items.iter().map(|webhook| WebhookView::new(webhook, base)).collect();
    Ok(Json(Items::new(items, listed.next)))
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
    Ok(([(header::ETAG, etag(&webhook))], Json(WebhookView::new(&webhook, access.retry_base()))))
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
    let (settings, enabled) =
        read_settings(body.single()?, Some(&webhook.settings)).map_err(Problem::faults)?;
    let webhook = webhooks::edit(&access, &webhook, settings, enabled).await?;
    Ok(([(header::ETAG, etag(&webhook))], Json(WebhookView::new(&webhook, access.retry_base()))))
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
    webhooks::delete(&access, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
