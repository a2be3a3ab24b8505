//! `/v1/failed` and `discard-failed`: what has failed, over all webhooks, in groups by
//! why it did; and calling it off.

use std::collections::HashMap;

use axum::Json;
use axum::http::StatusCode;
use callboard_domain::clock::Timestamp;
use callboard_domain::delivery::{Cause, Reason};
use callboard_domain::fault::Faults;
use callboard_domain::id::{WebhookId, WebhookKey};
use callboard_domain::json::Members;
use callboard_domain::store::FailedFilter;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::deliveries::{named, public_id};
use super::view::{DeliveryView, JobView};
use crate::api::auth::{Granted, ReadWebhooks, WriteWebhooks};
use crate::api::page::{Items, page};
use crate::api::problem::{Problem, ProblemDocument};
use crate::api::read::{Id, JsonText, OptionalJson, Parameters, whole};
use crate::api::webhooks::find;
use crate::api::words::FailureWord;

/// Which failed deliveries to list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct FailedQuery {
    /// Only those of this webhook.
    webhook: Option<String>,
    /// Only those whose last attempt failed for this cause.
    #[param(value_type = Option<FailureWord>)]
    cause: Option<String>,
    /// Only those that were last answered with this status.
    #[param(value_type = Option<u16>, minimum = 100, maximum = 999)]
    status: Option<String>,
    /// Most items wanted, 1 to 200; 50 if left out.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 200)]
    limit: Option<String>,
    /// `next` of the page before.
    #[param(pattern = "^[A-Za-z0-9_-]{10}[AEIMQUYcgkosw048]$")]
    cursor: Option<String>,
}

/// Which failed deliveries of a webhook to call off; no body means all of them.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "described to people; the reader below names every fault")]
pub struct DiscardFailedInput {
    /// Only those whose last attempt failed for this cause.
    #[schema(value_type = Option<FailureWord>)]
    cause: Option<String>,
    /// Only those that were last answered with this status.
    #[schema(minimum = 100, maximum = 999)]
    status: Option<u16>,
}

/// Deliveries of one webhook that failed alike.
#[derive(Debug, Serialize, ToSchema)]
pub struct FailedGroupView {
    /// The webhook; null when it is deleted.
    webhook_id: Option<String>,
    /// Why their last attempts failed.
    #[schema(value_type = Option<FailureWord>, example = "status")]
    cause: Option<Cause>,
    /// The status of the last answers; null where there were none.
    #[schema(example = 503)]
    status: Option<u16>,
    /// How many there are.
    count: u64,
    /// When the earliest of their last attempts was.
    #[schema(value_type = String, format = DateTime)]
    oldest: Timestamp,
    /// When the latest of their last attempts was.
    #[schema(value_type = String, format = DateTime)]
    newest: Timestamp,
}

/// What has failed, in groups.
#[derive(Debug, Serialize, ToSchema)]
pub struct FailedGroupsView {
    /// The groups, the largest first.
    items: Vec<FailedGroupView>,
    /// Whether there may be more than is counted here: at most 100,000 deliveries are
    /// looked at, the newest of each webhook, and 1,000 groups told.
    capped: bool,
}

const NO_STATUS: &str = "must be a status of HTTP, 100 to 999";

fn cause(word: &str) -> Result<Cause, String> {
    let found = Cause::FAILURES.into_iter().find(|cause| cause.as_str() == word);
    found.ok_or_else(|| format!("must be one of {}", Cause::FAILURES.map(Cause::as_str).join(", ")))
}

fn status(number: u32) -> Option<u16> {
    u16::try_from(number).ok().filter(|status| (100..=999).contains(status))
}

/// Reads the members `cause` and `status` of a body; `None` when it has neither.
fn reason(members: &Members<'_>, faults: &mut Faults) -> Option<Reason> {
    let word = members.string("cause", faults);
    let cause = word.and_then(|word| cause(&word).map_err(|fault| faults.member("cause", fault)).ok());
    let status = members.get("status").and_then(|raw| {
        let read = whole(raw.get()).and_then(status);
        if read.is_none() {
            faults.member("status", NO_STATUS);
        }
        read
    });
    Reason { cause, status }.choosing()
}

