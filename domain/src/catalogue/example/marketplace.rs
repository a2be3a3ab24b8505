//! Two seats for one evening, as the marketplace that resells them knows them.

use serde_json::{Value, json};

pub(super) fn sale() -> Value {
    sold(6_604_178, "2026-11-21T18:59:58Z")
}

pub(super) fn provisional_sale() -> Value {
    sold(6_604_177, "2026-11-21T18:58:12Z")
}

fn sold(id: u32, created_at: &str) -> Value {
    json!({
        "id": id,
        "created_at": created_at,
        "number_of_tickets": 2,
        "seating": { "section": "Stalls", "row": "F", "seat_from": "11", "seat_to": "12" },
        "proceeds": { "amount": 79.38, "currency_code": "GBP", "display": "£79.38" },
        "barcodes": barcodes("Received"),
        "event": event(),
        "venue": venue(),
        "seller_listing": listing(),
    })
}

/// What the door would not take.
pub(super) fn failed_barcodes() -> Value {
    barcodes("FailedValidation")
}

fn barcodes(status: &str) -> Value {
    json!([
        {
            "seat_ordinal": 1,
            "seat": "11",
            "row": "F",
            "status": status,
            "barcode_values": ["HM-7714-0042"],
        },
        {
            "seat_ordinal": 2,
            "seat": "12",
            "row": "F",
            "status": status,
            "barcode_values": ["HM-7714-0043"],
        },
    ])
}

pub(super) fn seller_listing() -> Value {
    let mut listing = listing();
    if let Some(members) = listing.as_object_mut() {
        members.insert("barcodes".to_owned(), hashed_barcodes());
        members.insert("event".to_owned(), event());
        members.insert("venue".to_owned(), venue());
    }
    listing
}

fn hashed_barcodes() -> Value {
    json!([
        {
            "seat_ordinal": 1,
            "seat": "11",
            "row": "F",
            "status": "Received",
            "barcode_values_sha256_hashed":
                ["eeed8c97c376ec3e41fe6bd2df53a726ce1e04ab7545273e8fe90e4aba58fba1"],
        },
        {
            "seat_ordinal": 2,
            "seat": "12",
            "row": "F",
            "status": "Received",
            "barcode_values_sha256_hashed":
                ["a05fefd5bf167ca94a48bb2bd07391fd60a33d69cd7113980d2eddb67638e1d3"],
        },
    ])
}

fn listing() -> Value {
    json!({
        "id": 3_301_952,
        "created_at": "2026-10-03T08:41:00Z",
        "number_of_tickets": 2,
        "seating": seating(true),
        "display_seating": seating(true),
        "ticket_price": { "amount": 44.1, "currency_code": "GBP", "display": "£44.10" },
    })
}

/// What buyers see of a listing that can't be delivered any more.
pub(super) fn hidden_seating() -> Value {
    seating(false)
}

fn seating(visible: bool) -> Value {
    json!({
        "section": "Stalls",
        "row": "F",
        "seat_from": "11",
        "seat_to": "12",
        "state": { "visible_in_venue_map": visible },
    })
}

fn event() -> Value {
    json!({
        "id": 150_208,
        "name": "Winter Gala",
        "start_date": "2026-12-19T19:30:00+00:00",
        "end_date": "2026-12-19T22:30:00+00:00",
        "on_sale_date": "2026-09-01T10:00:00+01:00",
        "date_confirmed": true,
        "merged_events": [{ "id": 150_198 }],
    })
}

fn venue() -> Value {
    json!({
        "id": 4410,
        "name": "Halfmoon Theatre",
        "city": "Bristol",
        "state_province": "England",
        "country": { "code": "GB", "name": "United Kingdom" },
        "latitude": 51.4496,
        "longitude": -2.5981,
    })
}
