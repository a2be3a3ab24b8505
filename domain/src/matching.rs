//! Which webhooks hear an event, and through what.
//!
//! The index answers in time that depends on how many webhooks hear the event
//! and on nothing else: neither on how many there are, nor on how many wait
//! for another subject of the same type.

use std::collections::HashMap;

use crate::event::Event;
use crate::event_type::{EventType, TypePattern};
use crate::filter::LazyBody;
use crate::resource::Resource;
use crate::trigger::Trigger;
use crate::webhook::{ORDER_UPDATED_WITH_STATUS, Settings};

mod explain;
mod listener;

pub use explain::{Explanation, Since, explain, explain_stored};
pub use listener::Listener;

/// Through what an event reaches a webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reach {
    /// The webhook asked for just this.
    Direct,
    /// The webhook asked for the same trigger on this related resource.
    Related(Resource),
}

/// Through what `event` reaches a webhook of these settings, if it does: the
/// definition that [`Index`] has to agree with.
#[must_use]
pub fn reach(settings: &Settings, event: &Event) -> Option<Reach> {
    if settings.filter.as_ref().is_some_and(|filter| !filter.accepts(&LazyBody::new(&event.body))) {
        return None;
    }
    let asks = settings.subscription.asks();
    let picks = |type_name: &str| TypePattern::picking(type_name).any(|pattern| asks.contains(&pattern));
    let names = |ids: &[String]| settings.identifier.as_ref().is_none_or(|id| ids.contains(id));
    let status = event.tells_status && asks.iter().any(|asked| *asked == ORDER_UPDATED_WITH_STATUS);
    if (picks(&event.type_name) || status) && names(std::slice::from_ref(&event.subject.id)) {
        return Some(Reach::Direct);
    }
    if !settings.triggered_by_related {
        return None;
    }
    propagated(&event.event_type)
        .find(|(resource, type_name)| picks(type_name) && names(related_ids(event, *resource)))
        .map(|(resource, _)| Reach::Related(resource))
}

/// The types that a happening also counts as, through related resources.
fn propagated(event_type: &EventType) -> impl Iterator<Item = (Resource, String)> {
    let (resources, trigger): (&[Resource], _) = match event_type {
        EventType::Known(resource, trigger) => (resource.propagates_to(*trigger), Some(*trigger)),
        EventType::Custom(_) | EventType::Operational(_) => (&[], None),
    };
    resources.iter().filter_map(move |resource| {
        trigger.map(|trigger| (*resource, EventType::Known(*resource, trigger).to_string()))
    })
}

fn related_ids(event: &Event, resource: Resource) -> &[String] {
    event.related.get(&resource).map_or(&[], Vec::as_slice)
}

/// Webhooks that ask for one pattern, apart by the id that they insist on.
#[derive(Debug)]
struct Bucket<T> {
    any: Vec<T>,
    by_identifier: HashMap<String, Vec<T>>,
}

impl<T> Default for Bucket<T> {
    fn default() -> Self {
        Self { any: Vec::new(), by_identifier: HashMap::new() }
    }
}

/// The webhooks of one tenant, found by what they ask for.
#[derive(Debug)]
pub struct Index<T> {
    direct: HashMap<String, Bucket<T>>,
    related: HashMap<String, Bucket<T>>,
}

impl<T> Default for Index<T> {
    fn default() -> Self {
        Self { direct: HashMap::new(), related: HashMap::new() }
    }
}

impl<T: Copy + Eq + std::hash::Hash> Index<T> {
    /// Adds a webhook of these settings under the name `webhook`.
    pub fn insert(&mut self, webhook: T, settings: &Settings) {
        for asked in settings.subscription.asks() {
            put(&mut self.direct, &asked, webhook, settings);
            if settings.triggered_by_related {
                put(&mut self.related, &asked, webhook, settings);
            }
        }
    }

