//! What has to be known of a webhook before anything else: that it is left alone,
//! disabled, paused or deleted.

use std::sync::Arc;

use askama::Template;
use askama::filters::HtmlSafe;
use callboard_domain::clock::Timestamp;
use callboard_domain::delivery::{LoggedAttempt, State};
use callboard_domain::stats::QUEUED_COUNTED;
use callboard_domain::store::{DeliveryFilter, Page, Store};
use callboard_domain::webhook::{Status, Webhook};
use callboard_engine::Engine;
use callboard_engine::lanes::BreakerView;

use crate::api::problem::Problem;
use crate::dashboard::mark::{Time, counted};
use crate::dashboard::words;

/// Why the receiver is not called.
struct Open {
    since: Time,
    /// How many attempts failed in a row, where that is known.
    failures: Option<String>,
    /// What came of the last attempt.
    why: Option<String>,
    /// When it is called again, to see; `None` while that is under way.
    probe: Option<Time>,
}

/// The notices.
#[derive(Template)]
#[template(path = "webhook/banners.html")]
pub(in crate::dashboard) struct Banners {
    deleted: Option<Time>,
    open: Option<Open>,
    /// Since when nothing but failures came, where the receiver is called still.
    failing: Option<Time>,
    why: Option<String>,
    /// Why it is disabled.
    disabled: Option<String>,
    /// How many wait until it is resumed.
    paused: Option<String>,
}

impl HtmlSafe for Banners {}

impl Banners {
    pub(in crate::dashboard) async fn new(
        store: &dyn Store,
        engine: &Arc<Engine>,
        webhook: &Webhook,
        now: Timestamp,
    ) -> Result<Self, Problem> {
        let mut banners = Self {
            deleted: webhook.deleted_at.map(Time),
            open: None,
            failing: None,
            why: None,
            disabled: None,
            paused: None,
        };
        if webhook.deleted_at.is_some() {
            return Ok(banners);
        }
        match webhook.status {
            Status::Disabled => {
                let by_hand = || "That was done by hand.".to_owned();
                banners.disabled = Some(webhook.disabled_reason.clone().unwrap_or_else(by_hand));
            }
            Status::Paused => {
                let queued = store.webhook_stats(webhook.key, now).await?.queued;
                let more = if queued >= QUEUED_COUNTED { " or more" } else { "" };
                banners.paused = Some(format!("{}{more}", counted(queued, "invocation", "invocations")));
            }
            Status::Active => {
                let breaker = engine.standing(webhook.key).map(|standing| standing.breaker);
                banners.open = breaker.and_then(open);
                if let Some(open) = &mut banners.open {
                    open.why = last_failure(store, webhook, now).await?;
                } else if let Some(since) = webhook.failing_since {
                    banners.failing = Some(Time(since));
                    banners.why = last_failure(store, webhook, now).await?;
                }
            }
        }
        Ok(banners)
    }
}

fn open(breaker: BreakerView) -> Option<Open> {
    match breaker {
        BreakerView::Closed => None,
        BreakerView::Open { since, probe_at, failures } => Some(Open {
            since: Time(since),
            failures: Some(counted(failures.into(), "attempt", "attempts")),
            why: None,
            probe: Some(Time(probe_at)),
        }),
        BreakerView::Probing { since } => {
            Some(Open { since: Time(since), failures: None, why: None, probe: None })
        }
    }
}

/// What the last attempt that failed came to, in words. Those that wait have failed,
/// and the newest deliveries may not have been attempted.
async fn last_failure(
    store: &dyn Store,
    webhook: &Webhook,
    now: Timestamp,
) -> Result<Option<String>, Problem> {
    let page = Page { limit: 1, after: None };
    let waiting = DeliveryFilter { states: vec![State::Waiting], ..DeliveryFilter::default() };
    let waiting = store.list_deliveries(webhook.key, waiting, page).await?.items.into_iter().next();
    let waiting = waiting.and_then(|delivery| delivery.last_attempt);
    let newest = store.vitals(vec![webhook.key], now).await?.into_iter().next();
    let newest = newest.and_then(|vitals| vitals.last_attempt);
    let last = [waiting, newest].into_iter().flatten().filter(|attempt| attempt.cause.is_some());
    Ok(last.max_by_key(|attempt| attempt.started_at).map(|attempt| failure(&attempt)))
}

/// Why an attempt failed, in a sentence's worth of words.
fn failure(attempt: &LoggedAttempt) -> String {
    let (reason, message) = (words::reason(attempt.cause, attempt.status), &attempt.detail.message);
    match message {
        message if message.is_empty() => reason,
        message if message.starts_with(&reason) => message.clone(),
        message => format!("{reason}: {message}"),
    }
}
