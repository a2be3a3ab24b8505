//! One published fact: read, checked, and rendered once into the body that is
//! stored, signed and sent natively.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::value::RawValue;

use crate::catalogue;
use crate::clock::Timestamp;
use crate::event_type::{EventType, Operational};
use crate::fault::{Fault, Faults};
use crate::id::EventId;
use crate::json::{self, Members};
use crate::resource::Resource;
use crate::trigger::Trigger;

mod stored;

pub use stored::Unreadable;

/// Largest event, in bytes of its JSON text.
pub const MAX_EVENT_BYTES: usize = 256 * 1024;

/// Most events in one request.
pub const MAX_EVENTS: usize = 1_000;

/// Longest id, name or action, in bytes.
const MAX_TEXT: usize = 512;

/// The thing that something happened to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// The platform's id of it.
    pub id: String,
    /// What people call it.
    pub name: Option<String>,
}

/// The ids of related resources, by resource.
pub type Related = BTreeMap<Resource, Vec<String>>;

/// A checked event, rendered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The publisher's id, or ours.
    pub id: EventId,
    /// Whether the publisher chose the id; one of ours is nobody else's.
    pub id_given: bool,
    /// What happened, to what kind of thing.
    pub event_type: EventType,
    /// [`Self::event_type`] as text.
    pub type_name: String,
    /// When it happened.
    pub occurred_at: Timestamp,
    /// Whether the publisher said when; otherwise it is the time of acceptance.
    pub occurred_at_given: bool,
    /// What it happened to.
    pub subject: Subject,
    /// What else it concerns.
    pub related: Related,
    /// Of a ticket that was made or edited: how many there are now.
    pub quantity: Option<i64>,
    /// Of an order that was edited: whether the event says how it stands.
    pub tells_status: bool,
    /// The native delivery body, byte for byte as it is stored, signed and sent.
    pub body: Bytes,
}

const MEMBERS: [&str; 9] =
    ["id", "type", "occurred_at", "subject", "related", "actor", "action", "data", "changes"];

/// Reads the body of a publishing request: one object, an array of them, or
/// (`ndjson`) one a line. A missing id is asked of
/// `new_id`, a missing time is `now`.
///
/// # Errors
/// Every fault of every event, each with its JSON pointer; in an array or in
/// NDJSON the pointer starts with the index of the event.
pub fn read_events(
    body: &str,
    ndjson: bool,
    now: Timestamp,
    new_id: &mut dyn FnMut() -> EventId,
) -> Result<Vec<Event>, Vec<Fault>> {
    let mut faults = Faults::new();
    if ndjson {
        let lines: Vec<&str> = body.lines().filter(|line| !line.trim().is_empty()).collect();
        let events = read_all(&lines, &mut faults, now, new_id);
        return faults.finish(events);
    }
    if body.trim_start().starts_with('[') {
        let elements: Vec<&RawValue> = match serde_json::from_str(body) {
            Ok(elements) => elements,
            Err(error) => {
                faults.here(format_args!("is not valid JSON: {error}"));
                return faults.finish(None);
            }
        };
        let texts: Vec<&str> = elements.iter().map(|raw| raw.get()).collect();
        let events = read_all(&texts, &mut faults, now, new_id);
        return faults.finish(events);
    }
    let event = read_event(body, &mut faults, now, new_id);
    faults.finish(event.map(|event| vec![event]))
}

fn read_all(
    texts: &[&str],
    faults: &mut Faults,
    now: Timestamp,
    new_id: &mut dyn FnMut() -> EventId,
) -> Option<Vec<Event>> {
    if texts.is_empty() {
        faults.here("must hold at least one event");
        return None;
    }
    if texts.len() > MAX_EVENTS {
        faults.too_large(format_args!("holds {} events; a request may have {MAX_EVENTS}", texts.len()));
        return None;
    }
    let mut events = Vec::with_capacity(texts.len());
    for (index, text) in texts.iter().enumerate() {
        events.extend(faults.element(index, |faults| read_event(text, faults, now, new_id)));
    }
    Some(events)
}

