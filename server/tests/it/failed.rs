//! What has failed: grouped by why, listed over all webhooks, retried and discarded.

#![expect(clippy::expect_used, reason = "a test that can't go on has failed")]

use serde_json::{Value, json};

use crate::harness::{Caller, Harness, event, text};
use crate::receiver::Reply;

/// A name that has no address.
const NOWHERE: &str = "http://nobody.invalid/";

fn made(operator: &Caller, url: &str) -> String {
    let settings = json!({"events": ["*"], "retry": {"schedule_seconds": []}});
    text(&operator.make_webhook(url, &settings)["id"]).to_owned()
}

/// Starts a job and waits for its end.
fn run(house: &Harness, operator: &Caller, path: &str, body: &Value) -> Value {
    let job = operator.post(path, body).is(202);
    let shown = format!("/v1/jobs/{}", text(&job["id"]));
    house.until("the job ends", || {
        let job = operator.get(&shown).is(200);
        (job["state"] == "finished").then_some(job)
    })
}

fn groups(caller: &Caller) -> Vec<Value> {
    let found = caller.get("/v1/failed/groups").is(200);
    assert_eq!(found["capped"], false);
    found["items"].as_array().expect("groups").clone()
}

#[test]
fn what_failed_is_grouped_and_moved_reason_by_reason() {
    let house = Harness::start();
    let operator = house.operator();
    let receiver = house.receiver();
    let (answering, silent) = (made(&operator, &receiver.url("/")), made(&operator, NOWHERE));
    receiver.otherwise(Reply::status(503));
    for number in 0..3 {
        operator.post("/v1/events", &event("order.paid", &number.to_string())).is(202);
    }
    house.drained(&operator, &answering);
    receiver.otherwise(Reply::status(404));
    operator.post("/v1/events", &event("order.paid", "3")).is(202);
    house.drained(&operator, &answering);
    house.drained(&operator, &silent);

    let found = groups(&operator);
    let told: Vec<_> = found
        .iter()
        .map(|group| (text(&group["webhook_id"]), &group["cause"], &group["status"], &group["count"]))
        .collect();
    let (dns, status, none) = (json!("dns"), json!("status"), Value::Null);
    let expected = [
        (&*silent, &dns, &none, &json!(4)),
        (&*answering, &status, &json!(503), &json!(3)),
        (&*answering, &status, &json!(404), &json!(1)),
    ];
    assert_eq!(told, expected);
    assert!(text(&found[1]["oldest"]) < text(&found[1]["newest"]));
    assert_eq!(found[2]["oldest"], found[2]["newest"]);

    let listed = |query: &str| operator.all(&format!("/v1/failed{query}"), 2);
    let all = listed("");
    assert_eq!(all.len(), 8);
    let times: Vec<_> = all.iter().map(|delivery| text(&delivery["created_at"])).collect();
    assert!(times.is_sorted_by(|newer, older| newer >= older), "{times:?}");
    for (query, count) in [
        ("?cause=dns".to_owned(), 4),
        ("?status=503".to_owned(), 3),
        (format!("?webhook={answering}"), 4),
        (format!("?webhook={answering}&cause=status&status=404"), 1),
        (format!("?webhook={silent}&cause=status"), 0),
    ] {
        assert_eq!(listed(&query).len(), count, "{query}");
    }

    receiver.otherwise(Reply::status(200));
    let path = format!("/v1/webhooks/{answering}");
    let job =
        run(&house, &operator, &format!("{path}/retry-failed"), &json!({"cause": "status", "status": 503}));
    assert_eq!((&job["cause"], &job["status"], &job["done"]), (&status, &json!(503), &json!(3)));
    house.drained(&operator, &answering);
    let job = run(&house, &operator, &format!("{path}/discard-failed"), &json!({"status": 404}));
    let told = (&job["kind"], &job["cause"], &job["status"], &job["done"]);
    assert_eq!(told, (&json!("discard_failed"), &none, &json!(404), &json!(1)));
    let cancelled = operator.all(&format!("{path}/deliveries?state=cancelled"), 200);
    let log = operator.get(&format!("/v1/deliveries/{}", text(&cancelled[0]["id"]))).is(200);
    let last = &log["attempt_log"][1];
    assert_eq!(
        (cancelled.len(), &last["cause"], &last["message"]),
        (1, &json!("cancelled"), &json!("discarded by hand"))
    );
    assert_eq!(groups(&operator).len(), 1);
    let job = operator.act(&format!("/v1/webhooks/{silent}/discard-failed")).is(202);
    assert_eq!((&job["cause"], &job["total"]), (&none, &json!(4)));
    house.until("nothing is failed", || groups(&operator).is_empty().then_some(()));
}

#[test]
fn every_fault_of_a_reason_is_named() {
    let house = Harness::at_rest();
    let operator = house.operator();
    let webhook = made(&operator, NOWHERE);
    for (query, parameter) in [
        ("cause=luck", "cause"),
        ("cause=cancelled", "cause"),
        ("status=99", "status"),
        ("status=1000", "status"),
        ("status=ok", "status"),
        ("limit=0", "limit"),
        ("state=failed", "state"),
    ] {
        operator.get(&format!("/v1/failed?{query}")).blames(400, "invalid-input", &[parameter]);
    }
    for webhook in ["nothing", "0198c0de-7c5e-7d3a-9d7e-2f1d6a1c0b55"] {
        operator.get(&format!("/v1/failed?webhook={webhook}")).problem(404, "not-found");
    }
    for action in ["retry-failed", "discard-failed"] {
        let path = format!("/v1/webhooks/{webhook}/{action}");
        let body = json!({"cause": 7, "status": "503", "states": []});
        operator.post(&path, &body).blames(400, "invalid-input", &["/states", "/cause", "/status"]);
        operator.post(&path, &json!({"status": 99.5})).blames(400, "invalid-input", &["/status"]);
        operator.post(&path, &json!({"cause": "superseded"})).blames(400, "invalid-input", &["/cause"]);
    }
    assert_eq!(operator.get("/v1/jobs").is(200)["items"], json!([]));
}
