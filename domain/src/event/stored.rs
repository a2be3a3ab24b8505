//! A stored event taken apart again, for whoever has to match it later than
//! when it was published.

use serde_json::value::RawValue;

use super::{Event, quantity, read_related, read_subject, says_how_an_order_stands};
use crate::delivery::StoredEvent;
use crate::event_type::EventType;
use crate::fault::Faults;
use crate::json::Members;

/// What is stored is not what was accepted; the text is for operators.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the event {0} can't be read again: {1}")]
pub struct Unreadable(String, String);

impl Event {
    /// The event as it was published, as far as who hears it depends on it.
    ///
    /// # Errors
    /// When the body is not one that [`super::read_events`] has rendered.
    pub fn from_stored(stored: &StoredEvent) -> Result<Self, Unreadable> {
        let unreadable = |why: &str| Unreadable(stored.id.to_string(), why.to_owned());
        let event_type =
            EventType::from_stored(&stored.type_name).map_err(|error| unreadable(&error.to_string()))?;
        let text = std::str::from_utf8(&stored.body).map_err(|error| unreadable(&error.to_string()))?;
        let mut faults = Faults::new();
        let members = Members::read(text, &mut faults);
        let read = members.and_then(|members| {
            let data = members.get("data").map_or("{}", RawValue::get);
            let changes = members.get("changes").map(RawValue::get);
            Some(Self {
                id: stored.id.clone(),
                id_given: false,
                type_name: stored.type_name.clone(),
                occurred_at: members.string("timestamp", &mut faults)?.parse().ok()?,
                occurred_at_given: true,
                subject: read_subject(members.get("subject"), &mut faults)?,
                related: read_related(members.get("related"), &mut faults),
                quantity: quantity(&event_type, data),
                tells_status: says_how_an_order_stands(&event_type, data, changes),
                body: stored.body.clone(),
                event_type,
            })
        });
        match faults.finish(read) {
            Ok(event) => Ok(event),
            Err(faults) => Err(unreadable(faults.first().map_or("it lacks a member", |fault| &fault.detail))),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::clock::Timestamp;
    use crate::event::{Event, read_events};
    use crate::id::{EventId, EventKey, TenantKey};
    use crate::wire::Renderings;

    use super::*;

    fn stored(event: &Event) -> StoredEvent {
        StoredEvent {
            key: EventKey(1),
            tenant: TenantKey(1),
            id: event.id.clone(),
            type_name: event.type_name.clone(),
            subject_id: event.subject.id.clone(),
            accepted_at: Timestamp::UNIX_EPOCH,
            body: event.body.clone(),
            deliveries: 0,
            quantity_diff: None,
            renderings: Renderings::default(),
        }
    }

    #[test]
    fn what_was_published_comes_back() {
        let texts = [
            r#"{"type": "order.updated", "subject": {"id": "9", "name": "Order \u00e9"}, "changes": {"status": "paid"},
                "related": {"ticket": ["1", "2"], "event": []}, "occurred_at": "2026-11-21T20:00:00+01:00"}"#,
            r#"{"type": "ticket.updated", "subject": {"id": "9"}, "data": {"quantity": 4}}"#,
            r#"{"type": "seat.upgraded", "subject": {"id": "9"}, "actor": {"id": "a"}, "action": "x"}"#,
        ];
        for text in texts {
            let mut id = || "made-here".parse::<EventId>().expect("an id");
            let published = read_events(text, false, Timestamp::UNIX_EPOCH, &mut id).expect("good").remove(0);
            let again = Event::from_stored(&stored(&published)).expect("it was stored by us");
            assert_eq!(again, Event { id_given: false, occurred_at_given: true, ..published });
        }
    }

    #[test]
    fn what_is_not_ours_is_refused() {
        let mut id = || "made-here".parse::<EventId>().expect("an id");
        let text = r#"{"type": "order.paid", "subject": {"id": "9"}}"#;
        let published = read_events(text, false, Timestamp::UNIX_EPOCH, &mut id).expect("good").remove(0);
        for body in ["", "[]", "{}", r#"{"timestamp": "2026-11-21T20:00:00Z"}"#, "\u{1}"] {
            let spoilt = StoredEvent { body: body.into(), ..stored(&published) };
            assert!(Event::from_stored(&spoilt).is_err(), "{body}");
        }
        let spoilt = StoredEvent { type_name: "no type".to_owned(), ..stored(&published) };
        assert!(Event::from_stored(&spoilt).is_err());
    }
}
