//! Tables, checks, schemas and examples agree with one another.

use std::fmt::Write as _;

use proptest::prelude::*;
use proptest::sample::select;
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::*;
use crate::event::{MAX_EVENT_BYTES, read_events};
use crate::fault::{Fault, Faults};
use crate::id::EventId;

fn faults_of(resource: Resource, data: &str) -> Vec<Fault> {
    let raw: Box<RawValue> = serde_json::from_str(data).expect("valid JSON");
    let mut faults = Faults::new();
    check_data(resource, &raw, &mut faults);
    faults.finish::<()>(None).err().unwrap_or_default()
}

fn pointers(resource: Resource, data: &str) -> Vec<String> {
    faults_of(resource, data).into_iter().map(|fault| fault.pointer).collect()
}

fn publish(body: &str) -> Result<Vec<crate::event::Event>, Vec<Fault>> {
    let now = "2026-11-21T19:00:00Z".parse().expect("a time");
    read_events(body, false, now, &mut || EventId::generate(now, &mut StdRng::seed_from_u64(7)))
}

/// The part of JSON Schema that our schemas are written in.
fn accepts(root: &Value, schema: &Value, value: &Value) -> bool {
    let of_type = |name: &Value| match name.as_str() {
        Some("null") => value.is_null(),
        Some("boolean") => value.is_boolean(),
        Some("string") => value.is_string(),
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("number") => value.is_number(),
        Some("integer") => value.is_number() && !value.to_string().contains(['.', 'e', 'E']),
        other => panic!("unknown type {other:?}"),
    };
    schema.as_object().expect("a schema").iter().all(|(keyword, rule)| match keyword.as_str() {
        "type" => rule.as_array().map_or_else(|| of_type(rule), |types| types.iter().any(of_type)),
        "enum" => rule.as_array().expect("an array").contains(value),
        "const" => rule == value,
        "anyOf" => rule.as_array().expect("an array").iter().any(|rule| accepts(root, rule, value)),
        "$ref" => {
            let pointer = rule.as_str().expect("a string").trim_start_matches('#');
            accepts(root, root.pointer(pointer).expect("a definition"), value)
        }
        "format" => value.as_str().is_none_or(|text| text.parse::<jiff::Timestamp>().is_ok()),
        "minLength" => {
            value.as_str().is_none_or(|text| text.len() as u64 >= rule.as_u64().expect("a length"))
        }
        "maxLength" => {
            value.as_str().is_none_or(|text| text.len() as u64 <= rule.as_u64().expect("a length"))
        }
        "pattern" => {
            assert_eq!(rule, "^[A-Za-z0-9_-]{1,64}$");
            value.as_str().is_none_or(|text| text.parse::<crate::id::EventId>().is_ok())
        }
        "properties" => rule
            .as_object()
            .expect("an object")
            .iter()
            .all(|(name, rule)| value.get(name).is_none_or(|value| accepts(root, rule, value))),
        "required" => value.as_object().is_none_or(|members| {
            rule.as_array()
                .expect("an array")
                .iter()
                .all(|name| members.contains_key(name.as_str().expect("a name")))
        }),
        "additionalProperties" => value
            .as_object()
            .is_none_or(|members| members.keys().all(|name| schema["properties"].get(name).is_some())),
        "items" => value.as_array().is_none_or(|items| items.iter().all(|item| accepts(root, rule, item))),
        "$schema" | "$defs" | "title" | "description" => true,
        other => panic!("unknown keyword {other:?}"),
    })
}

/// Pointers to `value` and to everything in it.
fn walk(value: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.to_owned());
    match value {
        Value::Object(members) => {
            members.iter().for_each(|(name, value)| walk(value, &format!("{at}/{name}"), found));
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, value)| walk(value, &format!("{at}/{index}"), found));
        }
        _ => {}
    }
}

