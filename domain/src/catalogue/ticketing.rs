//! What `data` holds for the resources that an organiser sells with.

use super::field::Kind::{Any, Boolean, Id, Integer, List, Number, Object, OneOf, Text, Time};
use super::field::{Shape, field};

pub(super) static EVENT: Shape = Shape {
    name: "event",
    doc: "A concert, a match, a play.",
    fields: &[
        field("id", Id, "The platform's id of the event."),
        field("title", Text, "What it is announced as."),
        field("slug", Text, "Its title as part of an address."),
        field("description", Text, "What visitors read about it."),
        field("status", Object(&EVENT_STATUS), "How far it is published."),
        field("company_id", Id, "Whose event it is."),
        field("producer_id", Id, "Who organises it."),
        field("categories", List(&Any), "What kind of event it is."),
        field("sessions", List(&Object(&SESSION)), "When it takes place."),
        field("place", Object(&PLACE), "Where it takes place."),
        field("poster", Object(&POSTER), "Its picture, in four sizes."),
        field("attributes", Object(&EVENT_ATTRIBUTES), "Settings by name, the platform's own among them."),
        field("users_permission", Any, "Who may work on it."),
        field("created_at", Time, "When it was entered."),
        field("updated_at", Time, "When it was last edited."),
    ],
};

static EVENT_STATUS: Shape = Shape {
    name: "event_status",
    doc: "How far an event is published.",
    fields: &[
        field("id", Id, "The platform's id of the status."),
        field("name", Text, "The status in a word, such as \"public\" or \"private\"."),
    ],
};

static SESSION: Shape = Shape {
    name: "session",
    doc: "One date of an event.",
    fields: &[
        field("id", Id, "The platform's id of the date."),
        field("date_time", Time, "When it starts."),
        field("status", Text, "How it stands, such as \"available\" or \"finished\"."),
    ],
};

static PLACE: Shape = Shape {
    name: "place",
    doc: "Where an event takes place.",
    fields: &[
        field("id", Id, "The platform's id of the place."),
        field("name", Text, "What it is called."),
        field("street", Text, "Street and number."),
        field("zip", Text, "Postal code."),
        field("city", Text, "City."),
        field("state", Text, "State or province."),
        field("country", Text, "Country."),
        field("location", Object(&LOCATION), "Where it is on the map."),
        field("origin", Text, "Which directory it was taken from."),
        field("external_id", Id, "Its id in that directory."),
    ],
};

static LOCATION: Shape = Shape {
    name: "location",
    doc: "A point on the map, in degrees.",
    fields: &[
        field("lat", Number, "Latitude, north of the equator positive."),
        field("lon", Number, "Longitude, east of Greenwich positive."),
    ],
};

static POSTER: Shape = Shape {
    name: "poster",
    doc: "A picture, in four sizes.",
    fields: &[
        field("small", Text, "Address of the small one."),
        field("medium", Text, "Address of the medium one."),
        field("large", Text, "Address of the large one."),
        field("x_large", Text, "Address of the largest one."),
    ],
};

static EVENT_ATTRIBUTES: Shape = Shape {
    name: "event_attributes",
    doc: "Settings of an event by name; other names are passed on.",
    fields: &[
        field("accepted_apps", Any, "Which applications may sell it."),
        field("account_mode", Boolean, "Whether it is sold in account mode."),
        field("advertisement", Object(&ADVERTISEMENT), "What is shown around it while it is sold."),
        field("cpf_tickets_limit", Integer, "Most tickets for one taxpayer number."),
        field("creditcard_limit", Integer, "Most purchases with one credit card."),
        field("custom_code", Any, "Whether its tickets carry codes of the organiser's making, or which."),
        field("invoice_identifier", Any, "What its invoices are filed under."),
        field("print_data", Object(&PRINT_DATA), "What is printed on its paper tickets."),
        field("retention_percentage", Number, "Share that is held back, in percent."),
        field("retention_threshold", Number, "Amount from which something is held back."),
        field("sale_enabled", Boolean, "Whether it is on sale."),
        field("ticket_transfer_enabled", Boolean, "Whether a visitor may pass a ticket on."),
        field("ticket_transfer_required", Boolean, "Whether tickets must be passed on to be used."),
        field("video_url", Text, "Address of its trailer."),
    ],
};

static ADVERTISEMENT: Shape = Shape {
    name: "advertisement",
    doc: "What is shown around an event while it is sold.",
    fields: &[
        field("mobile", Object(&ADVERTISEMENT_PARTS), "On telephones."),
        field("web", Object(&ADVERTISEMENT_PARTS), "On the web."),
    ],
};

