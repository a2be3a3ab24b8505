//! An event (a concert, a match) as Ingresse tells it.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::super::fact::{Fact, members};
use super::super::shape::How::{AsIs, By, CamelCase, List, Object as Nested};
use super::super::shape::{Member, Object, Others, Table, camel_case, renamed, same, write_camel_case};
use crate::clock::Timestamp;
use crate::json::{self, Members};

const FIRST: &[Member] = &[
    same("attributes", By(write_attributes)),
    same("categories", CamelCase),
    renamed("company_id", "companyId", AsIs),
    renamed("created_at", "createdAt", By(write_time)),
    same("description", AsIs),
];

const REST: &[Member] = &[
    same("place", Nested(&PLACE)),
    same("poster", Nested(&POSTER)),
    renamed("producer_id", "producerId", AsIs),
    same("sessions", List(&SESSION)),
    same("slug", AsIs),
    same("status", Nested(&STATUS)),
    same("title", AsIs),
    renamed("updated_at", "updatedAt", By(write_time)),
    renamed("users_permission", "usersPermission", CamelCase),
];

static PLACE: Table = Table {
    members: &[
        same("city", AsIs),
        same("country", AsIs),
        renamed("external_id", "externalId", AsIs),
        same("id", AsIs),
        same("location", Nested(&LOCATION)),
        same("name", AsIs),
        same("origin", AsIs),
        same("state", AsIs),
        same("street", AsIs),
        same("zip", AsIs),
    ],
    others: Others::Kept,
};

static LOCATION: Table = Table { members: &[same("lat", AsIs), same("lon", AsIs)], others: Others::Kept };

static POSTER: Table = Table {
    members: &[
        same("large", AsIs),
        same("medium", AsIs),
        same("small", AsIs),
        renamed("x_large", "xLarge", AsIs),
    ],
    others: Others::Kept,
};

static SESSION: Table = Table {
    members: &[renamed("date_time", "dateTime", AsIs), same("id", AsIs), same("status", AsIs)],
    others: Others::Kept,
};

static STATUS: Table = Table { members: &[same("id", AsIs), same("name", AsIs)], others: Others::Kept };

/// Writes the event of `fact`.
pub(super) fn write(out: &mut Vec<u8>, fact: &Fact<'_>) {
    let given = members(fact.data).unwrap_or_else(Members::none);
    Object::begin(out, &given)
        .tell(FIRST)
        .tell_or("id", "id", || Some(fact.subject_id()))
        .tell(REST)
        .end(Others::Kept);
}

/// Settings by name: each becomes an object of its own that repeats the name
/// in snake case.
fn write_attributes(out: &mut Vec<u8>, value: &RawValue) {
    let Some(given) = members(value) else {
        out.extend_from_slice(b"null");
        return;
    };
    out.push(b'{');
    let mut told: Vec<Cow<'_, str>> = Vec::new();
    for (name, value) in given.iter() {
        let camel = camel_case(name);
        // Of two names that become one, the first is told.
        if told.contains(&camel) {
            continue;
        }
        if !told.is_empty() {
            out.push(b',');
        }
        json::write_string(out, &camel);
        told.push(camel);
        out.extend_from_slice(b":{\"name\":");
        json::write_string(out, name);
        out.extend_from_slice(b",\"value\":");
        write_camel_case(out, value.get());
        out.push(b'}');
    }
    out.push(b'}');
}

/// A time in UTC with microseconds and a written-out offset. One that is no
/// moment to compute with stays as it is.
fn write_time(out: &mut Vec<u8>, value: &RawValue) {
    match value.get().trim_matches('"').parse::<Timestamp>() {
        Ok(time) => {
            json::write_string(out, &time.strftime("%Y-%m-%dT%H:%M:%S%.6f+00:00").to_string());
        }
        Err(_) => out.extend_from_slice(value.get().as_bytes()),
    }
}
