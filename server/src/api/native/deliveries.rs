//! Deliveries: the log of a webhook, one delivery with its attempts, retry and
//! cancel.

use std::collections::HashMap;

use axum::Json;
use axum::http::StatusCode;
use callboard_domain::delivery::{AnswerClass, DeliverySummary};
use callboard_domain::id::{DeliveryKey, WebhookId, WebhookKey};
use callboard_domain::store::{DeliveryFilter, Store, StoreError};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::events::time;
use super::view::{AttemptView, DeliveryView};
use crate::api::auth::{Granted, Needed, ReadWebhooks, WriteWebhooks};
use crate::api::by_hand::answer;
use crate::api::page::{Items, page};
use crate::api::problem::{Problem, ProblemDocument};
use crate::api::read::{Id, Parameters, states};
use crate::api::webhooks::find;
use crate::api::words::{AnswerWord, DeliveryState};

/// Which deliveries to list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct DeliveryQuery {
    /// Only those in these states, with commas between them.
    #[param(value_type = Option<Vec<DeliveryState>>, style = Form, explode = false, min_items = 1)]
    state: Option<String>,
    /// Only of this event type.
    r#type: Option<String>,
    /// Only about the subject with this id.
    subject: Option<String>,
    /// Only those made at or after this time (RFC 3339): with their event, or
    /// later by a replay.
    #[param(format = DateTime)]
    since: Option<String>,
    /// Only those made before this time (RFC 3339).
    #[param(format = DateTime)]
    until: Option<String>,
    /// Only those whose last attempt was answered like this, or not at all.
    #[param(value_type = Option<AnswerWord>, inline)]
    answer: Option<String>,
    /// Most items wanted, 1 to 200; 50 if left out.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 200)]
    limit: Option<String>,
    /// `next` of the page before.
    #[param(pattern = "^[A-Za-z0-9_-]{10}[AEIMQUYcgkosw048]$")]
    cursor: Option<String>,
}

