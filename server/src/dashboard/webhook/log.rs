//! The invocation log of a webhook: what was sent to it, and how that went.

use askama::Template;
use askama::filters::HtmlSafe;
use axum::response::Response;
use callboard_domain::delivery::{AnswerClass, DeliverySummary, State};
use callboard_domain::id::WebhookId;
use callboard_domain::store::DeliveryFilter;

use super::{About, Place, Tab, find};
use crate::api::auth::ReadWebhooks;
use crate::api::problem::Problem;
use crate::api::read::states;
use crate::dashboard::frame::{Frame, Section, page};
use crate::dashboard::list::{Pager, Query, curl};
use crate::dashboard::live;
use crate::dashboard::mark::{Badge, Time};
use crate::dashboard::visit::{Entered, Named};
use crate::dashboard::webhooks::Answer;

/// An invocation in the log.
#[derive(Template)]
#[template(path = "webhook/row.html")]
pub(in crate::dashboard) struct Row {
    place: Place,
    id: String,
    badge: Badge,
    type_name: String,
    subject: String,
    made: Time,
    attempts: u32,
    answer: Option<Answer>,
    next: Next,
    can_resend: bool,
    can_stop: bool,
}

impl HtmlSafe for Row {}

/// When the next attempt is.
pub(in crate::dashboard) enum Next {
    /// There is none.
    Never,
    /// At this time.
    At(Time),
    /// As soon as there is room for it.
    Due,
    /// It is under way.
    Now,
}

impl Next {
    pub(in crate::dashboard) fn of(delivery: &DeliverySummary) -> Self {
        match (delivery.state, delivery.next_attempt_at) {
            (State::Waiting, Some(at)) => Self::At(Time(at)),
            (State::Pending, Some(_)) => Self::Due,
            (State::Pending | State::Waiting, None) => Self::Now,
            _ => Self::Never,
        }
    }
}

/// Whether an invocation can be sent again by hand, and whether it can be called off.
pub(in crate::dashboard) const fn by_hand(state: State) -> (bool, bool) {
    match state {
        State::Pending => (false, true),
        State::Waiting => (true, true),
        State::Delivered | State::Failed | State::Superseded | State::Cancelled => (true, false),
    }
}

impl Row {
    pub(in crate::dashboard) fn new(place: &Place, delivery: &DeliverySummary) -> Self {
        let (can_resend, can_stop) = by_hand(delivery.state);
        Self {
            id: delivery.key.to_string(),
            badge: Badge::from(delivery.state),
            type_name: delivery.type_name.clone(),
            subject: delivery.subject_id.clone(),
            made: Time(delivery.created_at),
            attempts: delivery.attempts,
            answer: delivery.last_attempt.as_ref().map(Answer::of_attempt),
            next: Next::of(delivery),
            can_resend: can_resend && place.may_write,
            can_stop: can_stop && place.may_write,
            place: place.clone(),
        }
    }
}

/// What the address asks to see.
pub(in crate::dashboard) fn filter(query: &Query) -> Result<DeliveryFilter, Problem> {
    let class = |word: &str| AnswerClass::ALL.into_iter().find(|class| class.as_str() == word);
    let none = || Problem::parameter("answer", "is none of 2xx, 3xx, 4xx, 5xx and none");
    Ok(DeliveryFilter {
        states: states(query.get("state"))?,
        type_name: query.get("type").map(str::to_owned),
        subject_id: query.get("subject").map(str::to_owned),
        since: query.time("since")?,
        until: query.time("until")?,
        answer: query.get("answer").map(|word| class(word).ok_or_else(none)).transpose()?,
    })
}

/// The parameters that choose what is listed.
const FILTERS: [&str; 6] = ["state", "answer", "type", "subject", "since", "until"];

#[derive(Template)]
#[template(path = "webhook/log.html")]
struct LogPage {
    frame: Frame,
    about: About,
    rows: Vec<Row>,
    query: Query,
    states: [&'static str; 6],
    classes: [&'static str; 5],
    is_filtered: bool,
    here: String,
    pager: Pager,
    curl: String,
}

/// `/dashboard/t/{tenant}/webhooks/{id}`.
pub(super) async fn show(
    Entered { visit, access }: Entered<ReadWebhooks>,
    Named(id): Named<WebhookId>,
    query: Query,
) -> Result<Response, Problem> {
    let webhook = find(&access, id).await?;
    let listed = access.store().list_deliveries(webhook.key, filter(&query)?, query.page()?).await?;
    let mut about = About::new(&visit, &access, &webhook, Tab::Log).await?;
    let mut place = Place::new(&visit, &access, &visit.here);
    place.may_write &= webhook.deleted_at.is_none();
    let ids = listed.items.iter().map(|delivery| delivery.key.0.to_string()).collect::<Vec<_>>().join(",");
    let webhook_id = id.to_string();
    let mut followed =
        vec![("page", "log"), ("webhook", &*webhook_id), ("at", &*visit.here), ("rows", &*ids)];
    followed.extend(FILTERS.iter().chain(&["cursor"]).filter_map(|name| Some((*name, query.get(name)?))));
    about.live = live::address(&place.base, &followed);
    let api = FILTERS.map(|name| (name, query.get(name)));
    let template = LogPage {
        frame: Frame::new(&visit, Section::Webhooks, webhook.settings.name.clone()),
        about,
        rows: listed.items.iter().map(|delivery| Row::new(&place, delivery)).collect(),
        states: State::ALL.map(State::as_str),
        classes: AnswerClass::ALL.map(AnswerClass::as_str),
        is_filtered: query.filters(),
        here: format!("{}/webhooks/{id}", place.base),
        pager: Pager::new(&query, listed.next),
        curl: curl(&visit, "GET", &format!("/v1/webhooks/{id}/deliveries"), &api),
        query,
    };
    page(&template)
}
