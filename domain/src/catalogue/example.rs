//! A complete, plausible event of every type, ready to be published.

mod marketplace;
mod ticketing;

use serde_json::{Value, json};

use crate::event_type::EventType;
use crate::resource::Resource;
use crate::trigger::Trigger;

/// A complete event of this type.
#[must_use]
pub fn example(resource: Resource, trigger: Trigger) -> Value {
    let (id, name) = subject(resource, trigger);
    let changes = changes(resource, trigger);
    let mut data = data(resource, trigger);
    if let (Some(data), Some(changes)) = (data.as_object_mut(), changes.as_object()) {
        data.extend(changes.clone());
    }
    json!({
        "id": format!("{resource}-{id}-{}", trigger.participle()),
        "type": EventType::Known(resource, trigger).to_string(),
        "occurred_at": occurred_at(trigger),
        "subject": { "id": id, "name": name },
        "related": related(resource, trigger),
        "actor": actor(resource, trigger),
        "action": action(resource, trigger),
        "data": data,
        "changes": changes,
    })
}

/// One evening, one of everything: the ids fit together over all examples.
const fn subject(resource: Resource, trigger: Trigger) -> (&'static str, &'static str) {
    match (resource, trigger) {
        (Resource::Event, _) => ("5120", "Winter Gala"),
        (Resource::Ticket, Trigger::Relation) => ("90300", "Seats"),
        (Resource::Ticket, _) => ("90311", "Stalls"),
        (Resource::Product, _) => ("771", "Cloakroom"),
        (Resource::Shop, _) => ("12", "Box office online"),
        (Resource::Order, _) => ("48213", "Order 48213"),
        (Resource::Scanner, _) => ("7", "Main door, left"),
        (Resource::Sale, _) => ("6604178", "2 x Winter Gala"),
        (Resource::ProvisionalSale, _) => ("6604177", "2 x Winter Gala"),
        (Resource::SellerListing, _) => ("3301952", "Stalls, row F"),
    }
}

/// Tickets are sold in November and scanned on the evening itself.
const fn occurred_at(trigger: Trigger) -> &'static str {
    match trigger {
        Trigger::Scan => "2026-12-19T18:52:07Z",
        _ => "2026-11-21T19:00:00Z",
    }
}

fn related(resource: Resource, trigger: Trigger) -> Value {
    match (resource, trigger) {
        (Resource::Event, Trigger::Create | Trigger::Update | Trigger::Delete) => json!({}),
        (Resource::Event, Trigger::Relation | Trigger::Reorder) => json!({ "shop": ["12"] }),
        (Resource::Event, _) => json!({ "ticket": ["90311"], "order": ["48213"] }),
        (Resource::Ticket, Trigger::Paid | Trigger::Scan) => json!({ "event": ["5120"], "order": ["48213"] }),
        (Resource::Ticket, Trigger::Relation) => json!({ "event": ["5120"], "ticket": ["90311"] }),
        (Resource::Product, Trigger::Paid | Trigger::Scan) => {
            json!({ "event": ["5120"], "order": ["48213"] })
        }
        (Resource::Order, Trigger::Scan) => {
            json!({ "event": ["5120"], "ticket": ["90311"], "product": ["771"], "shop": ["12"], "scanner": ["7"] })
        }
        (Resource::Order, _) => {
            json!({ "event": ["5120"], "ticket": ["90311"], "product": ["771"], "shop": ["12"] })
        }
        (Resource::Shop, Trigger::Paid | Trigger::Scan) => {
            json!({ "event": ["5120"], "ticket": ["90311"], "product": ["771"], "order": ["48213"] })
        }
        (Resource::Scanner, Trigger::Paid | Trigger::Scan) => {
            json!({ "event": ["5120"], "ticket": ["90311"], "order": ["48213"] })
        }
        (Resource::Sale | Resource::ProvisionalSale, _) => {
            json!({ "event": ["150208"], "seller_listing": ["3301952"] })
        }
        (Resource::SellerListing, _) => json!({ "event": ["150208"] }),
        (Resource::Ticket | Resource::Product | Resource::Shop | Resource::Scanner, _) => {
            json!({ "event": ["5120"] })
        }
    }
}

