//! What a viagogo payload tells of a sale or a listing. The platform's
//! description closes its objects, so nothing but the members named there is
//! told, and each of those always.

use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

use super::super::fact::{Fact, members};
use super::super::shape::How::{AsIs, By, Object as Nested};
use super::super::shape::{
    Member, Object, Others, Table, renamed, same, write_elements, write_list, write_object,
};
use super::Topic;
use super::hal::Link;
use crate::json::{self, Members};

/// The marketplace's own links are told where its publisher gives them.
const NO_LINKS: &[u8] = b"{\"self\":null}";

static EVENT: Table = Table {
    members: &[
        same("id", AsIs),
        same("name", AsIs),
        same("start_date", AsIs),
        same("end_date", AsIs),
        same("on_sale_date", AsIs),
        same("date_confirmed", AsIs),
        same("merged_events", By(write_merged_events)),
    ],
    others: Others::Dropped,
};

static MERGED_EVENT: Table = Table { members: &[same("id", AsIs)], others: Others::Dropped };

static SALE: Table = Table {
    members: &[
        same("created_at", AsIs),
        same("seating", Nested(&SEATING)),
        same("proceeds", Nested(&MONEY)),
        same("number_of_tickets", AsIs),
    ],
    others: Others::Dropped,
};

static LISTING: Table = Table {
    members: &[
        same("created_at", AsIs),
        same("number_of_tickets", AsIs),
        same("seating", Nested(&SEATING_DETAIL)),
        same("display_seating", Nested(&SEATING_DETAIL)),
        same("ticket_price", Nested(&MONEY)),
    ],
    others: Others::Dropped,
};

static VENUE: Table = Table {
    members: &[
        same("id", AsIs),
        same("name", AsIs),
        same("city", AsIs),
        same("state_province", AsIs),
        same("latitude", AsIs),
        same("longitude", AsIs),
    ],
    others: Others::Dropped,
};

static COUNTRY: Table = Table { members: &[same("code", AsIs), same("name", AsIs)], others: Others::Dropped };

static MONEY: Table = Table {
    members: &[same("amount", AsIs), same("currency_code", AsIs), same("display", AsIs)],
    others: Others::Dropped,
};

static SEATING: Table = Table {
    members: &[same("section", AsIs), same("row", AsIs), same("seat_from", AsIs), same("seat_to", AsIs)],
    others: Others::Dropped,
};

static SEATING_DETAIL: Table = Table {
    members: &[
        same("section", AsIs),
        same("row", AsIs),
        same("seat_from", AsIs),
        same("seat_to", AsIs),
        same("state", By(write_seating_state)),
    ],
    others: Others::Dropped,
};

static SEATING_STATE: Table =
    Table { members: &[same("visible_in_venue_map", AsIs)], others: Others::Dropped };

const BARCODE: &[Member] =
    &[same("seat_ordinal", AsIs), same("seat", AsIs), same("row", AsIs), same("status", AsIs)];

/// The description lets no merged event be without its id.
fn write_merged_events(out: &mut Vec<u8>, merged: &RawValue) {
    let Ok(mut merged) = serde_json::from_str::<Vec<&RawValue>>(merged.get()) else {
        out.extend_from_slice(b"null");
        return;
    };
    merged.retain(|event| Members::has(event.get(), "id"));
    write_elements(out, merged, |out, event| write_object(out, event, &MERGED_EVENT));
}

/// Nor a state without saying whether the map shows the seats.
fn write_seating_state(out: &mut Vec<u8>, state: &RawValue) {
    if Members::has(state.get(), "visible_in_venue_map") {
        write_object(out, state, &SEATING_STATE);
    } else {
        out.extend_from_slice(b"null");
    }
}

/// Writes the barcodes: their values to those who sold the tickets, hashes to
/// those who only list them.
pub(super) fn write_barcodes(out: &mut Vec<u8>, fact: &Fact<'_>, topic: Topic) {
    let data = members(fact.data).unwrap_or_else(Members::none);
    match data.get("barcodes") {
        None => out.extend_from_slice(b"null"),
        Some(barcodes) if topic == Topic::SellerListingUpdates => write_list(out, barcodes, write_hashed),
        Some(barcodes) => write_list(out, barcodes, write_plain),
    }
}

fn write_plain(out: &mut Vec<u8>, barcode: &RawValue) {
    let Some(given) = members(barcode) else {
        out.extend_from_slice(b"null");
        return;
    };
    Object::begin(out, &given).tell(BARCODE).tell(&[same("barcode_values", AsIs)]).end(Others::Dropped);
}

const HASHED: &str = "barcode_values_sha256_hashed";

/// The values themselves never leave here: where the publisher gives them
/// instead of hashes, they are hashed.
fn write_hashed(out: &mut Vec<u8>, barcode: &RawValue) {
    let Some(given) = members(barcode) else {
        out.extend_from_slice(b"null");
        return;
    };
    let values = || -> Option<String> {
        let values: Vec<String> = serde_json::from_str(given.get("barcode_values")?.get()).ok()?;
        serde_json::to_string(&values.iter().map(|value| sha256(value)).collect::<Vec<_>>()).ok()
    };
    Object::begin(out, &given).tell(BARCODE).tell_or(HASHED, HASHED, values).end(Others::Dropped);
}

