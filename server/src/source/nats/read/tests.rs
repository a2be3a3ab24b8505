//! What is read of messages, and which ids follow from them.

use super::*;

const EVENT: &str = r#"{"type": "acme.seat.held", "subject": {"id": "A1"}}"#;

fn letter(body: &str) -> Letter<'_> {
    Letter {
        subject: "tickets.acme.seat",
        body: body.as_bytes(),
        content_type: None,
        message_id: None,
        stream: "TICKETS",
        sequence: 17,
        stored_at: "2026-11-21T19:00:00Z".parse().expect("a time"),
    }
}

fn ids(letter: &Letter<'_>) -> Vec<String> {
    let said = read(letter, &Nats::default()).expect("events");
    said.events.iter().map(|event| event.id.to_string()).collect()
}

#[test]
fn one_object_an_array_and_lines_are_told_apart() {
    let several = format!("[{EVENT}, {EVENT}]");
    let lines = format!("{EVENT}\n{EVENT}\n");
    for (body, count) in [(EVENT, 1), (&several, 2), (&lines, 2)] {
        let said = read(&letter(body), &Nats::default()).expect("events");
        assert_eq!((said.events.len(), said.single), (count, count == 1));
        assert!(said.events.iter().all(|event| event.id_given && !event.occurred_at_given));
    }
    let one_line = Letter { content_type: Some("application/x-ndjson; charset=utf-8"), ..letter(EVENT) };
    assert!(!read(&one_line, &Nats::default()).expect("an event").single);
}

#[test]
fn an_id_of_the_body_comes_first_then_that_of_the_message_then_its_place() {
    let own = r#"{"id": "mine", "type": "acme.seat.held", "subject": {"id": "A1"}}"#;
    let named = Letter { message_id: Some("theirs"), ..letter(own) };
    assert_eq!(ids(&named), ["mine"]);
    assert_eq!(ids(&Letter { message_id: Some("theirs"), ..letter(EVENT) }), ["theirs"]);
    assert_eq!(ids(&letter(EVENT)), ["TICKETS-17-1795287600000000"]);
}

#[test]
fn ids_are_allowed_stable_and_differ() {
    let several = format!("[{EVENT}, {EVENT}, {EVENT}]");
    let long = "order/9917.paid ".repeat(20);
    let with = |body, message_id| ids(&Letter { message_id: Some(message_id), ..letter(body) });
    let all = [with(&several, "a"), with(&several, "b"), with(EVENT, &long), with(EVENT, "a.b")].concat();
    assert_eq!(all.len(), 8);
    assert_eq!(all.iter().collect::<std::collections::HashSet<_>>().len(), 8, "{all:?}");
    assert!(all.iter().all(|id| id.parse::<EventId>().is_ok()), "{all:?}");
    assert_eq!(with(&several, "a"), all[..3]);
}

#[test]
fn the_tenant_is_the_set_one_or_that_of_the_subject() {
    let tenant = |tenant_token| {
        read(&letter(EVENT), &Nats { tenant_token, ..Nats::default() }).map(|said| said.tenant.to_string())
    };
    assert_eq!(tenant(0).as_deref(), Ok("default"));
    assert_eq!(tenant(2).as_deref(), Ok("acme"));
    assert_eq!(tenant(4).expect_err("no token").kind, "invalid-input");
    let odd = Letter { subject: "tickets.Acme", ..letter(EVENT) };
    let reason = read(&odd, &Nats { tenant_token: 2, ..Nats::default() }).expect_err("no tenant");
    assert!(reason.detail.contains("\"Acme\" must be 1 to 63 of a-z"), "{}", reason.detail);
}

#[test]
fn what_is_no_event_is_told_with_every_fault() {
    let reason = |body: &str| read(&letter(body), &Nats::default()).expect_err("no event");
    let pointers = |reason: &Reason| -> Vec<String> {
        reason.faults.iter().map(|fault| fault.pointer.clone()).collect()
    };
    let faulty = reason(r#"[{"type": "acme.seat.held", "subject": {"id": 5}}, {"subject": {"id": "A1"}}]"#);
    assert_eq!(
        (faulty.kind, pointers(&faulty)),
        ("invalid-input", vec!["/0/subject/id".into(), "/1/type".into()])
    );
    assert_eq!(pointers(&reason("no JSON")), [""]);
    assert_eq!(reason("").kind, "invalid-input");
    let large = format!(
        r#"{{"type": "acme.a", "subject": {{"id": "1"}}, "data": {{"x": "{}"}}}}"#,
        "x".repeat(300_000)
    );
    assert_eq!(reason(&large).kind, "too-large");
    let bytes = Letter { body: &[0xff], ..letter("") };
    assert_eq!(read(&bytes, &Nats::default()).expect_err("no text").detail, "the body is not UTF-8");
    assert_eq!(Reason::conflict(true, 0).faults[0].pointer, "/id");
    assert_eq!(Reason::conflict(false, 2).faults[0].pointer, "/2/id");
}