/// Values that don't belong where `kind` stands.
fn wrong(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Integer => &["\"1\"", "true", "[]", "{}", "1.0", "1e2", "2.5"],
        Kind::Number => &["\"1.5\"", "false", "[]", "{}"],
        Kind::Text => &["1", "true", "[]", "{}"],
        Kind::Boolean => &["\"true\"", "0", "[]", "{}"],
        Kind::Time => {
            &["\"yesterday\"", "\"2026-11-21\"", "\"2026-11-21T19:00:00\"", "1795287600", "{}", "[]", "true"]
        }
        Kind::Id => &["1.5", "true", "[]", "{}"],
        Kind::Any => &[],
        Kind::OneOf(_) => &["\"Neither\"", "\"\"", "1", "true", "[]", "{}"],
        Kind::Object(_) => &["\"x\"", "1", "true", "[]"],
        Kind::List(_) => &["\"x\"", "1", "true", "{}"],
    }
}

/// Calls `visit` with every place of a table: its pointer, its kind, and what
/// must stand before and after it to make an object of it.
fn places(shape: &Shape, depth: usize, at: &[String; 3], visit: &mut dyn FnMut(&[String; 3], Kind)) {
    for field in shape.fields {
        let [pointer, before, after] = at;
        let here = [
            format!("{pointer}/{}", field.name),
            format!("{before}{{\"{}\":", field.name),
            format!("}}{after}"),
        ];
        place(field.kind, depth, &here, visit);
    }
}

fn place(kind: Kind, depth: usize, at: &[String; 3], visit: &mut dyn FnMut(&[String; 3], Kind)) {
    visit(at, kind);
    let [pointer, before, after] = at;
    match kind {
        Kind::Object(shape) if depth > 0 => places(shape, depth - 1, at, visit),
        Kind::List(kind) => {
            let second = [format!("{pointer}/1"), format!("{before}[{},", right(*kind)), format!("]{after}")];
            place(*kind, depth, &second, visit);
        }
        _ => {}
    }
}

fn right(kind: Kind) -> &'static str {
    match kind {
        Kind::Text | Kind::Any | Kind::Id => "\"x\"",
        Kind::Object(_) => "{}",
        Kind::List(_) => "[]",
        _ => panic!("no table holds such a list yet"),
    }
}

#[test]
fn every_field_of_the_wrong_type_is_refused_where_it_stands() {
    let mut count = 0;
    for (resource, shape) in
        Resource::ALL.into_iter().filter_map(|resource| Some((resource, shape(resource)?)))
    {
        let root = [String::new(), String::new(), String::new()];
        places(shape, 5, &root, &mut |[pointer, before, after], kind| {
            for wrong in wrong(kind) {
                let faults = faults_of(resource, &format!("{before}{wrong}{after}"));
                assert_eq!(faults.len(), 1, "{resource} {pointer} = {wrong}");
                assert_eq!(faults[0].pointer, *pointer, "{wrong}");
                assert!(faults[0].detail.starts_with("must be "), "{}", faults[0].detail);
                count += 1;
            }
        });
    }
    assert!(count > 1_000, "{count} places were tried");
}

#[test]
fn every_example_is_published_and_fits_its_schema() {
    for (resource, trigger) in EventType::known() {
        let example = example(resource, trigger);
        let events = publish(&example.to_string()).expect("an example is accepted");
        assert_eq!(events[0].event_type, EventType::Known(resource, trigger));
        assert_eq!(events[0].id.as_str(), example["id"]);
        let schema = schema(resource, trigger);
        assert!(accepts(&schema, &schema, &example), "{}", events[0].type_name);
        for (name, value) in example["changes"].as_object().into_iter().flatten() {
            assert_eq!(example["data"][name], *value, "{}", events[0].type_name);
        }
        let related = example["related"].as_object().expect("an object");
        for reached in resource.propagates_to(trigger) {
            assert!(related.contains_key(reached.as_str()), "{} names its {reached}", events[0].type_name);
        }
    }
}

/// Whether `value` or anything in it is this id, written as a number.
fn names(value: &Value, id: &str) -> bool {
    match value {
        Value::Object(members) => members.values().any(|value| names(value, id)),
        Value::Array(items) => items.iter().any(|item| names(item, id)),
        other => id.parse::<u64>().is_ok_and(|id| *other == id),
    }
}

