//! `/openticket/webhook`: making, listing, showing, editing and deleting
//! webhooks.

use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use callboard_domain::id::WebhookId;
use callboard_domain::store::WebhookSlice;
use callboard_domain::webhook::Webhook;
use callboard_domain::webhook::openticket::Extent;
use callboard_domain::wire::Dialect;
use utoipa::IntoParams;

use super::ErrorDocument;
use super::input::{Input, WebhookChange, WebhookChangeForm, WebhookForm, WebhookRequest};
use super::view::WebhookView;
use crate::api::auth::{Granted, Needed, ReadWebhooks, WriteWebhooks};
use crate::api::links::Links;
use crate::api::page::Numbers;
use crate::api::problem::Problem;
use crate::api::read::Id;
use crate::api::webhooks;

/// The webhook of this GUID, if it is the caller's and of this dialect.
pub(super) async fn find<S: Needed>(access: &Granted<S>, id: WebhookId) -> Result<Webhook, Problem> {
    ours(webhooks::find(access, id).await?)
}

/// The same, also when it is deleted.
pub(super) async fn find_or_deleted<S: Needed>(
    access: &Granted<S>,
    id: WebhookId,
) -> Result<Webhook, Problem> {
    let found = access.store().webhook_or_deleted(access.tenant.key, id).await?;
    ours(found.ok_or_else(Problem::not_found)?)
}

fn ours(webhook: Webhook) -> Result<Webhook, Problem> {
    let is_ours = webhook.settings.subscription.dialect() == Dialect::OpenTicket;
    if is_ours { Ok(webhook) } else { Err(Problem::not_found()) }
}

fn shown<S: Needed>(access: &Granted<S>, webhook: &Webhook) -> Result<Json<WebhookView>, Problem> {
    WebhookView::new(webhook, &access.tenant).map(Json).ok_or_else(Problem::not_found)
}

/// Make a webhook.
#[utoipa::path(
    post, path = "/openticket/webhook", operation_id = "openticket_create_webhook", tag = "openticket",
    request_body(content((WebhookRequest = "application/json"), (WebhookForm = "application/x-www-form-urlencoded"), (WebhookForm = "multipart/form-data"))),
    responses(
        (status = 201, description = "Made", body = WebhookView),
        (status = 400, description = "The body can't be read", body = ErrorDocument),
        (status = 415, description = "Neither JSON nor a form", body = ErrorDocument),
        (status = 422, description = "Faults, by field; nothing was made", body = ErrorDocument),
    )
)]
pub(in crate::api) async fn create(
    access: Granted<WriteWebhooks>,
    input: Input,
) -> Result<impl IntoResponse, Problem> {
    let settings = input.0.settings(Extent::New).map_err(Problem::faults)?;
    let (webhook, _) = webhooks::make(&access, settings, None).await?;
    let location = [(header::LOCATION, format!("/openticket/webhook/{}", webhook.id))];
    Ok((StatusCode::CREATED, location, shown(&access, &webhook)?))
}

/// Which page of the webhooks.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes a query that is read by hand, naming every fault")]
pub struct ListQuery {
    /// Which page, from 1.
    #[param(minimum = 1, example = 1)]
    page: Option<u32>,
    /// Webhooks of a page, 1 to 1000; 100 if left out.
    #[param(minimum = 1, maximum = 1_000, example = 100)]
    per_page: Option<u32>,
}

/// List webhooks, the newest first. The header `Link` names the other pages.
#[utoipa::path(
    get, path = "/openticket/webhook", operation_id = "openticket_list_webhooks", tag = "openticket", params(ListQuery),
    responses(
        (status = 200, description = "A page of webhooks", body = Vec<WebhookView>),
        (status = 422, description = "A parameter of the query is wrong", body = ErrorDocument),
    )
)]
pub(in crate::api) async fn list(
    access: Granted<ReadWebhooks>,
    links: Links,
) -> Result<impl IntoResponse, Problem> {
    let page = Numbers::read(&links, "per_page", 100, 1_000)?;
    let slice = WebhookSlice {
        dialect: Dialect::OpenTicket,
        newest_first: true,
        offset: page.offset(),
        limit: page.size.into(),
    };
    let (found, total) = access.store().list_webhooks_in(access.tenant.key, slice).await?;
    let views: Vec<_> =
        found.iter().filter_map(|webhook| WebhookView::new(webhook, &access.tenant)).collect();
    let to = |(relation, page): (&str, u64)| {
        format!("<{}>; rel=\"{relation}\"", links.with(&[("page", page.to_string())]))
    };
    let header: Vec<String> = page.relations(total).map(to).collect();
    Ok(([(header::LINK, header.join(", "))], Json(views)))
}

