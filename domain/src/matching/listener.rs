//! One webhook by itself: what it would hear of events that were accepted
//! before it did.

use serde::Deserialize;

use super::Index;
use crate::delivery::StoredEvent;
use crate::event::Event;
use crate::event_type::{EventType, Operational};
use crate::filter::{Filter, LazyBody};
use crate::id::WebhookId;
use crate::webhook::Webhook;

/// A webhook that listens to what is stored.
#[derive(Debug)]
pub struct Listener {
    index: Index<()>,
    filter: Option<Filter>,
    id: WebhookId,
}

impl Listener {
    /// Listens as the webhook does now, whether it is enabled or not.
    #[must_use]
    pub fn new(webhook: &Webhook) -> Self {
        let mut index = Index::default();
        index.insert((), &webhook.settings);
        Self { index, filter: webhook.settings.filter.clone(), id: webhook.id }
    }

    /// Whether the webhook hears the event, were it accepted now. What is stored
    /// and can't be read is heard by nobody.
    #[must_use]
    pub fn hears(&self, stored: &StoredEvent) -> bool {
        let Ok(event_type) = EventType::from_stored(&stored.type_name) else { return false };
        // Reading the body costs most, and for most webhooks the type decides.
        if event_type == EventType::Operational(Operational::WebhookPing)
            || !self.index.may_match(&stored.type_name, &event_type)
        {
            return false;
        }
        if matches!(event_type, EventType::Operational(_)) && is_about(self.id, &stored.body) {
            return false;
        }
        let accepts = |filter: &Filter| filter.accepts(&LazyBody::new(&stored.body));
        Event::from_stored(stored).is_ok_and(|event| !self.index.matches(&event).is_empty())
            && self.filter.as_ref().is_none_or(accepts)
    }
}

/// Whether one of Callboard's own events, of this body, tells how the webhook fares:
/// then it is not told so itself.
pub(super) fn is_about(webhook: WebhookId, body: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Body {
        data: Data,
    }
    #[derive(Deserialize)]
    struct Data {
        webhook_id: String,
    }
    let body: Option<Body> = serde_json::from_slice(body).ok();
    body.is_some_and(|body| body.data.webhook_id == webhook.to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::event::{Subject, operational};
    use crate::matching::reach;
    use crate::wire::tests::{published, stored, webhook};

    fn listener(settings: &Value) -> Listener {
        Listener::new(&webhook(settings))
    }

    #[test]
    fn it_hears_what_the_definition_says() {
        let native = |more: Value| {
            let mut settings = json!({"url": "https://example.com"});
            settings.as_object_mut().expect("an object").extend(more.as_object().expect("one").clone());
            settings
        };
        let settings = [
            native(json!({"events": ["*"]})),
            native(json!({"events": ["ticket.*"], "identifier": "408218"})),
            native(json!({"events": ["ticket.paid"], "triggered_by_related": true})),
            native(json!({"events": ["ticket.paid"], "triggered_by_related": true, "identifier": "408218"})),
            native(json!({"events": ["order.*"], "filter": "$.data[?@ == 'paid']"})),
            native(json!({"dialect": "ingresse", "hooks": ["postback"]})),
            native(json!({"dialect": "viagogo", "topics": ["Sales"]})),
            native(json!({"dialect": "openticket", "resource": "ticket", "trigger": "update"})),
            native(json!({"events": ["acme.*"]})),
        ];
        let events = [
            json!({"type": "ticket.updated", "subject": {"id": "408218"}}),
            json!({"type": "ticket.updated", "subject": {"id": "2"}}),
            json!({"type": "order.paid", "subject": {"id": "9"}, "related": {"ticket": ["408218"]}}),
            json!({"type": "order.paid", "subject": {"id": "9"}, "data": {"status": "paid"}}),
            json!({"type": "order.updated", "subject": {"id": "9"}, "changes": {"status": "paid"}}),
            json!({"type": "order.updated", "subject": {"id": "9"}, "data": {"status": "open"}}),
            json!({"type": "sale.created", "subject": {"id": "9"}}),
            json!({"type": "acme.seat.held", "subject": {"id": "9"}}),
        ];
        let mut count = 0;
        for settings in &settings {
            let listener = listener(settings);
            for event in &events {
                let event = published(event);
                let hears = reach(&webhook(settings).settings, &event).is_some();
                assert_eq!(listener.hears(&stored(event.clone())), hears, "{settings} {}", event.type_name);
                count += usize::from(hears);
            }
        }
        assert!((15..60).contains(&count), "{count}");
    }

    #[test]
    fn it_hears_how_others_fare_and_no_pings() {
        let settings = json!({"url": "https://example.com", "events": ["webhook.*"]});
        let (listener, own) = (listener(&settings), webhook(&settings).id.to_string());
        let told = |what: Operational, about: &str| {
            let (id, now) = ("x".parse().expect("an id"), "2026-11-21T19:00:00Z".parse().expect("a time"));
            let subject = Subject { id: about.to_owned(), name: None };
            stored(operational(id, what, subject, &json!({"webhook_id": about}), now))
        };
        assert!(listener.hears(&told(Operational::WebhookFailing, "another")));
        assert!(!listener.hears(&told(Operational::WebhookFailing, &own)));
        assert!(!listener.hears(&told(Operational::WebhookPing, "another")));
        assert!(!listener.hears(&told(Operational::DeliveryExhausted, "another")));
    }
}
