//! What is read from a publishing request, and what is refused.

use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::*;

fn now() -> Timestamp {
    "2026-11-21T19:00:00.25Z".parse().expect("a time")
}

fn read(body: &str) -> Result<Vec<Event>, Vec<Fault>> {
    let mut rng = StdRng::seed_from_u64(7);
    read_events(body, false, now(), &mut || EventId::generate(now(), &mut rng))
}

fn pointers(body: &str) -> Vec<String> {
    read(body).err().unwrap_or_default().into_iter().map(|fault| fault.pointer).collect()
}

const PAID: &str = r#"{"id": "order-9917-paid", "type": "order.paid", "occurred_at": "2026-11-21T20:00:00+01:00",
 "subject": {"id": "9917", "name": "Order 9917"}, "related": {"event": ["24724"], "ticket": ["408218"]},
 "actor": {"id": "535f", "name": "Firstname Lastname"}, "action": null,
 "data": {"total": 10.10, "note": "ü"}, "changes": {"status": "paid"}}"#;

#[test]
fn the_native_body_has_its_members_in_order_and_numbers_in_their_form() {
    let events = read(PAID).expect("a good event");
    assert_eq!(
        std::str::from_utf8(&events[0].body).expect("UTF-8"),
        r#"{"type":"order.paid","timestamp":"2026-11-21T19:00:00Z","data":{"total": 10.10, "note": "ü"},"id":"order-9917-paid","subject":{"id":"9917","name":"Order 9917"},"related":{"event":["24724"],"ticket":["408218"]},"actor":{"id":"535f","name":"Firstname Lastname"},"action":null,"changes":{"status": "paid"}}"#
    );
}

