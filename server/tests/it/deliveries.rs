//! Deliveries: the log of attempts, lists and their filters, and what people
//! do by hand.

use std::time::Duration;

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::harness::{Caller, Harness, event, text};
use crate::receiver::Reply;

/// Makes a webhook that hears everything and tries `schedule`; returns its
/// path.
fn made(caller: &Caller, url: &str, schedule: &Value) -> String {
    let settings = json!({"events": ["*"], "retry": {"schedule_seconds": schedule}});
    format!("/v1/webhooks/{}", text(&caller.make_webhook(url, &settings)["id"]))
}

fn ticket(subject: &str) -> Value {
    event("ticket.updated", subject)
}

#[test]
fn every_attempt_is_logged() {
    let house = Harness::start();
    let operator = house.operator();
    let receiver = house.receiver();
    made(&operator, &receiver.url("/"), &json!([0.01, 0.01, 0.01]));
    receiver
        .then(Reply::status(500).header("x-trace", "7"))
        .then(Reply::status(301))
        .then(Reply::status(202));
    let mut published = ticket("1");
    published["id"] = "e1".into();
    let id = operator.publish(&published);
    let first = receiver.next();
    let later = [receiver.next(), receiver.next()];
    let delivery = house.delivery(&operator, &id, "delivered");
    let facts =
        ["event_id", "event_type", "subject_id", "attempts", "next_attempt_at"].map(|name| &delivery[name]);
    assert_eq!(json!(facts), json!(["e1", "ticket.updated", "1", 3, null]));
    let log = delivery["attempt_log"].as_array().expect("a log");
    let told = |name: &str| json!(log.iter().map(|attempt| attempt[name].clone()).collect::<Vec<_>>());
    assert_eq!(told("number"), json!([1, 2, 3]));
    assert_eq!(told("state"), json!(["waiting", "waiting", "delivered"]));
    assert_eq!(told("status"), json!([500, 301, 202]));
    assert_eq!(told("cause"), json!(["status", "status", null]));
    assert_eq!(
        told("message"),
        json!([
            "answered 500: the receiver failed",
            "answered 301: redirects are not followed; register the address it points to",
            null
        ])
    );
    assert_eq!(delivery["last_attempt"], log[2]);
    assert!(receiver.url("/").contains(text(&log[0]["peer"])), "{}", log[0]);
    assert_eq!(log[0]["answer"]["body"], "noted");
    let headers = log[0]["answer"]["headers"].as_array().expect("headers");
    assert!(headers.contains(&json!(["x-trace", "7"])), "{}", log[0]);
    for again in later {
        assert_eq!((again.header("webhook-id"), &again.body), ("e1", &first.body));
    }
}

#[test]
fn a_schedule_that_is_spent_ends_in_failure() {
    let house = Harness::start();
    let operator = house.operator();
    let receiver = house.receiver();
    receiver.otherwise(Reply::status(503));
    let path = made(&operator, &receiver.url("/"), &json!([0.01]));
    let id = operator.publish(&ticket("1"));
    let failed = house.delivery(&operator, &id, "failed");
    assert_eq!((&failed["attempts"], &failed["next_attempt_at"]), (&json!(2), &Value::Null));
    let webhook = operator.get(&path).is(200);
    assert_ne!(webhook["failing_since"], Value::Null);
    receiver.otherwise(Reply::status(200));
    let id = operator.publish(&ticket("2"));
    house.delivery(&operator, &id, "delivered");
    house.until("it works again", || operator.get(&path).is(200)["failing_since"].is_null().then_some(()));
}

#[test]
fn a_waiting_delivery_is_sent_when_it_is_due() {
    let house = Harness::at_rest();
    let operator = house.operator();
    let receiver = house.receiver();
    made(&operator, &receiver.url("/"), &json!([3_600]));
    receiver.then(Reply::status(500));
    let id = operator.publish(&ticket("1"));
    let first = receiver.next();
    let waiting = house.delivery(&operator, &id, "waiting");
    let due: callboard_domain::clock::Timestamp = text(&waiting["next_attempt_at"]).parse().expect("a time");
    let wait = due.duration_since(house.now()).as_secs();
    assert!((2_880..=4_320).contains(&wait), "{wait} s");
    house.advance_to_next_attempt(&operator, &waiting);
    let second = receiver.next();
    assert_ne!(first.header("webhook-timestamp"), second.header("webhook-timestamp"));
    assert_eq!(second.header("webhook-timestamp"), due.as_second().to_string());
    house.delivery(&operator, &id, "delivered");
}

