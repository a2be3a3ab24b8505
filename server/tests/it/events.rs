//! Publishing events, looking them up, and what a native receiver gets.

#![expect(clippy::expect_used, reason = "a test that can't go on has failed")]

use std::time::Duration;

use callboard_domain::signing::verify_ed25519;
use serde_json::{Value, json};

use crate::harness::{Harness, event, text};

/// An event that uses every member, and numbers that have to keep their form.
const FULL: &str = r#"{
    "id": "order-9917-paid", "type": "order.paid", "occurred_at": "2026-11-21T20:00:00+01:00",
    "subject": {"id": "9917", "name": "Order \"9917\""},
    "related": {"ticket": ["408218"], "event": ["24724"]},
    "actor": {"id": "535f11b0", "name": "Zoë"},
    "action": "checkout",
    "data": {"total":12.50,"status":"paid","limit":1e400},
    "changes": {"status":"paid"}
}"#;

fn full() -> Value {
    serde_json::from_str(FULL).expect("an event")
}

/// What becomes of [`FULL`], byte for byte.
const FULL_BODY: &str = include_str!("golden/native-delivery.json");

#[test]
fn one_event_is_answered_with_one_object() {
    let house = Harness::start();
    let operator = house.operator();
    let published = operator.post("/v1/events", &full()).is(202);
    let accepted_at = text(&published["accepted_at"]).to_owned();
    let wanted =
        json!({"id": "order-9917-paid", "duplicate": false, "deliveries": 0, "accepted_at": accepted_at});
    assert_eq!(published, wanted);

    let shown = operator.get("/v1/events/order-9917-paid").is(200);
    let mut wanted = full();
    wanted["occurred_at"] = "2026-11-21T19:00:00Z".into();
    wanted["accepted_at"] = accepted_at.into();
    wanted["deliveries"] = 0.into();
    assert_eq!(shown, wanted);
    operator.get("/v1/events/order-9918-paid").problem(404, "not-found");
}

#[test]
fn a_small_event_gets_an_id_and_a_time() {
    let house = Harness::at_rest();
    let operator = house.operator();
    let first = operator.post("/v1/events", &event("ticket.updated", "1")).is(202);
    let second = operator.post("/v1/events", &event("ticket.updated", "1")).is(202);
    assert_ne!(first["id"], second["id"]);
    let id: uuid::Uuid = text(&first["id"]).parse().expect("a UUID");
    assert_eq!(id.get_version_num(), 7);
    let shown = operator.get(&format!("/v1/events/{id}")).is(200);
    assert_eq!(shown["occurred_at"], "2026-11-21T19:00:00Z");
    assert_eq!(shown["accepted_at"], "2026-11-21T19:00:00Z");
    for (member, wanted) in [("data", json!({})), ("related", json!({})), ("actor", Value::Null)] {
        assert_eq!(shown[member], wanted);
    }
    assert_eq!(shown["subject"], json!({"id": "1", "name": null}));
}

#[test]
fn arrays_and_lines_are_answered_in_their_order() {
    let house = Harness::start();
    let operator = house.operator();
    let ids = |published: &Value| {
        let events = published["events"].as_array().expect("events").clone();
        events.iter().map(|event| text(&event["id"]).to_owned()).collect::<Vec<_>>()
    };
    let batch: Vec<Value> = (0..5)
        .map(|index| json!({"id": format!("a{index}"), "type": "x.y", "subject": {"id": "1"}}))
        .collect();
    let published = operator.post("/v1/events", &json!(batch)).is(202);
    assert_eq!(ids(&published), ["a0", "a1", "a2", "a3", "a4"]);

    let lines = "{\"id\":\"l1\",\"type\":\"x.y\",\"subject\":{\"id\":\"1\"}}\r\n\n  \n{\"id\":\"l2\",\"type\":\"x.y\",\"subject\":{\"id\":\"1\"}}";
    for content_type in ["application/x-ndjson", "application/x-ndjson; charset=utf-8"] {
        let published = operator.send("POST", "/v1/events", Some(content_type), lines).is(202);
        assert_eq!(ids(&published), ["l1", "l2"]);
    }
    // One of several is still several.
    let published = operator.post("/v1/events", &json!([event("x.y", "1")])).is(202);
    assert_eq!(ids(&published).len(), 1);
    let listed = operator.all("/v1/events?type=x.y", 200);
    assert_eq!(listed.len(), 8, "what was sent twice under one id counts once");
}

