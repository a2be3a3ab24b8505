//! How a tenant fares: the first page, and the one that is looked at first when
//! something is wrong.

use askama::Template;
use axum::response::Response;
use callboard_domain::access::Scope;
use callboard_domain::clock::Timestamp;
use callboard_domain::stats::{QUEUED_COUNTED, WebhookStats};
use callboard_domain::store::{Page, Store, WebhookFilter};
use callboard_domain::webhook::{Status, Webhook};

use super::chart::{Bars, hours, hours_ago, success};
use super::frame::{Frame, Section, page};
use super::list::curl;
use super::mark::{Badge, Time, counted, distance, grouped, short};
use super::visit::Entered;
use super::webhooks::why;
use super::words;
use crate::api::auth::ReadWebhooks;
use crate::api::problem::Problem;

const HOURS: u64 = 24;

/// Most webhooks that are said to need attention, and most causes.
const MOST: usize = 5;

/// What waits longer than this needs attention.
const OLD: std::time::Duration = std::time::Duration::from_mins(5);

/// A number that stands for how something is.
struct Figure {
    label: &'static str,
    value: String,
    /// What else is to be said of it.
    more: String,
    is_bad: bool,
}

/// A webhook that needs somebody.
struct Sick {
    id: String,
    name: String,
    badge: Badge,
    why: String,
}

/// What was given up, by webhook and cause.
struct Failed {
    webhook: String,
    id: String,
    title: String,
    count: String,
    newest: Time,
}

#[derive(Template)]
#[template(path = "overview.html")]
#[expect(clippy::struct_excessive_bools, reason = "each is a thing that the page shows or not")]
struct OverviewPage {
    frame: Frame,
    figures: Vec<Figure>,
    chart: Bars,
    sick: Vec<Sick>,
    more_sick: bool,
    failed: Vec<Failed>,
    old: Option<String>,
    is_new: bool,
    has_webhooks: bool,
    may_write: bool,
    publish: String,
    curl: String,
}

/// `/dashboard/t/{tenant}`.
pub(super) async fn show(Entered { visit, access }: Entered<ReadWebhooks>) -> Result<Response, Problem> {
    let (store, tenant, now) = (access.store(), access.tenant.key, access.now());
    let stats = store.tenant_stats(tenant, hours_ago(now, HOURS)).await?;
    let counts = store.count_webhooks(tenant).await?;
    let sick = sick(store, tenant, now).await?;
    let failed = failed(store, tenant).await?;
    let hours = hours(&stats.buckets, now, HOURS.cast_signed());
    let is_new = stats.buckets.is_empty() && stats.queued == 0 && failed.is_empty();
    let publish = format!(
        "{} -H 'Content-Type: application/json' -d '{{\"type\": \"ticket.updated\", \"subject\": {{\"id\": \"408218\"}}}}'",
        curl(&visit, "POST", "/v1/events", &[])
    );
    let template = OverviewPage {
        frame: Frame::new(&visit, Section::Overview, "Overview"),
        figures: figures(&stats, success(&hours), (counts.failing, counts.all), now),
        chart: Bars { hours, title: "Deliveries by the hour" },
        more_sick: sick.len() > MOST,
        sick: sick.into_iter().take(MOST).collect(),
        failed,
        old: old(&stats, now),
        is_new,
        has_webhooks: counts.all > 0,
        may_write: access.may(Scope::WriteWebhooks),
        publish,
        curl: curl(&visit, "GET", "/v1/webhooks", &[]),
    };
    page(&template)
}

fn figures(
    stats: &WebhookStats,
    success: Option<String>,
    (failing, all): (u64, u64),
    now: Timestamp,
) -> Vec<Figure> {
    let delivered: u64 = stats.buckets.iter().map(|bucket| bucket.delivered).sum();
    let attempts = delivered + stats.buckets.iter().map(|bucket| bucket.failed_attempts).sum::<u64>();
    let given_up: u64 = stats.buckets.iter().map(|bucket| bucket.given_up).sum();
    let capped = if stats.queued >= QUEUED_COUNTED { "+" } else { "" };
    let latency =
        |share| stats.latency_quantile_ms(share).map(|ms| short(std::time::Duration::from_millis(ms)));
    let oldest = stats.oldest_queued_at.map(|at| distance(at, now));
    vec![
        Figure {
            label: "Success, 24 h",
            is_bad: given_up > 0,
            value: success.unwrap_or_else(|| "–".to_owned()),
            more: if given_up == 0 {
                counted(attempts, "attempt", "attempts")
            } else {
                format!("{}, {} given up", counted(attempts, "attempt", "attempts"), grouped(given_up))
            },
        },
        Figure {
            label: "Queued",
            value: format!("{}{capped}", grouped(stats.queued)),
            more: oldest.map_or_else(|| "nothing waits".to_owned(), |oldest| format!("oldest {oldest}")),
            is_bad: false,
        },
        Figure {
            label: "Failing webhooks",
            value: grouped(failing),
            more: format!("of {}", grouped(all)),
            is_bad: failing > 0,
        },
        Figure {
            label: "Answer time, p50",
            value: latency(0.5).unwrap_or_else(|| "–".to_owned()),
            more: latency(0.95).map_or_else(String::new, |p95| format!("p95 {p95}")),
            is_bad: false,
        },
    ]
}

fn old(stats: &WebhookStats, now: Timestamp) -> Option<String> {
    let oldest = stats.oldest_queued_at?;
    let age = std::time::Duration::try_from(now.duration_since(oldest)).ok()?;
    (age > OLD).then(|| short(age))
}

async fn sick(
    store: &dyn Store,
    tenant: callboard_domain::id::TenantKey,
    now: Timestamp,
) -> Result<Vec<Sick>, Problem> {
    let page = Page { limit: MOST + 1, after: None };
    let failing = WebhookFilter { failing: true, status: Some(Status::Active), ..WebhookFilter::default() };
    let disabled = WebhookFilter { status: Some(Status::Disabled), ..WebhookFilter::default() };
    let mut found: Vec<Webhook> = store.find_webhooks(tenant, failing, page).await?.items;
    let disabled = store.find_webhooks(tenant, disabled, page).await?.items;
    // Who disabled one by hand knows of it.
    found.extend(disabled.into_iter().filter(|webhook| webhook.disabled_reason.is_some()));
    let sick = |webhook: &Webhook| Sick {
        id: webhook.id.to_string(),
        name: webhook.settings.name.clone(),
        badge: Badge::from(webhook),
        why: why(webhook, now).unwrap_or_default(),
    };
    Ok(found.iter().map(sick).collect())
}

async fn failed(store: &dyn Store, tenant: callboard_domain::id::TenantKey) -> Result<Vec<Failed>, Problem> {
    let mut failed = Vec::new();
    for group in store.failed_groups(tenant).await?.groups.into_iter().take(MOST) {
        let Some(webhook) = store.webhook_by_key(group.webhook).await? else { continue };
        failed.push(Failed {
            webhook: webhook.settings.name,
            id: webhook.id.to_string(),
            title: words::reason(group.reason.cause, group.reason.status),
            count: grouped(group.count),
            newest: Time(group.newest),
        });
    }
    Ok(failed)
}
