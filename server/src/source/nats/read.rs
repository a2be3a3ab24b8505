//! What a message says: events of a tenant, or a reason why it says none.

use callboard_domain::clock::Timestamp;
use callboard_domain::event::{Event, read_events};
use callboard_domain::fault::Fault;
use callboard_domain::id::{EventId, TenantId};
use serde::de::IgnoredAny;

use crate::api::MAX_BODY;
use crate::config::Nats;

/// A message, whatever it came by.
#[derive(Debug, Clone, Copy)]
pub(super) struct Letter<'a> {
    pub(super) subject: &'a str,
    pub(super) body: &'a [u8],
    /// Its `Content-Type`.
    pub(super) content_type: Option<&'a str>,
    /// Its `Nats-Msg-Id`.
    pub(super) message_id: Option<&'a str>,
    pub(super) stream: &'a str,
    pub(super) sequence: u64,
    /// When the stream stored it.
    pub(super) stored_at: Timestamp,
}

/// Events of one message.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) tenant: TenantId,
    pub(super) events: Vec<Event>,
    /// Whether the body is one object, so that pointers do not start with an index.
    pub(super) single: bool,
}

/// Why a message is no event, and never will be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reason {
    /// The kind, as the problems of the API have it.
    pub(super) kind: &'static str,
    pub(super) detail: String,
    pub(super) faults: Vec<Fault>,
}

impl Reason {
    fn new(kind: &'static str, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), faults: Vec::new() }
    }

    fn faulty(faults: Vec<Fault>) -> Self {
        let too_large = faults.iter().any(|fault| fault.too_large);
        let detail = match faults.len() {
            1 => "the body has a fault".to_owned(),
            count => format!("the body has {count} faults"),
        };
        Self { kind: if too_large { "too-large" } else { "invalid-input" }, detail, faults }
    }

    /// The id of the event at this place of the message is taken.
    pub(super) fn conflict(single: bool, index: usize) -> Self {
        let pointer = if single { "/id".to_owned() } else { format!("/{index}/id") };
        let detail = "another event was published under this id".to_owned();
        let faults = vec![Fault { pointer, detail, too_large: false }];
        Self {
            kind: "conflict",
            detail: "an id is taken by another event; nothing was recorded".to_owned(),
            faults,
        }
    }
}

/// Reads a message.
///
/// # Errors
/// Why it is no event.
pub(super) fn read(letter: &Letter<'_>, settings: &Nats) -> Result<Said, Reason> {
    let tenant = tenant(letter.subject, settings)?;
    if letter.body.len() > MAX_BODY {
        return Err(Reason::new("too-large", format!("the body is larger than {MAX_BODY} bytes")));
    }
    let body = std::str::from_utf8(letter.body)
        .map_err(|_| Reason::new("invalid-input", "the body is not UTF-8"))?;
    let lines = letter.content_type.map_or_else(|| is_lines(body), says_lines);
    let mut without_id = 0;
    let mut new_id = || {
        without_id += 1;
        event_id(letter, without_id - 1)
    };
    let mut events = read_events(body, lines, letter.stored_at, &mut new_id).map_err(Reason::faulty)?;
    for event in &mut events {
        // Also where it follows from the message: what is given twice has to be
        // known again.
        event.id_given = true;
    }
    Ok(Said { tenant, events, single: !lines && !body.trim_start().starts_with('[') })
}

fn tenant(subject: &str, settings: &Nats) -> Result<TenantId, Reason> {
    let named = match settings.tenant_token.checked_sub(1) {
        None => Some(&*settings.tenant),
        Some(index) => subject.split('.').nth(index),
    };
    let named =
        named.ok_or_else(|| Reason::new("invalid-input", "the subject has no token that names a tenant"))?;
    let wrong = |invalid| Reason::new("invalid-input", format!("the tenant {named:?} {invalid}"));
    named.parse().map_err(wrong)
}

fn says_lines(content_type: &str) -> bool {
    let kind = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    matches!(&*kind, "application/x-ndjson" | "application/ndjson" | "application/jsonl")
}

/// Whether the text is one JSON value a line rather than one value.
fn is_lines(body: &str) -> bool {
    let mut values = serde_json::Deserializer::from_str(body).into_iter::<IgnoredAny>();
    values.next().is_some_and(|first| first.is_ok()) && values.next().is_some()
}

/// The id of an event that has none: always the same for the same message, and
/// another for each event in it.
fn event_id(letter: &Letter<'_>, index: usize) -> EventId {
    // With the time, because a stream that is made anew counts from 1 again.
    let own = || format!("{}-{}-{}", letter.stream, letter.sequence, letter.stored_at.as_microsecond());
    let id = letter.message_id.map_or_else(own, str::to_owned);
    // A line break is in no id, so what stands behind it can't make two alike.
    EventId::derived(&if index == 0 { id } else { format!("{id}\n{index}") })
}

#[cfg(test)]
mod tests;
