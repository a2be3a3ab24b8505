//! One event: what it says, whom it reached and why, and why not the others.

use std::collections::HashSet;

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;
use callboard_domain::access::Scope;
use callboard_domain::clock::Timestamp;
use callboard_domain::delivery::{DeliverySummary, State, StoredEvent};
use callboard_domain::event_type::EventType;
use callboard_domain::id::{EventId, WebhookKey};
use callboard_domain::job::{Range, Selection};
use callboard_domain::store::{Listed, Page, StoreError, WebhookFilter};
use callboard_domain::webhook::Webhook;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::arrival::{ELSEWHERE, Judge, Missed};
use super::events::{heard, subject_name};
use super::form::PostedTo;
use super::frame::{Frame, Section, page_of};
use super::list::{Pager, Query, curl};
use super::mark::{Badge, Time};
use super::note::Note;
use super::payload::{Payload, visible};
use super::visit::{Entered, Named, Visit, lead_with};
use super::words;
use crate::api::auth::{Granted, ReadEvents, WriteWebhooks};
use crate::api::events::{self, Sent};
use crate::api::problem::Problem;

/// A webhook that the event reached.
struct Reached {
    delivery: String,
    /// Whose invocation it is; `None` when that webhook is deleted.
    webhook: Option<String>,
    name: String,
    through: String,
    badge: Badge,
    /// How the last attempt ended, or what comes next.
    stands: String,
    next: Option<Time>,
    can_resend: bool,
}

/// A webhook that can be chosen.
struct Choice {
    id: String,
    name: String,
    is_chosen: bool,
}