    /// Removes what [`Self::insert`] added for the same settings.
    pub fn remove(&mut self, webhook: T, settings: &Settings) {
        for asked in settings.subscription.asks() {
            take(&mut self.direct, &asked, &webhook, settings);
            take(&mut self.related, &asked, &webhook, settings);
        }
    }

    /// Whether any webhook asks for events of this type: what nobody asks for
    /// needs not even be put into words.
    #[must_use]
    pub fn asks_for(&self, type_name: &str) -> bool {
        TypePattern::picking(type_name).any(|pattern| self.direct.contains_key(&*pattern))
    }

    /// Whether any webhook may hear an event of this type, whatever it is about
    /// and says: what the type alone rules out need not be read.
    #[must_use]
    pub fn may_match(&self, type_name: &str, event_type: &EventType) -> bool {
        let is_edited_order = *event_type == EventType::Known(Resource::Order, Trigger::Update);
        let asks_for_status = is_edited_order && self.direct.contains_key(ORDER_UPDATED_WITH_STATUS);
        let through = |type_name: &str| {
            TypePattern::picking(type_name).any(|pattern| self.related.contains_key(&*pattern))
        };
        self.asks_for(type_name)
            || asks_for_status
            || (!self.related.is_empty() && propagated(event_type).any(|(_, type_name)| through(&type_name)))
    }

    /// Every webhook that hears `event`, once each, directly before through
    /// related resources. What their filters say is not asked here.
    #[must_use]
    pub fn matches(&self, event: &Event) -> Vec<(T, Reach)> {
        let mut found = Vec::new();
        let own = std::slice::from_ref(&event.subject.id);
        for pattern in TypePattern::picking(&event.type_name) {
            collect(&self.direct, &pattern, own, Reach::Direct, &mut found);
        }
        if event.tells_status {
            collect(&self.direct, ORDER_UPDATED_WITH_STATUS, own, Reach::Direct, &mut found);
        }
        if !self.related.is_empty() {
            for (resource, type_name) in propagated(&event.event_type) {
                let ids = related_ids(event, resource);
                for pattern in TypePattern::picking(&type_name) {
                    collect(&self.related, &pattern, ids, Reach::Related(resource), &mut found);
                }
            }
        }
        if found.len() > 1 {
            let mut seen = std::collections::HashSet::with_capacity(found.len());
            found.retain(|(webhook, _)| seen.insert(*webhook));
        }
        found
    }
}

fn put<T>(map: &mut HashMap<String, Bucket<T>>, asked: &str, webhook: T, settings: &Settings) {
    let bucket = map.entry(asked.to_owned()).or_default();
    match &settings.identifier {
        None => bucket.any.push(webhook),
        Some(identifier) => bucket.by_identifier.entry(identifier.clone()).or_default().push(webhook),
    }
}

fn take<T: Eq>(map: &mut HashMap<String, Bucket<T>>, asked: &str, webhook: &T, settings: &Settings) {
    let Some(bucket) = map.get_mut(asked) else { return };
    match &settings.identifier {
        None => bucket.any.retain(|own| own != webhook),
        Some(identifier) => {
            if let Some(webhooks) = bucket.by_identifier.get_mut(identifier) {
                webhooks.retain(|own| own != webhook);
                if webhooks.is_empty() {
                    bucket.by_identifier.remove(identifier);
                }
            }
        }
    }
    if bucket.any.is_empty() && bucket.by_identifier.is_empty() {
        map.remove(asked);
    }
}