#[test]
fn a_batch_is_stored_whole_or_not_at_all() {
    let house = Harness::start();
    let operator = house.operator();
    let receiver = house.receiver();
    operator.make_webhook(&receiver.url("/"), &json!({"events": ["*"]}));
    let mut batch: Vec<Value> = (0..1_000).map(|index| event("ticket.updated", &index.to_string())).collect();
    batch[617]["subject"] = json!({"name": "no id"});
    operator.post("/v1/events", &json!(batch)).blames(400, "invalid-input", &["/617/subject/id"]);
    assert_eq!(operator.get("/v1/events").is(200), json!({"items": [], "next": null}));

    // A conflict is found later, by the database.
    operator.post("/v1/events", &json!({"id": "taken", "type": "x.y", "subject": {"id": "1"}})).is(202);
    batch[617] = json!({"id": "taken", "type": "x.y", "subject": {"id": "2"}});
    operator.post("/v1/events", &json!(batch)).blames(409, "conflict", &["/617/id"]);
    assert_eq!(operator.all("/v1/events", 200).len(), 1);

    batch[617] = event("ticket.updated", "617");
    let published = operator.post("/v1/events", &json!(batch)).is(202);
    assert_eq!(published["events"].as_array().map(Vec::len), Some(1_000));
    for _ in 0..1_001 {
        receiver.next();
    }
    assert!(receiver.unexpected().is_empty());
}

#[test]
fn the_same_fact_is_accepted_again_and_delivered_once() {
    let house = Harness::start();
    let operator = house.operator();
    let receiver = house.receiver();
    operator.make_webhook(&receiver.url("/"), &json!({"events": ["*"]}));
    let first = operator.post("/v1/events", &full()).is(202);
    assert_eq!(first["deliveries"], 1);
    let spaced = serde_json::to_string_pretty(&full()).expect("a text");
    let mut turned: Vec<(String, Value)> =
        full().as_object().expect("an object").clone().into_iter().collect();
    turned.reverse();
    let turned = Value::Object(turned.into_iter().collect());
    for body in [full().to_string(), spaced, turned.to_string()] {
        let again = operator.send("POST", "/v1/events", Some("application/json"), body).is(202);
        let wanted = json!({"id": "order-9917-paid", "duplicate": true, "deliveries": 0, "accepted_at": first["accepted_at"]});
        assert_eq!(again, wanted);
    }
    let mut other = full();
    other["data"]["status"] = "refunded".into();
    operator.post("/v1/events", &other).blames(409, "conflict", &["/id"]);

    // The marker comes after whatever would have been sent twice.
    operator.post("/v1/events", &event("order.paid", "marker")).is(202);
    assert_eq!(receiver.next().header("webhook-id"), "order-9917-paid");
    assert_eq!(receiver.next().json()["subject"]["id"], "marker");
    assert!(receiver.unexpected().is_empty());
}

#[test]
fn a_batch_knows_its_own_duplicates() {
    let house = Harness::start();
    let operator = house.operator();
    let receiver = house.receiver();
    operator.make_webhook(&receiver.url("/"), &json!({"events": ["x.y"]}));
    let twice = json!({"id": "twice", "type": "x.y", "subject": {"id": "1"}});
    let published = operator.post("/v1/events", &json!([twice, event("z.y", "2"), twice])).is(202);
    let flags: Vec<_> = (0..3).map(|index| published["events"][index]["duplicate"].clone()).collect();
    assert_eq!(flags, [json!(false), json!(false), json!(true)]);
    assert_eq!(receiver.next().header("webhook-id"), "twice");

    let mut other = twice.clone();
    other["id"] = "torn".into();
    let mut torn = other.clone();
    torn["subject"]["id"] = "2".into();
    operator.post("/v1/events", &json!([other, torn])).blames(409, "conflict", &["/1/id"]);
    operator.get("/v1/events/torn").problem(404, "not-found");
    assert!(receiver.unexpected().is_empty());
}

#[test]
fn a_time_that_was_left_out_makes_no_difference() {
    let house = Harness::at_rest();
    let operator = house.operator();
    let fact = json!({"id": "e1", "type": "x.y", "subject": {"id": "1"}});
    operator.post("/v1/events", &fact).is(202);
    house.advance(std::time::Duration::from_mins(1));
    assert_eq!(operator.post("/v1/events", &fact).is(202)["duplicate"], true);
}

