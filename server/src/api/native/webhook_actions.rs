//! What can be done with a webhook beside editing it.

use axum::Json;
use axum::http::StatusCode;
use callboard_domain::clock::Timestamp;
use callboard_domain::id::WebhookId;
use callboard_domain::stats::{QUEUED_COUNTED, StatsBucket, WebhookStats};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::view::WebhookView;
use crate::api::auth::{Granted, ReadWebhooks, WriteWebhooks};
use crate::api::problem::{Problem, ProblemDocument};
use crate::api::read::{Id, Parameters};
use crate::api::webhooks::{self, StatusChange, find};

async fn set_status(
    access: &Granted<WriteWebhooks>,
    id: WebhookId,
    change: StatusChange,
) -> Result<Json<WebhookView>, Problem> {
    let webhook = webhooks::change_status(access, id, change).await?;
    Ok(Json(WebhookView::new(&webhook, access.retry_base())))
}

/// Let a disabled webhook hear again; what waited is sent.
#[utoipa::path(
    post, path = "/v1/webhooks/{id}/enable", operation_id = "enable_webhook", tag = "webhooks", params(("id" = String, Path, description = "The webhook's id")),
    responses(
        (status = 200, description = "The webhook as it is now", body = WebhookView),
        (status = 404, description = "No such webhook", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(in crate::api) async fn enable(
    access: Granted<WriteWebhooks>,
    Id(id): Id<WebhookId>,
) -> Result<Json<WebhookView>, Problem> {
    set_status(&access, id, StatusChange::Enable).await
}

/// Stop a webhook from hearing. What waits is kept until it is enabled again,
/// or retention takes it.
#[utoipa::path(
    post, path = "/v1/webhooks/{id}/disable", operation_id = "disable_webhook", tag = "webhooks", params(("id" = String, Path, description = "The webhook's id")),
    responses(
        (status = 200, description = "The webhook as it is now", body = WebhookView),
        (status = 404, description = "No such webhook", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(in crate::api) async fn disable(
    access: Granted<WriteWebhooks>,
    Id(id): Id<WebhookId>,
) -> Result<Json<WebhookView>, Problem> {
    set_status(&access, id, StatusChange::Disable).await
}

/// Let deliveries of a webhook wait; it goes on hearing.
#[utoipa::path(
    post, path = "/v1/webhooks/{id}/pause", operation_id = "pause_webhook", tag = "webhooks", params(("id" = String, Path, description = "The webhook's id")),
    responses(
        (status = 200, description = "The webhook as it is now", body = WebhookView),
        (status = 404, description = "No such webhook", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "It is disabled", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(in crate::api) async fn pause(
    access: Granted<WriteWebhooks>,
    Id(id): Id<WebhookId>,
) -> Result<Json<WebhookView>, Problem> {
    set_status(&access, id, StatusChange::Pause).await
}

/// Send what waited while a webhook was paused.
#[utoipa::path(
    post, path = "/v1/webhooks/{id}/resume", operation_id = "resume_webhook", tag = "webhooks", params(("id" = String, Path, description = "The webhook's id")),
    responses(
        (status = 200, description = "The webhook as it is now", body = WebhookView),
        (status = 404, description = "No such webhook", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "It is disabled", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(in crate::api) async fn resume(
    access: Granted<WriteWebhooks>,
    Id(id): Id<WebhookId>,
) -> Result<Json<WebhookView>, Problem> {
    set_status(&access, id, StatusChange::Resume).await
}

/// A ping that is on its way.
#[derive(Debug, Serialize, ToSchema)]
pub struct PingView {
    #[schema(example = "dlv_1842")]
    delivery_id: String,
    event_id: String,
}

/// Send a `webhook.ping` to this webhook and to no other. Its outcome is at
/// `/v1/deliveries/{delivery_id}`.
#[utoipa::path(
    post, path = "/v1/webhooks/{id}/ping", operation_id = "ping_webhook", tag = "webhooks", params(("id" = String, Path, description = "The webhook's id")),
    responses(
        (status = 202, description = "On its way; a paused webhook gets it when it is resumed", body = PingView),
        (status = 404, description = "No such webhook", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "It is disabled", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(in crate::api) async fn ping(
    access: Granted<WriteWebhooks>,
    Id(id): Id<WebhookId>,
) -> Result<(StatusCode, Json<PingView>), Problem> {
    let sent = webhooks::ping(&access, &find(&access, id).await?).await?;
    let ping = PingView { delivery_id: sent.first_delivery.to_string(), event_id: sent.id.to_string() };
    Ok((StatusCode::ACCEPTED, Json(ping)))
}

/// From when on to count.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct StatsQuery {
    /// Hours to look back, 1 to 168; 24 if left out.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 168)]
    hours: Option<String>,
}

/// How a webhook fares.
#[derive(Debug, Serialize, ToSchema)]
pub struct StatsView {
    /// Deliveries that arrived.
    delivered: u64,
    /// Attempts that failed.
    failed_attempts: u64,
    /// Deliveries that were given up.
    given_up: u64,
    /// Share of attempts that succeeded; null without attempts.
    success_ratio: Option<f64>,
    /// Half of the attempts took no longer, in milliseconds; the upper bound of
    /// a class.
    latency_p50_ms: Option<u64>,
    /// 95 of a hundred attempts took no longer, in milliseconds.
    latency_p95_ms: Option<u64>,
    /// Deliveries that are pending or waiting.
    queued: u64,
    /// Whether there are more than `queued`: counting stops at 100,000.
    queued_capped: bool,
    /// When the oldest of them was accepted.
    #[schema(value_type = Option<String>, format = DateTime)]
    oldest_queued_at: Option<Timestamp>,
    /// The hours in which something happened, oldest first.
    hours: Vec<HourView>,
}

/// One hour of a webhook.
#[derive(Debug, Serialize, ToSchema)]
pub struct HourView {
    #[schema(value_type = String, format = DateTime)]
    start: Timestamp,
    delivered: u64,
    failed_attempts: u64,
    given_up: u64,
}

impl From<WebhookStats> for StatsView {
    fn from(stats: WebhookStats) -> Self {
        let sum = |count: fn(&StatsBucket) -> u64| stats.buckets.iter().map(count).sum::<u64>();
        let (delivered, failed_attempts) = (sum(|hour| hour.delivered), sum(|hour| hour.failed_attempts));
        let attempts = delivered + failed_attempts;
        #[expect(clippy::cast_precision_loss, reason = "a ratio for people; its last digits do not matter")]
        let success_ratio = (attempts > 0).then(|| delivered as f64 / attempts as f64);
        let hour = |bucket: &StatsBucket| HourView {
            start: bucket.start,
            delivered: bucket.delivered,
            failed_attempts: bucket.failed_attempts,
            given_up: bucket.given_up,
        };
        Self {
            delivered,
            failed_attempts,
            given_up: sum(|hour| hour.given_up),
            success_ratio,
            latency_p50_ms: stats.latency_quantile_ms(0.5),
            latency_p95_ms: stats.latency_quantile_ms(0.95),
            queued: stats.queued,
            queued_capped: stats.queued >= QUEUED_COUNTED,
            oldest_queued_at: stats.oldest_queued_at,
            hours: stats.buckets.iter().map(hour).collect(),
        }
    }
}

/// Show how a webhook fares.
#[utoipa::path(
    get, path = "/v1/webhooks/{id}/stats", operation_id = "show_webhook_stats", tag = "webhooks",
    params(("id" = String, Path, description = "The webhook's id"), StatsQuery),
    responses(
        (status = 200, description = "Counts and latencies", body = StatsView),
        (status = 404, description = "No such webhook", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(in crate::api) async fn stats(
    access: Granted<ReadWebhooks>,
    Id(id): Id<WebhookId>,
    Parameters(query): Parameters<StatsQuery>,
) -> Result<Json<StatsView>, Problem> {
    let fault = || Problem::parameter("hours", "must be a number from 1 to 168");
    let hours = query.hours.map_or(Some(24), |text| text.parse::<u64>().ok());
    let hours = hours.filter(|hours| (1..=168).contains(hours)).ok_or_else(fault)?;
    let webhook = find(&access, id).await?;
    let since = access.now().saturating_sub(std::time::Duration::from_hours(hours)).unwrap_or(Timestamp::MIN);
    Ok(Json(access.store().webhook_stats(webhook.key, since).await?.into()))
}
