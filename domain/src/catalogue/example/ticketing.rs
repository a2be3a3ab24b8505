//! One theatre's evening, as its ticketing platform knows it.

use serde_json::{Value, json};

pub(super) fn event() -> Value {
    json!({
        "id": 5120,
        "title": "Winter Gala",
        "slug": "winter-gala",
        "description": "An evening of opera and song, with a late supper in the foyer.",
        "status": { "id": 1, "name": "public" },
        "company_id": 31,
        "producer_id": 8804,
        "categories": [],
        "sessions": [
            { "id": 6031, "date_time": "2026-12-19T19:30:00+00:00", "status": "available" },
            { "id": 6032, "date_time": "2026-12-20T15:00:00+00:00", "status": "available" },
        ],
        "place": place(),
        "poster": {
            "small": "https://pictures.example.com/5120/small.jpg",
            "medium": "https://pictures.example.com/5120/medium.jpg",
            "large": "https://pictures.example.com/5120/large.jpg",
            "x_large": "https://pictures.example.com/5120/x-large.jpg",
        },
        "attributes": event_attributes(),
        "users_permission": null,
        "created_at": "2026-06-02T09:15:30.120045+00:00",
        "updated_at": "2026-06-02T09:15:30.120051+00:00",
    })
}

fn place() -> Value {
    json!({
        "id": 904,
        "name": "Halfmoon Theatre",
        "street": "14 Ferry Lane",
        "zip": "BS1 4QX",
        "city": "Bristol",
        "state": null,
        "country": "United Kingdom",
        "location": { "lat": 51.4496, "lon": -2.5981 },
        "origin": "venues",
        "external_id": "halfmoon-bristol",
    })
}

fn event_attributes() -> Value {
    json!({
        "accepted_apps": null,
        "account_mode": false,
        "advertisement": {
            "mobile": { "background": null, "cover": null, "filter": null, "ticket": null },
            "web": { "background": null, "cover": null, "filter": null, "ticket": null },
        },
        "cpf_tickets_limit": 4,
        "creditcard_limit": 2,
        "custom_code": false,
        "invoice_identifier": null,
        "print_data": {
            "formal_name": "Halfmoon Theatre Ltd",
            "document": "",
            "municipal_id": "",
            "aiddp": "",
            "address": "14 Ferry Lane, Bristol",
            "complement": "",
        },
        "retention_percentage": 2.5,
        "retention_threshold": 50000.0,
        "sale_enabled": true,
        "ticket_transfer_enabled": true,
        "ticket_transfer_required": false,
        "video_url": null,
    })
}

pub(super) fn ticket() -> Value {
    let mut ticket = child();
    if let Some(members) = ticket.as_object_mut() {
        members.insert("quantity_diff".to_owned(), json!(0));
    }
    ticket
}

/// A ticket as its group holds it: what is counted since the last notice is
/// told of the group only.
pub(super) fn child() -> Value {
    json!({
        "id": 90311,
        "name": "Stalls",
        "description": "Rows A to P",
        "type": "Ticket",
        "event_id": 5120,
        "event_dates": event_dates(),
        "quantity": 480,
        "parent": 90300,
        "children": [],
        "sale_periods": [{
            "id": 15520,
            "app_category_id": 1,
            "start": "2026-09-01T10:00:00+01:00",
            "finish": "2026-12-19T18:00:00+00:00",
            "available": true,
        }],
        "value": {
            "price": 42,
            "final_price": 44.1,
            "fee_sale": 2.1,
            "fee_producer": 0,
            "tax_distribution": 100,
        },
        "triggers": { "soldout": [], "start": [] },
        "attributes": { "maximum": 8, "minimum": 1, "can_archive": true, "external": false },
        "order": 1,
        "hidden": false,
        "available": true,
        "salable": true,
        "archived": false,
        "custom_tax": false,
    })
}

pub(super) fn group() -> Value {
    json!({
        "id": 90300,
        "name": "Seats",
        "description": null,
        "type": "Group",
        "event_id": 5120,
        "event_dates": event_dates(),
        "quantity": 900,
        "quantity_diff": 480,
        "parent": null,
        "children": [child()],
        "passkeys": [],
        "sale_periods": [],
        "value": { "price": 0, "fee_sale": 0, "fee_producer": 0 },
        "triggers": { "soldout": [], "start": [] },
        "attributes": { "maximum": 0, "minimum": 0, "can_archive": true, "external": false },
        "order": 1,
        "hidden": false,
        "available": true,
        "salable": true,
        "archived": false,
        "custom_tax": false,
    })
}

fn event_dates() -> Value {
    json!([{ "id": 6031, "datetime": "2026-12-19T19:30:00+00:00", "timezone": "Europe/London" }])
}

pub(super) fn product() -> Value {
    json!({
        "id": 771,
        "name": "Cloakroom",
        "description": "One coat, one bag.",
        "event_ids": [5120],
        "price": { "amount": 2.5, "currency_code": "GBP", "display": "£2.50" },
        "quantity": 260,
        "available": true,
        "order": 1,
    })
}

pub(super) fn shop() -> Value {
    json!({
        "id": 12,
        "name": "Box office online",
        "url": "https://tickets.example.com/halfmoon",
        "currency_code": "GBP",
        "online": true,
        "event_ids": [5120],
    })
}

pub(super) fn order() -> Value {
    json!({
        "id": 48213,
        "status": "pending",
        "transaction_id": "TX-2026-48213",
        "date": "2026-11-21T19:00:00Z",
        "shop_id": 12,
        "total": { "amount": 90.7, "currency_code": "GBP", "display": "£90.70" },
        "tickets": [{ "ticket_id": 90311, "event_id": 5120, "quantity": 2, "price": 44.1 }],
        "products": [{ "product_id": 771, "quantity": 1, "price": 2.5 }],
        "visitor": { "name": "Noor Haddad", "email": "noor@example.com" },
    })
}

pub(super) fn scanned_order() -> Value {
    json!({
        "id": 48213,
        "status": "paid",
        "action": "checkin",
        "sale_ticket": { "id": 7714, "code": "HM-7714-0042" },
        "event": { "id": 5120 },
        "scanner": { "id": 7, "name": "Main door, left" },
    })
}

pub(super) fn scanner() -> Value {
    json!({
        "id": 7,
        "name": "Main door, left",
        "model": "handheld",
        "event_ids": [5120],
        "online": true,
        "battery_percent": 81,
        "scans": 412,
    })
}
