//! Why a webhook hears an event, or the first reason why it does not, in words.

use std::fmt;

use super::listener::is_about;
use super::{Reach, propagated, related_ids};
use crate::clock::Timestamp;
use crate::delivery::StoredEvent;
use crate::event::{Event, Unreadable};
use crate::event_type::{EventType, Operational, TypePattern};
use crate::filter::{Filter, LazyBody};
use crate::resource::Resource;
use crate::trigger::Trigger;
use crate::webhook::{ORDER_UPDATED_WITH_STATUS, Settings, Status, Webhook};

/// Most types or ids that are listed in a sentence.
const LISTED: usize = 6;

/// Through what an event reaches a webhook, or the first reason why it does not.
///
/// Its text says so in one sentence, as it goes on after the webhook's name:
/// "it asks for `ticket.paid` and `ticket.updated`, not for `order.scanned`", without
/// the marks. It holds texts of whoever published the event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Explanation {
    /// It hears it.
    Heard(Reach),
    /// It asks for other types.
    OtherTypes {
        /// What it asks for, each once. Without any it is sent pings only.
        asks: Vec<String>,
        /// The type of the event.
        type_name: String,
    },
    /// It asks for everything, which leaves out what Callboard itself tells.
    HasToBeNamed {
        /// The type of the event.
        type_name: String,
    },
    /// It hears edited orders only when they say how the order stands.
    NeedsStatus,
    /// It would hear it through this resource, but `triggered_by_related` is off.
    OnlyThroughRelated {
        /// The related resource.
        resource: Resource,
        /// As what it would hear it: `ticket.paid`.
        type_name: String,
    },
    /// It hears what is about one id, and this is about others.
    OtherIdentifier {
        /// The id that it insists on.
        wanted: String,
        /// The ids that it was compared with, each once.
        had: Vec<String>,
    },
    /// It hears what is about one id of a related resource, and this names none.
    NotRelated {
        /// The related resource.
        resource: Resource,
        /// The id that it insists on.
        wanted: String,
    },
    /// Everything else fits, but its filter selects nothing.
    FilterRefuses {
        /// The filter as it was written.
        filter: String,
    },
    /// It is a ping, which goes to one webhook only.
    Ping,
    /// It tells how the webhook itself fares, which only others are told.
    AboutItself,
}

/// Why `event` reaches a webhook of these settings, or does not: heard is just what
/// [`reach`](super::reach) says is.
#[must_use]
pub fn explain(settings: &Settings, event: &Event) -> Explanation {
    let asks = settings.subscription.asks();
    let picks = |type_name: &str| TypePattern::picking(type_name).any(|pattern| asks.contains(&pattern));
    let asks_for_status = asks.iter().any(|asked| *asked == ORDER_UPDATED_WITH_STATUS);
    let own = std::slice::from_ref(&event.subject.id);
    let names = |ids: &[String]| settings.identifier.as_ref().is_none_or(|id| ids.contains(id));
    let is_direct = picks(&event.type_name) || (event.tells_status && asks_for_status);
    if is_direct && names(own) {
        return filtered(settings, event, Reach::Direct);
    }
    let related: Vec<(Resource, String)> =
        propagated(&event.event_type).filter(|(_, type_name)| picks(type_name)).collect();
    if let Some((resource, type_name)) =
        related.iter().find(|(resource, _)| names(related_ids(event, *resource)))
    {
        if settings.triggered_by_related {
            return filtered(settings, event, Reach::Related(*resource));
        }
        return Explanation::OnlyThroughRelated { resource: *resource, type_name: type_name.clone() };
    }
    let related: &[(Resource, String)] = if settings.triggered_by_related { &related } else { &[] };
    if (is_direct || !related.is_empty())
        && let Some(wanted) = &settings.identifier
    {
        return misses(wanted, if is_direct { own } else { &[] }, related, event);
    }
    if asks_for_status && event.event_type == EventType::Known(Resource::Order, Trigger::Update) {
        return Explanation::NeedsStatus;
    }
    let is_own = matches!(event.event_type, EventType::Operational(_));
    if is_own && asks.iter().any(|asked| asked == "*") {
        return Explanation::HasToBeNamed { type_name: event.type_name.clone() };
    }
    let asks = once(asks.iter().map(AsRef::as_ref));
    Explanation::OtherTypes { asks, type_name: event.type_name.clone() }
}