#[test]
fn lists_are_filtered() {
    let house = Harness::at_rest();
    let operator = house.operator();
    for (type_name, subject) in [("ticket.updated", "1"), ("ticket.updated", "2"), ("order.paid", "1")] {
        operator.post("/v1/events", &event(type_name, subject)).is(202);
        house.advance(std::time::Duration::from_mins(1));
    }
    let found = |query: &str| {
        let listed = operator.get(&format!("/v1/events?{query}")).is(200);
        let items = listed["items"].as_array().expect("items").clone();
        let about = |item: &Value| format!("{} {}", text(&item["type"]), text(&item["subject"]["id"]));
        items.iter().map(about).collect::<Vec<_>>()
    };
    assert_eq!(found(""), ["order.paid 1", "ticket.updated 2", "ticket.updated 1"]);
    assert_eq!(found("type=ticket.updated"), ["ticket.updated 2", "ticket.updated 1"]);
    assert_eq!(found("subject=1"), ["order.paid 1", "ticket.updated 1"]);
    assert_eq!(found("type=ticket.updated&subject=1"), ["ticket.updated 1"]);
    assert_eq!(found("since=2026-11-21T19:01:00Z"), ["order.paid 1", "ticket.updated 2"]);
    assert_eq!(found("until=2026-11-21T19:01:00Z"), ["ticket.updated 1"]);
    assert_eq!(found("since=2026-11-21T20:01:00%2B01:00&until=2026-11-21T19:02:00Z"), ["ticket.updated 2"]);
    assert_eq!(found("type=ticket.sold"), [] as [&str; 0]);
}

#[test]
fn pages_neither_skip_nor_repeat_while_events_come_in() {
    let house = Harness::start();
    let operator = house.operator();
    let names: Vec<String> = (0..100).map(|index| format!("e{index:03}")).collect();
    let numbered = |id: &str| json!({"id": id, "type": "x.y", "subject": {"id": "1"}});
    let batch: Vec<Value> = names.iter().map(|id| numbered(id)).collect();
    operator.post("/v1/events", &json!(batch)).is(202);
    let mut seen = Vec::new();
    let mut path = "/v1/events?limit=7".to_owned();
    loop {
        let page = operator.get(&path).is(200);
        seen.extend(page["items"].as_array().expect("items").iter().map(|item| text(&item["id"]).to_owned()));
        operator.post("/v1/events", &event("x.y", "later")).is(202);
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/v1/events?limit=7&cursor={next}");
    }
    seen.reverse();
    assert_eq!(seen, names);
}

#[test]
fn the_fan_out_tells_whom_an_event_reached() {
    let house = Harness::start();
    let operator = house.operator();
    let receiver = house.receiver();
    let hearing: Vec<Value> = ["ticket.*", "*", "ticket.updated"]
        .map(|pattern| operator.make_webhook(&receiver.url("/"), &json!({"events": [pattern]})))
        .to_vec();
    operator.make_webhook(&receiver.url("/"), &json!({"events": ["order.*", "tick.*"]}));
    let published = operator.post("/v1/events", &event("ticket.updated", "1")).is(202);
    assert_eq!(published["deliveries"], 3);
    let path = format!("/v1/events/{}", text(&published["id"]));
    let fan_out = operator.all(&format!("{path}/deliveries"), 2);
    let mut reached: Vec<&Value> = fan_out.iter().map(|delivery| &delivery["webhook_id"]).collect();
    let mut wanted: Vec<&Value> = hearing.iter().map(|webhook| &webhook["id"]).collect();
    reached.sort_by_key(|id| text(id));
    wanted.sort_by_key(|id| text(id));
    assert_eq!(reached, wanted);
    assert_eq!(operator.get(&path).is(200)["deliveries"], 3);
    for delivery in &fan_out {
        house.delivery(&operator, text(&delivery["id"]), "delivered");
    }
}