#[test]
fn causes_can_be_read() {
    let house = Harness::start();
    let operator = house.operator();
    let receiver = house.receiver();
    let gate = CancellationToken::new();
    receiver.otherwise(Reply::status(200).behind(&gate));
    let unused = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let refused = format!("http://{}/", unused.local_addr().expect("an address"));
    drop(unused);
    let settings = json!({"events": ["*"], "retry": {"schedule_seconds": []}, "timeout_seconds": 0.2});
    for (url, cause, says) in [
        (refused.as_str(), "connect", "refused"),
        (&receiver.url("/"), "timeout", "200 ms"),
        ("http://nobody.invalid/", "dns", "nobody.invalid"),
    ] {
        let webhook = operator.make_webhook(url, &settings);
        let id = operator.publish(&ticket("1"));
        let failed = house.delivery(&operator, &id, "failed");
        let attempt = &failed["last_attempt"];
        assert_eq!(attempt["cause"], cause, "{url}: {attempt}");
        assert!(text(&attempt["message"]).contains(says), "{url}: {attempt}");
        assert_eq!((&attempt["status"], &attempt["answer"]), (&Value::Null, &Value::Null), "{url}");
        operator.delete(&format!("/v1/webhooks/{}", text(&webhook["id"]))).is(204);
    }
    gate.cancel();
}

#[test]
fn what_is_shut_after_a_webhook_was_made_is_blocked() {
    let mut house = Harness::configured(|settings| {
        settings.egress.allow = ["0.0.0.0/0", "::/0"].map(|net| net.parse().expect("a network")).to_vec();
        settings.egress.deny_ports = Some(Vec::new());
    });
    let receiver = house.receiver();
    let at_receiver = receiver.url("/");
    let settings = json!({"events": ["*"], "retry": {"schedule_seconds": []}});
    let cases = [
        (at_receiver.as_str(), "loopback"),
        ("http://10.1.2.3/", "private"),
        ("http://[::1]:8080/", "loopback"),
        ("http://169.254.169.254/latest", "metadata"),
        ("http://localhost/", "the host name localhost leads nowhere that may be called"),
        ("http://8.8.8.8:25/", "the port 25 may not be called"),
    ];
    let operator = house.operator();
    let made = cases.map(|(url, says)| {
        let settings = operator.make_webhook(url, &settings);
        (url, says, format!("/v1/webhooks/{}", text(&settings["id"])))
    });
    house.restart_with(|settings| {
        settings.egress.allow.clear();
        settings.egress.deny_ports = None;
    });
    let operator = house.operator();
    for (url, _, path) in &made {
        operator.patch(path, &json!({"name": "still here"})).is(200);
        operator.patch(path, &json!({"url": format!("{url}x")})).blames(400, "invalid-input", &["/url"]);
    }
    operator.post("/v1/events", &ticket("1")).is(202);
    for (url, says, path) in &made {
        let id = house.until("its delivery failed", || {
            let listed = operator.get(&format!("{path}/deliveries?state=failed")).is(200);
            listed["items"][0]["id"].as_str().map(str::to_owned)
        });
        let attempt = operator.get(&format!("/v1/deliveries/{id}")).is(200)["last_attempt"].clone();
        assert_eq!(attempt["cause"], "blocked", "{url}: {attempt}");
        assert!(text(&attempt["message"]).contains(says), "{url}: {attempt}");
        assert_eq!((&attempt["status"], &attempt["answer"]), (&Value::Null, &Value::Null), "{url}");
    }
    assert!(receiver.unexpected().is_empty());
}

#[test]
fn lists_are_filtered_and_paged() {
    let house = Harness::at_rest();
    let operator = house.operator();
    let receiver = house.receiver();
    let path = made(&operator, &receiver.url("/"), &json!([]));
    for index in 0..12 {
        receiver.otherwise(Reply::status(if index % 3 == 0 { 500 } else { 200 }));
        let type_name = if index % 2 == 0 { "ticket.updated" } else { "order.paid" };
        let id = operator.publish(&event(type_name, &format!("s{}", index % 4)));
        house.delivery(&operator, &id, if index % 3 == 0 { "failed" } else { "delivered" });
        house.advance(Duration::from_mins(1));
    }
    operator.act(&format!("{path}/pause")).is(200);
    operator.publish(&event("shop.paid", "s9"));
    let list = format!("{path}/deliveries");
    let found = |query: &str| operator.all(&format!("{list}?{query}"), 3);
    let everything = found("");
    assert_eq!(everything.len(), 13);
    assert!(everything.is_sorted_by(|a, b| text(&a["created_at"]) >= text(&b["created_at"])));
    for (query, count) in [
        ("state=failed", 4),
        ("state=delivered", 8),
        ("state=failed,delivered", 12),
        ("state=pending,%20waiting", 1),
        ("state=cancelled", 0),
        ("type=order.paid", 6),
        ("subject=s1", 3),
        ("type=ticket.updated&subject=s2", 3),
        ("state=failed&type=ticket.updated", 2),
        ("since=2026-11-21T19:10:00Z", 3),
        ("until=2026-11-21T19:01:00Z", 1),
        ("answer=2xx", 8),
        ("answer=5xx", 4),
        ("answer=5xx&state=failed&type=ticket.updated", 2),
        ("answer=4xx", 0),
        ("answer=none", 0),
        ("since=2026-11-21T19:01:00Z&until=2026-11-21T19:03:00Z", 2),
    ] {
        let items = found(query);
        assert_eq!(items.len(), count, "{query}");
        let all_known = items.iter().all(|item| everything.contains(item));
        assert!(all_known, "{query}");
    }
    let problem = operator.get(&format!("{list}?answer=500")).problem(400, "invalid-input");
    assert!(problem.to_string().contains("2xx, 3xx, 4xx, 5xx, none"), "{problem}");
}