#[derive(Template)]
#[template(path = "event.html")]
#[expect(clippy::struct_excessive_bools, reason = "each is a question that the template asks")]
struct EventPage {
    frame: Frame,
    id: String,
    type_name: String,
    is_known: bool,
    facts: Vec<(&'static str, String)>,
    occurred: Option<Time>,
    accepted: Time,
    laid_out: Option<Payload>,
    exact: Payload,
    headline: String,
    is_heard: bool,
    closest: Vec<Missed>,
    reached: Vec<Reached>,
    reached_pager: Pager,
    /// Whether the visitor may see webhooks.
    sees_webhooks: bool,
    missed: Vec<Missed>,
    missed_pager: Pager,
    search: String,
    choices: Vec<Choice>,
    more_choices: bool,
    to: String,
    fault: Option<String>,
    may_write: bool,
    curl: String,
}

/// What of the native body stands among the facts.
#[derive(Debug, Default, Deserialize)]
struct Told {
    timestamp: Option<Timestamp>,
    #[serde(default)]
    related: Map<String, Value>,
    actor: Option<Actor>,
    action: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Actor {
    id: String,
    name: Option<String>,
}

/// `/dashboard/t/{tenant}/events/{id}`.
pub(super) async fn show(
    Entered { visit, access }: Entered<ReadEvents>,
    Named(id): Named<EventId>,
    query: Query,
) -> Result<Response, Problem> {
    let event = find(&access, &id).await?;
    page_of(StatusCode::OK, &shown(&visit, &access, &event, &query, None).await?)
}

async fn find(access: &Granted<ReadEvents>, id: &EventId) -> Result<StoredEvent, Problem> {
    access.store().event(access.tenant.key, id).await?.ok_or_else(Problem::not_found)
}

/// Sends the event to one webhook.
pub(super) async fn replay(
    PostedTo { visit, access, fields, id }: PostedTo<WriteWebhooks, EventId>,
) -> Result<Response, Problem> {
    let reader = visit.access::<ReadEvents>()?;
    let event = find(&reader, &id).await?;
    let chosen = fields.trimmed("webhook");
    let webhook = match chosen.parse() {
        Ok(id) => access.store().webhook(access.tenant.key, id).await?,
        Err(_) => None,
    };
    let fault = match &webhook {
        None => "Choose a webhook; this one is none of this tenant's.".to_owned(),
        Some(webhook) => match events::send_to(&access, &event, webhook).await? {
            Sent::Again(delivery) => return Ok(done(&visit, &access, &id, Note::Resent(delivery))),
            Sent::Late(job) => return Ok(done(&visit, &access, &id, Note::JobStarted(job))),
            Sent::Not(why) => visible(&format!("{} {why}. Nothing was sent.", webhook.settings.name)),
        },
    };
    let query = Query::read("");
    let mut page = shown(&visit, &reader, &event, &query, Some(fault)).await?;
    page.choose(webhook.as_ref());
    page_of(StatusCode::UNPROCESSABLE_ENTITY, &page)
}

fn done(visit: &Visit, access: &Granted<WriteWebhooks>, id: &EventId, note: Note) -> Response {
    lead_with(visit, format!("{}/events/{id}", visit.base_of(&access.tenant)), &note)
}

impl EventPage {
    /// Keeps what was chosen.
    fn choose(&mut self, webhook: Option<&Webhook>) {
        let Some(webhook) = webhook else { return };
        let id = webhook.id.to_string();
        self.choices.retain(|choice| choice.id != id);
        self.choices.insert(0, choice(webhook, true));
    }
}

async fn shown(
    visit: &Visit,
    access: &Granted<ReadEvents>,
    event: &StoredEvent,
    query: &Query,
    fault: Option<String>,
) -> Result<EventPage, Problem> {
    let (store, tenant) = (access.store(), access.tenant.key);
    let judge = Judge::new(event)?;
    let sees_webhooks = access.may(Scope::ReadWebhooks);
    let deliveries = store.deliveries_of_event(event.key, query.page_by("reached")?).await?;
    let reached = reached(access, &judge, &deliveries.items, sees_webhooks).await?;
    let (missed, next_missed) = if sees_webhooks {
        missed(access, &judge, event, &deliveries, query).await?
    } else {
        (Vec::new(), None)
    };
    let is_heard = event.deliveries > 0;
    let (closest, has_webhooks) =
        if is_heard || !sees_webhooks { (Vec::new(), true) } else { judge.closest(store, tenant).await? };
    let may_write = access.may(Scope::WriteWebhooks);
    let choices = if may_write { choices(access, query.get("to")).await? } else { (Vec::new(), false) };
    let told: Told = serde_json::from_slice(&event.body).unwrap_or_default();
    Ok(EventPage {
        frame: Frame::new(visit, Section::Events, format!("Event {}", event.id)),
        id: event.id.to_string(),
        type_name: event.type_name.clone(),
        is_known: matches!(event.type_name.parse(), Ok(EventType::Known(..))),
        facts: facts(event, &told),
        occurred: told.timestamp.map(Time),
        accepted: Time(event.accepted_at),
        laid_out: Payload::pretty(&event.body),
        exact: Payload::new(&event.body),
        headline: headline(access, event, &closest, has_webhooks),
        is_heard,
        closest,
        reached,
        reached_pager: Pager::by(query, "reached", deliveries.next),
        sees_webhooks,
        missed,
        missed_pager: Pager::by(query, "missed", next_missed),
        search: query.text("webhook").to_owned(),
        choices: choices.0,
        more_choices: choices.1,
        to: query.text("to").to_owned(),
        fault,
        may_write,
        curl: curl(visit, "GET", &format!("/v1/events/{}", event.id), &[]),
    })
}

fn facts(event: &StoredEvent, told: &Told) -> Vec<(&'static str, String)> {
    let name = subject_name(event);
    let subject =
        if name.is_empty() { event.subject_id.clone() } else { format!("{} ({name})", event.subject_id) };
    let mut facts = vec![("Subject", visible(&subject))];
    for (resource, ids) in &told.related {
        let ids: Vec<&str> = ids.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        if !ids.is_empty() {
            facts.push(("Related", visible(&format!("{resource} {}", ids.join(", ")))));
        }
    }
    if let Some(Actor { id, name }) = &told.actor {
        let name = name.as_ref().map_or_else(String::new, |name| format!(" ({name})"));
        facts.push(("Actor", visible(&format!("{id}{name}"))));
    }
    if let Some(action) = &told.action {
        facts.push(("Action", visible(action)));
    }
    facts
}

/// Whether anybody heard it, in one sentence.
fn headline(
    access: &Granted<ReadEvents>,
    event: &StoredEvent,
    closest: &[Missed],
    has_webhooks: bool,
) -> String {
    let (tenant, type_name) = (&access.tenant.id, &event.type_name);
    let is_near = closest.iter().any(|missed| missed.distance < ELSEWHERE);
    match (event.deliveries, has_webhooks) {
        (0, false) => format!("{tenant} has no webhook yet, so nobody heard it."),
        (0, true) if is_near => format!("No webhook of {tenant} heard this {type_name}."),
        (0, true) => format!("No webhook of {tenant} hears {type_name}."),
        _ => format!("{} of {tenant} heard it.", heard(event)),
    }
}

async fn reached(
    access: &Granted<ReadEvents>,
    judge: &Judge<'_>,
    deliveries: &[DeliverySummary],
    sees_webhooks: bool,
) -> Result<Vec<Reached>, StoreError> {
    let mut reached = Vec::with_capacity(deliveries.len());
    for delivery in deliveries {
        let webhook = access.store().webhook_by_key(delivery.webhook).await?;
        let (name, through) = match &webhook {
            None => ("A deleted webhook".to_owned(), String::new()),
            Some(webhook) if sees_webhooks => (visible(&webhook.settings.name), judge.through(webhook)?),
            Some(webhook) => (webhook.id.to_string(), judge.through(webhook)?),
        };
        let last = delivery.last_attempt.as_ref();
        let stands = match (last, delivery.state) {
            (None, _) => "not attempted yet".to_owned(),
            (Some(attempt), State::Delivered) => words::reason(None, attempt.status),
            (Some(attempt), _) => words::reason(attempt.cause, attempt.status),
        };
        reached.push(Reached {
            delivery: delivery.key.to_string(),
            webhook: webhook.map(|webhook| webhook.id.to_string()),
            name,
            through,
            badge: Badge::from(delivery.state),
            stands,
            next: delivery.next_attempt_at.map(Time),
            can_resend: delivery.state != State::Pending,
        });
    }
    Ok(reached)
}

/// A page of the webhooks that it did not reach, the closest first.
async fn missed(
    access: &Granted<ReadEvents>,
    judge: &Judge<'_>,
    event: &StoredEvent,
    deliveries: &Listed<DeliverySummary>,
    query: &Query,
) -> Result<(Vec<Missed>, Option<i64>), Problem> {
    let filter = WebhookFilter { text: query.get("webhook").map(str::to_owned), ..WebhookFilter::default() };
    let listed = access.store().find_webhooks(access.tenant.key, filter, query.page_by("missed")?).await?;
    // Mostly one page of deliveries is all of them.
    let is_all = deliveries.next.is_none() && query.get("reached").is_none();
    let known: HashSet<WebhookKey> = deliveries.items.iter().map(|delivery| delivery.webhook).collect();
    let mut missed = Vec::new();
    for webhook in &listed.items {
        let has_it = known.contains(&webhook.key)
            || (!is_all
                && judge.may_have_heard(webhook)?
                && has_delivery(access, event, webhook.key).await?);
        if !has_it {
            missed.push(judge.missed(webhook)?);
        }
    }
    missed.sort_by_key(|missed| missed.distance);
    Ok((missed, listed.next))
}

async fn has_delivery(
    access: &Granted<ReadEvents>,
    event: &StoredEvent,
    webhook: WebhookKey,
) -> Result<bool, StoreError> {
    let range = Range { from: event.key.0, to: event.key.0.saturating_add(1) };
    let selection = Selection::of_event(event);
    let missing = access.store().undelivered(access.tenant.key, webhook, selection, range, 1, 1).await?;
    Ok(missing.events.is_empty())
}

/// Webhooks that it can be sent to, and whether there are more.
async fn choices(
    access: &Granted<ReadEvents>,
    text: Option<&str>,
) -> Result<(Vec<Choice>, bool), StoreError> {
    let filter = WebhookFilter { text: text.map(str::to_owned), ..WebhookFilter::default() };
    let page = Page { limit: 100, after: None };
    let listed = access.store().find_webhooks(access.tenant.key, filter, page).await?;
    Ok((listed.items.iter().map(|webhook| choice(webhook, false)).collect(), listed.next.is_some()))
}

fn choice(webhook: &Webhook, is_chosen: bool) -> Choice {
    Choice { id: webhook.id.to_string(), name: visible(&webhook.settings.name), is_chosen }
}