fn sha256(text: &str) -> String {
    use std::fmt::Write as _;
    Sha256::digest(text).iter().fold(String::with_capacity(64), |mut hex, byte| {
        // Writing to a String can't fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// Writes the embedded resources but the subscription, each with a comma after
/// it.
pub(super) fn write_resources(out: &mut Vec<u8>, fact: &Fact<'_>, topic: Topic) {
    let data = members(fact.data).unwrap_or_else(Members::none);
    let id = || Some(fact.subject_id());
    let mut member = |name: &str, write: &dyn Fn(&mut Vec<u8>)| {
        json::write_string(out, name);
        out.push(b':');
        write(out);
        out.push(b',');
    };
    let nested = |out: &mut Vec<u8>, name: &str, write: &dyn Fn(&mut Vec<u8>, &Members<'_>)| match data
        .get(name)
        .and_then(members)
    {
        Some(given) => write(out, &given),
        None => out.extend_from_slice(b"null"),
    };
    member("event", &|out| {
        nested(out, "event", &|out, given| {
            Object::begin(out, given).tell(EVENT.members).tell_links().end(Others::Dropped);
        });
    });
    if topic == Topic::SellerListingUpdates {
        member("seller_listing", &|out| write_listing(out, &data, id));
    } else {
        member("sale", &|out| {
            Object::begin(out, &data)
                .tell_or("id", "id", id)
                .tell(SALE.members)
                .tell_links()
                .end(Others::Dropped);
        });
        member("seller_listing", &|out| {
            nested(out, "seller_listing", &|out, given| write_listing(out, given, || None));
        });
    }
    member("venue", &|out| nested(out, "venue", &write_venue));
}

fn write_listing(out: &mut Vec<u8>, given: &Members<'_>, id: impl FnOnce() -> Option<String>) {
    Object::begin(out, given).tell_or("id", "id", id).tell(LISTING.members).tell_links().end(Others::Dropped);
}

/// The country is a resource of its own within the venue.
fn write_venue(out: &mut Vec<u8>, given: &Members<'_>) {
    Object::begin(out, given)
        .tell(VENUE.members)
        .tell_links()
        .tell_by("country", "_embedded", |out, country| {
            out.extend_from_slice(b"{\"country\":");
            match country.and_then(members) {
                Some(given) => {
                    Object::begin(out, &given)
                        .tell(COUNTRY.members)
                        .tell_by("_links", "_links", |out, links| write_country_links(out, links))
                        .end(Others::Dropped);
                }
                None => out.extend_from_slice(b"null"),
            }
            out.push(b'}');
        })
        .end(Others::Dropped);
}

impl Object<'_, '_> {
    /// Tells the links that the publisher gives for a resource.
    fn tell_links(&mut self) -> &mut Self {
        self.tell_by("_links", "_links", |out, links| match links {
            Some(links) => write_links(out, links),
            None => out.extend_from_slice(NO_LINKS),
        })
    }
}

fn write_links(out: &mut Vec<u8>, links: &RawValue) {
    static TABLE: Table = Table { members: &[same("self", By(write_link))], others: Others::Dropped };
    match members(links) {
        Some(_) => write_object(out, links, &TABLE),
        None => out.extend_from_slice(NO_LINKS),
    }
}

fn write_country_links(out: &mut Vec<u8>, links: Option<&RawValue>) {
    static TABLE: Table = Table {
        members: &[
            same("self", By(write_link)),
            renamed("country:events", "country:events", By(write_link)),
            renamed("country:localwebpage", "country:localwebpage", By(write_link)),
        ],
        others: Others::Dropped,
    };
    let given = links.and_then(members).unwrap_or_else(Members::none);
    Object::begin(out, &given).tell(TABLE.members).end(TABLE.others);
}

/// A link object is complete, whatever the publisher left out of it.
fn write_link(out: &mut Vec<u8>, link: &RawValue) {
    let Some(given) = members(link) else {
        out.extend_from_slice(b"null");
        return;
    };
    Object::begin(out, &given)
        .tell(&[same("href", AsIs), same("title", AsIs)])
        .tell_or("templated", "templated", || Some("false".to_owned()))
        .end(Others::Dropped);
}

/// The link of the message itself: the publisher's, or else `own`.
pub(super) fn write_self_link(out: &mut Vec<u8>, fact: &Fact<'_>, own: impl FnOnce() -> Link) {
    let links = members(fact.data).and_then(|data| data.get("_links").and_then(members));
    match links.and_then(|links| links.get("self").filter(|link| link.get().starts_with('{'))) {
        Some(link) => write_link(out, link),
        // Texts can't fail to become JSON.
        None => drop(serde_json::to_writer(out, &own())),
    }
}
