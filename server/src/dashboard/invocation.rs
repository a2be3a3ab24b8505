//! One invocation: what was sent, when, and what came back.

use askama::Template;
use askama::filters::HtmlSafe;
use axum::Router;
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use callboard_domain::access::Scope;
use callboard_domain::clock::Timestamp;
use callboard_domain::delivery::{DeliverySummary, LoggedAttempt, State as DeliveryState};
use callboard_domain::id::DeliveryKey;
use callboard_domain::webhook::{Status, Webhook};

use super::frame::{Frame, Section, page};
use super::list::curl;
use super::live;
use super::mark::{Badge, Time};
use super::visit::{Entered, Named};
use super::webhook::Place;
use super::webhook::actions::{cancel, resend};
use super::webhook::log::{Next, by_hand};
use super::webhook::secret::Verify;
use crate::api::State;
use crate::api::auth::{Granted, Needed, ReadEvents, ReadWebhooks};
use crate::api::problem::Problem;

mod attempts;
mod request;

pub(super) use attempts::Timeline;
use request::Sent;

/// The routes of invocations.
pub(super) fn routes() -> Router<State> {
    let at = |path: &str| format!("/dashboard/t/{{tenant}}/deliveries/{{id}}{path}");
    Router::new()
        .route(&at(""), get(show))
        .route(&at("/body"), get(download))
        .route(&at("/retry"), post(resend))
        .route(&at("/cancel"), post(cancel))
}

/// An invocation with its attempts, and the webhook unless that is deleted.
pub(super) struct Found {
    pub(super) delivery: DeliverySummary,
    pub(super) attempts: Vec<LoggedAttempt>,
    pub(super) webhook: Option<Webhook>,
}

impl Found {
    pub(super) async fn new<S: Needed>(access: &Granted<S>, key: DeliveryKey) -> Result<Self, Problem> {
        let found = access.store().delivery(access.tenant.key, key).await?;
        let (delivery, attempts) = found.ok_or_else(Problem::not_found)?;
        let webhook = access.store().webhook_by_key(delivery.webhook).await?;
        Ok(Self { delivery, attempts, webhook })
    }

    /// When the last attempt began.
    fn last_attempt(&self) -> Option<Timestamp> {
        self.attempts.iter().rev().find(|attempt| attempt.was_made()).map(|attempt| attempt.started_at)
    }
}

/// How it stands, and what can be done with it.
#[derive(Template)]
#[template(path = "invocation/standing.html")]
pub(super) struct Standing {
    place: Place,
    id: String,
    badge: Badge,
    type_name: String,
    event: String,
    may_see_event: bool,
    subject: String,
    /// Its id and name; `None` where it is deleted.
    webhook: Option<(String, String)>,
    made: Time,
    attempts: u32,
    next: Next,
    /// Why nothing is sent for the time being.
    held: Option<&'static str>,
    can_resend: bool,
    can_stop: bool,
}

impl HtmlSafe for Standing {}

impl Standing {
    pub(super) fn new(place: &Place, found: &Found, may_see_event: bool) -> Self {
        let Found { delivery, webhook, .. } = found;
        let (can_resend, can_stop) = by_hand(delivery.state);
        let may = place.may_write && webhook.is_some();
        let waits = matches!(delivery.state, DeliveryState::Pending | DeliveryState::Waiting);
        Self {
            id: delivery.key.to_string(),
            badge: Badge::from(delivery.state),
            type_name: delivery.type_name.clone(),
            event: delivery.event_id.to_string(),
            may_see_event,
            subject: delivery.subject_id.clone(),
            webhook: webhook.as_ref().map(|own| (own.id.to_string(), own.settings.name.clone())),
            made: Time(delivery.created_at),
            attempts: delivery.attempts,
            next: Next::of(delivery),
            held: match webhook.as_ref().map(|own| own.status).filter(|_| waits) {
                Some(Status::Paused) => Some("the webhook is paused: it waits until that is resumed"),
                Some(Status::Disabled) => Some("the webhook is disabled: it waits until that is enabled"),
                _ => None,
            },
            can_resend: can_resend && may,
            can_stop: can_stop && may,
            place: place.clone(),
        }
    }
}

#[derive(Template)]
#[template(path = "invocation/page.html")]
struct InvocationPage {
    frame: Frame,
    live: String,
    id: String,
    /// The webhook's id and name.
    webhook: Option<(String, String)>,
    standing: Standing,
    timeline: Timeline,
    /// `None` where the visitor may not see events.
    sent: Option<Sent>,
    verify: Option<Verify>,
    curl: String,
}

/// `/dashboard/t/{tenant}/deliveries/{id}`.
pub(super) async fn show(
    Entered { visit, access }: Entered<ReadWebhooks>,
    Named(key): Named<DeliveryKey>,
) -> Result<Response, Problem> {
    let found = Found::new(&access, key).await?;
    let place = Place::new(&visit, &access, &visit.here);
    let id = key.to_string();
    let may_see_event = access.may(Scope::ReadEvents);
    let sent = if may_see_event { Some(Sent::new(&access, &found).await?) } else { None };
    let template = InvocationPage {
        frame: Frame::new(&visit, Section::Webhooks, format!("{} {id}", found.delivery.type_name)),
        live: live::address(&place.base, &[("page", "invocation"), ("id", &id), ("at", &visit.here)]),
        webhook: found.webhook.as_ref().map(|own| (own.id.to_string(), own.settings.name.clone())),
        standing: Standing::new(&place, &found, may_see_event),
        timeline: Timeline::new(&found.attempts),
        sent,
        verify: found.webhook.as_ref().map(Verify::new),
        curl: curl(&visit, "GET", &format!("/v1/deliveries/{id}"), &[]),
        id,
    };
    page(&template)
}

/// The bytes of the body, as a file.
pub(super) async fn download(
    Entered { access, .. }: Entered<ReadEvents>,
    Named(key): Named<DeliveryKey>,
) -> Result<Response, Problem> {
    let found = Found::new(&access, key).await?;
    let body = request::body(&access, &found).await?;
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{key}.json\"")),
    ];
    Ok((headers, body).into_response())
}