/// Reads one event; `None` when a fault was noted.
fn read_event(
    text: &str,
    faults: &mut Faults,
    now: Timestamp,
    new_id: &mut dyn FnMut() -> EventId,
) -> Option<Event> {
    if text.len() > MAX_EVENT_BYTES {
        faults.too_large(format_args!("is {} bytes long; an event may have {MAX_EVENT_BYTES}", text.len()));
        return None;
    }
    let before = faults.count();
    let members = Members::read(text, faults)?;
    members.refuse_unknown(&MEMBERS, faults);
    let id = read_id(&members, faults);
    let event_type = read_type(&members, faults);
    let occurred_at = read_occurred_at(&members, faults);
    let subject = faults.within("subject", |faults| read_subject(members.get("subject"), faults));
    let related = faults.within("related", |faults| read_related(members.get("related"), faults));
    let actor = faults.within("actor", |faults| read_actor(members.get("actor"), faults));
    let action = read_text(&members, "action", faults);
    if let Some(data) = members.get("data") {
        faults.within("data", |faults| read_data(data, event_type.as_ref(), faults));
    }
    if let Some(changes) = members.get("changes") {
        faults.within("changes", |faults| json::check_object(changes, faults));
    }
    if faults.count() > before {
        return None;
    }
    let parts = Parts {
        id_given: id.is_some(),
        id: id.unwrap_or_else(new_id),
        event_type: event_type?,
        occurred_at: occurred_at.unwrap_or(now),
        occurred_at_given: occurred_at.is_some(),
        subject: subject?,
        related,
        actor,
        action,
        data: members.get("data").map_or("{}", RawValue::get),
        changes: members.get("changes").map(RawValue::get),
    };
    Some(parts.render())
}

fn read_id(members: &Members<'_>, faults: &mut Faults) -> Option<EventId> {
    let text = members.string("id", faults)?;
    text.parse().map_err(|invalid| faults.member("id", invalid)).ok()
}

fn read_type(members: &Members<'_>, faults: &mut Faults) -> Option<EventType> {
    if members.get("type").is_none() {
        faults.member("type", "is required: an event type such as \"ticket.updated\"");
    }
    let text = members.string("type", faults)?;
    text.parse().map_err(|invalid| faults.member("type", invalid)).ok()
}

fn read_occurred_at(members: &Members<'_>, faults: &mut Faults) -> Option<Timestamp> {
    let text = members.string("occurred_at", faults)?;
    let fault = "must be an RFC 3339 time with an offset, such as \"2026-11-21T19:00:00Z\"";
    text.parse().map_err(|_| faults.member("occurred_at", fault)).ok()
}

fn read_text(members: &Members<'_>, name: &str, faults: &mut Faults) -> Option<String> {
    let text = members.column_text(name, faults)?;
    if text.is_empty() || text.len() > MAX_TEXT {
        faults.member(name, format_args!("must be 1 to {MAX_TEXT} bytes long, not {}", text.len()));
        return None;
    }
    Some(text)
}

/// A name may be empty: some platforms send it so.
fn read_name(members: &Members<'_>, faults: &mut Faults) -> Option<String> {
    let name = members.string("name", faults)?;
    if name.len() > MAX_TEXT {
        faults.member("name", format_args!("must be at most {MAX_TEXT} bytes long, not {}", name.len()));
    }
    Some(name)
}

fn read_data(data: &RawValue, event_type: Option<&EventType>, faults: &mut Faults) {
    let before = faults.count();
    json::check_object(data, faults);
    // What can't be read again must not reach the catalogue.
    if let (Some(EventType::Known(resource, _)), true) = (event_type, faults.count() == before) {
        catalogue::check_data(*resource, data, faults);
    }
}

fn read_subject(raw: Option<&RawValue>, faults: &mut Faults) -> Option<Subject> {
    let Some(raw) = raw else {
        faults.here("is required: an object with the id of what it happened to");
        return None;
    };
    let members = Members::read(raw.get(), faults)?;
    members.refuse_unknown(&["id", "name"], faults);
    if members.get("id").is_none() {
        faults.member("id", "is required: the id of what it happened to");
    }
    let name = read_name(&members, faults);
    Some(Subject { id: read_text(&members, "id", faults)?, name })
}

fn read_related(raw: Option<&RawValue>, faults: &mut Faults) -> Related {
    let mut related = Related::new();
    let Some(members) = raw.and_then(|raw| Members::read(raw.get(), faults)) else { return related };
    members.refuse_repeated(faults);
    for (name, ids) in members.iter() {
        faults.within(name, |faults| match name.parse::<Resource>() {
            Err(unknown) => faults.here(unknown),
            Ok(resource) => match serde_json::from_str::<Vec<String>>(ids.get()) {
                Ok(ids) if ids.iter().all(|id| (1..=MAX_TEXT).contains(&id.len())) => {
                    related.entry(resource).or_insert(ids);
                }
                _ => faults.here(format_args!("must be an array of strings of 1 to {MAX_TEXT} bytes")),
            },
        });
    }
    related
}

/// Who caused it.
struct Actor {
    id: String,
    name: Option<String>,
}

fn read_actor(raw: Option<&RawValue>, faults: &mut Faults) -> Option<Actor> {
    let members = Members::read(raw?.get(), faults)?;
    members.refuse_unknown(&["id", "name"], faults);
    if members.get("id").is_none() {
        faults.member("id", "is required where there is an actor");
    }
    let name = read_name(&members, faults);
    Some(Actor { id: read_text(&members, "id", faults)?, name })
}