#[test]
fn what_was_not_answered_is_found() {
    let house = Harness::start();
    let operator = house.operator();
    let unused = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let refused = format!("http://{}/", unused.local_addr().expect("an address"));
    drop(unused);
    let path = made(&operator, &refused, &json!([3_600]));
    let id = operator.publish(&ticket("1"));
    house.delivery(&operator, &id, "waiting");
    let listed = |answer: &str| operator.all(&format!("{path}/deliveries?answer={answer}"), 50);
    assert_eq!(listed("none")[0]["id"], id);
    assert_eq!(listed("2xx").len() + listed("5xx").len(), 0);
    operator.act(&format!("/v1/deliveries/{id}/cancel")).is(202);
    assert_eq!(listed("none").len(), 0, "a cancellation is no attempt");
}

#[test]
fn one_delivery_is_retried_by_hand() {
    let house = Harness::start();
    let operator = house.operator();
    let receiver = house.receiver();
    let path = made(&operator, &receiver.url("/"), &json!([3_600]));
    receiver.then(Reply::status(500));
    let id = operator.publish(&ticket("1"));
    let retry = format!("/v1/deliveries/{id}/retry");
    house.delivery(&operator, &id, "waiting");
    operator.act(&retry).is(202);
    assert_eq!(house.delivery(&operator, &id, "delivered")["attempts"], 2);
    // What was delivered may be sent again, and keeps its log.
    let again = operator.act(&retry).is(202);
    assert_eq!(again["attempt_log"].as_array().map(Vec::len), Some(2));
    let retried = house.until("a third attempt", || {
        let delivery = operator.get(&format!("/v1/deliveries/{id}")).is(200);
        (delivery["attempts"] == 3).then_some(delivery)
    });
    assert_eq!(retried["state"], "delivered");

    operator.act(&format!("{path}/pause")).is(200);
    let pending = operator.publish(&ticket("2"));
    operator.act(&format!("/v1/deliveries/{pending}/retry")).problem(409, "conflict");
    operator.act("/v1/deliveries/dlv_999999/retry").problem(404, "not-found");
}

#[test]
fn a_retry_by_hand_has_the_whole_schedule_before_it() {
    let house = Harness::start();
    let operator = house.operator();
    let receiver = house.receiver();
    receiver.otherwise(Reply::status(500));
    made(&operator, &receiver.url("/"), &json!([0.01, 0.01]));
    let id = operator.publish(&ticket("1"));
    assert_eq!(house.delivery(&operator, &id, "failed")["attempts"], 3);
    operator.act(&format!("/v1/deliveries/{id}/retry")).is(202);
    let failed = house.until("six attempts", || {
        let delivery = operator.get(&format!("/v1/deliveries/{id}")).is(200);
        (delivery["attempts"] == 6 && delivery["state"] == "failed").then_some(delivery)
    });
    assert_eq!(failed["attempt_log"].as_array().map(Vec::len), Some(6));
}

#[test]
fn what_waits_can_be_cancelled() {
    let house = Harness::start();
    let operator = house.operator();
    let receiver = house.receiver();
    let path = made(&operator, &receiver.url("/"), &json!([3_600]));
    receiver.then(Reply::status(500));
    let waiting = operator.publish(&ticket("waiting"));
    receiver.next();
    house.delivery(&operator, &waiting, "waiting");
    operator.act(&format!("{path}/pause")).is(200);
    let pending = operator.publish(&ticket("pending"));
    for (id, attempts) in [(&waiting, 2), (&pending, 1)] {
        let cancel = format!("/v1/deliveries/{id}/cancel");
        let cancelled = operator.act(&cancel).is(202);
        assert_eq!((&cancelled["state"], &cancelled["next_attempt_at"]), (&json!("cancelled"), &Value::Null));
        assert_eq!(cancelled["attempt_log"].as_array().map(Vec::len), Some(attempts));
        assert_eq!(cancelled["last_attempt"]["cause"], "cancelled");
        operator.act(&cancel).problem(409, "conflict");
    }
    operator.act(&format!("{path}/resume")).is(200);
    operator.publish(&ticket("marker"));
    assert_eq!(receiver.next().json()["subject"]["id"], "marker");
    assert!(receiver.unexpected().is_empty());
    // By hand it comes back.
    operator.act(&format!("/v1/deliveries/{pending}/retry")).is(202);
    assert_eq!(receiver.next().json()["subject"]["id"], "pending");
    house.delivery(&operator, &pending, "delivered");
    operator.act(&format!("/v1/deliveries/{pending}/cancel")).problem(409, "conflict");
}

