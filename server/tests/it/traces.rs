//! Traces: what receivers are told, and what a collector gets.

#![expect(clippy::expect_used, clippy::panic, reason = "a test that can't go on has failed")]

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::harness::{Caller, Harness, event, text};
use crate::receiver::{Receiver, Reply};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// A program whose spans, this part of them, go to a collector.
fn collected(ratio: f64) -> (Harness, Receiver) {
    let mut house = Harness::start();
    let collector = house.receiver();
    let endpoint = collector.url("/");
    house.restart_with(|settings| {
        settings.telemetry.otlp_endpoint = Some(endpoint);
        settings.telemetry.sample_ratio = ratio;
    });
    (house, collector)
}

fn publish(caller: &Caller, id: &str) {
    caller.post("/v1/events", &event("ticket.updated", id)).is(202);
}

/// The next so many spans that the collector gets, by name.
fn spans(collector: &Receiver, count: usize) -> BTreeMap<String, Value> {
    let mut found = BTreeMap::new();
    while found.len() < count {
        let request = collector.next();
        assert_eq!(request.header("content-type"), "application/json");
        let document = request.json();
        let of = &document["resourceSpans"][0];
        assert_eq!(of["resource"]["attributes"][0]["value"]["stringValue"], "callboard");
        for span in of["scopeSpans"][0]["spans"].as_array().expect("spans") {
            found.insert(text(&span["name"]).to_owned(), span.clone());
        }
    }
    found
}

fn attribute<'a>(span: &'a Value, name: &str) -> &'a Value {
    let attributes = span["attributes"].as_array().expect("attributes");
    let found = attributes.iter().find(|attribute| attribute["key"] == name);
    &found.unwrap_or_else(|| panic!("no {name} in {span}"))["value"]
}

#[test]
fn a_trace_leads_from_the_publisher_to_the_receiver() {
    let (house, collector) = collected(0.0);
    let operator = house.operator();
    let receiver = house.receiver();
    receiver.then(Reply::status(503));
    let webhook = operator.make_webhook(&receiver.url("/"), &json!({"events": ["ticket.*"]}));
    publish(&operator.with("traceparent", PARENT).with("tracestate", "congo=t61rcWkgMzE"), "1");
    let told = receiver.next();
    let spans = spans(&collector, 4);
    assert_eq!(spans.keys().collect::<Vec<_>>(), ["attempt", "commit", "match", "publish"]);
    let (publish, attempt) = (&spans["publish"], &spans["attempt"]);
    assert!(spans.values().all(|span| span["traceId"] == TRACE), "{spans:#?}");
    assert_eq!(publish["parentSpanId"], "00f067aa0ba902b7");
    for below in ["attempt", "commit", "match"] {
        assert_eq!(spans[below]["parentSpanId"], publish["spanId"], "{below}");
    }
    assert_eq!(told.header("traceparent"), format!("00-{TRACE}-{}-01", text(&attempt["spanId"])));
    assert_eq!(told.header("tracestate"), "congo=t61rcWkgMzE");
    assert_eq!(attempt["status"]["code"], 2);
    assert_eq!(attribute(attempt, "http.response.status_code")["intValue"], "503");
    assert_eq!(attribute(attempt, "callboard.webhook")["stringValue"], webhook["id"]);
    let nanoseconds = |name: &str| -> i128 { text(&attempt[name]).parse().expect("a number") };
    assert!(nanoseconds("startTimeUnixNano") <= nanoseconds("endTimeUnixNano"));
}

#[test]
fn traces_begin_here_where_the_publisher_sends_none() {
    let (house, collector) = collected(1.0);
    let operator = house.operator();
    let receiver = house.receiver();
    operator.make_webhook(&receiver.url("/"), &json!({"events": ["ticket.*"]}));
    publish(&operator, "1");
    let spans = spans(&collector, 4);
    let (publish, attempt) = (&spans["publish"], &spans["attempt"]);
    assert_eq!(publish.get("parentSpanId"), None);
    let expected = format!("00-{}-{}-01", text(&publish["traceId"]), text(&attempt["spanId"]));
    assert_eq!(receiver.next().header("traceparent"), expected);
}

#[test]
fn a_trace_that_its_publisher_does_not_keep_is_passed_on_and_not_collected() {
    let (house, collector) = collected(1.0);
    let operator = house.operator();
    let receiver = house.receiver();
    operator.make_webhook(&receiver.url("/"), &json!({"events": ["ticket.*"]}));
    let unsampled = PARENT.replace("-01", "-00");
    publish(&operator.with("traceparent", &unsampled), "1");
    assert_eq!(receiver.next().header("traceparent"), unsampled);
    drop(house);
    assert!(collector.unexpected().is_empty());
}

#[test]
fn without_a_collector_the_publishers_own_context_is_passed_on_or_nothing() {
    let mut house = Harness::start();
    let receiver = house.receiver();
    house.operator().make_webhook(&receiver.url("/"), &json!({"events": ["ticket.*"]}));
    publish(&house.operator().with("traceparent", PARENT), "1");
    assert_eq!(receiver.next().header("traceparent"), PARENT);
    publish(&house.operator().with("traceparent", "nonsense"), "2");
    assert_eq!(receiver.next().header("traceparent"), "");
    house.restart_with(|settings| settings.telemetry.pass_on = false);
    publish(&house.operator().with("traceparent", PARENT), "3");
    assert_eq!(receiver.next().header("traceparent"), "");
}

#[test]
fn a_collector_that_is_away_holds_nothing_up() {
    let mut house = Harness::start();
    let receiver = house.receiver();
    house.operator().make_webhook(&receiver.url("/"), &json!({"events": ["ticket.*"]}));
    house.restart_with(|settings| {
        // Nobody listens there.
        settings.telemetry.otlp_endpoint = Some("http://127.0.0.1:1".to_owned());
        settings.telemetry.sample_ratio = 1.0;
    });
    let operator = house.operator();
    publish(&operator, "1");
    receiver.next();
    house.until("its spans are dropped", || {
        let metrics = operator.get("/metrics");
        String::from_utf8_lossy(&metrics.body).contains("callboard_spans_dropped_total 4").then_some(())
    });
}
