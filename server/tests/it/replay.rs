//! Replay: what is over is sent again, selected by time, state, type, subject.

use serde_json::{Value, json};

use crate::harness::{Caller, Harness, event, text};
use crate::receiver::{Receiver, Reply};

/// A webhook that has heard three updates and, a minute later, two deletions,
/// of which the second failed; and the time in between.
fn heard(house: &Harness, operator: &Caller, receiver: &Receiver) -> (String, String) {
    let settings = json!({"events": ["ticket.*"], "retry": {"schedule_seconds": []}});
    let made = operator.make_webhook(&receiver.url("/"), &settings);
    let path = format!("/v1/webhooks/{}", text(&made["id"]));
    let publish = |type_name: &str, subject: &str, reply: Reply, state: &str| {
        receiver.then(reply);
        let delivery = operator.publish(&event(type_name, subject));
        receiver.next();
        house.delivery(operator, &delivery, state);
    };
    for subject in ["1", "2", "3"] {
        publish("ticket.updated", subject, Reply::status(200), "delivered");
    }
    house.advance(std::time::Duration::from_mins(1));
    let between = house.now().to_string();
    publish("ticket.deleted", "1", Reply::status(200), "delivered");
    publish("ticket.deleted", "2", Reply::status(500), "failed");
    (path, between)
}

#[test]
fn what_is_selected_is_sent_again_and_nothing_else() {
    let house = Harness::at_rest();
    let operator = house.operator();
    let receiver = house.receiver();
    let (path, between) = heard(&house, &operator, &receiver);
    let replay = format!("{path}/replay");
    let early = "2000-01-01T00:00:00Z";
    for (selection, total) in [
        (json!({"since": early}), 5),
        (json!({"since": between}), 2),
        (json!({"since": early, "until": between}), 3),
        (json!({"since": early, "states": ["failed"]}), 1),
        (json!({"since": early, "states": ["superseded", "cancelled"]}), 0),
        (json!({"since": early, "subject": "1"}), 2),
        (json!({"since": early, "subject": "1", "type": "ticket.deleted"}), 1),
        (json!({"since": early, "until": null, "states": null, "type": "ticket.none"}), 0),
    ] {
        let mut asked = selection.clone();
        asked["dry_run"] = true.into();
        assert_eq!(
            operator.post(&replay, &asked).is(200),
            json!({"total": total, "total_capped": false}),
            "{selection}"
        );
    }
    assert_eq!(operator.get("/v1/jobs").is(200)["items"], json!([]), "a dry run starts nothing");

    let selection = json!({"since": between, "states": ["delivered", "failed"]});
    let job = operator.post(&replay, &selection).is(202);
    let facts = ["kind", "total", "selection"].map(|name| &job[name]);
    let told = json!({"since": between, "until": null, "missing": false, "states": ["delivered", "failed"],
        "type": null, "subject": null});
    assert_eq!(json!(facts), json!(["replay", 2, told]));
    let again: Vec<Value> = (0..2).map(|_| receiver.next().json()).collect();
    assert!(again.iter().all(|one| one["type"] == "ticket.deleted"), "{again:?}");
    let ended = house.until("the job ends", || {
        let job = operator.get(&format!("/v1/jobs/{}", text(&job["id"]))).is(200);
        (job["state"] == "finished").then_some(job)
    });
    assert_eq!(ended["done"], 2);
    house.drained(&operator, path.rsplit('/').next().expect("an id"));
    assert_eq!(operator.all(&format!("{path}/deliveries?state=delivered"), 200).len(), 5);
    assert!(receiver.unexpected().is_empty());
}

#[test]
fn a_webhook_has_one_replay_at_a_time() {
    let house = Harness::start();
    let operator = house.operator();
    let receiver = house.receiver();
    let settings = json!({"events": ["*"]});
    let made = operator.make_webhook(&receiver.url("/"), &settings);
    let path = format!("/v1/webhooks/{}", text(&made["id"]));
    let batch: Vec<Value> = (0..1_000).map(|index| event("ticket.updated", &index.to_string())).collect();
    for _ in 0..3 {
        operator.post("/v1/events", &json!(batch)).is(202);
    }
    house.drained(&operator, path.rsplit('/').next().expect("an id"));
    operator.act(&format!("{path}/pause")).is(200);
    let replay = format!("{path}/replay");
    let selection = json!({"since": "2000-01-01T00:00:00Z"});
    let job = operator.post(&replay, &selection).is(202);
    assert_eq!(job["total"], 3_000);
    // Nothing is counted for the second, so it comes while the first has most of its way before it.
    let other = json!({"since": "2100-01-01T00:00:00Z"});
    let refused = operator.post(&replay, &other).problem(409, "conflict");
    assert!(text(&refused["detail"]).starts_with(text(&job["id"])), "{refused}");
    let shown = format!("/v1/jobs/{}", text(&job["id"]));
    let stopped = operator.act(&format!("{shown}/stop")).is(200);
    assert_eq!(stopped["state"], "stopped");
    assert_eq!(operator.get(&format!("{path}/stats")).is(200)["queued"], stopped["done"]);
    // What is to be sent is not selected once more.
    let left = 3_000 - stopped["done"].as_u64().expect("a number");
    assert_eq!(operator.post(&replay, &selection).is(202)["total"], left);
}

