//! The webhooks of a tenant: whom is told, of what, and how that goes.

use askama::Template;
use askama::filters::HtmlSafe;
use axum::response::Response;
use callboard_domain::access::Scope;
use callboard_domain::clock::Timestamp;
use callboard_domain::delivery::LoggedAttempt;
use callboard_domain::store::{Vitals, WebhookFilter};
use callboard_domain::webhook::{Status, Subscription, Webhook};
use callboard_domain::wire::Dialect;

use super::chart::{Sparkline, hours, hours_ago};
use super::frame::{Frame, Section, page};
use super::list::{Pager, Query, curl};
use super::live;
use super::mark::{Badge, Time, short};
use super::note::Note;
use super::visit::{Entered, Visit};
use super::webhook::Place;
use super::words;
use crate::api::auth::{ReadWebhooks, WriteWebhooks};
use crate::api::problem::Problem;

/// Hours that the small charts show.
pub(super) const HOURS: u64 = 24;

/// A webhook in the list.
#[derive(Template)]
#[template(path = "webhooks_row.html")]
pub(super) struct Row {
    place: Place,
    id: String,
    name: String,
    url: String,
    dialect: &'static str,
    hears: String,
    badge: Badge,
    /// Why it is disabled, or since when it fails.
    why: Option<String>,
    spark: Sparkline,
    answer: Option<Answer>,
    is_active: bool,
    is_paused: bool,
}

impl HtmlSafe for Row {}

/// What the last attempt came to.
pub(super) struct Answer {
    pub(super) text: String,
    pub(super) at: Time,
    pub(super) is_good: bool,
}

impl Answer {
    fn of(vitals: &Vitals) -> Option<Self> {
        vitals.last_attempt.as_ref().map(Self::of_attempt)
    }

    pub(super) fn of_attempt(last: &LoggedAttempt) -> Self {
        let text = match (last.status, last.cause) {
            (Some(status), _) => format!("{status} in {}", short(last.duration)),
            (None, Some(cause)) => words::title(cause).to_owned(),
            (None, None) => last.state.as_str().to_owned(),
        };
        Self { text, at: Time(last.started_at), is_good: last.cause.is_none() }
    }
}

impl Row {
    pub(super) fn new(place: &Place, webhook: &Webhook, vitals: &Vitals, now: Timestamp) -> Self {
        Self {
            place: place.clone(),
            id: webhook.id.to_string(),
            name: webhook.settings.name.clone(),
            url: webhook.settings.url.clone(),
            dialect: webhook.settings.subscription.dialect().as_str(),
            hears: hears(webhook),
            badge: Badge::from(webhook),
            why: why(webhook, now),
            spark: Sparkline(hours(&vitals.buckets, now, HOURS.cast_signed())),
            answer: Answer::of(vitals),
            is_active: webhook.status == Status::Active,
            is_paused: webhook.status == Status::Paused,
        }
    }
}

/// What a webhook was just given that its page shows once.
struct Made {
    id: String,
    name: String,
    secret: String,
    nonce: Option<String>,
}

#[derive(Template)]
#[template(path = "webhooks.html")]
struct WebhooksPage {
    frame: Frame,
    live: String,
    rows: Vec<Row>,
    search: String,
    status: String,
    dialect: String,
    is_filtered: bool,
    pager: Pager,
    curl: String,
    may_write: bool,
    made: Option<Made>,
}

/// What a webhook hears, in the words of its dialect.
pub(super) fn hears(webhook: &Webhook) -> String {
    let settings = &webhook.settings;
    let mut text = match &settings.subscription {
        Subscription::Native { events } => {
            events.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
        }
        Subscription::Ingresse { hooks } => {
            hooks.iter().map(|hook| hook.as_str()).collect::<Vec<_>>().join(", ")
        }
        Subscription::Viagogo { topics } => {
            topics.iter().map(|topic| topic.as_str()).collect::<Vec<_>>().join(", ")
        }
        Subscription::OpenTicket { resource, trigger } => format!("{resource}, on {}", trigger.as_str()),
    };
    if let Some(identifier) = &settings.identifier {
        text.push_str(", only ");
        text.push_str(identifier);
    }
    text
}