/// List the deliveries of a webhook, newest first.
#[utoipa::path(
    get, path = "/v1/webhooks/{id}/deliveries", operation_id = "list_deliveries_of_webhook", tag = "deliveries",
    params(("id" = String, Path, description = "The webhook's id"), DeliveryQuery),
    responses(
        (status = 200, description = "A page of deliveries", body = Items<DeliveryView>),
        (status = 404, description = "No such webhook", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(in crate::api) async fn list(
    access: Granted<ReadWebhooks>,
    Id(id): Id<WebhookId>,
    Parameters(query): Parameters<DeliveryQuery>,
) -> Result<Json<Items<DeliveryView>>, Problem> {
    let page = page(("limit", query.limit.as_deref()), query.cursor.as_deref())?;
    let filter = DeliveryFilter {
        states: states(query.state.as_deref())?,
        since: time("since", query.since.as_deref())?,
        until: time("until", query.until.as_deref())?,
        type_name: query.r#type,
        subject_id: query.subject,
        answer: query.answer.as_deref().map(answer_class).transpose()?,
    };
    let webhook = find(&access, id).await?;
    let listed = access.store().list_deliveries(webhook.key, filter, page).await?;
    let shown = |delivery| DeliveryView::new(delivery, Some(id.to_string()));
    Ok(Json(Items::new(listed.items.into_iter().map(shown).collect(), listed.next)))
}

/// The answers that the parameter `answer` names.
fn answer_class(word: &str) -> Result<AnswerClass, Problem> {
    let found = AnswerClass::ALL.into_iter().find(|class| class.as_str() == word);
    found.ok_or_else(|| {
        let all = AnswerClass::ALL.map(AnswerClass::as_str).join(", ");
        Problem::parameter("answer", &format!("{word:?} is no class of answers; classes are {all}"))
    })
}

/// Deliveries with the public ids of their webhooks.
pub(super) async fn named(
    store: &dyn Store,
    deliveries: Vec<DeliverySummary>,
) -> Result<Vec<DeliveryView>, StoreError> {
    let mut ids: HashMap<WebhookKey, Option<String>> = HashMap::new();
    let mut views = Vec::with_capacity(deliveries.len());
    for delivery in deliveries {
        let id = match ids.get(&delivery.webhook) {
            Some(id) => id.clone(),
            None => public_id(store, delivery.webhook).await?,
        };
        ids.insert(delivery.webhook, id.clone());
        views.push(DeliveryView::new(delivery, id));
    }
    Ok(views)
}

/// The public id of a webhook; `None` when it is deleted.
pub(super) async fn public_id(store: &dyn Store, webhook: WebhookKey) -> Result<Option<String>, StoreError> {
    Ok(store.webhook_by_key(webhook).await?.map(|webhook| webhook.id.to_string()))
}

/// A delivery with all its attempts.
#[derive(Debug, Serialize, ToSchema)]
pub struct DeliveryDetail {
    #[serde(flatten)]
    delivery: DeliveryView,
    /// Every attempt, oldest first.
    attempt_log: Vec<AttemptView>,
}

/// Show one delivery with all its attempts.
#[utoipa::path(
    get, path = "/v1/deliveries/{id}", operation_id = "show_delivery", tag = "deliveries", params(("id" = String, Path, description = "The delivery's id", example = "dlv_1842")),
    responses(
        (status = 200, description = "The delivery", body = DeliveryDetail),
        (status = 404, description = "No such delivery, or expired by retention", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(in crate::api) async fn show(
    access: Granted<ReadWebhooks>,
    Id(key): Id<DeliveryKey>,
) -> Result<Json<DeliveryDetail>, Problem> {
    shown(&access, key).await
}

/// Retry one delivery now, with its whole schedule before it.
///
/// A failed, cancelled or delivered one is sent again; a waiting one is sent
/// without waiting.
#[utoipa::path(
    post, path = "/v1/deliveries/{id}/retry", operation_id = "retry_delivery", tag = "deliveries", params(("id" = String, Path, description = "The delivery's id")),
    responses(
        (status = 202, description = "Due at once", body = DeliveryDetail),
        (status = 404, description = "No such delivery", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "It is pending, or on its way", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(in crate::api) async fn retry(
    access: Granted<WriteWebhooks>,
    Id(key): Id<DeliveryKey>,
) -> Result<(StatusCode, Json<DeliveryDetail>), Problem> {
    let status = answer(access.engine().retry(access.tenant.key, key, access.by()).await?, "retried")?;
    Ok((status, shown(&access, key).await?))
}

/// Call one delivery off. An attempt that is on its way ends as it ends.
#[utoipa::path(
    post, path = "/v1/deliveries/{id}/cancel", operation_id = "cancel_delivery", tag = "deliveries", params(("id" = String, Path, description = "The delivery's id")),
    responses(
        (status = 202, description = "Cancelled", body = DeliveryDetail),
        (status = 404, description = "No such delivery", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "It is over already", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(in crate::api) async fn cancel(
    access: Granted<WriteWebhooks>,
    Id(key): Id<DeliveryKey>,
) -> Result<(StatusCode, Json<DeliveryDetail>), Problem> {
    let status = answer(access.engine().cancel(access.tenant.key, key, access.by()).await?, "cancelled")?;
    Ok((status, shown(&access, key).await?))
}

/// The delivery as it is now.
async fn shown<S: Needed>(access: &Granted<S>, key: DeliveryKey) -> Result<Json<DeliveryDetail>, Problem> {
    let found = access.store().delivery(access.tenant.key, key).await?;
    let (delivery, attempts) = found.ok_or_else(Problem::not_found)?;
    let webhook_id = public_id(access.store(), delivery.webhook).await?;
    Ok(Json(DeliveryDetail {
        delivery: DeliveryView::new(delivery, webhook_id),
        attempt_log: attempts.into_iter().map(AttemptView::from).collect(),
    }))
}