static ADVERTISEMENT_PARTS: Shape = Shape {
    name: "advertisement_parts",
    doc: "The pictures of an advertisement.",
    fields: &[
        field("background", Any, "Behind the page."),
        field("cover", Any, "At its head."),
        field("filter", Any, "Over the picture."),
        field("ticket", Any, "On the ticket."),
    ],
};

static PRINT_DATA: Shape = Shape {
    name: "print_data",
    doc: "What is printed on paper tickets about the organiser.",
    fields: &[
        field("formal_name", Text, "Registered name."),
        field("document", Text, "Company number."),
        field("municipal_id", Text, "Number in the city's register."),
        field("aiddp", Text, "Number of the city's permission to print tickets."),
        field("address", Text, "Street, number and city."),
        field("complement", Text, "Rest of the address."),
    ],
};

pub(super) static TICKET: Shape = Shape {
    name: "ticket",
    doc: "A ticket type that is sold, or a group of them.",
    fields: &[
        field("id", Id, "The platform's id of the ticket type."),
        field("name", Text, "What visitors choose it by."),
        field("description", Text, "What they read about it."),
        field("type", OneOf(&["Ticket", "Group"]), "Whether it is sold itself or holds those that are."),
        field("event_id", Id, "Which event it admits to."),
        field("event_dates", List(&Object(&EVENT_DATE)), "Which dates of the event it admits to."),
        field("quantity", Integer, "How many there are."),
        field("quantity_diff", Integer, "By how much that changed since the last notice; may be negative."),
        field("parent", Id, "The group it is in."),
        field("children", List(&Object(&TICKET)), "Of a group: what is in it."),
        field("passkeys", List(&Any), "Of a group: the words that open it."),
        field("sale_periods", List(&Object(&SALE_PERIOD)), "When it is sold, and where."),
        field("value", Object(&TICKET_VALUE), "What it costs."),
        field("triggers", Object(&TICKET_TRIGGERS), "What its selling out or its start sets going."),
        field("attributes", Object(&TICKET_ATTRIBUTES), "Settings by name, the platform's own among them."),
        field("order", Integer, "Its place in the list."),
        field("hidden", Boolean, "Whether it is kept from visitors' eyes."),
        field("available", Boolean, "Whether it can be had now."),
        field("salable", Boolean, "Whether it may be sold at all."),
        field("archived", Boolean, "Whether it was put away."),
        field("custom_tax", Boolean, "Whether its fees differ from those of the event."),
    ],
};

static EVENT_DATE: Shape = Shape {
    name: "event_date",
    doc: "A date that a ticket admits to.",
    fields: &[
        field("id", Id, "The platform's id of the date."),
        field("datetime", Time, "When it starts; the offset is kept."),
        field("timezone", Text, "Where that is, by its name in the time zone database."),
    ],
};

static SALE_PERIOD: Shape = Shape {
    name: "sale_period",
    doc: "When a ticket is sold, and where.",
    fields: &[
        field("id", Id, "The platform's id of the period."),
        field("app_category_id", Id, "Which kind of application sells it then."),
        field("start", Time, "When selling starts; the offset is kept."),
        field("finish", Time, "When it ends; the offset is kept."),
        field("available", Boolean, "Whether it can be had in this period."),
    ],
};

static TICKET_VALUE: Shape = Shape {
    name: "ticket_value",
    doc: "What a ticket costs, in the currency of its event; of a group only price and fees.",
    fields: &[
        field("price", Number, "Without fees."),
        field("final_price", Number, "What the visitor pays."),
        field("fee_sale", Number, "The fee of the sale."),
        field("fee_producer", Number, "The fee of the organiser."),
        field("tax_distribution", Number, "How much of the fees the visitor bears, in percent."),
    ],
};

static TICKET_TRIGGERS: Shape = Shape {
    name: "ticket_triggers",
    doc: "What a ticket's selling out or its start sets going.",
    fields: &[
        field("soldout", List(&Any), "When it is sold out."),
        field("start", List(&Any), "When its sale starts."),
    ],
};

static TICKET_ATTRIBUTES: Shape = Shape {
    name: "ticket_attributes",
    doc: "Settings of a ticket by name; other names are passed on.",
    fields: &[
        field("maximum", Integer, "Most in one order; 0 is no limit."),
        field("minimum", Integer, "Fewest in one order; 0 is no limit."),
        field("can_archive", Boolean, "Whether it may be put away."),
        field("external", Boolean, "Whether another system keeps count of it."),
    ],
};