/// Why it stands as it does, where that needs to be said.
pub(super) fn why(webhook: &Webhook, now: Timestamp) -> Option<String> {
    match (webhook.status, &webhook.disabled_reason, webhook.failing_since) {
        (Status::Disabled, Some(reason), _) => Some(reason.clone()),
        (Status::Active, _, Some(since)) => {
            let since = std::time::Duration::try_from(now.duration_since(since)).unwrap_or_default();
            Some(format!("nothing but failures for {}", short(since)))
        }
        _ => None,
    }
}

pub(super) fn filter(query: &Query) -> Result<WebhookFilter, Problem> {
    let (status, failing) = match query.get("status") {
        None => (None, false),
        Some("failing") => (None, true),
        Some(word) => {
            let known = [Status::Active, Status::Paused, Status::Disabled];
            let found = known.into_iter().find(|status| status.as_str() == word);
            (Some(found.ok_or_else(|| Problem::parameter("status", "is none of the states"))?), false)
        }
    };
    let dialect = query.get("dialect").map(str::parse::<Dialect>).transpose();
    let dialect = dialect.map_err(|fault| Problem::parameter("dialect", &fault.to_string()))?;
    Ok(WebhookFilter { text: query.get("search").map(str::to_owned), dialect, status, failing })
}

/// `/dashboard/t/{tenant}/webhooks`.
pub(super) async fn show(
    Entered { visit, access }: Entered<ReadWebhooks>,
    query: Query,
) -> Result<Response, Problem> {
    let now = access.now();
    let listed = access.store().find_webhooks(access.tenant.key, filter(&query)?, query.page()?).await?;
    let keys = listed.items.iter().map(|webhook| webhook.key).collect();
    let vitals = access.store().vitals(keys, hours_ago(now, HOURS)).await?;
    let place = Place::new(&visit, &access, &visit.here);
    let rows = listed.items.iter().zip(&vitals);
    let rows = rows.map(|(webhook, vitals)| Row::new(&place, webhook, vitals, now)).collect();
    let shown = listed.items.iter().map(|own| own.key.0.to_string()).collect::<Vec<_>>().join(",");
    let mut followed = vec![("page", "webhooks"), ("at", &*visit.here), ("rows", &*shown)];
    let chosen = ["search", "status", "dialect", "cursor"];
    followed.extend(chosen.iter().filter_map(|name| Some((*name, query.get(name)?))));
    let parameters = ["search", "status", "dialect"].map(|name| (name, query.get(name)));
    let template = WebhooksPage {
        frame: Frame::new(&visit, Section::Webhooks, "Webhooks"),
        live: live::address(&place.base, &followed),
        rows,
        search: query.text("search").to_owned(),
        status: query.text("status").to_owned(),
        dialect: query.text("dialect").to_owned(),
        is_filtered: query.filters(),
        pager: Pager::new(&query, listed.next),
        curl: curl(&visit, "GET", "/v1/webhooks", &parameters),
        may_write: access.may(Scope::WriteWebhooks),
        made: made(&visit).await?,
    };
    page(&template)
}

/// How long after its making a webhook's secret may be shown as a new one.
const NEW: std::time::Duration = std::time::Duration::from_mins(10);

/// The webhook that this visitor has just made, with what is shown this once.
async fn made(visit: &Visit) -> Result<Option<Made>, Problem> {
    let Some(Note::WebhookCreated(id)) = visit.note else { return Ok(None) };
    // Whoever may not read a secret later is not shown it now either.
    let Ok(access) = visit.access::<WriteWebhooks>() else { return Ok(None) };
    let Some(webhook) = access.store().webhook(access.tenant.key, id).await? else { return Ok(None) };
    let now = access.now();
    let is_new = webhook.created_at.saturating_add(NEW).is_ok_and(|until| now < until);
    let secret = webhook.valid_secrets(now).next().filter(|_| is_new);
    Ok(secret.map(|secret| Made {
        id: id.to_string(),
        name: webhook.settings.name.clone(),
        secret: secret.verifier_text(),
        nonce: webhook.nonce.clone(),
    }))
}
