//! The settings of a webhook in words, and who changed them.

use std::time::Duration;

use askama::Template;
use axum::response::Response;
use callboard_domain::access::Scope;
use callboard_domain::audit::{Entry, EntryFilter};
use callboard_domain::id::WebhookId;
use callboard_domain::retry::Policy;
use callboard_domain::signing::Scheme;
use callboard_domain::store::Page;
use callboard_domain::webhook::{Collapse, MASK, Ordering, Webhook};

use super::{About, Tab, find};
use crate::api::auth::ReadWebhooks;
use crate::api::problem::Problem;
use crate::dashboard::frame::{Frame, Section, page};
use crate::dashboard::list::curl;
use crate::dashboard::mark::{Time, counted, short};
use crate::dashboard::visit::{Entered, Named};
use crate::dashboard::webhooks::hears;

/// Most entries of the audit log that are shown.
const ENTRIES: usize = 10;

/// A setting.
struct Fact {
    name: &'static str,
    value: String,
    /// Whether it is to be read letter by letter.
    is_code: bool,
}

/// What somebody did to it.
struct Done {
    at: Time,
    action: String,
    by: String,
    what: String,
}

#[derive(Template)]
#[template(path = "webhook/settings.html")]
struct SettingsPage {
    frame: Frame,
    about: About,
    facts: Vec<Fact>,
    headers: Vec<(String, String)>,
    created: Time,
    updated: Time,
    revision: i64,
    /// `None` where the visitor may not see the audit log.
    done: Option<Vec<Done>>,
    id: String,
    curl: String,
}

/// `/dashboard/t/{tenant}/webhooks/{id}/settings`.
pub(super) async fn show(
    Entered { visit, access }: Entered<ReadWebhooks>,
    Named(id): Named<WebhookId>,
) -> Result<Response, Problem> {
    let webhook = find(&access, id).await?;
    let done = if access.may(Scope::Admin) {
        let filter = EntryFilter { target_id: Some(id.to_string()), ..EntryFilter::default() };
        let page = Page { limit: ENTRIES, after: None };
        let entries = access.store().list_audit(Some(access.tenant.key), filter, page).await?.items;
        Some(entries.into_iter().map(done).collect())
    } else {
        None
    };
    let template = SettingsPage {
        frame: Frame::new(&visit, Section::Webhooks, format!("Settings of {}", webhook.settings.name)),
        about: About::new(&visit, &access, &webhook, Tab::Settings).await?,
        facts: facts(&webhook, access.retry_base()),
        headers: webhook.settings.headers.clone(),
        created: Time(webhook.created_at),
        updated: Time(webhook.updated_at),
        revision: webhook.revision,
        done,
        id: id.to_string(),
        curl: curl(&visit, "GET", &format!("/v1/webhooks/{id}"), &[]),
    };
    page(&template)
}

fn facts(webhook: &Webhook, base: Duration) -> Vec<Fact> {
    let settings = &webhook.settings;
    let mut facts = Vec::new();
    let mut say = |name, value: String| facts.push(Fact { name, value, is_code: false });
    say("Hears", hears(webhook));
    let related = if settings.triggered_by_related { "yes" } else { "no" };
    say("Triggered by related resources", related.to_owned());
    say("Only about", settings.identifier.clone().unwrap_or_else(|| "whatever it hears of".to_owned()));
    say("Tried again", retries(&settings.retry, base));
    say(
        "Order",
        match (settings.ordering, settings.collapse) {
            (Ordering::None, _) => "as fast as they go, at the same time",
            (Ordering::Subject, Collapse::None) => "those about one subject one after the other",
            (Ordering::Subject, Collapse::Latest) => {
                "those about one subject one after the other, and only the latest of its updates"
            }
        }
        .to_owned(),
    );
    let rate = settings.rate_per_second.map(|rate| format!("at most {rate} a second"));
    say("Rate", rate.unwrap_or_else(|| "as fast as the receiver takes it".to_owned()));
    say("At a time", format!("at most {}", counted(settings.max_in_flight.into(), "request", "requests")));
    say("An answer has to come within", short(settings.timeout));
    say(
        "Signature",
        match settings.signature {
            Scheme::Hmac => "HMAC-SHA256, by a secret that both sides know",
            Scheme::Ed25519 => "ed25519: the receiver has the public key only",
        }
        .to_owned(),
    );
    let mask = settings.authorization_header.as_ref().map_or("none", |_| MASK);
    say("Authorization header", mask.to_owned());
    let certificate = match settings.client_certificate {
        Some(_) => format!("yes; its key is {MASK}"),
        None => "none".to_owned(),
    };
    say("Client certificate", certificate);
    if let Some(filter) = &settings.filter {
        facts.insert(3, Fact { name: "Filter", value: filter.as_str().to_owned(), is_code: true });
    }
    if let Some(nonce) = &webhook.nonce {
        facts.push(Fact { name: "Nonce (OpenTicket-Identifier)", value: nonce.clone(), is_code: true });
    }
    facts
}

fn retries(policy: &Policy, base: Duration) -> String {
    let waits = policy.seconds(base);
    if waits.is_empty() {
        return "never: there is one attempt".to_owned();
    }
    let listed = |waits: &[f64]| {
        let wait = |seconds: &f64| Duration::try_from_secs_f64(*seconds).map(short).unwrap_or_default();
        waits.iter().map(wait).collect::<Vec<_>>().join(", ")
    };
    let times = counted(waits.len() as u64, "time", "times");
    match waits.get(..12) {
        Some(first) if waits.len() > 12 => format!("{times}, after {} and so on", listed(first)),
        _ => format!("{times}, after {}", listed(&waits)),
    }
}

fn done(entry: Entry) -> Done {
    let by = if entry.actor_name.is_empty() { entry.actor_id } else { entry.actor_name };
    let members = entry.after.as_ref().or(entry.before.as_ref()).and_then(serde_json::Value::as_object);
    // Of a new one everything is new; that would tell nothing.
    let members = members.filter(|_| entry.before.is_some() && entry.after.is_some());
    let names = members.map(|members| members.keys().map(|name| name.replace('_', " ")).collect::<Vec<_>>());
    Done { at: Time(entry.at), action: entry.action, by, what: names.unwrap_or_default().join(", ") }
}