#[test]
fn every_example_tells_the_change_that_its_type_is_about() {
    for (resource, trigger) in EventType::known() {
        let type_name = EventType::Known(resource, trigger);
        let example = example(resource, trigger);
        let changes = &example["changes"];
        let before = &super::example(resource, Trigger::Create)["data"];
        match trigger {
            Trigger::Create | Trigger::Delete | Trigger::Cancel | Trigger::Retransfer => {
                assert_eq!(*changes, Value::Null, "{type_name} is about the whole");
            }
            Trigger::Update => {
                let changes = changes.as_object().unwrap_or_else(|| panic!("{type_name} tells changes"));
                assert!(!changes.is_empty(), "{type_name}");
                for name in changes.keys() {
                    assert!(before.get(name).is_some(), "{type_name} changes {name}, which there was");
                }
            }
            Trigger::Relation => {
                let ids = example["related"].as_object().into_iter().flatten();
                let mut ids = ids.filter_map(|(_, ids)| ids.as_array()).flatten().filter_map(Value::as_str);
                assert!(ids.any(|id| names(changes, id)), "{type_name} tells what it is tied to");
            }
            Trigger::Reorder => assert!(changes["order"].is_u64(), "{type_name} tells the place"),
            Trigger::Paid if resource == Resource::Order => assert_eq!(changes["status"], "paid"),
            Trigger::Paid => assert!(changes["sold"].is_u64(), "{type_name} counts what is sold"),
            Trigger::Scan if resource == Resource::Order => {
                assert_eq!((changes, &example["data"]["action"]), (&Value::Null, &json!("checkin")));
            }
            Trigger::Scan if resource == Resource::Scanner => {
                let scans = before["scans"].as_u64().expect("a number");
                assert_eq!(changes["scans"], scans + 1, "{type_name} counts one more");
            }
            Trigger::Scan => assert!(changes["scanned"].is_u64(), "{type_name} counts who came"),
        }
    }
}

#[test]
fn examples_name_whoever_did_it_at_the_box_office_and_no_visitor_or_marketplace() {
    for (resource, trigger) in EventType::known() {
        let by_others = trigger == Trigger::Paid
            || (resource, trigger) == (Resource::Order, Trigger::Create)
            || [Resource::Sale, Resource::ProvisionalSale, Resource::SellerListing].contains(&resource);
        let actor = &example(resource, trigger)["actor"];
        assert_eq!(actor.is_null(), by_others, "{}", EventType::Known(resource, trigger));
    }
}

#[test]
fn schemas_describe_everything_in_sentences_and_the_action_by_that_of_the_example() {
    for (resource, trigger) in EventType::known() {
        let type_name = EventType::Known(resource, trigger);
        let schema = schema(resource, trigger);
        let mut found = Vec::new();
        walk(&schema, "", &mut found);
        for pointer in found.iter().filter(|pointer| pointer.ends_with("/description")) {
            // A member may be called `description` itself.
            if let Some(text) = schema.pointer(pointer).and_then(Value::as_str) {
                assert!(text.len() > 1 && text.ends_with('.'), "{type_name} {pointer}: {text:?}");
            }
        }
        let described = schema["properties"]["action"]["description"].as_str().expect("a text");
        if let Some(action) = example(resource, trigger)["action"].as_str() {
            assert!(described.contains(&format!("\"{action}\"")), "{type_name}: {described}");
        }
    }
}

#[test]
fn examples_show_every_field_of_the_tables() {
    for (resource, shape) in
        Resource::ALL.into_iter().filter_map(|resource| Some((resource, shape(resource)?)))
    {
        let examples: Vec<_> =
            resource.triggers().iter().map(|trigger| example(resource, *trigger)["data"].take()).collect();
        let root = [String::new(), String::new(), String::new()];
        places(shape, 3, &root, &mut |[pointer, ..], _| {
            // The second element of a list and the child of a child are more of the same.
            if !pointer.contains("/1") && pointer.matches("/children").count() < 2 {
                let shown = examples.iter().any(|example| example.pointer(pointer).is_some());
                assert!(shown, "{resource} {pointer}");
            }
        });
    }
}

