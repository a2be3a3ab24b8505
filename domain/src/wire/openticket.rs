//! OpenTicket's webhooks: one resource, one trigger, four headers of its own.

use rand::{Rng, RngExt as _};
use sha2::{Digest as _, Sha256};

use super::fact::{Fact, happening};
use super::template::{Form, Template};
use super::{Message, Unrenderable};
use crate::delivery::StoredEvent;
use crate::id::{EventId, TenantId, WebhookId};
use crate::resource::Resource;
use crate::trigger::Trigger;
use crate::webhook::Webhook;

/// Retries of a webhook that names no number of them.
pub const DEFAULT_RETRIES: u32 = 3;

/// The resources that the dialect knows. All seven triggers of
/// [`Resource::triggers`] are legal on each of them.
pub const RESOURCES: [Resource; 6] = [
    Resource::Event,
    Resource::Ticket,
    Resource::Product,
    Resource::Shop,
    Resource::Order,
    Resource::Scanner,
];

/// Whether the platform itself ever fires a pair of resource and trigger.
/// Every pair is legal, and here it fires when somebody publishes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fires {
    /// When it happens to the resource.
    Directly,
    /// Only when it happens to a related resource.
    ThroughRelated,
    /// Not today.
    Never,
}

/// How the platform fires `trigger` on a webhook of `resource`: its table of
/// direct triggers, and below that the table of propagation.
#[must_use]
pub fn fires(resource: Resource, trigger: Trigger) -> Fires {
    use Trigger::{Create, Delete, Paid, Scan, Update};
    let direct = match resource {
        Resource::Event | Resource::Ticket | Resource::Product => matches!(trigger, Create | Update | Delete),
        Resource::Order => matches!(trigger, Create | Paid),
        Resource::Scanner => trigger == Scan,
        _ => false,
    };
    if direct {
        Fires::Directly
    } else if RESOURCES.iter().any(|other| other.propagates_to(trigger).contains(&resource)) {
        Fires::ThroughRelated
    } else {
        Fires::Never
    }
}

/// What tells a receiver which webhook is calling: 20 letters and digits.
pub fn nonce(rng: &mut dyn Rng) -> String {
    const LETTERS: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    (0..20).map(|_| char::from(LETTERS[rng.random_range(0..LETTERS.len())])).collect()
}

/// What tells a receiver that it has seen an invocation before: 32 hex digits,
/// the same for each attempt and for every way in which the event reached the
/// webhook.
#[must_use]
pub fn dedupe_key(webhook: WebhookId, event: &EventId) -> String {
    use std::fmt::Write as _;
    let mut hasher = Sha256::new();
    hasher.update(webhook.as_bytes());
    hasher.update(event.as_str());
    hasher.finalize().iter().take(16).fold(String::with_capacity(32), |mut key, byte| {
        // Writing to a String can't fail.
        let _ = write!(key, "{byte:02x}");
        key
    })
}

/// The path of resources by which a happening reaches webhooks of `resource`,
/// and the participle: `event.updated`, or `order.ticket.scanned` where an
/// order's scan reached a webhook that asked for tickets.
#[must_use]
pub fn path(happened: (Resource, Trigger), resource: Resource) -> String {
    let (on, trigger) = happened;
    let participle = trigger.participle();
    // A webhook that was edited since may hear of neither: then the happening
    // is told as what it is.
    if on != resource && on.propagates_to(trigger).contains(&resource) {
        format!("{on}.{resource}.{participle}")
    } else {
        format!("{on}.{participle}")
    }
}

/// A webhook in this dialect.
#[derive(Debug)]
pub(super) struct Recipient {
    webhook: WebhookId,
    resource: Resource,
    nonce: String,
    /// As JSON.
    company_id: String,
}

impl Recipient {
    pub(super) fn new(webhook: &Webhook, resource: Resource, tenant: &TenantId) -> Self {
        Self {
            webhook: webhook.id,
            resource,
            nonce: webhook.nonce.clone().unwrap_or_default(),
            // A tenant's id holds nothing that would have to be escaped.
            company_id: format!("\"{tenant}\""),
        }
    }

