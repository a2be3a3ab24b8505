//! Ingresse's hooks: exactly three members, `webhook`, `data` and `timestamp`,
//! in camel case, with the quirks of the platform's own messages.

use serde::{Deserialize, Serialize};

use super::fact::{Fact, happening};
use super::template::{Form, Template};
use super::{Message, Unrenderable};
use crate::clock::Timestamp;
use crate::delivery::StoredEvent;
use crate::json;
use crate::resource::Resource;
use crate::trigger::Trigger;

mod event;
mod order;
mod ticket;

/// What an Ingresse webhook can ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Hook {
    /// A new event.
    EventCreate,
    /// An edited event.
    EventUpdate,
    /// A new or edited ticket type, or a group of them.
    Ticket,
    /// A new, changed or paid order, whole.
    Sale,
    /// A code that was scanned at the door.
    Checkin,
    /// How an order stands, in three members.
    Postback,
}

/// The text names no hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be one of event-create, event-update, ticket, sale, checkin, postback")]
pub struct UnknownHook;

impl std::str::FromStr for Hook {
    type Err = UnknownHook;

    fn from_str(text: &str) -> Result<Self, UnknownHook> {
        Self::ALL.into_iter().find(|hook| hook.as_str() == text).ok_or(UnknownHook)
    }
}

impl Hook {
    /// Every hook, in the order of the documentation.
    pub const ALL: [Self; 6] =
        [Self::EventCreate, Self::EventUpdate, Self::Ticket, Self::Sale, Self::Checkin, Self::Postback];

    /// The name that the platform uses.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::EventCreate => "event-create",
            Self::EventUpdate => "event-update",
            Self::Ticket => "ticket",
            Self::Sale => "sale",
            Self::Checkin => "checkin",
            Self::Postback => "postback",
        }
    }

    /// What it tells of.
    #[must_use]
    pub const fn hears(self) -> &'static [(Resource, Trigger)] {
        use Resource::{Event, Order, Ticket};
        use Trigger::{Create, Paid, Scan, Update};
        match self {
            Self::EventCreate => &[(Event, Create)],
            Self::EventUpdate => &[(Event, Update)],
            Self::Ticket => &[(Ticket, Create), (Ticket, Update)],
            Self::Sale => &[(Order, Create), (Order, Update), (Order, Paid)],
            Self::Checkin => &[(Order, Scan)],
            Self::Postback => &[(Order, Paid), (Order, Update)],
        }
    }

    /// Whether it tells of this only when the event says how the order stands.
    #[must_use]
    pub const fn needs_status(self, resource: Resource, trigger: Trigger) -> bool {
        matches!((self, resource, trigger), (Self::Postback, Resource::Order, Trigger::Update))
    }

    fn tells(self, resource: Resource, trigger: Trigger, status: bool) -> bool {
        self.hears().contains(&(resource, trigger)) && (status || !self.needs_status(resource, trigger))
    }
}

/// A webhook in this dialect.
#[derive(Debug)]
pub(super) struct Recipient {
    hooks: Vec<Hook>,
}

impl Recipient {
    pub(super) fn new(hooks: &[Hook]) -> Self {
        Self { hooks: hooks.to_vec() }
    }

    /// Tells `event`; the time is that of the posting, so a retry has a new one.
    pub(super) fn tell(&self, event: &StoredEvent, at: Timestamp) -> Result<Message, Unrenderable> {
        let hook = self.hook(event)?;
        let form = if hook == Some(Hook::Postback) { Form::IngressePostback } else { Form::Ingresse };
        let time = at.strftime("%Y-%m-%dT%H:%M:%S%.6f").to_string();
        event.renderings.tell(form, time.as_bytes(), || render(event, hook))
    }

    /// The hook under which this webhook hears `event`: the first of its own
    /// that does. None does when its hooks were changed since the event was
    /// accepted; it is then told as the first that would. A ping has none.
    fn hook(&self, event: &StoredEvent) -> Result<Option<Hook>, Unrenderable> {
        let Some((resource, trigger)) = happening(event)? else { return Ok(None) };
        // Only where it makes a difference is the body read for it.
        let asks = self.hooks.iter().any(|hook| hook.needs_status(resource, trigger));
        let tells = || Fact::read(event).is_ok_and(|fact| fact.tells_status());
        let status = !asks || event.renderings.tells_status(tells);
        let own = self.hooks.iter().find(|hook| hook.tells(resource, trigger, status)).copied();
        let hook = own.or_else(|| Hook::ALL.into_iter().find(|hook| hook.tells(resource, trigger, status)));
        hook.map(Some)
            .ok_or_else(|| Unrenderable(format!("no hook of Ingresse tells of {}", event.type_name)))
    }
}

/// The message up to its time, which is the gap, and the end.
fn render(event: &StoredEvent, hook: Option<Hook>) -> Result<Template, Unrenderable> {
    let fact = Fact::read(event)?;
    let mut out = Vec::with_capacity(event.body.len() + event.body.len() / 2 + 128);
    out.extend_from_slice(b"{\"webhook\":");
    json::write_string(&mut out, hook.map_or("ping", Hook::as_str));
    out.extend_from_slice(b",\"data\":");
    match hook {
        Some(Hook::EventCreate | Hook::EventUpdate) => event::write(&mut out, &fact),
        Some(Hook::Ticket) => ticket::write(&mut out, &fact, event.quantity_diff),
        Some(Hook::Sale) => order::write_sale(&mut out, &fact),
        Some(Hook::Checkin) => order::write_checkin(&mut out, &fact),
        Some(Hook::Postback) => order::write_postback(&mut out, &fact),
        None => out.extend_from_slice(fact.data.get().as_bytes()),
    }
    out.extend_from_slice(b",\"timestamp\":\"");
    let gap = out.len();
    out.extend_from_slice(b"\"}");
    Ok(Template::new(out, gap))
}