/// Why a webhook, as it is now, hears what is stored, were it accepted now: heard is
/// just what [`Listener::hears`](super::Listener::hears) says is. What has come of it
/// then may differ: see [`Since`].
///
/// # Errors
/// When what is stored is not what was accepted; nobody hears it.
pub fn explain_stored(webhook: &Webhook, stored: &StoredEvent) -> Result<Explanation, Unreadable> {
    let event = Event::from_stored(stored)?;
    if event.event_type == EventType::Operational(Operational::WebhookPing) {
        return Ok(Explanation::Ping);
    }
    Ok(match explain(&webhook.settings, &event) {
        Explanation::Heard(_)
            if matches!(event.event_type, EventType::Operational(_))
                && is_about(webhook.id, &stored.body) =>
        {
            Explanation::AboutItself
        }
        explained => explained,
    })
}

/// What may have been otherwise when an event was accepted, so that a webhook hears it
/// by what it asks for now and has no delivery of it, or the other way round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Since {
    /// The webhook was made later, at this time.
    Made(Timestamp),
    /// It is disabled, and hears nothing new. Since when is not known.
    Disabled,
    /// It was changed later, for the last time at this time.
    Changed(Timestamp),
}

impl Since {
    /// What there is to say of `webhook` and what is stored; `None` when the webhook is
    /// as it was.
    #[must_use]
    pub fn of(webhook: &Webhook, stored: &StoredEvent) -> Option<Self> {
        if webhook.created_at > stored.accepted_at {
            Some(Self::Made(webhook.created_at))
        } else if webhook.status == Status::Disabled {
            Some(Self::Disabled)
        } else {
            (webhook.updated_at > stored.accepted_at).then_some(Self::Changed(webhook.updated_at))
        }
    }
}

impl fmt::Display for Since {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Made(at) => write!(f, "it was made only after the event was accepted, at {at}"),
            Self::Disabled => f.write_str("it is disabled, and hears nothing new"),
            Self::Changed(at) => write!(f, "it was changed after the event was accepted, at {at}"),
        }
    }
}

/// What is heard unless the filter refuses it.
fn filtered(settings: &Settings, event: &Event, reach: Reach) -> Explanation {
    let refuses = |filter: &&Filter| !filter.accepts(&LazyBody::new(&event.body));
    match settings.filter.as_ref().filter(refuses) {
        Some(filter) => Explanation::FilterRefuses { filter: filter.as_str().to_owned() },
        None => Explanation::Heard(reach),
    }
}

/// The types fit, and no id is the one that is wanted.
fn misses(wanted: &str, own: &[String], related: &[(Resource, String)], event: &Event) -> Explanation {
    let through = related.iter().flat_map(|(resource, _)| related_ids(event, *resource));
    let had = once(own.iter().chain(through).map(String::as_str));
    let wanted = wanted.to_owned();
    match related.first() {
        Some((resource, _)) if had.is_empty() => Explanation::NotRelated { resource: *resource, wanted },
        _ => Explanation::OtherIdentifier { wanted, had },
    }
}

/// Each text once, in the order in which they come.
fn once<'a>(texts: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for text in texts {
        if !found.iter().any(|earlier| earlier == text) {
            found.push(text.to_owned());
        }
    }
    found
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Heard(Reach::Direct) => f.write_str("it hears it"),
            Self::Heard(Reach::Related(resource)) => write!(f, "it hears it through the related {resource}"),
            Self::OtherTypes { asks, type_name } if asks.is_empty() => {
                write!(f, "it asks for nothing but pings, not for {type_name}")
            }
            Self::OtherTypes { asks, type_name } => {
                write!(f, "it asks for {}, not for {type_name}", List(asks))
            }
            Self::HasToBeNamed { type_name } => write!(
                f,
                "it asks for everything, but what Callboard itself tells has to be asked for by name: {type_name}"
            ),
            Self::NeedsStatus => f.write_str(
                "it hears edited orders only when they say how the order stands, \
                 and neither data nor changes has a status",
            ),
            Self::OnlyThroughRelated { resource, type_name } => write!(
                f,
                "it would hear it as {type_name} through the related {resource}, but triggered_by_related is off"
            ),
            Self::OtherIdentifier { wanted, had } => {
                write!(f, "it hears only what is about {wanted}, and this is about {}", List(had))
            }
            Self::NotRelated { resource, wanted } => {
                write!(f, "it hears only what is about the {resource} {wanted}, and this names no {resource}")
            }
            Self::FilterRefuses { filter } => write!(f, "its filter selects nothing of it: {filter}"),
            Self::Ping => f.write_str("it is a ping, which goes to one webhook and to no other"),
            Self::AboutItself => {
                f.write_str("it tells how this webhook itself fares, which only others are told")
            }
        }
    }
}