#[test]
fn tables_name_their_fields_once_and_in_snake_case() {
    let mut shapes = std::collections::BTreeMap::new();
    for resource in Resource::ALL {
        let mut open: Vec<&'static Shape> = shape(resource).into_iter().collect();
        while let Some(shape) = open.pop() {
            let same = shapes.insert(shape.name, std::ptr::from_ref(shape));
            if same.is_some() {
                assert_eq!(same, Some(std::ptr::from_ref(shape)), "two shapes are called {}", shape.name);
                continue;
            }
            for (index, field) in shape.fields.iter().enumerate() {
                assert!(
                    field.name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
                );
                assert!(
                    shape.fields[..index].iter().all(|earlier| earlier.name != field.name),
                    "{}",
                    field.name
                );
                assert!(field.doc.ends_with('.') && shape.doc.ends_with('.'), "{}", field.doc);
                match field.kind {
                    Kind::Object(inner) | Kind::List(&Kind::Object(inner)) => open.push(inner),
                    _ => {}
                }
            }
        }
    }
}

#[test]
fn null_and_unknown_fields_pass_and_free_objects_hold_anything() {
    for resource in Resource::ALL {
        for field in shape(resource).map_or(&[][..], |shape| shape.fields) {
            assert_eq!(pointers(resource, &format!("{{\"{}\":null}}", field.name)), [""; 0]);
        }
        assert_eq!(pointers(resource, r#"{"house_rules":{"id":[true]},"ID":{}}"#), [""; 0]);
    }
    assert_eq!(pointers(Resource::Order, r#"{"id":{},"event":1,"created_at":"soon"}"#), [""; 0]);
    assert_eq!(
        pointers(Resource::Event, r#"{"id":"a7","categories":[1,null,{}],"attributes":{"x":1}}"#),
        [""; 0]
    );
}

#[test]
fn faults_say_what_would_be_right() {
    let data = r#"{"quantity":1.5,"name":7,"type":"ticket","hidden":"no","parent":[],"attributes":[],"children":[{},null],
        "value":{"price":"10"},"event_dates":[{"datetime":"2026-11-21"}]}"#;
    let told: Vec<_> = faults_of(Resource::Ticket, data)
        .into_iter()
        .map(|fault| format!("{} {}", fault.pointer, fault.detail))
        .collect();
    assert_eq!(
        told,
        [
            "/quantity must be a number without fraction and exponent, not 1.5",
            "/name must be a string, not a number",
            "/type must be one of \"Ticket\", \"Group\", not \"ticket\"",
            "/hidden must be a boolean, not a string",
            "/parent must be an id: a string, or a number without fraction and exponent, not an array",
            "/attributes must be an object, not an array",
            "/children/1 must be an object, not null",
            "/value/price must be a number, not a string",
            "/event_dates/0/datetime must be an RFC 3339 time with an offset, such as \
             \"2026-11-21T19:00:00Z\", not \"2026-11-21\"",
        ]
    );
}

#[test]
fn times_are_those_of_rfc_3339() {
    let is_time =
        |text: &str| pointers(Resource::Sale, &json!({ "created_at": text }).to_string()).is_empty();
    for good in [
        "2026-11-21T19:00:00Z",
        "2018-03-06T20:49:04.468967+00:00",
        "2019-10-10T10:00:00-03:00",
        "2024-02-29T23:59:59.1234567890123Z",
        "0001-01-01T00:00:00Z",
        "9999-12-31T23:59:59Z",
    ] {
        assert!(is_time(good), "{good}");
    }
    for bad in [
        "",
        "2026-11-21",
        "2026-11-21T19:00:00",
        "2026-11-21 19:00:00Z",
        "2026-11-21T19:00Z",
        "2026-11-21T19:00:00.Z",
        "2026-11-21T19:00:00+0000",
        "2026-11-21T19:00:00+24:00",
        "2026-11-21T19:00:00Z[Europe/London]",
        "2026-02-29T19:00:00Z",
        "2026-11-21T24:00:00Z",
        "20261121T190000Z",
        "2026-11-21T19:00:0é",
    ] {
        assert!(!is_time(bad), "{bad}");
    }
    assert_eq!(pointers(Resource::Sale, r#"{"created_at":"2026-11-21T19:00:00\u005a"}"#), [""; 0]);
}

#[test]
fn amounts_keep_their_digits() {
    for amount in ["10.10", "100000.0", "12345678901234567890.123", "-0.0", "0.1000000000000000055"] {
        let data = format!(r#"{{"proceeds":{{"amount":{amount},"currency_code":"EUR"}}}}"#);
        let events = publish(&format!(r#"{{"type":"sale.created","subject":{{"id":"1"}},"data":{data}}}"#));
        let body = events.expect("an amount")[0].body.clone();
        let body = std::str::from_utf8(&body).expect("UTF-8");
        assert!(body.contains(&data), "{body}");
        let value: Value = serde_json::from_str(body).expect("valid JSON");
        assert_eq!(value["data"].to_string(), data);
    }
}

#[test]
fn a_long_list_of_faults_is_cut() {
    let zeros = "0,".repeat(MAX_EVENT_BYTES / 2 - 10) + "0";
    let faults = faults_of(Resource::Ticket, &format!(r#"{{"event_dates":[{zeros}],"name":1}}"#));
    assert_eq!(faults.len(), 100);
}

#[test]
fn groups_may_nest_as_deep_as_documents_may() {
    let (mut before, mut after, mut pointer) = (String::new(), String::new(), String::new());
    for _ in 0..31 {
        before.push_str(r#"{"children":["#);
        after.push_str("]}");
        let _ = write!(pointer, "/children/0");
    }
    let body = |name: &str| {
        format!(
            r#"{{"type":"ticket.updated","subject":{{"id":"1"}},"data":{before}{{"name":{name}}}{after}}}"#
        )
    };
    assert!(publish(&body("\"Stalls\"")).is_ok());
    let faults = publish(&body("1")).expect_err("a fault");
    assert_eq!(faults[0].pointer, format!("/data{pointer}/name"));
}

#[test]
fn every_type_is_listed_with_a_sentence_of_its_own() {
    let entries: Vec<_> = entries().collect();
    assert_eq!(entries.len(), 52);
    for (index, entry) in entries.iter().enumerate() {
        assert!(entry.description.ends_with('.') && entry.description != "Never published.");
        assert!(entries[..index].iter().all(|earlier| earlier.description != entry.description));
        assert_eq!(entry.event_type.to_string().parse(), Ok(entry.event_type.clone()));
    }
    let paid =
        entries.iter().find(|entry| entry.event_type.to_string() == "order.paid").expect("it is known");
    assert_eq!(paid.propagates_to, [Resource::Event, Resource::Ticket, Resource::Product]);
}

/// Values of every JSON type, some of which belong somewhere.
const VALUES: [&str; 17] = [
    "null",
    "true",
    "0",
    "-7",
    "1.5",
    "1e3",
    "98765432109876543210",
    "\"\"",
    "\"Group\"",
    "\"2026-11-21T19:00:00+01:00\"",
    "[]",
    "[null]",
    "[{}]",
    "[\"x\"]",
    "{}",
    "{\"id\":[]}",
    "{\"amount\":\"1\"}",
];

/// Every member and element of every example is replaced by every value.
#[test]
fn schema_and_check_agree() {
    for (resource, trigger) in EventType::known() {
        let example = &example(resource, trigger)["data"];
        let root = schema(resource, trigger);
        let schema = &root["properties"]["data"];
        let mut found = Vec::new();
        walk(example, "", &mut found);
        // The object itself is read before it is checked.
        for pointer in &found[1..] {
            for text in VALUES {
                let mut data = example.clone();
                *data.pointer_mut(pointer).expect("it was found") =
                    serde_json::from_str(text).expect("valid JSON");
                let faults = faults_of(resource, &data.to_string());
                let accepted = accepts(&root, schema, &data);
                assert_eq!(accepted, faults.is_empty(), "{resource}{pointer} = {text}: {faults:?}");
            }
        }
    }
}

proptest! {
    #[test]
    fn checking_never_panics(text in "[\\[\\]{}\",:0-9a-z.+-]{0,80}", resource in select(Resource::ALL.to_vec())) {
        for data in [text.clone(), format!("{{\"id\":{text}}}"), format!("{{\"created_at\":\"{text}\"}}")] {
            if let Ok(raw) = serde_json::from_str::<Box<RawValue>>(&data) {
                check_data(resource, &raw, &mut Faults::new());
            }
        }
    }
}
