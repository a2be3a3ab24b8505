//! An order as Ingresse tells it: whole, as a scan, or as how it stands.

use serde_json::value::RawValue;

use super::super::fact::{Fact, members};
use super::super::shape::How::AsIs;
use super::super::shape::{Object, Others, Table, same, write_object};
use crate::json::Members;
use crate::resource::Resource;

static SALE_TICKET: Table =
    Table { members: &[same("id", AsIs), same("code", AsIs)], others: Others::Dropped };

fn given<'a>(fact: &Fact<'a>) -> Members<'a> {
    members(fact.data).unwrap_or_else(Members::none)
}

/// The order's data as it is.
pub(super) fn write_sale(out: &mut Vec<u8>, fact: &Fact<'_>) {
    let given = given(fact);
    let mut object = Object::begin(out, &given);
    if given.get("id").is_none() {
        object.tell_or("id", "id", || Some(fact.subject_id()));
    }
    object.end(Others::Kept);
}

/// `action` (`checkin` or `checkout`), `saleTicket` and `event`.
pub(super) fn write_checkin(out: &mut Vec<u8>, fact: &Fact<'_>) {
    let given = given(fact);
    Object::begin(out, &given)
        .tell_or("action", "action", || Some(fact.action.get().to_owned()))
        .tell_by("sale_ticket", "saleTicket", |out, value| write_object(out, or_null(value), &SALE_TICKET))
        .tell_by("event", "event", |out, value| {
            let event = value.and_then(members).unwrap_or_else(Members::none);
            Object::begin(out, &event)
                .tell_or("id", "id", || fact.related_id(Resource::Event))
                .end(Others::Dropped);
        })
        .end(Others::Dropped);
}

/// `transactionId`, `status` and `date`.
pub(super) fn write_postback(out: &mut Vec<u8>, fact: &Fact<'_>) {
    let given = given(fact);
    let changed = members(fact.changes).unwrap_or_else(Members::none);
    Object::begin(out, &given)
        .tell_or("transaction_id", "transactionId", || Some(fact.subject_id()))
        .tell_or("status", "status", || changed.get("status").map(|status| status.get().to_owned()))
        .tell_or("date", "date", || Some(fact.timestamp.get().to_owned()))
        .end(Others::Dropped);
}

fn or_null(value: Option<&RawValue>) -> &RawValue {
    value.unwrap_or(RawValue::NULL)
}
