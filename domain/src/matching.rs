//! Which webhooks hear an event, and through what.
//!
//! The index answers in time that depends on how many webhooks hear the event
//! and on nothing else: neither on how many there are, nor on how many wait
//! for another subject of the same type.

use std::collections::HashMap;

use crate::event::Event;
use crate::event_type::{EventType, TypePattern};
use crate::resource::Resource;
use crate::webhook::{Settings, Subscription};

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
    let Subscription::Native { events } = &settings.subscription;
    let picks = |type_name: &str| events.iter().any(|pattern| pattern.picks(type_name));
    let names = |ids: &[String]| settings.identifier.as_ref().is_none_or(|id| ids.contains(id));
    if picks(&event.type_name) && names(std::slice::from_ref(&event.subject.id)) {
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
        let Subscription::Native { events } = &settings.subscription;
        for pattern in events {
            put(&mut self.direct, pattern, webhook, settings);
            if settings.triggered_by_related {
                put(&mut self.related, pattern, webhook, settings);
            }
        }
    }

    /// Removes what [`Self::insert`] added for the same settings.
    pub fn remove(&mut self, webhook: T, settings: &Settings) {
        let Subscription::Native { events } = &settings.subscription;
        for pattern in events {
            take(&mut self.direct, pattern, &webhook, settings);
            take(&mut self.related, pattern, &webhook, settings);
        }
    }

    /// Every webhook that hears `event`, once each, directly before through
    /// related resources.
    #[must_use]
    pub fn matches(&self, event: &Event) -> Vec<(T, Reach)> {
        let mut found = Vec::new();
        let own = std::slice::from_ref(&event.subject.id);
        collect(&self.direct, &event.type_name, own, Reach::Direct, &mut found);
        if !self.related.is_empty() {
            for (resource, type_name) in propagated(&event.event_type) {
                let ids = related_ids(event, resource);
                collect(&self.related, &type_name, ids, Reach::Related(resource), &mut found);
            }
        }
        if found.len() > 1 {
            let mut seen = std::collections::HashSet::with_capacity(found.len());
            found.retain(|(webhook, _)| seen.insert(*webhook));
        }
        found
    }
}

fn put<T>(map: &mut HashMap<String, Bucket<T>>, pattern: &TypePattern, webhook: T, settings: &Settings) {
    let bucket = map.entry(pattern.as_str().to_owned()).or_default();
    match &settings.identifier {
        None => bucket.any.push(webhook),
        Some(identifier) => bucket.by_identifier.entry(identifier.clone()).or_default().push(webhook),
    }
}

fn take<T: Eq>(
    map: &mut HashMap<String, Bucket<T>>,
    pattern: &TypePattern,
    webhook: &T,
    settings: &Settings,
) {
    let Some(bucket) = map.get_mut(pattern.as_str()) else { return };
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
        map.remove(pattern.as_str());
    }
}

fn collect<T: Copy>(
    map: &HashMap<String, Bucket<T>>,
    type_name: &str,
    ids: &[String],
    reach: Reach,
    found: &mut Vec<(T, Reach)>,
) {
    for pattern in TypePattern::picking(type_name) {
        let Some(bucket) = map.get(&*pattern) else { continue };
        found.extend(bucket.any.iter().map(|webhook| (*webhook, reach)));
        if !bucket.by_identifier.is_empty() {
            let named = ids.iter().filter_map(|id| bucket.by_identifier.get(id));
            found.extend(named.flatten().map(|webhook| (*webhook, reach)));
        }
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

    fn event(type_name: &str, subject: &str, related: &serde_json::Value) -> Event {
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

    const TYPES: [&str; 7] = [
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
                (proptest::sample::subsequence(&PATTERNS[..], 1..4), proptest::option::of("[1-3]"), any::<bool>()),
                0..20,
            ),
            removed in proptest::collection::vec(any::<bool>(), 20),
            type_name in proptest::sample::select(&TYPES[..]), subject in "[1-3]",
            ticket in proptest::collection::vec("[1-3]", 0..3), show in proptest::collection::vec("[1-3]", 0..3),
        ) {
            let event = event(type_name, &subject, &serde_json::json!({"ticket": ticket, "event": show}));
            let all: Vec<Settings> = webhooks
                .iter()
                .map(|(events, identifier, related)| settings(events, identifier.as_deref(), *related))
                .collect();
            let mut index = Index::default();
            for (number, settings) in all.iter().enumerate() {
                index.insert(number, settings);
            }
            for (number, settings) in all.iter().enumerate().filter(|(number, _)| removed[*number]) {
                index.remove(number, settings);
            }
            let mut found = index.matches(&event);
            found.sort_unstable_by_key(|(number, _)| *number);
            let expected: Vec<_> = all
                .iter()
                .enumerate()
                .filter(|(number, _)| !removed[*number])
                .filter_map(|(number, settings)| reach(settings, &event).map(|reach| (number, reach)))
                .collect();
            prop_assert_eq!(found, expected);
        }
    }
}