/// Texts as a person lists them, the first few.
struct List<'a>(&'a [String]);

impl fmt::Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // "and 1 more" would not be shorter than what it stands for.
        let shown = if self.0.len() > LISTED + 1 { &self.0[..LISTED] } else { self.0 };
        let more = self.0.len() - shown.len();
        for (index, text) in shown.iter().enumerate() {
            match index {
                0 => {}
                _ if index + 1 == shown.len() && more == 0 => f.write_str(" and ")?,
                _ => f.write_str(", ")?,
            }
            f.write_str(text)?;
        }
        if more > 0 { write!(f, " and {more} more") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::super::tests::{TYPES, event, subscriptions};
    use super::super::{Listener, reach};
    use super::*;
    use crate::event::{Subject, operational};
    use crate::webhook::read_settings;
    use crate::wire::tests::{published, stored, webhook};

    fn settings(more: &Value) -> Settings {
        let mut text = json!({"url": "https://example.com"});
        text.as_object_mut().expect("an object").extend(more.as_object().expect("one").clone());
        read_settings(&text.to_string(), None).expect("good settings").0
    }

    /// What settings make of an event, and the sentence.
    #[track_caller]
    fn assert_explained(asked: &Value, event: &Value, expected: &Explanation, sentence: &str) {
        let (settings, event) = (settings(asked), published(event));
        assert_eq!(explain(&settings, &event), *expected, "{asked}");
        assert_eq!(expected.to_string(), sentence);
        let heard = if let Explanation::Heard(reach) = expected { Some(*reach) } else { None };
        assert_eq!(reach(&settings, &event), heard, "{asked}");
    }

    fn owned(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn what_is_heard_says_through_what() {
        let paid = json!({"type": "order.paid", "subject": {"id": "9"}, "related": {"ticket": ["408218"]}});
        assert_explained(
            &json!({"events": ["order.*"]}),
            &paid,
            &Explanation::Heard(Reach::Direct),
            "it hears it",
        );
        assert_explained(
            &json!({"events": ["ticket.paid"], "triggered_by_related": true, "identifier": "408218"}),
            &paid,
            &Explanation::Heard(Reach::Related(Resource::Ticket)),
            "it hears it through the related ticket",
        );
    }

    #[test]
    fn other_types_are_named() {
        let scanned = json!({"type": "order.scanned", "subject": {"id": "9"}});
        let other = |asks: &[&str]| Explanation::OtherTypes {
            asks: owned(asks),
            type_name: "order.scanned".to_owned(),
        };
        assert_explained(
            &json!({"events": ["ticket.paid", "ticket.updated"]}),
            &scanned,
            &other(&["ticket.paid", "ticket.updated"]),
            "it asks for ticket.paid and ticket.updated, not for order.scanned",
        );
        assert_explained(
            &json!({"dialect": "ingresse", "hooks": ["postback", "sale"]}),
            &scanned,
            &other(&["order.paid", "order.updated with a status", "order.created", "order.updated"]),
            "it asks for order.paid, order.updated with a status, order.created and order.updated, \
             not for order.scanned",
        );
        assert_explained(
            &json!({"dialect": "viagogo", "topics": ["Ping"]}),
            &scanned,
            &other(&[]),
            "it asks for nothing but pings, not for order.scanned",
        );
        let many = |count: usize| (0..count).map(|number| format!("acme.n{number}")).collect::<Vec<_>>();
        assert_explained(
            &json!({ "events": many(7) }),
            &scanned,
            &Explanation::OtherTypes { asks: many(7), type_name: "order.scanned".to_owned() },
            "it asks for acme.n0, acme.n1, acme.n2, acme.n3, acme.n4, acme.n5 and acme.n6, not for order.scanned",
        );
        assert_explained(
            &json!({ "events": many(8) }),
            &scanned,
            &Explanation::OtherTypes { asks: many(8), type_name: "order.scanned".to_owned() },
            "it asks for acme.n0, acme.n1, acme.n2, acme.n3, acme.n4, acme.n5 and 2 more, not for order.scanned",
        );
    }

    #[test]
    fn an_edited_order_without_a_status_is_none_for_a_postback() {
        let postback = json!({"dialect": "ingresse", "hooks": ["postback"]});
        assert_explained(
            &postback,
            &json!({"type": "order.updated", "subject": {"id": "9"}, "data": {"total": 1}}),
            &Explanation::NeedsStatus,
            "it hears edited orders only when they say how the order stands, \
             and neither data nor changes has a status",
        );
        assert_explained(
            &postback,
            &json!({"type": "order.updated", "subject": {"id": "9"}, "changes": {"status": "paid"}}),
            &Explanation::Heard(Reach::Direct),
            "it hears it",
        );
    }

    #[test]
    fn a_switch_that_would_help_is_named_and_one_that_would_not_is_not() {
        let paid = json!({"type": "order.paid", "subject": {"id": "9"}, "related": {"ticket": ["408218"]}});
        let through = Explanation::OnlyThroughRelated {
            resource: Resource::Ticket,
            type_name: "ticket.paid".to_owned(),
        };
        let sentence =
            "it would hear it as ticket.paid through the related ticket, but triggered_by_related is off";
        let openticket = json!({"dialect": "openticket", "resource": "ticket", "trigger": "paid"});
        assert_explained(&openticket, &paid, &through, sentence);
        for events in [json!(["ticket.paid"]), json!(["order.paid", "ticket.*"])] {
            let asked = json!({"events": events, "identifier": "408218"});
            assert_explained(&asked, &paid, &through, sentence);
        }
        assert_explained(
            &json!({"events": ["ticket.paid"], "identifier": "7"}),
            &paid,
            &Explanation::OtherTypes { asks: owned(&["ticket.paid"]), type_name: "order.paid".to_owned() },
            "it asks for ticket.paid, not for order.paid",
        );
    }

    #[test]
    fn another_identifier_is_told_with_those_that_there_are() {
        let paid = json!({
            "type": "order.paid", "subject": {"id": "9"},
            "related": {"ticket": ["408218", "9", "408218"], "event": ["3"]},
        });
        let other = |had: &[&str]| Explanation::OtherIdentifier { wanted: "7".to_owned(), had: owned(had) };
        assert_explained(
            &json!({"events": ["order.paid"], "identifier": "7"}),
            &paid,
            &other(&["9"]),
            "it hears only what is about 7, and this is about 9",
        );
        assert_explained(
            &json!({"events": ["ticket.paid"], "identifier": "7", "triggered_by_related": true}),
            &paid,
            &other(&["408218", "9"]),
            "it hears only what is about 7, and this is about 408218 and 9",
        );
        assert_explained(
            &json!({"events": ["*"], "identifier": "7", "triggered_by_related": true}),
            &paid,
            &other(&["9", "3", "408218"]),
            "it hears only what is about 7, and this is about 9, 3 and 408218",
        );
    }

    #[test]
    fn an_event_that_names_no_related_id_is_told_so() {
        assert_explained(
            &json!({"events": ["ticket.paid"], "identifier": "7", "triggered_by_related": true}),
            &json!({"type": "order.paid", "subject": {"id": "7"}, "related": {"ticket": []}}),
            &Explanation::NotRelated { resource: Resource::Ticket, wanted: "7".to_owned() },
            "it hears only what is about the ticket 7, and this names no ticket",
        );
    }

    #[test]
    fn a_filter_refuses_last() {
        let paid = json!({"type": "order.paid", "subject": {"id": "9"}, "data": {"total": 1}});
        let filter = "$.data[?@ == 'paid']";
        assert_explained(
            &json!({"events": ["order.paid"], "filter": filter}),
            &paid,
            &Explanation::FilterRefuses { filter: filter.to_owned() },
            "its filter selects nothing of it: $.data[?@ == 'paid']",
        );
        assert_explained(
            &json!({"events": ["order.paid"], "filter": filter, "identifier": "7"}),
            &paid,
            &Explanation::OtherIdentifier { wanted: "7".to_owned(), had: owned(&["9"]) },
            "it hears only what is about 7, and this is about 9",
        );
    }

    /// What Callboard itself tells about a webhook.
    fn told(what: Operational, about: &str) -> StoredEvent {
        let (id, now) = ("x".parse().expect("an id"), "2026-11-21T19:00:00Z".parse().expect("a time"));
        let subject = Subject { id: about.to_owned(), name: None };
        stored(operational(id, what, subject, &json!({"webhook_id": about}), now))
    }

    #[test]
    fn what_callboard_itself_tells_has_rules_of_its_own() {
        let webhook_of = |events: &[&str]| webhook(&json!({ "events": events }));
        let named = webhook_of(&["webhook.*"]);
        let own = named.id.to_string();
        let failing = Operational::WebhookFailing;
        for (webhook, event, expected, sentence) in [
            (&named, told(failing, "another"), Explanation::Heard(Reach::Direct), "it hears it"),
            (
                &named,
                told(failing, &own),
                Explanation::AboutItself,
                "it tells how this webhook itself fares, which only others are told",
            ),
            (
                &named,
                told(Operational::WebhookPing, "another"),
                Explanation::Ping,
                "it is a ping, which goes to one webhook and to no other",
            ),
            (
                &webhook_of(&["*"]),
                told(failing, "another"),
                Explanation::HasToBeNamed { type_name: "webhook.failing".to_owned() },
                "it asks for everything, but what Callboard itself tells has to be asked for by name: webhook.failing",
            ),
            (
                &webhook_of(&["order.*"]),
                told(failing, "another"),
                Explanation::OtherTypes {
                    asks: owned(&["order.*"]),
                    type_name: "webhook.failing".to_owned(),
                },
                "it asks for order.*, not for webhook.failing",
            ),
        ] {
            assert_eq!(explain_stored(webhook, &event), Ok(expected.clone()));
            assert_eq!(expected.to_string(), sentence);
            let heard = matches!(expected, Explanation::Heard(_));
            assert_eq!(Listener::new(webhook).hears(&event), heard, "{sentence}");
        }
    }

    #[test]
    fn what_is_stored_is_explained_like_what_is_published_or_can_not_be_read() {
        let webhook = webhook(&json!({"events": ["ticket.paid"], "triggered_by_related": true}));
        let paid = stored(published(&json!({"type": "order.paid", "subject": {"id": "9"}})));
        let through = Explanation::Heard(Reach::Related(Resource::Ticket));
        assert_eq!(explain_stored(&webhook, &paid), Ok(through));
        let spoilt = StoredEvent { body: "{}".into(), ..paid };
        assert!(explain_stored(&webhook, &spoilt).is_err());
        assert!(!Listener::new(&webhook).hears(&spoilt));
    }

    #[test]
    fn what_was_otherwise_is_told() {
        let mut webhook = webhook(&json!({"events": ["*"]}));
        let event = stored(published(&json!({"type": "order.paid", "subject": {"id": "9"}})));
        let (before, at) = ("2026-11-21T18:00:00Z".parse().expect("a time"), event.accepted_at);
        let after: Timestamp = "2026-11-21T20:00:00Z".parse().expect("a time");
        (webhook.created_at, webhook.updated_at) = (before, at);
        assert_eq!(Since::of(&webhook, &event), None);
        webhook.created_at = at;
        assert_eq!(Since::of(&webhook, &event), None, "at the same time is not later");
        webhook.created_at = before;
        webhook.updated_at = after;
        let changed = Since::of(&webhook, &event).expect("something");
        assert_eq!(changed, Since::Changed(after));
        assert_eq!(
            changed.to_string(),
            "it was changed after the event was accepted, at 2026-11-21T20:00:00Z"
        );
        webhook.status = Status::Disabled;
        assert_eq!(Since::of(&webhook, &event), Some(Since::Disabled));
        assert_eq!(Since::Disabled.to_string(), "it is disabled, and hears nothing new");
        webhook.created_at = after;
        let made = Since::of(&webhook, &event).expect("something");
        assert_eq!(made, Since::Made(after));
        assert_eq!(
            made.to_string(),
            "it was made only after the event was accepted, at 2026-11-21T20:00:00Z"
        );
    }

    proptest! {
        #[test]
        fn heard_is_what_the_definition_says(
            asked in subscriptions(), identifier in proptest::option::of("[1-3]"),
            filter in proptest::option::of(proptest::sample::select(vec!["$.related.ticket[?@ == '1']", "$"])),
            type_name in proptest::sample::select(&TYPES[..]), subject in "[1-3]",
            ticket in proptest::collection::vec("[1-3]", 0..3), show in proptest::collection::vec("[1-3]", 0..3),
            status: bool,
        ) {
            let event = event(type_name, &subject, &json!({"ticket": ticket, "event": show}));
            let event = Event { tells_status: status && type_name == "order.updated", ..event };
            let mut more = json!({ "identifier": identifier });
            more.as_object_mut().expect("an object").extend(asked.as_object().expect("one").clone());
            // Only native webhooks can have one, but nothing here depends on that.
            let filter = filter.map(|filter| filter.parse().expect("a filter"));
            let settings = Settings { filter, ..settings(&more) };
            let heard = match explain(&settings, &event) {
                Explanation::Heard(reach) => Some(reach),
                _ => None,
            };
            prop_assert_eq!(heard, reach(&settings, &event));
            let mut webhook = webhook(&asked);
            webhook.settings = settings;
            let stored = stored(Event { tells_status: false, ..event });
            let heard = explain_stored(&webhook, &stored).map(|why| matches!(why, Explanation::Heard(_)));
            prop_assert_eq!(heard, Ok(Listener::new(&webhook).hears(&stored)));
        }
    }
}
