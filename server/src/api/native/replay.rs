//! `/v1/webhooks/{id}/replay` and `retry-failed`: what is over is sent again, and
//! what is missing is sent late.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use callboard_domain::clock::Timestamp;
use callboard_domain::id::WebhookId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::failed::chosen;
use super::view::JobView;
use crate::api::auth::{Granted, WriteWebhooks};
use crate::api::problem::{Problem, ProblemDocument};
use crate::api::read::{Id, JsonText, OptionalJson};
use crate::api::replays::{rate, read, start};
use crate::api::webhooks::find;
use crate::api::words::{FailureWord, ReplayState};

/// What to send again.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "described to people; the reader below names every fault")]
pub struct ReplayInput {
    /// Only what was made at or after this time: deliveries, or with `missing`
    /// events.
    #[schema(value_type = String, format = DateTime)]
    since: Timestamp,
    /// Only what was made before this time.
    #[schema(value_type = Option<String>, format = DateTime)]
    until: Option<Timestamp>,
    /// Only those in one of these states; all but `superseded` if left out.
    #[schema(value_type = Option<Vec<ReplayState>>, min_items = 1)]
    states: Option<Vec<String>>,
    /// Instead of deliveries, events that the webhook hears and has no delivery
    /// of. Not together with `states`.
    missing: Option<bool>,
    /// Only of this event type.
    #[schema(example = "ticket.updated")]
    r#type: Option<String>,
    /// Only about the subject with this id.
    subject: Option<String>,
    /// Most deliveries that are made due a second.
    #[schema(minimum = 0.01, maximum = 10_000)]
    rate_per_second: Option<f64>,
    /// Only count, and send nothing.
    dry_run: Option<bool>,
}

/// How to retry what has failed, and which of it; no body means all of it, as fast as
/// it goes.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "described to people; the reader below names every fault")]
pub struct RetryFailedInput {
    /// Most deliveries that are made due a second.
    #[schema(minimum = 0.01, maximum = 10_000)]
    rate_per_second: Option<f64>,
    /// Only those whose last attempt failed for this cause.
    #[schema(value_type = Option<FailureWord>)]
    cause: Option<String>,
    /// Only those that were last answered with this status.
    #[schema(minimum = 100, maximum = 999)]
    status: Option<u16>,
}

/// What a replay would send.
#[derive(Debug, Serialize, ToSchema)]
pub struct DryRunView {
    /// Deliveries that would be sent, as things are now.
    total: u64,
    /// Whether there may be more than `total`: counting stops after 200,000 that
    /// were looked at.
    total_capped: bool,
}

/// Retry every failed delivery of a webhook, or those that failed for one reason, as
/// a job.
///
/// Each gets its whole schedule again. A job of this kind and reason that is still
/// running for the webhook is answered instead of a second one.
#[utoipa::path(
    post, path = "/v1/webhooks/{id}/retry-failed", operation_id = "retry_failed_deliveries", tag = "webhooks", request_body = Option<RetryFailedInput>, params(("id" = String, Path, description = "The webhook's id")),
    responses(
        (status = 202, description = "The job; its progress is at `/v1/jobs/{id}`", body = JobView),
        (status = 400, description = "Faults, each with its JSON pointer", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "No such webhook", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(in crate::api) async fn retry_failed(
    access: Granted<WriteWebhooks>,
    Id(id): Id<WebhookId>,
    OptionalJson(body): OptionalJson,
) -> Result<(StatusCode, Json<JobView>), Problem> {
    let webhook = find(&access, id).await?;
    let known = ["rate_per_second", "cause", "status"];
    let (reason, rate_per_second) = chosen(body.as_ref(), &known, rate)?;
    let (tenant, by) = (access.tenant.key, access.by());
    let job = access.engine().retry_failed(tenant, webhook.key, reason, rate_per_second, by).await?;
    Ok((StatusCode::ACCEPTED, Json(JobView::new(&job, Some(id.to_string())))))
}

/// Send again what of a webhook's deliveries is over, or send what it has not
/// heard of, as a job.
///
/// The oldest goes first, and each gets its whole schedule. What is accepted
/// after the job was started is not its business. With `missing`, events are
/// matched as the webhook is set when the job comes to them, and none gets a
/// second delivery. A webhook has one replay at a time.
#[utoipa::path(
    post, path = "/v1/webhooks/{id}/replay", operation_id = "replay_deliveries", tag = "webhooks", request_body = ReplayInput, params(("id" = String, Path, description = "The webhook's id")),
    responses(
        (status = 200, description = "With `dry_run`: what would be sent", body = DryRunView),
        (status = 202, description = "The job; its progress is at `/v1/jobs/{id}`", body = JobView),
        (status = 400, description = "Faults, each with its JSON pointer", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "No such webhook", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "A replay of something else is running", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(in crate::api) async fn replay(
    access: Granted<WriteWebhooks>,
    Id(id): Id<WebhookId>,
    body: JsonText,
) -> Result<Response, Problem> {
    let webhook = find(&access, id).await?;
    let asked = read(body.single()?)?;
    if asked.dry_run {
        let counted = access.engine().count_replay(access.tenant.key, webhook.key, &asked.selection).await?;
        let view = DryRunView { total: counted.selected, total_capped: counted.next.is_some() };
        return Ok(Json(view).into_response());
    }
    let job = start(&access, &webhook, asked).await?;
    Ok((StatusCode::ACCEPTED, Json(JobView::new(&job, Some(id.to_string())))).into_response())
}