/// Reads what a body chooses of a webhook's failed deliveries, and what `others` reads
/// of the rest of the members that it may have. No body chooses all of them.
pub(super) fn chosen<T: Default>(
    body: Option<&JsonText>,
    known: &[&str],
    others: impl FnOnce(&Members<'_>, &mut Faults) -> T,
) -> Result<(Option<Reason>, T), Problem> {
    let Some(body) = body else { return Ok(Default::default()) };
    let mut faults = Faults::new();
    let read = Members::read(body.single()?, &mut faults).map(|members| {
        members.refuse_unknown(known, &mut faults);
        (reason(&members, &mut faults), others(&members, &mut faults))
    });
    faults.finish(read).map_err(Problem::faults)
}

/// List failed deliveries over all webhooks, newest first.
#[utoipa::path(
    get, path = "/v1/failed", operation_id = "list_failed_deliveries", tag = "deliveries", params(FailedQuery),
    responses(
        (status = 200, description = "A page of deliveries", body = Items<DeliveryView>),
        (status = 404, description = "No such webhook", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(in crate::api) async fn list(
    access: Granted<ReadWebhooks>,
    Parameters(query): Parameters<FailedQuery>,
) -> Result<Json<Items<DeliveryView>>, Problem> {
    let page = page(("limit", query.limit.as_deref()), query.cursor.as_deref())?;
    let cause = query.cause.as_deref().map(cause).transpose();
    let cause = cause.map_err(|fault| Problem::parameter("cause", &fault))?;
    let status = match &query.status {
        None => None,
        Some(text) => {
            let status = text.parse().ok().and_then(status);
            Some(status.ok_or_else(|| Problem::parameter("status", NO_STATUS))?)
        }
    };
    let webhook = match &query.webhook {
        None => None,
        Some(id) => Some(find(&access, id.parse().map_err(|_| Problem::not_found())?).await?.key),
    };
    let filter = FailedFilter { webhook, reason: Reason { cause, status }.choosing() };
    let listed = access.store().list_failed(access.tenant.key, filter, page).await?;
    Ok(Json(Items::new(named(access.store(), listed.items).await?, listed.next)))
}

/// Count what has failed, by webhook and by why it did.
#[utoipa::path(
    get, path = "/v1/failed/groups", operation_id = "group_failed_deliveries", tag = "deliveries",
    responses((status = 200, description = "The groups", body = FailedGroupsView))
)]
pub(in crate::api) async fn groups(access: Granted<ReadWebhooks>) -> Result<Json<FailedGroupsView>, Problem> {
    let found = access.store().failed_groups(access.tenant.key).await?;
    let mut ids: HashMap<WebhookKey, Option<String>> = HashMap::new();
    let mut items = Vec::with_capacity(found.groups.len());
    for group in found.groups {
        let webhook_id = match ids.get(&group.webhook) {
            Some(id) => id.clone(),
            None => public_id(access.store(), group.webhook).await?,
        };
        ids.insert(group.webhook, webhook_id.clone());
        let Reason { cause, status } = group.reason;
        let (count, oldest, newest) = (group.count, group.oldest, group.newest);
        items.push(FailedGroupView { webhook_id, cause, status, count, oldest, newest });
    }
    Ok(Json(FailedGroupsView { items, capped: found.capped }))
}

/// Call off every failed delivery of a webhook, or those that failed for one reason,
/// as a job.
///
/// They become cancelled, and can still be retried. A job of this kind and reason
/// that is still running for the webhook is answered instead of a second one.
#[utoipa::path(
    post, path = "/v1/webhooks/{id}/discard-failed", operation_id = "discard_failed_deliveries", tag = "webhooks", request_body = Option<DiscardFailedInput>, params(("id" = String, Path, description = "The webhook's id")),
    responses(
        (status = 202, description = "The job; its progress is at `/v1/jobs/{id}`", body = JobView),
        (status = 400, description = "Faults, each with its JSON pointer", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "No such webhook", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(in crate::api) async fn discard(
    access: Granted<WriteWebhooks>,
    Id(id): Id<WebhookId>,
    OptionalJson(body): OptionalJson,
) -> Result<(StatusCode, Json<JobView>), Problem> {
    let webhook = find(&access, id).await?;
    let (reason, ()) = chosen(body.as_ref(), &["cause", "status"], |_, _| ())?;
    let job = access.engine().discard_failed(access.tenant.key, webhook.key, reason, access.by()).await?;
    Ok((StatusCode::ACCEPTED, Json(JobView::new(&job, Some(id.to_string())))))
}
