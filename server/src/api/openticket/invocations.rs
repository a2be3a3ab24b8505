//! `/openticket/webhook/{guid}/invocations`: the log, and retrying what is in
//! it.

use axum::Json;
use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use callboard_domain::delivery::DeliverySummary;
use callboard_domain::id::{DeliveryKey, WebhookId};
use callboard_domain::store::DeliveryFilter;
use callboard_domain::webhook::Webhook;
use serde::Deserialize;
use utoipa::IntoParams;

use super::ErrorDocument;
use super::view::{InvocationView, RetryFailedView};
use super::webhooks::{find, find_or_deleted};
use crate::api::auth::{Granted, Needed, ReadWebhooks, WriteWebhooks};
use crate::api::by_hand::answer;
use crate::api::links::Links;
use crate::api::page::{Items, page};
use crate::api::problem::Problem;
use crate::api::read::{Id, Parameters, states};
use crate::api::words::DeliveryState;

/// Which invocations to list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct InvocationQuery {
    /// Only those in these states, with commas between them.
    #[param(value_type = Option<Vec<DeliveryState>>, style = Form, explode = false, min_items = 1)]
    state: Option<String>,
    /// Most items wanted, 1 to 200; 50 if left out.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 200)]
    per_page: Option<String>,
    /// From the header `Link` of the page before.
    #[param(pattern = "^[A-Za-z0-9_-]{10}[AEIMQUYcgkosw048]$")]
    cursor: Option<String>,
}

/// List the invocations of a webhook, the newest first, as long as they are
/// kept: a week, if nobody said otherwise. The header `Link` names the next
/// page.
#[utoipa::path(
    get, path = "/openticket/webhook/{guid}/invocations", operation_id = "openticket_list_invocations", tag = "openticket",
    params(("guid" = String, Path, description = "The webhook's GUID"), InvocationQuery),
    responses(
        (status = 200, description = "A page of invocations", body = Vec<InvocationView>),
        (status = 404, description = "No such webhook", body = ErrorDocument),
        (status = 422, description = "A parameter of the query is wrong", body = ErrorDocument),
    )
)]
pub(in crate::api) async fn list(
    access: Granted<ReadWebhooks>,
    Id(id): Id<WebhookId>,
    links: Links,
    Parameters(query): Parameters<InvocationQuery>,
) -> Result<impl IntoResponse, Problem> {
    let page = page(("per_page", query.per_page.as_deref()), query.cursor.as_deref())?;
    let filter = DeliveryFilter { states: states(query.state.as_deref())?, ..DeliveryFilter::default() };
    let webhook = find_or_deleted(&access, id).await?;
    let listed = access.store().list_deliveries(webhook.key, filter, page).await?;
    let views = listed.items.into_iter().map(|delivery| InvocationView::new(delivery, &webhook)).collect();
    let Items { items, next } = Items::new(views, listed.next);
    let next =
        next.map(|cursor| (header::LINK, format!("<{}>; rel=\"next\"", links.with(&[("cursor", cursor)]))));
    let headers: axum::http::HeaderMap =
        next.into_iter().filter_map(|(name, value)| Some((name, value.try_into().ok()?))).collect();
    Ok((headers, Json(items)))
}

/// The invocation, if it is one of this webhook.
async fn invocation<S: Needed>(
    access: &Granted<S>,
    webhook: &Webhook,
    invocation: &str,
) -> Result<DeliverySummary, Problem> {
    let key: DeliveryKey = invocation.parse().map_err(|_| Problem::not_found())?;
    let found = access.store().delivery(access.tenant.key, key).await?;
    let is_its_own = |(delivery, _): &(DeliverySummary, _)| delivery.webhook == webhook.key;
    found.filter(is_its_own).map(|(delivery, _)| delivery).ok_or_else(Problem::not_found)
}

/// Retry one invocation now, with all its retries before it.
#[utoipa::path(
    post, path = "/openticket/webhook/{guid}/invocations/{invocation}/retry", operation_id = "openticket_retry_invocation", tag = "openticket",
    params(("guid" = String, Path, description = "The webhook's GUID"), ("invocation" = String, Path, description = "The invocation's id")),
    responses(
        (status = 202, description = "Due at once", body = InvocationView),
        (status = 404, description = "No such webhook or invocation", body = ErrorDocument),
        (status = 409, description = "It is pending, or on its way", body = ErrorDocument),
    )
)]
pub(in crate::api) async fn retry(
    access: Granted<WriteWebhooks>,
    path: Result<Path<(String, String)>, PathRejection>,
) -> Result<impl IntoResponse, Problem> {
    let Path((guid, named)) = path.map_err(|_| Problem::not_found())?;
    let webhook = find(&access, guid.parse().map_err(|_| Problem::not_found())?).await?;
    let delivery = invocation(&access, &webhook, &named).await?;
    let status =
        answer(access.engine().retry(access.tenant.key, delivery.key, access.by()).await?, "retried")?;
    let delivery = invocation(&access, &webhook, &named).await?;
    Ok((status, Json(InvocationView::new(delivery, &webhook))))
}

/// Retry all failed invocations of a webhook, one after the other.
#[utoipa::path(
    post, path = "/openticket/webhook/{guid}/invocations/retry-failed", operation_id = "openticket_retry_failed", tag = "openticket", params(("guid" = String, Path, description = "The webhook's GUID")),
    responses(
        (status = 202, description = "Under way", body = RetryFailedView),
        (status = 404, description = "No such webhook", body = ErrorDocument),
    )
)]
pub(in crate::api) async fn retry_failed(
    access: Granted<WriteWebhooks>,
    Id(id): Id<WebhookId>,
) -> Result<(StatusCode, Json<RetryFailedView>), Problem> {
    let webhook = find(&access, id).await?;
    let job = access.engine().retry_failed(access.tenant.key, webhook.key, None, None, access.by()).await?;
    Ok((StatusCode::ACCEPTED, Json(RetryFailedView::from(&job))))
}