/// Everything a native body is made of.
struct Parts<'a> {
    id: EventId,
    id_given: bool,
    event_type: EventType,
    occurred_at: Timestamp,
    occurred_at_given: bool,
    subject: Subject,
    related: Related,
    actor: Option<Actor>,
    action: Option<String>,
    data: &'a str,
    changes: Option<&'a str>,
}

/// How many tickets there are now, if that was published.
fn quantity(event_type: &EventType, data: &str) -> Option<i64> {
    let EventType::Known(Resource::Ticket, Trigger::Create | Trigger::Update) = event_type else {
        return None;
    };
    // A quantity that is no such number was refused, or is beyond counting.
    serde_json::from_str(Members::read(data, &mut Faults::new())?.get("quantity")?.get()).ok()
}

fn says_how_an_order_stands(event_type: &EventType, data: &str, changes: Option<&str>) -> bool {
    let is_it = *event_type == EventType::Known(Resource::Order, Trigger::Update);
    is_it && [Some(data), changes].into_iter().flatten().any(tells_status)
}

impl Parts<'_> {
    fn render(self) -> Event {
        let type_name = self.event_type.to_string();
        let quantity = quantity(&self.event_type, self.data);
        let tells_status = says_how_an_order_stands(&self.event_type, self.data, self.changes);
        let mut body = Vec::with_capacity(self.data.len() + self.changes.map_or(0, str::len) + 384);
        body.extend_from_slice(b"{\"type\":");
        json::write_string(&mut body, &type_name);
        body.extend_from_slice(b",\"timestamp\":\"");
        body.extend_from_slice(self.occurred_at.to_string().as_bytes());
        body.extend_from_slice(b"\",\"data\":");
        body.extend_from_slice(self.data.as_bytes());
        body.extend_from_slice(b",\"id\":");
        json::write_string(&mut body, self.id.as_str());
        body.extend_from_slice(b",\"subject\":");
        write_named(&mut body, &self.subject.id, self.subject.name.as_deref());
        body.extend_from_slice(b",\"related\":");
        // A map of strings can't fail to become JSON.
        let _ = serde_json::to_writer(&mut body, &self.related);
        body.extend_from_slice(b",\"actor\":");
        match &self.actor {
            Some(actor) => write_named(&mut body, &actor.id, actor.name.as_deref()),
            None => body.extend_from_slice(b"null"),
        }
        body.extend_from_slice(b",\"action\":");
        write_optional(&mut body, self.action.as_deref());
        body.extend_from_slice(b",\"changes\":");
        body.extend_from_slice(self.changes.unwrap_or("null").as_bytes());
        body.push(b'}');
        Event {
            id: self.id,
            id_given: self.id_given,
            event_type: self.event_type,
            type_name,
            occurred_at: self.occurred_at,
            occurred_at_given: self.occurred_at_given,
            subject: self.subject,
            related: self.related,
            quantity,
            tells_status,
            body: body.into(),
        }
    }
}

/// Whether an order's `data` or `changes` says how it stands.
pub(crate) fn tells_status(text: &str) -> bool {
    Members::has(text, "status")
}

fn write_named(out: &mut Vec<u8>, id: &str, name: Option<&str>) {
    out.extend_from_slice(b"{\"id\":");
    json::write_string(out, id);
    out.extend_from_slice(b",\"name\":");
    write_optional(out, name);
    out.push(b'}');
}

fn write_optional(out: &mut Vec<u8>, text: Option<&str>) {
    match text {
        Some(text) => json::write_string(out, text),
        None => out.extend_from_slice(b"null"),
    }
}

/// One of Callboard's own events, about a webhook or a delivery.
#[must_use]
pub fn operational(
    id: EventId,
    what: Operational,
    subject: Subject,
    data: &serde_json::Value,
    now: Timestamp,
) -> Event {
    Parts {
        id,
        id_given: false,
        event_type: EventType::Operational(what),
        occurred_at: now,
        occurred_at_given: true,
        subject,
        related: Related::new(),
        actor: None,
        action: None,
        data: &data.to_string(),
        changes: None,
    }
    .render()
}

/// Whether two native bodies tell the same fact: equal as JSON, whatever the
/// order of members and the white space. The time counts only when the
/// publisher of `given` named one (`given_time`).
#[must_use]
pub fn same_fact(stored: &[u8], given: &[u8], given_time: bool) -> bool {
    if stored == given {
        return true;
    }
    let read = |body: &[u8]| -> Option<serde_json::Value> {
        let mut value: serde_json::Value = serde_json::from_slice(body).ok()?;
        if !given_time {
            value.as_object_mut()?.remove("timestamp");
        }
        Some(value)
    };
    matches!((read(stored), read(given)), (Some(stored), Some(given)) if stored == given)
}

#[cfg(test)]
mod tests;