#[test]
fn a_wrong_selection_is_refused_by_the_name_of_its_fault() {
    let house = Harness::start();
    let operator = house.operator();
    let receiver = house.receiver();
    let made = operator.make_webhook(&receiver.url("/"), &json!({"events": ["*"]}));
    let replay = format!("/v1/webhooks/{}/replay", text(&made["id"]));
    let good = "2026-01-01T00:00:00Z";
    for (selection, blamed) in [
        (json!({}), "/since"),
        (json!({"since": null}), "/since"),
        (json!({"since": "yesterday"}), "/since"),
        (json!({"since": 1}), "/since"),
        (json!({"since": good, "until": good}), "/until"),
        (json!({"since": good, "states": []}), "/states"),
        (json!({"since": good, "states": "failed"}), "/states"),
        (json!({"since": good, "states": ["pending"]}), "/states"),
        (json!({"since": good, "type": 1}), "/type"),
        (json!({"since": good, "subject": []}), "/subject"),
        (json!({"since": good, "subject": "a\u{0}"}), "/subject"),
        (json!({"since": good, "type": "\u{0}"}), "/type"),
        (json!({"since": good, "dry_run": "yes"}), "/dry_run"),
        (json!({"since": good, "rate": 5}), "/rate"),
        (json!({"since": good, "rate_per_second": 0}), "/rate_per_second"),
        (json!({"since": good, "rate_per_second": "fast"}), "/rate_per_second"),
        (json!({"since": good, "missing": "yes"}), "/missing"),
        (json!({"since": good, "missing": true, "states": ["failed"]}), "/states"),
    ] {
        operator.post(&replay, &selection).blames(400, "invalid-input", &[blamed]);
    }
    operator.post("/v1/webhooks/nothing/replay", &json!({"since": good})).problem(404, "not-found");
    let retry = format!("/v1/webhooks/{}/retry-failed", text(&made["id"]));
    for (body, blamed) in [
        (json!({"rate_per_second": 10_001}), "/rate_per_second"),
        (json!({"rate": 1}), "/rate"),
        (json!([]), ""),
    ] {
        operator.post(&retry, &body).blames(400, "invalid-input", &[blamed]);
    }
    operator.send("POST", &retry, Some("text/plain"), "5").problem(415, "unsupported-media-type");
    assert_eq!(operator.get("/v1/jobs").is(200)["items"], json!([]));
}

#[test]
fn a_rate_is_kept_by_the_clock_and_holds_up_no_other_job() {
    let mut house = Harness::at_rest();
    let operator = house.operator();
    let receiver = house.receiver();
    let (slow, _) = heard(&house, &operator, &receiver);
    let updates = json!({"since": "2000-01-01T00:00:00Z", "type": "ticket.updated", "rate_per_second": 2.5});
    let job = operator.post(&format!("{slow}/replay"), &updates).is(202);
    assert_eq!((&job["rate_per_second"], &job["total"]), (&json!(2.5), &json!(3)));
    assert_eq!(receiver.next().json()["subject"]["id"], "1");
    let mut faster = updates.clone();
    faster["rate_per_second"] = 5.into();
    operator.post(&format!("{slow}/replay"), &faster).problem(409, "conflict");
    // A job of another kind, and of another webhook, goes on meanwhile.
    let retry = operator.post(&format!("{slow}/retry-failed"), &json!({"rate_per_second": 100})).is(202);
    assert_eq!(receiver.next().json()["subject"]["id"], "2");
    assert_eq!((&retry["kind"], &retry["rate_per_second"]), (&json!("retry_failed"), &json!(100.0)));
    let done = |house: &Harness| {
        house.operator().get(&format!("/v1/jobs/{}", text(&job["id"]))).is(200)["done"].clone()
    };
    assert_eq!(done(&house), 1);
    house.restart();
    for count in 2..=3 {
        house.advance(std::time::Duration::from_millis(399));
        assert_eq!(done(&house), count - 1, "not yet");
        house.advance(std::time::Duration::from_millis(1));
        assert_eq!(receiver.next().json()["subject"]["id"], count.to_string());
        house.until("the next is due", || (done(&house) == count).then_some(()));
    }
    house.advance(std::time::Duration::from_millis(400));
    house.until("it has looked at the rest", || {
        let job = house.operator().get(&format!("/v1/jobs/{}", text(&job["id"]))).is(200);
        (job["state"] == "finished").then_some(())
    });
    assert!(receiver.unexpected().is_empty());
}
