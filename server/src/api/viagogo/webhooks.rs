//! `/viagogo/v2`: the root, and making, listing, showing, editing, deleting and
//! trying out webhooks.

use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use callboard_domain::access::Scope;
use callboard_domain::id::WebhookKey;
use callboard_domain::store::WebhookSlice;
use callboard_domain::webhook::{MASK, Webhook, viagogo};
use callboard_domain::wire::Dialect;
use callboard_domain::wire::viagogo::{Fieldsets, Reduced, WebhookResource};

use super::ROOT;
use super::error::ErrorDocument;
use super::hal::{Collection, CollectionSchema, Root, RootSchema, WebhookSchema};
use super::input::WebhookRequest;
use super::query::{ListQuery, fieldsets, newest_first, numbers};
use crate::api::auth::{Granted, Needed, ReadWebhooks, WriteWebhooks};
use crate::api::links::Links;
use crate::api::problem::Problem;
use crate::api::read::{Id, JsonText};
use crate::api::webhooks;

/// The webhook of this number, if it is the caller's and of this dialect.
async fn find<S: Needed>(access: &Granted<S>, id: i32) -> Result<Webhook, Problem> {
    let webhook = access.store().webhook_by_key(WebhookKey(id.into())).await?;
    let is_it = |webhook: &Webhook| {
        webhook.tenant == access.tenant.key && webhook.settings.subscription.dialect() == Dialect::Viagogo
    };
    webhook.filter(is_it).ok_or_else(Problem::not_found)
}

/// A webhook as the caller may see it: who could not set the authorization
/// header sees only that there is one.
fn shown<'a, S: Needed>(
    access: &Granted<S>,
    webhook: &'a Webhook,
    links: &Links,
    sets: &Fieldsets,
) -> Reduced<WebhookResource<'a>> {
    let may_set = access.may(Scope::WriteWebhooks);
    let header = webhook.settings.authorization_header.as_ref();
    let header = header.map(|header| if may_set { header.reveal() } else { MASK });
    sets.reduce("webhook", WebhookResource::new(webhook, &links.base, header))
}

/// Show where the webhooks are.
#[utoipa::path(
    get, path = "/viagogo/v2", operation_id = "viagogo_root", tag = "viagogo",
    responses((status = 200, description = "Links", body = RootSchema, content_type = "application/hal+json"))
)]
pub(in crate::api) async fn root(_: Granted<ReadWebhooks>, links: Links) -> impl IntoResponse {
    Json(Root::new(&links))
}

/// List webhooks, the oldest first.
#[utoipa::path(
    get, path = "/viagogo/v2/webhooks", operation_id = "viagogo_list_webhooks", tag = "viagogo", params(ListQuery),
    responses(
        (status = 200, description = "A page of webhooks", body = CollectionSchema, content_type = "application/hal+json"),
        (status = 406, description = "The client accepts no JSON", body = ErrorDocument, content_type = "application/hal+json"),
    )
)]
pub(in crate::api) async fn list(access: Granted<ReadWebhooks>, links: Links) -> Result<Response, Problem> {
    let (page, sets) = (numbers(&links)?, fieldsets(&links)?);
    let slice = WebhookSlice {
        dialect: Dialect::Viagogo,
        newest_first: newest_first(&links)?,
        offset: page.offset(),
        limit: page.size.into(),
    };
    let (found, total) = access.store().list_webhooks_in(access.tenant.key, slice).await?;
    let items = found.iter().map(|webhook| shown(&access, webhook, &links, &sets)).collect();
    let collection: Collection<Reduced<WebhookResource<'_>>> = Collection::new(items, total, page, &links);
    Ok(Json(sets.reduce("webhooks", collection)).into_response())
}

/// Make a webhook.
#[utoipa::path(
    post, path = "/viagogo/v2/webhooks", operation_id = "viagogo_create_webhook", tag = "viagogo", request_body = WebhookRequest,
    responses(
        (status = 201, description = "Made; `Location` is its address", body = WebhookSchema, content_type = "application/hal+json"),
        (status = 400, description = "`invalid_request_body` or `validation_failed`", body = ErrorDocument, content_type = "application/hal+json"),
        (status = 415, description = "The body is no JSON", body = ErrorDocument, content_type = "application/hal+json"),
    )
)]
pub(in crate::api) async fn create(
    access: Granted<WriteWebhooks>,
    links: Links,
    body: JsonText,
) -> Result<Response, Problem> {
    let sets = fieldsets(&links)?;
    let settings = viagogo::read(body.single()?, None).map_err(Problem::faults)?;
    let (webhook, _) = webhooks::make(&access, settings, None).await?;
    let location = [(header::LOCATION, format!("{}{ROOT}/webhooks/{}", links.base, webhook.key.0))];
    Ok((StatusCode::CREATED, location, Json(shown(&access, &webhook, &links, &sets))).into_response())
}