/// Show one webhook, also one that was deleted.
#[utoipa::path(
    get, path = "/openticket/webhook/{guid}", operation_id = "openticket_show_webhook", tag = "openticket", params(("guid" = String, Path, description = "The webhook's GUID")),
    responses(
        (status = 200, description = "The webhook", body = WebhookView),
        (status = 404, description = "No such webhook", body = ErrorDocument),
    )
)]
pub(in crate::api) async fn show(
    access: Granted<ReadWebhooks>,
    Id(id): Id<WebhookId>,
) -> Result<Json<WebhookView>, Problem> {
    shown(&access, &find_or_deleted(&access, id).await?)
}

/// Put another webhook in the place of one: what is left out gets its default.
#[utoipa::path(
    put, path = "/openticket/webhook/{guid}", operation_id = "openticket_replace_webhook", tag = "openticket",
    params(("guid" = String, Path, description = "The webhook's GUID")),
    request_body(content((WebhookRequest = "application/json"), (WebhookForm = "application/x-www-form-urlencoded"), (WebhookForm = "multipart/form-data"))),
    responses(
        (status = 200, description = "The webhook as it is now", body = WebhookView),
        (status = 400, description = "The body can't be read", body = ErrorDocument),
        (status = 404, description = "No such webhook, or deleted", body = ErrorDocument),
        (status = 409, description = "Somebody else edited it at the same time", body = ErrorDocument),
        (status = 415, description = "Neither JSON nor a form", body = ErrorDocument),
        (status = 422, description = "Faults, by field; nothing was changed", body = ErrorDocument),
    )
)]
pub(in crate::api) async fn replace(
    access: Granted<WriteWebhooks>,
    Id(id): Id<WebhookId>,
    input: Input,
) -> Result<Json<WebhookView>, Problem> {
    change(&access, id, |webhook| input.0.settings(Extent::Whole(&webhook.settings))).await
}

/// Edit a webhook: only the fields that are given change.
#[utoipa::path(
    patch, path = "/openticket/webhook/{guid}", operation_id = "openticket_edit_webhook", tag = "openticket",
    params(("guid" = String, Path, description = "The webhook's GUID")),
    request_body(content((WebhookChange = "application/json"), (WebhookChangeForm = "application/x-www-form-urlencoded"), (WebhookChangeForm = "multipart/form-data"))),
    responses(
        (status = 200, description = "The webhook as it is now", body = WebhookView),
        (status = 400, description = "The body can't be read", body = ErrorDocument),
        (status = 404, description = "No such webhook, or deleted", body = ErrorDocument),
        (status = 409, description = "Somebody else edited it at the same time", body = ErrorDocument),
        (status = 415, description = "Neither JSON nor a form", body = ErrorDocument),
        (status = 422, description = "Faults, by field; nothing was changed", body = ErrorDocument),
    )
)]
pub(in crate::api) async fn edit(
    access: Granted<WriteWebhooks>,
    Id(id): Id<WebhookId>,
    input: Input,
) -> Result<Json<WebhookView>, Problem> {
    change(&access, id, |webhook| input.0.settings(Extent::Part(&webhook.settings))).await
}

async fn change(
    access: &Granted<WriteWebhooks>,
    id: WebhookId,
    settings: impl FnOnce(
        &Webhook,
    ) -> Result<callboard_domain::webhook::Settings, Vec<callboard_domain::fault::Fault>>,
) -> Result<Json<WebhookView>, Problem> {
    let webhook = find(access, id).await?;
    let settings = settings(&webhook).map_err(Problem::faults)?;
    shown(access, &webhooks::edit(access, &webhook, settings, None).await?)
}

/// Delete a webhook. It can still be shown, with the time of its deletion.
#[utoipa::path(
    delete, path = "/openticket/webhook/{guid}", operation_id = "openticket_delete_webhook", tag = "openticket", params(("guid" = String, Path, description = "The webhook's GUID")),
    responses(
        (status = 200, description = "The webhook, deleted", body = WebhookView),
        (status = 404, description = "No such webhook, or deleted already", body = ErrorDocument),
    )
)]
pub(in crate::api) async fn delete(
    access: Granted<WriteWebhooks>,
    Id(id): Id<WebhookId>,
) -> Result<Json<WebhookView>, Problem> {
    find(&access, id).await?;
    webhooks::delete(&access, id).await?;
    shown(&access, &find_or_deleted(&access, id).await?)
}
