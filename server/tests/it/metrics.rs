//! What the program counts, who may read it, and what a request is called.

#![expect(clippy::expect_used, reason = "a test that can't go on has failed")]

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;

use crate::harness::{Caller, Harness, event};
use crate::receiver::Reply;

/// Each sample with its labels, and its value.
fn scrape(caller: &Caller) -> BTreeMap<String, f64> {
    let answer = caller.get("/metrics");
    assert_eq!((answer.status, answer.header("content-type").starts_with("text/plain")), (200, true));
    let text = String::from_utf8(answer.body.to_vec()).expect("a text");
    let sample = |line: &str| {
        let (name, value) = line.rsplit_once(' ').expect("a value");
        (name.to_owned(), value.parse().expect("a number"))
    };
    text.lines().filter(|line| !line.starts_with('#')).map(sample).collect()
}

#[test]
fn what_happens_is_counted() {
    let house = Harness::start();
    let operator = house.operator();
    let (good, bad) = (house.receiver(), house.receiver());
    bad.otherwise(Reply::status(503));
    operator.make_webhook(&good.url("/"), &json!({"events": ["ticket.*"]}));
    operator.make_webhook(&bad.url("/"), &json!({"events": ["ticket.*"], "retry": {"schedule_seconds": []}}));
    let published = event("ticket.updated", "1");
    operator.post("/v1/events", &published).is(202);
    good.next();
    bad.next();
    let counted = || {
        let read = scrape(&operator);
        let given_up = read.get("callboard_deliveries_given_up_total{cause=\"status\"}") == Some(&1.0);
        let delivered = read.get("callboard_deliveries_delivered_total{dialect=\"native\"}") == Some(&1.0);
        (given_up && delivered).then_some(read)
    };
    let read = house.until("both are counted", counted);
    for (name, value) in [
        ("callboard_events_accepted_total", 1.0),
        ("callboard_deliveries_made_total", 2.0),
        ("callboard_attempts_failed_total{cause=\"status\"}", 1.0),
        ("callboard_attempts_answered_total{class=\"2xx\"}", 1.0),
        ("callboard_attempts_answered_total{class=\"5xx\"}", 1.0),
        ("callboard_first_attempt_lag_seconds_count", 2.0),
        ("callboard_publish_duration_seconds_count", 1.0),
        ("callboard_attempt_phase_duration_seconds_count{phase=\"exchange\"}", 2.0),
        ("callboard_attempt_phase_duration_seconds_count{phase=\"tls\"}", 0.0),
        ("callboard_node_lease_held", 1.0),
        ("callboard_store_up", 1.0),
    ] {
        assert_eq!(read.get(name), Some(&value), "{name}");
    }
    assert!(read["callboard_store_commit_duration_seconds_count"] >= 2.0);
    assert!(read["callboard_api_requests_total{class=\"2xx\"}"] >= 3.0);
    assert!(read["callboard_api_connections"] >= 1.0);
    assert!(read["process_resident_memory_bytes"] > 1_000_000.0);
}

#[test]
fn what_is_sent_late_on_purpose_is_not_late() {
    let house = Harness::at_rest();
    let (operator, receiver) = (house.operator(), house.receiver());
    let id = operator.post("/v1/events", &event("ticket.updated", "1")).is(202)["id"].clone();
    house.advance(Duration::from_hours(24));
    let made = operator.make_webhook(&receiver.url("/"), &json!({"events": ["ticket.*"]}));
    let path = format!("/v1/webhooks/{}", made["id"].as_str().expect("an id"));
    operator
        .post(&format!("{path}/replay"), &json!({"since": "2000-01-01T00:00:00Z", "missing": true}))
        .is(202);
    assert_eq!(receiver.next().json()["id"], id);
    let lag =
        || Some(scrape(&operator)).filter(|read| read["callboard_first_attempt_lag_seconds_count"] > 0.0);
    let read = house.until("it is measured", lag);
    assert_eq!(read.get("callboard_first_attempt_lag_seconds_count"), Some(&1.0));
    assert!(read["callboard_first_attempt_lag_seconds_sum"] < 60.0);
    assert!(read["callboard_queue_memory_oldest_seconds"] < 60.0);
}

#[test]
fn nothing_tells_of_a_tenant_a_webhook_or_an_address() {
    let house = Harness::start();
    let tenant = house.operator().tenant("secretive-promoter");
    let receiver = house.receiver();
    let webhook = tenant.make_webhook(&receiver.url("/hidden"), &json!({"events": ["ticket.*"]}));
    tenant.publish(&event("ticket.updated", "1"));
    receiver.next();
    let answer = house.operator().get("/metrics");
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    let id = webhook["id"].as_str().expect("an id");
    for hidden in ["secretive", "hidden", id, "127.0.0.1", "ticket.updated"] {
        assert!(!text.contains(hidden), "{hidden}");
    }
}

#[test]
fn metrics_need_the_operators_token_unless_the_settings_say_otherwise() {
    let mut house = Harness::start();
    house.nobody().get("/metrics").problem(401, "unauthenticated");
    house.client("default", &["admin"]).get("/metrics").problem(403, "forbidden");
    assert_eq!(house.operator().get("/metrics").status, 200);
    house.restart_with(|settings| settings.metrics.allow = vec!["127.0.0.0/8".parse().expect("a network")]);
    assert_eq!(house.nobody().get("/metrics").status, 200);
    house.restart_with(|settings| settings.metrics.allow = vec!["10.0.0.0/8".parse().expect("a network")]);
    assert_eq!(house.nobody().get("/metrics").status, 401);
    house.restart_with(|settings| settings.metrics.open = true);
    assert_eq!(house.nobody().get("/metrics").status, 200);
}

#[test]
fn a_request_is_called_what_a_trusted_proxy_calls_it() {
    let mut house = Harness::start();
    let named = |house: &Harness| {
        house.nobody().with("x-request-id", "of-the-proxy").get("/healthz").header("x-request-id").to_owned()
    };
    let first = named(&house);
    assert_ne!(first, "of-the-proxy");
    assert_ne!(first, named(&house), "each has its own");
    assert_ne!(house.nobody().get("/nothing").header("x-request-id"), "");
    house.restart_with(|settings| {
        settings.http.trusted_proxies = vec!["127.0.0.0/8".parse().expect("a network")];
    });
    assert_eq!(named(&house), "of-the-proxy");
}