fn collect<T: Copy>(
    map: &HashMap<String, Bucket<T>>,
    asked: &str,
    ids: &[String],
    reach: Reach,
    found: &mut Vec<(T, Reach)>,
) {
    let Some(bucket) = map.get(asked) else { return };
    found.extend(bucket.any.iter().map(|webhook| (*webhook, reach)));
    if !bucket.by_identifier.is_empty() {
        let named = ids.iter().filter_map(|id| bucket.by_identifier.get(id));
        found.extend(named.flatten().map(|webhook| (*webhook, reach)));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;
    use crate::event::read_events;
    use crate::id::EventId;
    use crate::webhook::read_settings;

    fn settings(events: &[&str], identifier: Option<&str>, related: bool) -> Settings {
        let text = serde_json::json!({
            "url": "https://example.com", "events": events, "identifier": identifier,
            "triggered_by_related": related,
        });
        read_settings(&text.to_string(), None).expect("good settings").0
    }

    pub(super) fn event(type_name: &str, subject: &str, related: &serde_json::Value) -> Event {
        let text = serde_json::json!({"type": type_name, "subject": {"id": subject}, "related": related});
        let now = "2026-11-21T19:00:00Z".parse().expect("a time");
        let mut new_id = || EventId::generate(now, &mut StdRng::seed_from_u64(1));
        let mut events = read_events(&text.to_string(), false, now, &mut new_id).expect("good");
        events.remove(0)
    }

    /// The example of the OpenTicket documentation.
    #[test]
    fn a_paid_order_reaches_a_ticket_webhook_that_asks_for_related_ones() {
        let paid = event("order.paid", "9917", &serde_json::json!({"ticket": ["408218"]}));
        let reach_of = |identifier, related| reach(&settings(&["ticket.paid"], identifier, related), &paid);
        assert_eq!(reach_of(None, true), Some(Reach::Related(Resource::Ticket)));
        assert_eq!(reach_of(None, false), None);
        assert_eq!(reach_of(Some("408218"), true), Some(Reach::Related(Resource::Ticket)));
        assert_eq!(reach_of(Some("9917"), true), None);
    }

    /// Every cell of the propagation table, and every one that is empty: a
    /// happening reaches a webhook of another resource on the same trigger just
    /// where the table says so, if the webhook asked for that, and if the
    /// happening names the resource that the webhook insists on.
    #[test]
    fn happenings_reach_related_webhooks_by_the_table_alone() {
        use crate::wire::openticket::RESOURCES;
        for happened in RESOURCES {
            for wanted in RESOURCES {
                for trigger in RESOURCES[0].triggers().iter().copied() {
                    let type_name = EventType::Known(happened, trigger).to_string();
                    let related = serde_json::json!({ (wanted.as_str()): ["R1", "R2"] });
                    let event = event(&type_name, "S1", &related);
                    let reach_of = |on: Trigger, related: bool, identifier: Option<&str>| {
                        let text = serde_json::json!({
                            "url": "https://example.com", "dialect": "openticket", "resource": wanted,
                            "trigger": on, "triggered_by_related": related, "identifier": identifier,
                        });
                        let settings = read_settings(&text.to_string(), None).expect("good settings").0;
                        reach(&settings, &event)
                    };
                    let direct = (happened == wanted).then_some(Reach::Direct);
                    let listed = happened.propagates_to(trigger).contains(&wanted);
                    let through = listed.then_some(Reach::Related(wanted));
                    let about = format!("{type_name} for {wanted}");
                    assert_eq!(reach_of(trigger, false, None), direct, "{about}");
                    assert_eq!(reach_of(trigger, true, None), direct.or(through), "{about}");
                    assert_eq!(reach_of(trigger, true, Some("R2")), through, "{about}");
                    assert_eq!(reach_of(trigger, true, Some("S1")), direct, "{about}");
                    assert_eq!(reach_of(trigger, true, Some("X")), None, "{about}");
                    let other = if trigger == Trigger::Create { Trigger::Delete } else { Trigger::Create };
                    assert_eq!(reach_of(other, true, None), None, "{about} on another trigger");
                }
            }
        }
    }

    #[test]
    fn hooks_and_topics_hear_what_their_tables_say() {
        use crate::wire::ingresse::Hook;
        use crate::wire::viagogo::Topic;
        let hears = |subscription: &serde_json::Value, event: &Event| {
            let mut text = serde_json::json!({"url": "https://example.com"});
            text.as_object_mut().expect("an object").extend(subscription.as_object().expect("one").clone());
            let settings = read_settings(&text.to_string(), None).expect("good settings").0;
            reach(&settings, event) == Some(Reach::Direct)
        };
        // As the platforms' documents have it, not as the code does.
        let table: &[(&str, &[&str], &[&str])] = &[
            ("event.created", &["event-create"], &[]),
            ("event.updated", &["event-update"], &[]),
            ("ticket.created", &["ticket"], &[]),
            ("ticket.updated", &["ticket"], &[]),
            ("order.created", &["sale"], &[]),
            ("order.updated", &["sale"], &[]),
            ("order.paid", &["sale", "postback"], &[]),
            ("order.scanned", &["checkin"], &[]),
            ("sale.created", &[], &["Sales"]),
            ("sale.deleted", &[], &["Sales"]),
            ("sale.cancelled", &[], &["Sales"]),
            ("sale.updated", &[], &["SaleUpdates"]),
            ("sale.retransfer_requested", &[], &["ReTransferTicket"]),
            ("provisional_sale.created", &[], &["ProvisionalSale"]),
            ("provisional_sale.cancelled", &[], &["CancelProvisionalSale"]),
            ("seller_listing.updated", &[], &["SellerListingUpdates"]),
        ];
        for (resource, trigger) in EventType::known() {
            let event = event(&EventType::Known(resource, trigger).to_string(), "1", &serde_json::json!({}));
            let row = table.iter().find(|(type_name, _, _)| *type_name == event.type_name);
            for hook in Hook::ALL {
                let listed = row.is_some_and(|(_, hooks, _)| hooks.contains(&hook.as_str()));
                let subscription = serde_json::json!({"dialect": "ingresse", "hooks": [hook]});
                assert_eq!(hears(&subscription, &event), listed, "{hook:?}: {}", event.type_name);
            }
            for topic in Topic::ALL {
                let subscription = serde_json::json!({"dialect": "viagogo", "topics": [topic]});
                let listed = row.is_some_and(|(_, _, topics)| topics.contains(&topic.as_str()));
                assert_eq!(hears(&subscription, &event), listed, "{topic:?}: {}", event.type_name);
            }
        }
        let postback = serde_json::json!({"dialect": "ingresse", "hooks": ["postback"]});
        for (more, heard) in [
            (r#""data": {"status": "paid"}"#, true),
            (r#""changes": {"status": "refunded"}"#, true),
            (r#""data": {"status": null}"#, false),
            (r#""data": {"total": 1}"#, false),
        ] {
            let text = format!(r#"{{"type": "order.updated", "subject": {{"id": "1"}}, {more}}}"#);
            let now = "2026-11-21T19:00:00Z".parse().expect("a time");
            let mut new_id = || EventId::generate(now, &mut StdRng::seed_from_u64(1));
            let event = read_events(&text, false, now, &mut new_id).expect("good").remove(0);
            assert_eq!(hears(&postback, &event), heard, "{more}");
        }
    }

    #[test]
    fn the_type_alone_rules_out_what_nobody_can_hear() {
        let may_match = |settings: &Settings, type_name: &str| {
            let mut index = Index::default();
            index.insert(1, settings);
            index.may_match(type_name, &EventType::from_stored(type_name).expect("a type"))
        };
        let exact = settings(&["ticket.paid"], None, false);
        let related = settings(&["ticket.paid"], None, true);
        let text = r#"{"url": "https://example.com", "dialect": "ingresse", "hooks": ["postback"]}"#;
        let postback = read_settings(text, None).expect("good settings").0;
        for (settings, type_name, may) in [
            (&exact, "ticket.paid", true),
            (&exact, "order.paid", false),
            (&exact, "order.updated", false),
            (&related, "order.paid", true),
            (&related, "order.created", false),
            (&related, "acme.paid", false),
            (&postback, "order.updated", true),
            (&postback, "ticket.updated", false),
        ] {
            assert_eq!(may_match(settings, type_name), may, "{type_name} {settings:?}");
        }
    }

    /// What a webhook of any dialect may ask for.
    pub(super) fn subscriptions() -> impl Strategy<Value = serde_json::Value> {
        use serde_json::json;
        let hooks = ["event-update", "ticket", "sale", "checkin", "postback"];
        let topics = ["Sales", "SaleUpdates", "Ping"];
        prop_oneof![
            (proptest::sample::subsequence(&PATTERNS[..], 1..4), any::<bool>())
                .prop_map(|(events, related)| json!({"events": events, "triggered_by_related": related})),
            proptest::sample::subsequence(hooks.to_vec(), 1..4)
                .prop_map(|hooks| json!({"dialect": "ingresse", "hooks": hooks})),
            proptest::sample::subsequence(topics.to_vec(), 1..3)
                .prop_map(|topics| json!({"dialect": "viagogo", "topics": topics})),
            (
                proptest::sample::select(vec!["event", "ticket", "order"]),
                proptest::sample::select(vec!["create", "paid", "update"]),
                any::<bool>(),
            )
                .prop_map(|(resource, trigger, related)| json!({
                    "dialect": "openticket", "resource": resource, "trigger": trigger,
                    "triggered_by_related": related,
                })),
        ]
    }

    pub(super) const TYPES: [&str; 8] = [
        "order.updated",
        "order.paid",
        "order.created",
        "ticket.updated",
        "shop.paid",
        "event.updated",
        "sale.created",
        "a.b.c",
    ];
    const PATTERNS: [&str; 9] = [
        "*",
        "order.*",
        "ticket.*",
        "event.*",
        "ticket.paid",
        "event.created",
        "product.paid",
        "a.*",
        "a.b.*",
    ];

    proptest! {
        #[test]
        fn the_index_agrees_with_the_definition(
            webhooks in proptest::collection::vec(
                (subscriptions(), proptest::option::of("[1-3]")),
                0..20,
            ),
            removed in proptest::collection::vec(any::<bool>(), 20),
            type_name in proptest::sample::select(&TYPES[..]), subject in "[1-3]",
            ticket in proptest::collection::vec("[1-3]", 0..3), show in proptest::collection::vec("[1-3]", 0..3),
            status: bool,
        ) {
            let event = event(type_name, &subject, &serde_json::json!({"ticket": ticket, "event": show}));
            let event = Event { tells_status: status && type_name == "order.updated", ..event };
            let settings = |(asked, identifier): &(serde_json::Value, Option<String>)| {
                let mut text = serde_json::json!({"url": "https://example.com", "identifier": identifier});
                text.as_object_mut().expect("an object").extend(asked.as_object().expect("one").clone());
                read_settings(&text.to_string(), None).expect("good settings").0
            };
            let all: Vec<Settings> = webhooks.iter().map(settings).collect();
            let mut index = Index::default();
            for (number, settings) in all.iter().enumerate() {
                index.insert(number, settings);
            }
            for (number, settings) in all.iter().enumerate().filter(|(number, _)| removed[*number]) {
                index.remove(number, settings);
            }
            let mut found = index.matches(&event);
            prop_assert!(found.is_empty() || index.may_match(type_name, &event.event_type));
            found.sort_unstable_by_key(|(number, _)| *number);
            let expected: Vec<_> = all
                .iter()
                .enumerate()
                .filter(|(number, _)| !removed[*number])
                .filter_map(|(number, settings)| reach(settings, &event).map(|reach| (number, reach)))
                .collect();
            prop_assert_eq!(found, expected);
            let asks = |settings: &Settings| {
                let asks = settings.subscription.asks();
                TypePattern::picking(type_name).any(|pattern| asks.contains(&pattern))
            };
            let left = all.iter().zip(&removed).filter(|(_, removed)| !**removed);
            prop_assert_eq!(index.asks_for(type_name), left.into_iter().any(|(settings, _)| asks(settings)));
        }
    }
}
