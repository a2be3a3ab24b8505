//! One event type: what it means, its schema and an example, who hears it, and what
//! each dialect calls it.

use askama::Template;
use axum::response::Response;
use callboard_domain::access::Scope;
use callboard_domain::catalogue;
use callboard_domain::event_type::EventType;
use callboard_domain::resource::Resource;
use callboard_domain::trigger::Trigger;
use callboard_domain::wire::ingresse::Hook;
use callboard_domain::wire::openticket::{RESOURCES, path};
use callboard_domain::wire::viagogo::Topic;

use super::event_new::example;
use super::frame::{Frame, Section, page};
use super::list::{curl, quoted};
use super::listeners::{LOOKED_AT, Listeners};
use super::mark::{Badge, grouped};
use super::payload::visible;
use super::visit::{Entered, Named};
use crate::api::auth::ReadWebhooks;
use crate::api::problem::Problem;

/// Most webhooks that are named.
const NAMED: usize = 100;

/// A webhook that hears the type.
struct Listener {
    id: String,
    name: String,
    dialect: &'static str,
    badge: Badge,
    through: Option<String>,
    /// Only what is about this id.
    identifier: Option<String>,
}

/// What a dialect calls the type.
struct Word {
    dialect: &'static str,
    /// What a webhook asks for to hear it.
    asked: String,
    /// Where a delivery says it.
    told: String,
}

#[derive(Template)]
#[template(path = "catalogue_type.html")]
struct TypePage {
    frame: Frame,
    type_name: String,
    about: &'static str,
    reaches: Vec<(&'static str, String)>,
    words: Vec<Word>,
    schema: String,
    example: String,
    publish: String,
    listeners: Vec<Listener>,
    /// How many hear it, where not all of them are named.
    count: Option<String>,
    looked_at: Option<String>,
    may_publish: bool,
    curl: String,
}

/// `/dashboard/t/{tenant}/catalogue/{type}`.
pub(super) async fn show(
    Entered { visit, access }: Entered<ReadWebhooks>,
    Named(event_type): Named<EventType>,
) -> Result<Response, Problem> {
    let EventType::Known(resource, trigger) = event_type else { return Err(Problem::not_found()) };
    let type_name = event_type.to_string();
    let found = Listeners::read(access.store(), access.tenant.key).await?;
    let hearing = found.of(resource, trigger);
    let shown = hearing.iter().take(NAMED).map(|(webhook, through)| Listener {
        id: webhook.id.to_string(),
        name: visible(&webhook.settings.name),
        dialect: webhook.settings.subscription.dialect().as_str(),
        badge: Badge::from(*webhook),
        through: through.map(|related| format!("through the related {related}")),
        identifier: webhook.settings.identifier.as_deref().map(visible),
    });
    let number = |count: usize| grouped(u64::try_from(count).unwrap_or(u64::MAX));
    let example = example(&event_type).unwrap_or_default();
    let publish = format!(
        "{} -H 'Content-Type: application/json' -d {}",
        curl(&visit, "POST", "/v1/events", &[]),
        quoted(&example)
    );
    let template = TypePage {
        frame: Frame::new(&visit, Section::Catalogue, type_name.clone()),
        about: catalogue::describe(resource, trigger),
        reaches: resource
            .propagates_to(trigger)
            .iter()
            .map(|related| (related.as_str(), EventType::Known(*related, trigger).to_string()))
            .collect(),
        words: words(resource, trigger),
        schema: serde_json::to_string_pretty(&catalogue::schema(resource, trigger)).unwrap_or_default(),
        example,
        publish,
        listeners: shown.collect(),
        count: (hearing.len() > NAMED).then(|| number(hearing.len())),
        looked_at: found.more.then(|| number(LOOKED_AT)),
        may_publish: access.may(Scope::WriteEvents),
        curl: curl(&visit, "GET", &format!("/v1/event-types/{type_name}"), &[]),
        type_name,
    };
    page(&template)
}

/// What each dialect calls what happens.
fn words(resource: Resource, trigger: Trigger) -> Vec<Word> {
    let happened = (resource, trigger);
    let native = EventType::Known(resource, trigger).to_string();
    let mut words = vec![Word { dialect: "native", asked: native, told: "the member type".to_owned() }];
    let heard_as = std::iter::once(resource).chain(resource.propagates_to(trigger).iter().copied());
    for own in heard_as.filter(|own| RESOURCES.contains(own)) {
        words.push(Word {
            dialect: "openticket",
            asked: format!("{own}, on {}", trigger.as_str()),
            told: format!("OpenTicket-Trigger: {}", path(happened, own)),
        });
    }
    for topic in Topic::ALL.into_iter().filter(|topic| topic.hears().contains(&happened)) {
        let told = "the topic".to_owned();
        words.push(Word { dialect: "viagogo", asked: topic.as_str().to_owned(), told });
    }
    for hook in Hook::ALL.into_iter().filter(|hook| hook.hears().contains(&happened)) {
        let needs = hook.needs_status(resource, trigger);
        let told = if needs { "the hook; only where the event has a status" } else { "the hook" };
        words.push(Word { dialect: "ingresse", asked: hook.as_str().to_owned(), told: told.to_owned() });
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_is_named_as_each_dialect_names_it() {
        let named = |resource, trigger| -> Vec<String> {
            let words = words(resource, trigger);
            words
                .into_iter()
                .map(|word| format!("{}: {} ({})", word.dialect, word.asked, word.told))
                .collect()
        };
        assert_eq!(
            named(Resource::Order, Trigger::Scan),
            [
                "native: order.scanned (the member type)",
                "openticket: order, on scan (OpenTicket-Trigger: order.scanned)",
                "openticket: event, on scan (OpenTicket-Trigger: order.event.scanned)",
                "openticket: ticket, on scan (OpenTicket-Trigger: order.ticket.scanned)",
                "openticket: product, on scan (OpenTicket-Trigger: order.product.scanned)",
                "ingresse: checkin (the hook)",
            ]
        );
        assert_eq!(
            named(Resource::Sale, Trigger::Create),
            ["native: sale.created (the member type)", "viagogo: Sales (the topic)"]
        );
    }
}
