//! What `data` holds for the resources that a seller resells with.

use super::field::Kind::{Boolean, Id, Integer, List, Number, Object, Text, Time};
use super::field::{Field, Shape, field};

pub(super) static SALE: Shape =
    Shape { name: "sale", doc: "A confirmed sale on a marketplace.", fields: SALE_FIELDS };

pub(super) static PROVISIONAL_SALE: Shape = Shape {
    name: "provisional_sale",
    doc: "A sale that its marketplace has yet to confirm.",
    fields: SALE_FIELDS,
};

static SALE_FIELDS: &[Field] = &[
    field("id", Id, "The marketplace's id of the sale."),
    field("created_at", Time, "When it was sold."),
    field("number_of_tickets", Integer, "How many tickets were sold."),
    field("seating", Object(&SEATING), "Which seats were sold."),
    field("proceeds", Object(&MONEY), "What the seller will receive for all of them."),
    field("barcodes", List(&Object(&BARCODES)), "The codes of the tickets, seat by seat."),
    field("event", Object(&EVENT), "What the tickets admit to."),
    field("venue", Object(&VENUE), "Where that takes place."),
    field("seller_listing", Object(&LISTING), "The offer that the tickets were sold from."),
];

pub(super) static SELLER_LISTING: Shape = Shape {
    name: "seller_listing",
    doc: "What a seller offers on a marketplace.",
    fields: &[
        ID,
        CREATED_AT,
        NUMBER_OF_TICKETS,
        LISTED_SEATING,
        DISPLAY_SEATING,
        TICKET_PRICE,
        field("barcodes", List(&Object(&HASHED_BARCODES)), "The hashes of the tickets' codes, seat by seat."),
        field("event", Object(&EVENT), "What the tickets admit to."),
        field("venue", Object(&VENUE), "Where that takes place."),
    ],
};

/// The offer as a sale names it.
static LISTING: Shape = Shape {
    name: "listing",
    doc: "The offer that tickets were sold from.",
    fields: &[ID, CREATED_AT, NUMBER_OF_TICKETS, LISTED_SEATING, DISPLAY_SEATING, TICKET_PRICE],
};

const ID: Field = field("id", Id, "The marketplace's id of the listing.");
const CREATED_AT: Field = field("created_at", Time, "When it was offered.");
const NUMBER_OF_TICKETS: Field = field("number_of_tickets", Integer, "How many tickets can still be bought.");
const LISTED_SEATING: Field = field("seating", Object(&SEATING_DETAIL), "Which seats are offered.");
const DISPLAY_SEATING: Field =
    field("display_seating", Object(&SEATING_DETAIL), "Which seats buyers are shown.");
const TICKET_PRICE: Field = field("ticket_price", Object(&MONEY), "What one ticket costs.");

static EVENT: Shape = Shape {
    name: "listed_event",
    doc: "An event as a marketplace knows it.",
    fields: &[
        field("id", Id, "The marketplace's id of the event."),
        field("name", Text, "What it is called."),
        field("start_date", Time, "When it starts."),
        field("end_date", Time, "When it ends."),
        field("on_sale_date", Time, "When its tickets go on sale."),
        field("date_confirmed", Boolean, "Whether start and end are final."),
        field("merged_events", List(&Object(&MERGED_EVENT)), "Events that turned out to be this one."),
    ],
};

static MERGED_EVENT: Shape = Shape {
    name: "merged_event",
    doc: "An event that turned out to be another.",
    fields: &[field("id", Id, "The id it had.")],
};

static VENUE: Shape = Shape {
    name: "venue",
    doc: "Where an event takes place.",
    fields: &[
        field("id", Id, "The marketplace's id of the venue."),
        field("name", Text, "What it is called."),
        field("city", Text, "City."),
        field("state_province", Text, "State or province."),
        field("country", Object(&COUNTRY), "Country."),
        field("latitude", Number, "Latitude in degrees, north of the equator positive."),
        field("longitude", Number, "Longitude in degrees, east of Greenwich positive."),
    ],
};

static COUNTRY: Shape = Shape {
    name: "country",
    doc: "A country.",
    fields: &[field("code", Text, "Its two letters in ISO 3166."), field("name", Text, "What it is called.")],
};

static MONEY: Shape = Shape {
    name: "money",
    doc: "An amount of money.",
    fields: &[
        field("amount", Number, "The exact decimal amount."),
        field("currency_code", Text, "Its currency in ISO 4217."),
        field("display", Text, "Both, as people read them."),
    ],
};

const SECTION: Field = field("section", Text, "Section of the hall.");
const ROW: Field = field("row", Text, "Row of the section.");
const SEAT_FROM: Field = field("seat_from", Text, "First of the seats, which lie side by side.");
const SEAT_TO: Field = field("seat_to", Text, "Last of the seats.");

static SEATING: Shape = Shape {
    name: "seating",
    doc: "Seats that lie side by side.",
    fields: &[SECTION, ROW, SEAT_FROM, SEAT_TO],
};

static SEATING_DETAIL: Shape = Shape {
    name: "seating_detail",
    doc: "Seats that lie side by side, and what buyers see of them.",
    fields: &[
        SECTION,
        ROW,
        SEAT_FROM,
        SEAT_TO,
        field("state", Object(&SEATING_STATE), "What buyers see of them."),
    ],
};

static SEATING_STATE: Shape = Shape {
    name: "seating_state",
    doc: "What buyers see of seats.",
    fields: &[field("visible_in_venue_map", Boolean, "Whether the map of the venue shows them.")],
};

const SEAT_ORDINAL: Field =
    field("seat_ordinal", Integer, "Which of the seats it is, counted from the first.");
const SEAT: Field = field("seat", Text, "What the seat is called.");
const SEAT_ROW: Field = field("row", Text, "What its row is called.");
const BARCODE_STATUS: Field =
    field("status", Text, "How the codes stand: \"Received\" or \"FailedValidation\".");

static BARCODES: Shape = Shape {
    name: "barcodes",
    doc: "The codes of one seat.",
    fields: &[
        SEAT_ORDINAL,
        SEAT,
        SEAT_ROW,
        BARCODE_STATUS,
        field("barcode_values", List(&Text), "The codes themselves."),
    ],
};

static HASHED_BARCODES: Shape = Shape {
    name: "hashed_barcodes",
    doc: "The codes of one seat, hashed.",
    fields: &[
        SEAT_ORDINAL,
        SEAT,
        SEAT_ROW,
        BARCODE_STATUS,
        field("barcode_values_sha256_hashed", List(&Text), "SHA-256 of each code, in hexadecimal digits."),
        field(
            "barcode_values",
            List(&Text),
            "The codes themselves, instead of the hashes; receivers of the viagogo dialect get their hashes.",
        ),
    ],
};
