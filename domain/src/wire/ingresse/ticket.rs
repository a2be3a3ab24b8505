//! A ticket type, or a group of them, as Ingresse tells it.

use serde_json::value::RawValue;

use super::super::fact::{Fact, members};
use super::super::shape::How::{AsIs, By, CamelCase, List, Object as Nested};
use super::super::shape::{
    Member, Object, Others, Table, renamed, same, write_camel_case, write_list, write_object,
};
use crate::json::Members;
use crate::resource::Resource;

const BEFORE_ATTRIBUTES: &[Member] =
    &[same("type", AsIs), renamed("event_dates", "eventDates", List(&EVENT_DATE))];

const AFTER_ATTRIBUTES: &[Member] = &[
    same("quantity", AsIs),
    same("parent", AsIs),
    same("children", By(write_children)),
    renamed("sale_periods", "salePeriods", List(&SALE_PERIOD)),
    same("hidden", AsIs),
    same("available", AsIs),
    same("order", AsIs),
];

const AFTER_VALUE: &[Member] = &[
    same("triggers", Nested(&TRIGGERS)),
    same("archived", AsIs),
    renamed("custom_tax", "customTax", AsIs),
    same("salable", AsIs),
];

static EVENT_DATE: Table = Table {
    members: &[same("id", AsIs), same("datetime", AsIs), same("timezone", AsIs)],
    others: Others::Kept,
};

static SALE_PERIOD: Table = Table {
    members: &[
        same("id", AsIs),
        renamed("app_category_id", "appCategoryId", AsIs),
        same("start", AsIs),
        same("finish", AsIs),
        same("available", AsIs),
    ],
    others: Others::Kept,
};

static VALUE: Table = Table {
    members: &[
        same("price", AsIs),
        renamed("final_price", "finalPrice", AsIs),
        renamed("fee_sale", "feeSale", AsIs),
        renamed("fee_producer", "feeProducer", AsIs),
        renamed("tax_distribution", "taxDistribution", AsIs),
    ],
    others: Others::Kept,
};

/// What a group costs is only where its tickets' prices start.
static GROUP_VALUE: Table = Table {
    members: &[
        same("price", AsIs),
        renamed("fee_sale", "feeSale", AsIs),
        renamed("fee_producer", "feeProducer", AsIs),
    ],
    others: Others::Dropped,
};

static TRIGGERS: Table =
    Table { members: &[same("soldout", CamelCase), same("start", CamelCase)], others: Others::Kept };

/// Where a ticket stands in the message.
#[derive(Clone, Copy)]
enum Place<'a, 'f> {
    /// It is what the message is about.
    Top(&'a Fact<'f>, Option<i64>),
    /// It is in a group.
    Child,
}

/// Writes the ticket of `fact`. `quantity_diff` is the change of its quantity
/// since it was last published; what the publisher says comes before it.
pub(super) fn write(out: &mut Vec<u8>, fact: &Fact<'_>, quantity_diff: Option<i64>) {
    let given = members(fact.data).unwrap_or_else(Members::none);
    write_ticket(out, &given, Place::Top(fact, quantity_diff));
}

fn write_ticket(out: &mut Vec<u8>, given: &Members<'_>, place: Place<'_, '_>) {
    let is_group = given.get("type").is_some_and(|kind| kind.get() == "\"Group\"");
    let mut object = Object::begin(out, given);
    let (id, event_id) = match place {
        Place::Top(fact, _) => (Some(fact.subject_id()), fact.related_id(Resource::Event)),
        Place::Child => (None, None),
    };
    object
        .tell_or("id", "id", || id)
        .tell(&[same("name", AsIs), same("description", AsIs)])
        .tell_or("event_id", "eventId", || event_id)
        .tell(BEFORE_ATTRIBUTES)
        .tell_by("attributes", "attributes", |out, attributes| write_attributes(out, attributes, place))
        .tell(AFTER_ATTRIBUTES)
        .tell(&[same("value", Nested(if is_group { &GROUP_VALUE } else { &VALUE }))])
        .tell(AFTER_VALUE);
    if is_group {
        object.tell(&[same("passkeys", CamelCase)]);
    } else {
        object.leave_out("passkeys");
    }
    match place {
        Place::Top(_, computed) => {
            object.tell_or("quantity_diff", "quantityDiff", || computed.map(|diff| diff.to_string()));
        }
        Place::Child => {
            object.leave_out("quantity_diff");
        }
    }
    object.end(Others::Kept);
}

fn write_children(out: &mut Vec<u8>, value: &RawValue) {
    write_list(out, value, |out, child| match members(child) {
        Some(given) => write_ticket(out, &given, Place::Child),
        None => out.extend_from_slice(b"null"),
    });
}

static ATTRIBUTES: Table = Table {
    members: &[
        same("maximum", AsIs),
        same("minimum", AsIs),
        renamed("can_archive", "canArchive", AsIs),
        same("external", AsIs),
    ],
    others: Others::Kept,
};

/// A child without attributes has an empty list of them, as the platform's
/// language writes an empty map.
fn write_attributes(out: &mut Vec<u8>, value: Option<&RawValue>, place: Place<'_, '_>) {
    let none = value.and_then(members).is_some_and(|given| given.iter().next().is_none());
    match (value, place) {
        (Some(_), Place::Child) if none => out.extend_from_slice(b"[]"),
        (Some(value), _) if none => write_camel_case(out, value.get()),
        (Some(value), _) => write_object(out, value, &ATTRIBUTES),
        (None, _) => out.extend_from_slice(b"null"),
    }
}