#[test]
fn a_native_delivery_follows_standard_webhooks() {
    let house = Harness::start();
    let operator = house.operator();
    let receiver = house.receiver();
    let webhook = operator.make_webhook(
        &receiver.url("/callboard"),
        &json!({"events": ["order.paid"], "headers": {"X-Venue": "Ziggo Dome"}, "authorization_header": "Basic YTpi"}),
    );
    operator.send("POST", "/v1/events", Some("application/json"), FULL).is(202);
    let request = receiver.next();
    assert_eq!(request.path, "/callboard");
    assert_eq!(String::from_utf8_lossy(&request.body), FULL_BODY.trim_end());
    assert_eq!(request.header("webhook-id"), "order-9917-paid");
    assert_eq!(request.header("content-type"), "application/json");
    assert_eq!(request.header("user-agent"), concat!("Callboard/", env!("CARGO_PKG_VERSION")));
    assert_eq!(request.header("x-venue"), "Ziggo Dome");
    assert_eq!(request.header("authorization"), "Basic YTpi");
    assert_eq!(request.header("content-length"), request.body.len().to_string());
    let verifier = standardwebhooks::Webhook::new(text(&webhook["secret"])).expect("a secret");
    verifier.verify(&request.body, &request.headers).expect("a signature that verifies");
    verifier.verify(b"{}", &request.headers).expect_err("a signature of another body");
}

#[test]
fn an_ed25519_delivery_verifies_with_the_public_key() {
    let house = Harness::start();
    let operator = house.operator();
    let receiver = house.receiver();
    let settings = json!({"events": ["order.paid"], "signature": "ed25519"});
    let webhook = operator.make_webhook(&receiver.url("/"), &settings);
    let public = text(&webhook["secret"]);
    assert!(public.starts_with("whpk_"), "{public}");
    operator.post("/v1/events", &full()).is(202);
    let request = receiver.next();
    let signature = request.header("webhook-signature");
    let id = request.header("webhook-id").parse().expect("an id");
    let second = request.header("webhook-timestamp").parse().expect("seconds");
    let at = callboard_domain::clock::Timestamp::from_second(second).expect("a time");
    assert!(verify_ed25519(public, &id, at, &request.body, signature), "{signature}");
    assert!(!verify_ed25519(public, &id, at, b"{}", signature));
}

#[test]
fn every_example_of_the_catalogue_can_be_published() {
    let house = Harness::start();
    let nobody = house.nobody();
    let operator = house.operator();
    let listed = nobody.get("/v1/event-types").is(200);
    let types = listed["items"].as_array().expect("items");
    assert!(types.len() > 40);
    for about in types {
        let detail = nobody.get(&format!("/v1/event-types/{}", text(&about["type"]))).is(200);
        assert_eq!(detail["schema"]["properties"]["type"]["const"], about["type"], "{detail}");
        let published = operator.post("/v1/events", &detail["example"]);
        assert_eq!(published.status, 202, "{about}: {}", published.json);
    }
    nobody.get("/v1/event-types/ticket.sold").problem(404, "not-found");
    nobody.get("/v1/event-types/custom.type").problem(404, "not-found");
}

#[test]
fn a_tenant_that_publishes_too_fast_has_to_wait() {
    let house = Harness::at_rest_configured(|settings| {
        settings.limits.publish_events_per_second = 2.0;
        settings.limits.publish_burst_events = 10;
    });
    let operator = house.operator();
    let batch = |name: &str, count: usize| -> Value {
        (0..count)
            .map(|number| json!({"id": format!("{name}-{number}"), "type": "x.y", "subject": {"id": "1"}}))
            .collect()
    };
    operator.post("/v1/events", &batch("one", 8)).is(202);
    let refused = operator.post("/v1/events", &batch("two", 4));
    assert_eq!(refused.header("retry-after"), "1");
    refused.problem(429, "too-many");
    operator.get("/v1/events/two-0").problem(404, "not-found");
    operator.tenant("other").post("/v1/events", &batch("one", 10)).is(202);
    // What is refused for another reason costs nothing.
    let mut conflict = batch("one", 2);
    conflict[0]["type"] = "other.type".into();
    for _ in 0..5 {
        operator.post("/v1/events", &conflict).problem(409, "conflict");
    }
    operator.post("/v1/events", &batch("three", 2)).is(202);
    // More than there is ever room for waits until there is room for all that
    // can be, and those behind it wait for it.
    operator.post("/v1/events", &batch("large", 100)).problem(429, "too-many");
    house.advance(Duration::from_secs(5));
    operator.post("/v1/events", &batch("large", 100)).is(202);
    let refused = operator.post("/v1/events", &batch("four", 1));
    assert_eq!(refused.header("retry-after"), "46");
    refused.problem(429, "too-many");
    house.advance(Duration::from_secs(46));
    operator.post("/v1/events", &batch("four", 1)).is(202);
}