/// Show one webhook.
#[utoipa::path(
    get, path = "/viagogo/v2/webhooks/{id}", operation_id = "viagogo_show_webhook", tag = "viagogo", params(("id" = i32, Path, description = "The webhook's number")),
    responses(
        (status = 200, description = "The webhook", body = WebhookSchema, content_type = "application/hal+json"),
        (status = 404, description = "No such webhook", body = ErrorDocument, content_type = "application/hal+json"),
    )
)]
pub(in crate::api) async fn show(
    access: Granted<ReadWebhooks>,
    Id(id): Id<i32>,
    links: Links,
) -> Result<Response, Problem> {
    let sets = fieldsets(&links)?;
    let webhook = find(&access, id).await?;
    Ok(Json(shown(&access, &webhook, &links, &sets)).into_response())
}

/// Edit a webhook: only the fields that are given change.
#[utoipa::path(
    patch, path = "/viagogo/v2/webhooks/{id}", operation_id = "viagogo_edit_webhook", tag = "viagogo", request_body = WebhookRequest,
    params(("id" = i32, Path, description = "The webhook's number")),
    responses(
        (status = 200, description = "The webhook as it is now", body = WebhookSchema, content_type = "application/hal+json"),
        (status = 400, description = "`invalid_request_body` or `validation_failed`; nothing was changed", body = ErrorDocument, content_type = "application/hal+json"),
        (status = 404, description = "No such webhook", body = ErrorDocument, content_type = "application/hal+json"),
        (status = 409, description = "Somebody else edited it at the same time", body = ErrorDocument, content_type = "application/hal+json"),
        (status = 415, description = "The body is no JSON", body = ErrorDocument, content_type = "application/hal+json"),
    )
)]
pub(in crate::api) async fn edit(
    access: Granted<WriteWebhooks>,
    Id(id): Id<i32>,
    links: Links,
    body: JsonText,
) -> Result<Response, Problem> {
    let sets = fieldsets(&links)?;
    let webhook = find(&access, id).await?;
    let settings = viagogo::read(body.single()?, Some(&webhook.settings)).map_err(Problem::faults)?;
    let webhook = webhooks::edit(&access, &webhook, settings, None).await?;
    Ok(Json(shown(&access, &webhook, &links, &sets)).into_response())
}

/// Delete a webhook. What waits for it is cancelled.
#[utoipa::path(
    delete, path = "/viagogo/v2/webhooks/{id}", operation_id = "viagogo_delete_webhook", tag = "viagogo", params(("id" = i32, Path, description = "The webhook's number")),
    responses(
        (status = 204, description = "Deleted"),
        (status = 404, description = "No such webhook", body = ErrorDocument, content_type = "application/hal+json"),
    )
)]
pub(in crate::api) async fn delete(
    access: Granted<WriteWebhooks>,
    Id(id): Id<i32>,
) -> Result<StatusCode, Problem> {
    let webhook = find(&access, id).await?;
    webhooks::delete(&access, webhook.id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Send the topic `Ping` to a webhook.
#[utoipa::path(
    post, path = "/viagogo/v2/webhooks/{id}/ping", operation_id = "viagogo_ping_webhook", tag = "viagogo", params(("id" = i32, Path, description = "The webhook's number")),
    responses(
        (status = 202, description = "On its way to this webhook", body = WebhookSchema, content_type = "application/hal+json"),
        (status = 404, description = "No such webhook", body = ErrorDocument, content_type = "application/hal+json"),
        (status = 409, description = "It is disabled", body = ErrorDocument, content_type = "application/hal+json"),
    )
)]
pub(in crate::api) async fn ping(
    access: Granted<WriteWebhooks>,
    Id(id): Id<i32>,
    links: Links,
) -> Result<Response, Problem> {
    let sets = fieldsets(&links)?;
    let webhook = find(&access, id).await?;
    webhooks::ping(&access, &webhook).await?;
    Ok((StatusCode::ACCEPTED, Json(shown(&access, &webhook, &links, &sets))).into_response())
}
