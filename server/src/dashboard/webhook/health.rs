//! How a webhook fares: by the hour, what waits, and how it is called from here.

use std::time::Duration;

use askama::Template;
use axum::response::Response;
use callboard_domain::clock::Timestamp;
use callboard_domain::id::WebhookId;
use callboard_domain::stats::{QUEUED_COUNTED, WebhookStats};
use callboard_engine::lanes::{BreakerView, Standing};

use super::{About, Tab, find};
use crate::api::auth::ReadWebhooks;
use crate::api::problem::Problem;
use crate::dashboard::chart::{Bars, Hour, hours, hours_ago, success};
use crate::dashboard::frame::{Frame, Section, page};
use crate::dashboard::list::curl;
use crate::dashboard::mark::{Time, counted, distance, grouped, short};
use crate::dashboard::visit::{Entered, Named};

/// A day, and a week.
const SPANS: [(u64, &str, &str); 2] =
    [(24, "24 hours", "The last 24 hours"), (7 * 24, "7 days", "The last 7 days")];

/// How it fared for a while.
struct Span {
    name: &'static str,
    success: String,
    is_bad: bool,
    attempts: String,
    p50: String,
    p95: String,
    given_up: String,
    chart: Bars,
}

/// How its lane stands on this node.
struct Lane {
    waiting: String,
    in_flight: String,
    at_a_time: u32,
    allowed: u32,
    breaker: &'static str,
    probe: Option<Time>,
}

#[derive(Template)]
#[template(path = "webhook/health.html")]
struct HealthPage {
    frame: Frame,
    about: About,
    queued: String,
    oldest: String,
    spans: Vec<Span>,
    /// `None` where nothing was sent from here of late.
    lane: Option<Lane>,
    curl: String,
}

/// `/dashboard/t/{tenant}/webhooks/{id}/health`.
pub(super) async fn show(
    Entered { visit, access }: Entered<ReadWebhooks>,
    Named(id): Named<WebhookId>,
) -> Result<Response, Problem> {
    let (webhook, now) = (find(&access, id).await?, access.now());
    let [_, (week, ..)] = SPANS;
    let stats = access.store().webhook_stats(webhook.key, hours_ago(now, week)).await?;
    let capped = if stats.queued >= QUEUED_COUNTED { "+" } else { "" };
    let standing = access.engine().standing(webhook.key);
    let template = HealthPage {
        frame: Frame::new(&visit, Section::Webhooks, format!("Health of {}", webhook.settings.name)),
        about: About::new(&visit, &access, &webhook, Tab::Health).await?,
        queued: format!("{}{capped}", grouped(stats.queued)),
        oldest: stats.oldest_queued_at.map_or_else(|| "–".to_owned(), |at| distance(at, now)),
        spans: SPANS.map(|(count, name, title)| span(&stats, now, count, (name, title))).into(),
        lane: standing.map(|standing| lane(standing, webhook.settings.max_in_flight)),
        curl: curl(&visit, "GET", &format!("/v1/webhooks/{id}/stats"), &[("hours", Some("168"))]),
    };
    page(&template)
}

fn span(
    stats: &WebhookStats,
    now: Timestamp,
    count: u64,
    (name, title): (&'static str, &'static str),
) -> Span {
    let from = hours_ago(now, count).as_second();
    let hour = callboard_domain::stats::BUCKET_SECONDS;
    let within = |start: Timestamp| start.as_second() > from - hour;
    let buckets: Vec<_> = stats.buckets.iter().filter(|bucket| within(bucket.start)).cloned().collect();
    let part = WebhookStats { buckets, ..WebhookStats::default() };
    let latency = |share| {
        let latency = part.latency_quantile_ms(share).map(|ms| short(Duration::from_millis(ms)));
        latency.unwrap_or_else(|| "–".to_owned())
    };
    let hours: Vec<Hour> = hours(&part.buckets, now, count.cast_signed());
    let failed: u64 = hours.iter().map(|hour| hour.failed).sum();
    let delivered: u64 = hours.iter().map(|hour| hour.delivered).sum();
    Span {
        name,
        success: success(&hours).unwrap_or_else(|| "–".to_owned()),
        is_bad: failed > 0,
        attempts: counted(delivered + failed, "attempt", "attempts"),
        p50: latency(0.5),
        p95: latency(0.95),
        given_up: grouped(part.buckets.iter().map(|bucket| bucket.given_up).sum()),
        chart: Bars { hours, title },
    }
}

fn lane(standing: Standing, allowed: u32) -> Lane {
    let (breaker, probe) = match standing.breaker {
        BreakerView::Closed => ("is called", None),
        BreakerView::Open { probe_at, .. } => ("is left alone until", Some(Time(probe_at))),
        BreakerView::Probing { .. } => ("is being tried by one attempt", None),
    };
    Lane {
        waiting: grouped(standing.waiting as u64),
        in_flight: grouped(standing.in_flight as u64),
        at_a_time: standing.at_a_time,
        allowed,
        breaker,
        probe,
    }
}