/// Whoever works at the box office; what visitors and marketplaces do has no
/// actor that the platform could name.
fn actor(resource: Resource, trigger: Trigger) -> Value {
    match (resource, trigger) {
        (Resource::Sale | Resource::ProvisionalSale | Resource::SellerListing, _)
        | (_, Trigger::Paid)
        | (Resource::Order, Trigger::Create) => Value::Null,
        _ => json!({ "id": "0b6c1a52-7d5e-4a0e-9a53-6c1f5e0c77aa", "name": "Ada Lindqvist" }),
    }
}

const fn action(resource: Resource, trigger: Trigger) -> Option<&'static str> {
    match (resource, trigger) {
        (Resource::Sale, Trigger::Update) => Some("FailedBarcodeValidation"),
        (Resource::SellerListing, Trigger::Update) => Some("ListingDeliverabilityExpired"),
        _ => None,
    }
}

fn data(resource: Resource, trigger: Trigger) -> Value {
    match (resource, trigger) {
        (Resource::Event, _) => ticketing::event(),
        (Resource::Ticket, Trigger::Relation) => ticketing::group(),
        (Resource::Ticket, _) => ticketing::ticket(),
        (Resource::Product, _) => ticketing::product(),
        (Resource::Shop, _) => ticketing::shop(),
        (Resource::Order, Trigger::Scan) => ticketing::scanned_order(),
        (Resource::Order, _) => ticketing::order(),
        (Resource::Scanner, _) => ticketing::scanner(),
        (Resource::Sale, _) => marketplace::sale(),
        (Resource::ProvisionalSale, _) => marketplace::provisional_sale(),
        (Resource::SellerListing, _) => marketplace::seller_listing(),
    }
}

/// What differs from before; the latest values hold it too.
fn changes(resource: Resource, trigger: Trigger) -> Value {
    match (resource, trigger) {
        (Resource::Event, Trigger::Update) => {
            json!({ "title": "Winter Gala", "updated_at": "2026-11-21T18:59:59.731804+00:00" })
        }
        (Resource::Ticket, Trigger::Update) => json!({ "quantity": 480, "quantity_diff": -20 }),
        (Resource::Ticket, Trigger::Relation) => json!({ "children": [ticketing::child()] }),
        (Resource::Product, Trigger::Update) => json!({ "quantity": 260 }),
        (Resource::Shop, Trigger::Update) => json!({ "online": true }),
        (Resource::Order, Trigger::Update) => json!({ "status": "refunded" }),
        (Resource::Order, Trigger::Paid) => json!({ "status": "paid" }),
        (Resource::Order, Trigger::Relation) => json!({ "shop_id": 12 }),
        (Resource::Scanner, Trigger::Update) => json!({ "name": "Main door, left" }),
        (Resource::Scanner, Trigger::Scan) => json!({ "scans": 413 }),
        (Resource::Event, Trigger::Relation) => json!({ "shop_ids": [12] }),
        (Resource::Product | Resource::Shop | Resource::Scanner, Trigger::Relation) => {
            json!({ "event_ids": [5120] })
        }
        (Resource::Sale, Trigger::Update) => json!({ "barcodes": marketplace::failed_barcodes() }),
        (Resource::SellerListing, Trigger::Update) => {
            json!({ "display_seating": marketplace::hidden_seating() })
        }
        (_, Trigger::Reorder) => json!({ "order": 2 }),
        (Resource::Order, Trigger::Scan) | (_, Trigger::Create | Trigger::Delete) => Value::Null,
        (_, Trigger::Paid) => json!({ "sold": 412 }),
        (_, Trigger::Scan) => json!({ "scanned": 187 }),
        _ => Value::Null,
    }
}