#[test]
fn an_attempt_under_way_ends_as_it_ends() {
    let house = Harness::start();
    let operator = house.operator();
    let receiver = house.receiver();
    let gate = CancellationToken::new();
    receiver.then(Reply::status(200).behind(&gate));
    made(&operator, &receiver.url("/"), &json!([]));
    let id = operator.publish(&ticket("1"));
    receiver.next();
    operator.act(&format!("/v1/deliveries/{id}/retry")).problem(409, "conflict");
    assert_eq!(operator.act(&format!("/v1/deliveries/{id}/cancel")).is(202)["state"], "cancelled");
    gate.cancel();
    house.delivery(&operator, &id, "delivered");
}

#[test]
fn everything_that_failed_is_retried_as_a_job() {
    let house = Harness::start();
    let operator = house.operator();
    let receiver = house.receiver();
    receiver.otherwise(Reply::status(500));
    let path = made(&operator, &receiver.url("/"), &json!([]));
    let id = path.rsplit('/').next().expect("an id");
    let batch: Vec<Value> = (0..600).map(|index| ticket(&index.to_string())).collect();
    operator.post("/v1/events", &json!(batch)).is(202);
    house.drained(&operator, id);
    assert_eq!(operator.all(&format!("{path}/deliveries?state=failed"), 200).len(), 600);

    receiver.otherwise(Reply::status(200));
    let job = operator.act(&format!("{path}/retry-failed")).is(202);
    assert_eq!((&job["kind"], &job["total"]), (&json!("retry_failed"), &json!(600)));
    assert_eq!(job["webhook_id"], id);
    let shown = format!("/v1/jobs/{}", text(&job["id"]));
    let ended = house.until("the job ends", || {
        let job = operator.get(&shown).is(200);
        (job["state"] == "finished").then_some(job)
    });
    assert_eq!(ended["done"], 600);
    assert_ne!(ended["ended_at"], Value::Null);
    house.drained(&operator, id);
    assert_eq!(operator.all(&format!("{path}/deliveries?state=delivered"), 200).len(), 600);
    assert_eq!(operator.get("/v1/jobs").is(200)["items"], json!([ended]));
    assert_eq!(operator.act(&format!("{shown}/stop")).is(200)["state"], "finished");
    operator.act("/v1/jobs/job_99/stop").problem(404, "not-found");
}

#[test]
fn a_stopped_job_goes_no_further() {
    let house = Harness::start();
    let operator = house.operator();
    let receiver = house.receiver();
    receiver.otherwise(Reply::status(500));
    let path = made(&operator, &receiver.url("/"), &json!([]));
    let id = path.rsplit('/').next().expect("an id");
    for _ in 0..2 {
        let batch: Vec<Value> = (0..1_000).map(|index| ticket(&index.to_string())).collect();
        operator.post("/v1/events", &json!(batch)).is(202);
    }
    house.drained(&operator, id);
    // Paused, so that the count of what waits is the job's work alone.
    operator.act(&format!("{path}/pause")).is(200);
    let job = operator.act(&format!("{path}/retry-failed")).is(202);
    let shown = format!("/v1/jobs/{}", text(&job["id"]));
    let stopped = operator.act(&format!("{shown}/stop")).is(200);
    assert_eq!((&stopped["state"], &stopped["total"]), (&json!("stopped"), &json!(2_000)));
    let done = stopped["done"].as_u64().expect("a number");
    assert!(done < 2_000, "{stopped}");
    assert_eq!(operator.get(&format!("{path}/stats")).is(200)["queued"], done);
    // A job that is over makes room for the next.
    let next = operator.act(&format!("{path}/retry-failed")).is(202);
    assert_eq!(next["total"], 2_000 - done);
    house.until("the second job ends", || {
        let job = operator.get(&format!("/v1/jobs/{}", text(&next["id"]))).is(200);
        (job["state"] == "finished").then_some(())
    });
    assert_eq!(operator.get(&format!("{path}/stats")).is(200)["queued"], 2_000);
    assert_eq!(operator.get(&shown).is(200)["done"], done);
}