    pub(super) fn tell(&self, event: &StoredEvent) -> Result<Message, Unrenderable> {
        let happened = happening(event)?;
        let told = event
            .renderings
            .tell(Form::OpenTicket, self.company_id.as_bytes(), || render(event, happened))?;
        let path = happened.map_or_else(|| event.type_name.clone(), |happened| path(happened, self.resource));
        let headers = vec![
            ("openticket-trigger", path),
            ("openticket-identifier", self.nonce.clone()),
            ("openticket-dedupe-key", dedupe_key(self.webhook, &event.id)),
        ];
        Ok(Message { headers, ..told })
    }
}

/// The body; its gap is the company, which the event's row does not name.
fn render(event: &StoredEvent, happened: Option<(Resource, Trigger)>) -> Result<Template, Unrenderable> {
    let fact = Fact::read(event)?;
    let mut out = Vec::with_capacity(event.body.len() + 128);
    let mut put = |text: &str| out.extend_from_slice(text.as_bytes());
    let (user_id, user_name) = match &fact.actor {
        Some(actor) => (actor.id.get(), actor.name.get()),
        None => ("null", "null"),
    };
    for text in ["{\"meta\":{\"user_id\":", user_id, ",\"user_name\":", user_name, ",\"company_id\":"] {
        put(text);
    }
    let gap = out.len();
    let (kind, trigger) =
        happened.map_or(("webhook", "ping"), |(resource, trigger)| (resource.as_str(), trigger.as_str()));
    let mut put = |text: &str| out.extend_from_slice(text.as_bytes());
    for text in [
        "},\"model\":{\"guid\":",
        fact.subject.id.get(),
        ",\"type\":\"",
        kind,
        "\",\"name\":",
        fact.subject.name.get(),
        "},\"change\":{\"props\":",
        fact.data.get(),
        ",\"changes\":",
        fact.changes.get(),
        "},\"type\":\"",
        trigger,
        "\",\"time\":",
        fact.timestamp.get(),
        "}",
    ] {
        put(text);
    }
    Ok(Template::new(out, gap))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_direct_triggers_is_the_platforms() {
        use Fires::{Directly, Never, ThroughRelated};
        use Resource::{Event, Order, Product, Scanner, Shop, Ticket};
        // In the order of the triggers: create, update, delete, paid, scan, relation, reorder.
        let rows = [
            (Event, [Directly, Directly, Directly, ThroughRelated, ThroughRelated, Never, Never]),
            (Ticket, [Directly, Directly, Directly, ThroughRelated, ThroughRelated, Never, Never]),
            (Product, [Directly, Directly, Directly, ThroughRelated, ThroughRelated, Never, Never]),
            (Shop, [Never; 7]),
            (Order, [Directly, Never, Never, Directly, Never, Never, Never]),
            (Scanner, [Never, Never, Never, Never, Directly, Never, Never]),
        ];
        assert_eq!(rows.map(|(resource, _)| resource), RESOURCES);
        for (resource, row) in rows {
            let found: Vec<Fires> =
                resource.triggers().iter().map(|trigger| fires(resource, *trigger)).collect();
            assert_eq!(found, row, "{resource}");
        }
    }

    #[test]
    fn the_path_names_the_resource_that_it_went_through() {
        use Resource::{Event, Order, Ticket};
        assert_eq!(path((Event, Trigger::Update), Event), "event.updated");
        assert_eq!(path((Order, Trigger::Scan), Ticket), "order.ticket.scanned");
        assert_eq!(path((Order, Trigger::Scan), Order), "order.scanned");
        assert_eq!(path((Order, Trigger::Reorder), Event), "order.reordered");
    }

    #[test]
    fn nonces_are_twenty_letters_and_digits() {
        use rand::SeedableRng as _;
        let mut rng = rand::rngs::StdRng::seed_from_u64(1);
        let (one, other) = (nonce(&mut rng), nonce(&mut rng));
        assert_ne!(one, other);
        assert!(one.len() == 20 && one.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    }
}