#[test]
fn only_type_and_subject_are_required() {
    let events = read(r#"{"type": "shop.updated", "subject": {"id": "12"}}"#).expect("a small event");
    assert_eq!(events[0].occurred_at, now());
    assert!(!events[0].occurred_at_given);
    assert_eq!(events[0].id.as_str().len(), 36);
    assert!(events[0].body.ends_with(br#""related":{},"actor":null,"action":null,"changes":null}"#));
}

#[test]
fn what_databases_do_not_keep_in_a_text_is_refused() {
    let faults = read(r#"{"type": "shop.updated", "subject": {"id": "1\u00002"}}"#).expect_err("a fault");
    assert!(format!("{faults:?}").contains("U+0000"), "{faults:?}");
}

#[test]
fn every_fault_is_named_at_once() {
    let body = r#"{"id": "a.b", "type": "order.sold", "occurred_at": "yesterday", "subject": {"name": 3, "x": 1},
        "related": {"tickets": [], "event": [1]}, "actor": 5, "action": {}, "data": [], "changes": 1, "extra": 1}"#;
    assert_eq!(
        pointers(body),
        [
            "/extra",
            "/id",
            "/type",
            "/occurred_at",
            "/subject/x",
            "/subject/id",
            "/subject/name",
            "/related/tickets",
            "/related/event",
            "/actor",
            "/action",
            "/data",
            "/changes"
        ]
    );
}

#[test]
fn repeated_members_long_names_and_faults_of_the_data_are_named_too() {
    let long = "x".repeat(MAX_TEXT + 1);
    let body = format!(
        r#"{{"type": "ticket.updated", "subject": {{"id": 5, "name": "{long}"}}, "data": {{"quantity": "9"}},
        "related": {{"event": ["1"], "event": ["2"]}}, "action": "a", "action": "b"}}"#
    );
    let mut found = pointers(&body);
    found.sort();
    assert_eq!(found, ["/action", "/data/quantity", "/related/event", "/subject/id", "/subject/name"]);
}

#[test]
fn faults_in_a_batch_start_with_the_index() {
    assert_eq!(pointers(r#"[{"type":"a.b","subject":{"id":"1"}}, {"type":"a.b"}, 3]"#), ["/1/subject", "/2"]);
    let lines = "{\"type\":\"a.b\",\"subject\":{\"id\":\"1\"}}\n\n{\"type\":1}\n";
    let mut unasked = || panic!("a faulty batch needs no id");
    let good = "{\"id\":\"a\",\"type\":\"a.b\",\"subject\":{\"id\":\"1\"}}";
    let lines = lines.replacen("{\"type\":\"a.b\",\"subject\":{\"id\":\"1\"}}", good, 1);
    let faults = read_events(&lines, true, now(), &mut unasked).err().unwrap_or_default();
    assert_eq!(faults.iter().map(|fault| &*fault.pointer).collect::<Vec<_>>(), ["/1/type", "/1/subject"]);
}

#[test]
fn limits_are_kept() {
    let pad = "x".repeat(MAX_EVENT_BYTES);
    assert_eq!(pointers(&format!(r#"{{"type":"a.b","subject":{{"id":"1"}},"data":{{"p":"{pad}"}}}}"#)), [""]);
    let one = r#"{"type":"a.b","subject":{"id":"1"}}"#;
    let padded = |length: usize| format!("{one}{}", " ".repeat(length - one.len()));
    assert_eq!(read(&padded(MAX_EVENT_BYTES)).map(|events| events.len()), Ok(1));
    assert_eq!(pointers(&padded(MAX_EVENT_BYTES + 1)), [""]);
    let many = |count: usize| format!("[{}]", vec![one; count].join(","));
    assert_eq!(read(&many(MAX_EVENTS)).map(|events| events.len()), Ok(MAX_EVENTS));
    assert_eq!(pointers(&many(MAX_EVENTS + 1)), [""]);
    assert_eq!(pointers("[]"), [""]);
    let deep = format!("{}{}", "{\"a\":".repeat(70), format_args!("1{}", "}".repeat(70)));
    assert_eq!(pointers(&format!(r#"{{"type":"a.b","subject":{{"id":"1"}},"data":{deep}}}"#)), ["/data"]);
}

#[test]
fn ids_and_names_may_be_as_long_as_is_said_and_only_names_empty() {
    let event = |id: &str, name: &str, related: &str, actor: &str| {
        serde_json::json!({
            "type": "a.b", "subject": {"id": id, "name": name}, "related": {"order": [related]},
            "actor": {"id": actor, "name": name}, "action": actor,
        })
        .to_string()
    };
    let (long, longer) = (&*"x".repeat(MAX_TEXT), &*"x".repeat(MAX_TEXT + 1));
    for name in ["", long] {
        assert!(read(&event(long, name, long, long)).is_ok());
    }
    for (ids, name) in [("", ""), (longer, longer)] {
        let names: &[&str] = if name.is_empty() { &[] } else { &["/actor/name", "/subject/name"] };
        let mut found = pointers(&event(ids, name, ids, ids));
        found.sort();
        let mut expected = [&["/action", "/actor/id", "/related/order", "/subject/id"], names].concat();
        expected.sort_unstable();
        assert_eq!(found, expected);
    }
}

#[test]
fn nonsense_is_refused_as_a_whole() {
    for body in ["", "nonsense", "{", "\"x\"", "{\"type\":}", "[1,"] {
        assert!(read(body).is_err(), "{body:?}");
    }
}

#[test]
fn the_same_fact_may_be_told_with_other_white_space() {
    let one = &read(PAID).expect("good")[0];
    let two = &read(&PAID.replace("10.10, \"note\"", "10.10,\"note\"")).expect("good")[0];
    assert!(same_fact(&one.body, &two.body, true));
    let other = &read(&PAID.replace("10.10", "10.11")).expect("good")[0];
    assert!(!same_fact(&one.body, &other.body, true));
    let later = &read(&PAID.replace("20:00:00", "20:00:01")).expect("good")[0];
    assert!(!same_fact(&one.body, &later.body, true));
    assert!(same_fact(&one.body, &later.body, false));
}

proptest! {
    #[test]
    fn reading_never_panics(body in ".{0,300}") {
        let _ = read(&body);
    }

    #[test]
    fn what_is_published_can_be_read_back(
        id in "[A-Za-z0-9_-]{1,64}", subject in "\\PC{1,40}", name in proptest::option::of("\\PC{0,40}"),
        note in "\\PC{0,60}", number in -1.0e6..1.0e6_f64,
    ) {
        let body = serde_json::json!({
            "id": id, "type": "order.paid", "subject": {"id": subject, "name": name},
            "data": {"note": note, "number": number},
        });
        let events = read(&body.to_string()).expect("a good event");
        let sent: serde_json::Value = serde_json::from_slice(&events[0].body).expect("valid JSON");
        prop_assert_eq!(&sent["id"], &body["id"]);
        prop_assert_eq!(&sent["data"], &body["data"]);
        prop_assert_eq!(&sent["subject"]["id"], &body["subject"]["id"]);
    }
}
