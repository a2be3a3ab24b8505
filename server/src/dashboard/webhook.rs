//! The pages of one webhook: their routes, and what all of them show.

use askama::Template;
use askama::filters::HtmlSafe;
use axum::Router;
use axum::routing::{get, post};
use callboard_domain::access::Scope;
use callboard_domain::id::WebhookId;
use callboard_domain::store::{FailedCount, Store};
use callboard_domain::webhook::{Status, Webhook};

use super::mark::{Badge, grouped};
use super::note::Note;
use super::visit::Visit;
use super::webhooks::hears;
use super::{invocation, live, webhook_form};
use crate::api::State;
use crate::api::auth::{Granted, Needed};
use crate::api::problem::Problem;

pub(super) mod actions;
pub(super) mod banners;
mod delete;
mod health;
pub(super) mod jobs;
pub(super) mod log;
mod replay;
pub(super) mod secret;
mod settings;

use banners::Banners;
use jobs::Jobs;

/// The routes of the pages of a webhook, of its invocations, and of what keeps them
/// live.
pub(super) fn routes() -> Router<State> {
    let at = |path: &str| format!("/dashboard/t/{{tenant}}/webhooks/{{id}}{path}");
    Router::new()
        .route(&at(""), get(log::show))
        .route(&at("/health"), get(health::show))
        .route(&at("/settings"), get(settings::show))
        .route(&at("/secret"), get(secret::show).post(secret::reveal))
        .route(&at("/secret/rotate"), post(secret::rotate))
        .route(&at("/edit"), get(webhook_form::edit_form).post(webhook_form::edit))
        .route(&at("/delete"), get(delete::ask).post(delete::delete))
        .route(&at("/replay"), get(replay::blank).post(replay::submit))
        .route(&at("/ping"), post(actions::ping))
        .route(&at("/pause"), post(actions::pause))
        .route(&at("/resume"), post(actions::resume))
        .route(&at("/enable"), post(actions::enable))
        .route(&at("/disable"), post(actions::disable))
        .route(&at("/retry-failed"), post(actions::retry_failed))
        .route("/dashboard/t/{tenant}/jobs/{id}/stop", post(actions::stop_job))
        .merge(invocation::routes())
        .merge(live::routes())
}

/// The webhook of this id, also when it is deleted: its log stays for a while.
pub(super) async fn find<S: Needed>(access: &Granted<S>, id: WebhookId) -> Result<Webhook, Problem> {
    let found = access.store().webhook_or_deleted(access.tenant.key, id).await?;
    found.ok_or_else(Problem::not_found)
}

/// A page of a webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tab {
    Log,
    Health,
    Settings,
    Secret,
}

impl Tab {
    const ALL: [Self; 4] = [Self::Log, Self::Health, Self::Settings, Self::Secret];

    const fn name(self) -> &'static str {
        match self {
            Self::Log => "Invocation log",
            Self::Health => "Health",
            Self::Settings => "Settings",
            Self::Secret => "Secret",
        }
    }

    const fn path(self) -> &'static str {
        match self {
            Self::Log => "",
            Self::Health => "/health",
            Self::Settings => "/settings",
            Self::Secret => "/secret",
        }
    }
}

/// What the forms of a part of a page need, wherever it is drawn.
#[derive(Debug, Clone)]
pub(super) struct Place {
    /// Where the pages of the tenant are.
    pub(super) base: String,
    /// What every form brings.
    pub(super) token: String,
    /// The address of the page, where forms lead back to.
    pub(super) here: String,
    /// Whether the visitor may change webhooks.
    pub(super) may_write: bool,
}

impl Place {
    /// Where `access` is, on the page `here`.
    pub(super) fn new<S: Needed>(visit: &Visit, access: &Granted<S>, here: &str) -> Self {
        Self {
            base: visit.base_of(&access.tenant),
            token: visit.form_token(),
            here: here.to_owned(),
            may_write: access.may(Scope::WriteWebhooks),
        }
    }
}

/// How many failed invocations are counted: a page that is looked at counts them again
/// and again.
const FAILED_COUNTED: u64 = 10_000;

/// Counts what of a webhook is failed now.
pub(super) async fn failed(store: &dyn Store, webhook: &Webhook) -> Result<FailedCount, Problem> {
    Ok(store.count_failed(webhook.tenant, webhook.key, None, FAILED_COUNTED).await?)
}

/// What is at the head of each page of a webhook: which one it is, how it stands, and
/// what can be done with it.
#[derive(Template)]
#[template(path = "webhook/head.html")]
pub(super) struct Head {
    place: Place,
    id: String,
    name: String,
    url: String,
    badge: Badge,
    dialect: &'static str,
    hears: String,
    can_change: bool,
    status: Status,
    /// How many have failed, where some have.
    failed: Option<String>,
}

impl HtmlSafe for Head {}

impl Head {
    pub(super) fn new(place: &Place, webhook: &Webhook, failed: FailedCount) -> Self {
        let is_deleted = webhook.deleted_at.is_some();
        let count = format!("{}{}", grouped(failed.count), if failed.capped { "+" } else { "" });
        Self {
            id: webhook.id.to_string(),
            name: webhook.settings.name.clone(),
            url: webhook.settings.url.clone(),
            badge: badge(webhook),
            dialect: webhook.settings.subscription.dialect().as_str(),
            hears: hears(webhook),
            can_change: place.may_write && !is_deleted,
            status: webhook.status,
            failed: (failed.count > 0).then_some(count),
            place: place.clone(),
        }
    }
}

/// How it stands; of a deleted one nothing else matters.
fn badge(webhook: &Webhook) -> Badge {
    match webhook.deleted_at {
        Some(_) => Badge { kind: super::mark::Kind::Off, word: "deleted" },
        None => Badge::from(webhook),
    }
}

/// A link to a page of the webhook.
struct TabLink {
    name: &'static str,
    path: String,
    is_here: bool,
}

/// What every page of a webhook shows beside its own.
struct About {
    head: Head,
    banners: Banners,
    jobs: Jobs,
    tabs: Vec<TabLink>,
    /// Where the page hears what changes.
    live: String,
    /// The invocation of the ping that was just sent.
    pinged: Option<String>,
}

impl About {
    async fn new<S: Needed>(
        visit: &Visit,
        access: &Granted<S>,
        webhook: &Webhook,
        tab: Tab,
    ) -> Result<Self, Problem> {
        let place = Place::new(visit, access, &visit.here);
        let (store, now) = (access.store(), access.now());
        let root = format!("{}/webhooks/{}", place.base, webhook.id);
        let link = |own: Tab| TabLink {
            name: own.name(),
            path: format!("{root}{}", own.path()),
            is_here: own == tab,
        };
        let shown = webhook.deleted_at.is_none();
        let id = webhook.id.to_string();
        let live = [("page", "webhook"), ("webhook", &*id), ("at", &*visit.here)];
        Ok(Self {
            head: Head::new(&place, webhook, failed(store, webhook).await?),
            banners: Banners::new(store, access.engine(), webhook, now).await?,
            jobs: Jobs::new(store, &place, webhook).await?,
            tabs: Tab::ALL.into_iter().filter(|own| shown || *own == Tab::Log).map(link).collect(),
            live: live::address(&place.base, &live),
            pinged: match visit.note {
                Some(Note::Pinged(key)) => Some(key.to_string()),
                _ => None,
            },
        })
    }
}
