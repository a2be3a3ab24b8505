//! Replay of what is missing: events from before their webhook heard them are
//! delivered late, and once.

use std::collections::HashSet;
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Caller, Harness, event, text};
use crate::process::{Home, until};
use crate::receiver::{Received, Receiver};

const EARLY: &str = "2000-01-01T00:00:00Z";

fn missing() -> Value {
    json!({"since": EARLY, "missing": true})
}

fn path_of(made: &Value) -> String {
    format!("/v1/webhooks/{}", text(&made["id"]))
}

/// How many would be sent.
fn count(caller: &Caller, path: &str, selection: &Value) -> Value {
    let mut asked = selection.clone();
    asked["dry_run"] = true.into();
    let counted = caller.post(&format!("{path}/replay"), &asked).is(200);
    assert_eq!(counted["total_capped"], false);
    counted["total"].clone()
}

/// Starts a replay and waits for its end.
fn replay(house: &Harness, caller: &Caller, path: &str, selection: &Value) -> Value {
    let job = caller.post(&format!("{path}/replay"), selection).is(202);
    ended(house, caller, &job)
}

fn ended(house: &Harness, caller: &Caller, job: &Value) -> Value {
    let path = format!("/v1/jobs/{}", text(&job["id"]));
    house.until("the job ends", || {
        let job = caller.get(&path).is(200);
        (job["state"] != "running").then_some(job)
    })
}

fn told(receiver: &Receiver, count: usize) -> Vec<Value> {
    (0..count).map(|_| receiver.next().json()).collect()
}

#[test]
fn what_was_before_a_webhook_is_delivered_late_and_once() {
    let house = Harness::at_rest();
    let operator = house.operator();
    let receiver = house.receiver();
    for (id, type_name) in [("t1", "ticket.updated"), ("o1", "order.paid"), ("t2", "ticket.deleted")] {
        operator.post("/v1/events", &json!({"id": id, "type": type_name, "subject": {"id": "7"}})).is(202);
        house.advance(Duration::from_mins(1));
    }
    // One at a time, so that they arrive in the order in which they are sent.
    let settings = json!({"events": ["ticket.*"], "max_in_flight": 1});
    let made = operator.make_webhook(&receiver.url("/"), &settings);
    let path = path_of(&made);
    let heard = operator.publish(&json!({"id": "t3", "type": "ticket.paid", "subject": {"id": "7"}}));
    house.delivery(&operator, &heard, "delivered");
    receiver.next();
    house.advance(Duration::from_mins(1));

    for (narrower, total) in [
        (json!({}), 2),
        (json!({"type": "ticket.deleted"}), 1),
        (json!({"type": "order.paid"}), 0),
        (json!({"subject": "7"}), 2),
        (json!({"subject": "8"}), 0),
        (json!({"since": "2026-11-21T19:02:00Z"}), 1),
        (json!({"until": "2026-11-21T19:02:00Z"}), 1),
        (json!({"since": "2100-01-01T00:00:00Z"}), 0),
    ] {
        let mut selection = missing();
        selection.as_object_mut().expect("an object").extend(narrower.as_object().expect("one").clone());
        assert_eq!(count(&operator, &path, &selection), total, "{selection}");
    }
    let job = operator.post(&format!("{path}/replay"), &missing()).is(202);
    let selection = json!({"since": EARLY, "until": null, "missing": true, "states": [], "type": null,
        "subject": null});
    assert_eq!((&job["kind"], &job["total"], &job["selection"]), (&json!("replay"), &json!(2), &selection));
    let late = told(&receiver, 2);
    assert!(late.iter().map(|one| text(&one["id"])).eq(["t1", "t2"]), "{late:?}");
    let job = ended(&house, &operator, &job);
    assert_eq!(json!([job["state"], job["done"], job["looked_at"]]), json!(["finished", 2, 4]));

    // It is a delivery like any other, made now.
    house.drained(&operator, text(&made["id"]));
    let shown = operator.get("/v1/events/t1/deliveries").is(200)["items"].clone();
    assert_eq!(
        (&shown[0]["event_id"], &shown[0]["created_at"]),
        (&json!("t1"), &json!("2026-11-21T19:04:00Z"))
    );
    assert_eq!(operator.get("/v1/events/t1").is(200)["deliveries"], 1);
    assert_eq!(operator.get("/v1/events/t1").is(200)["accepted_at"], "2026-11-21T19:00:00Z");
    assert_eq!(operator.all("/v1/events", 2).len(), 4);
    let listed = operator.all(&format!("{path}/deliveries?state=delivered"), 2);
    assert!(listed.iter().map(|one| text(&one["event_id"])).eq(["t2", "t1", "t3"]), "{listed:?}");
    operator.act(&format!("/v1/deliveries/{}/retry", text(&shown[0]["id"]))).is(202);
    assert_eq!(receiver.next().json(), late[0]);
    // Nothing of it is missing any more.
    assert_eq!(count(&operator, &path, &missing()), 0);
    let again = replay(&house, &operator, &path, &missing());
    assert_eq!(json!([again["total"], again["done"]]), json!([0, 0]));
    house.drained(&operator, text(&made["id"]));
    assert!(receiver.unexpected().is_empty());
}

#[test]
fn what_came_while_a_webhook_was_disabled_is_missing_and_what_waited_is_not() {
    let house = Harness::start();
    let operator = house.operator();
    let receiver = house.receiver();
    let made = operator.make_webhook(&receiver.url("/"), &json!({"events": ["*"]}));
    let path = path_of(&made);
    operator.act(&format!("{path}/pause")).is(200);
    operator.publish(&json!({"id": "waits", "type": "x.y", "subject": {"id": "1"}}));
    operator.act(&format!("{path}/disable")).is(200);
    operator.post("/v1/events", &json!({"id": "unheard", "type": "x.y", "subject": {"id": "1"}})).is(202);
    assert_eq!(count(&operator, &path, &missing()), 1);
    // Pings of others are nobody's business.
    let other = operator.make_webhook(&receiver.url("/other"), &json!({"events": ["webhook.*"]}));
    let ping = operator.act(&format!("{}/ping", path_of(&other))).is(202);
    house.delivery(&operator, text(&ping["delivery_id"]), "delivered");
    assert_eq!(receiver.next().path, "/other");
    assert_eq!(count(&operator, &path, &missing()), 1);
    operator.patch(&path, &json!({"events": ["*", "webhook.*"]})).is(200);
    assert_eq!(count(&operator, &path, &missing()), 1);
    // As long as it is disabled, what is late waits like all else.
    let job = replay(&house, &operator, &path, &missing());
    assert_eq!(job["done"], 1);
    assert_eq!(operator.get(&format!("{path}/stats")).is(200)["queued"], 2);
    assert!(receiver.unexpected().is_empty());
    operator.act(&format!("{path}/enable")).is(200);
    let mut ids: Vec<String> = told(&receiver, 2).iter().map(|one| text(&one["id"]).to_owned()).collect();
    ids.sort();
    assert_eq!(ids, ["unheard", "waits"]);
}

#[test]
fn only_what_the_webhook_hears_as_it_is_now_is_missing() {
    let house = Harness::start();
    let operator = house.operator();
    let receiver = house.receiver();
    for event in [
        json!({"id": "a", "type": "ticket.updated", "subject": {"id": "408218"}, "data": {"quantity": 3}}),
        json!({"id": "b", "type": "ticket.updated", "subject": {"id": "2"}, "data": {"quantity": 90}}),
        json!({"id": "c", "type": "order.paid", "subject": {"id": "9"}, "related": {"ticket": ["408218"]}}),
        json!({"id": "d", "type": "order.paid", "subject": {"id": "9"}}),
        json!({"id": "e", "type": "order.updated", "subject": {"id": "9"}, "changes": {"status": "paid"}}),
        json!({"id": "f", "type": "sale.created", "subject": {"id": "9"}}),
        json!({"id": "g", "type": "acme.seat.held", "subject": {"id": "9"}}),
    ] {
        operator.post("/v1/events", &event).is(202);
    }
    // Nothing of another tenant is.
    operator.tenant("other").post("/v1/events", &event("ticket.updated", "408218")).is(202);
    for (settings, heard) in [
        (json!({"events": ["*"]}), "abcdefg"),
        (json!({"events": ["ticket.*"], "identifier": "408218"}), "a"),
        (json!({"events": ["ticket.*"], "filter": "$.data[?@ < 10]"}), "a"),
        (json!({"events": ["ticket.paid"], "triggered_by_related": true}), "cd"),
        (json!({"events": ["ticket.paid"], "triggered_by_related": true, "identifier": "408218"}), "c"),
        (json!({"events": ["ticket.paid"], "triggered_by_related": true, "identifier": "2"}), ""),
        (json!({"events": ["acme.*", "order.updated"]}), "eg"),
        (json!({"dialect": "ingresse", "hooks": ["postback"]}), "cde"),
        (json!({"dialect": "viagogo", "topics": ["Sales"]}), "f"),
        (json!({"dialect": "openticket", "resource": "ticket", "trigger": "update"}), "ab"),
    ] {
        let made = operator.make_webhook(&receiver.url("/"), &settings);
        assert_eq!(count(&operator, &path_of(&made), &missing()), heard.len(), "{settings}");
        let job = replay(&house, &operator, &path_of(&made), &missing());
        assert_eq!(json!([job["total"], job["done"]]), json!([heard.len(), heard.len()]), "{settings}");
        let mut ids: Vec<String> =
            (0..heard.len()).map(|_| receiver.next().header("webhook-id").to_owned()).collect();
        ids.sort();
        assert_eq!(ids.concat(), heard, "{settings}");
    }
    // What it hears since its edit is missing too.
    let made = operator.make_webhook(&receiver.url("/"), &json!({"events": ["sale.*"]}));
    let path = path_of(&made);
    assert_eq!(replay(&house, &operator, &path, &missing())["done"], 1);
    operator.patch(&path, &json!({"events": ["sale.*", "order.paid"]})).is(200);
    assert_eq!(count(&operator, &path, &missing()), 2);
}

#[test]
fn every_dialect_tells_late_what_it_would_have_told_then() {
    let house = Harness::at_rest();
    let operator = house.operator();
    let receiver = house.receiver();
    let dialects = [
        json!({"events": ["ticket.*", "sale.*"]}),
        json!({"dialect": "ingresse", "hooks": ["ticket"]}),
        json!({"dialect": "viagogo", "topics": ["Sales"]}),
        json!({"dialect": "openticket", "resource": "ticket", "trigger": "update"}),
    ];
    let ticket = |quantity: u32| {
        json!({"type": "ticket.updated", "subject": {"id": "408218", "name": "Pista"},
            "related": {"event": ["24724"]}, "changes": {"quantity": quantity},
            "data": {"name": "Pista", "type": "Ticket", "quantity": quantity}})
    };
    operator.post("/v1/events", &ticket(80)).is(202);
    let publish = || {
        operator.post("/v1/events", &ticket(93)).is(202);
        let sale = json!({"type": "sale.created", "subject": {"id": "9"}, "data": {"eventId": 5}});
        operator.post("/v1/events", &sale).is(202);
    };
    house.advance(Duration::from_secs(1));
    let from_here = house.now().to_string();
    let then: Vec<Value> =
        dialects.iter().map(|one| operator.make_webhook(&receiver.url("/"), one)).collect();
    publish();
    for made in &then {
        house.drained(&operator, text(&made["id"]));
    }
    let told_then: Vec<(String, Value)> = receiver.unexpected().iter().map(told_of).collect();
    assert_eq!(told_then.len(), 5, "{told_then:?}");
    house.advance(Duration::from_hours(1));
    let mut compared = 0;
    for settings in &dialects {
        let made = operator.make_webhook(&receiver.url("/"), settings);
        let selection = json!({"since": from_here, "missing": true});
        replay(&house, &operator, &path_of(&made), &selection);
        house.drained(&operator, text(&made["id"]));
        for late in receiver.unexpected().iter().map(told_of) {
            assert!(told_then.contains(&late), "{settings}: {late:?}\nwas not told then: {told_then:?}");
            compared += 1;
        }
    }
    assert_eq!(compared, 5);
    let whole = told_then.iter().map(|(_, body)| body.to_string()).collect::<String>();
    assert!(whole.contains("\"quantityDiff\":13"), "{whole}");
}

/// The event that a delivery tells, and its body without what differs from
/// webhook to webhook and from delivery to delivery.
fn told_of(delivery: &Received) -> (String, Value) {
    let mut body = delivery.json();
    strip(&mut body);
    (delivery.header("webhook-id").to_owned(), body)
}

/// Removes what tells when, to whom, or as which delivery something was posted.
fn strip(body: &mut Value) {
    match body {
        Value::Object(members) => {
            members.retain(|name, _| !["timestamp", "_links", "id", "created_at"].contains(&name.as_str()));
            members.values_mut().for_each(strip);
        }
        Value::Array(elements) => elements.iter_mut().for_each(strip),
        _ => {}
    }
}

#[test]
fn late_deliveries_of_a_subject_go_in_order() {
    let house = Harness::start();
    let operator = house.operator();
    let receiver = house.receiver();
    let batch: Vec<Value> = (0..40)
        .map(|index| json!({"id": format!("e{index}"), "type": "ticket.updated", "subject": {"id": (index % 2).to_string()}}))
        .collect();
    operator.post("/v1/events", &json!(batch)).is(202);
    let settings = json!({"events": ["*"], "ordering": "subject", "collapse": "latest"});
    let made = operator.make_webhook(&receiver.url("/"), &settings);
    assert_eq!(replay(&house, &operator, &path_of(&made), &missing())["done"], 40);
    house.drained(&operator, text(&made["id"]));
    let told = told(&receiver, 40);
    for subject in ["0", "1"] {
        let of_it = told.iter().filter(|one| one["subject"]["id"] == subject);
        let numbers: Vec<u32> = of_it.map(|one| text(&one["id"])[1..].parse().expect("a number")).collect();
        assert!(numbers.is_sorted() && numbers.len() == 20, "{numbers:?}");
    }
}

/// Publishes that many events that nobody hears.
fn publish_unheard(caller: &Caller, thousands: usize) {
    for thousand in 0..thousands {
        let one = |index: usize| event("ticket.updated", &(thousand * 1_000 + index).to_string());
        let batch: Vec<Value> = (0..1_000).map(one).collect();
        caller.post("/v1/events", &json!(batch)).is(202);
    }
}

#[test]
fn a_long_replay_counts_on_through_a_restart_and_makes_nothing_twice() {
    let mut house = Harness::start();
    let operator = house.operator();
    publish_unheard(&operator, 6);
    let made = operator.make_webhook("http://127.0.0.1:8/", &json!({"events": ["*"]}));
    let path = path_of(&made);
    operator.act(&format!("{path}/pause")).is(200);
    let job = operator.post(&format!("{path}/replay"), &missing()).is(202);
    assert_eq!(job["total"], Value::Null, "it is being counted");
    house.until("it has begun", || {
        let job = operator.get(&format!("/v1/jobs/{}", text(&job["id"]))).is(200);
        (job["done"] != 0).then_some(())
    });
    house.restart();
    let operator = house.operator();
    let job = ended(&house, &operator, &job);
    assert_eq!(
        json!([job["state"], job["total"], job["done"], job["looked_at"]]),
        json!(["finished", 6000, 6000, 6000])
    );
    assert_eq!(operator.get(&format!("{path}/stats")).is(200)["queued"], 6_000);
    let deliveries = operator.all(&format!("{path}/deliveries"), 200);
    let events: HashSet<&str> = deliveries.iter().map(|one| text(&one["event_id"])).collect();
    assert_eq!((deliveries.len(), events.len()), (6_000, 6_000));
    assert_eq!(count(&operator, &path, &missing()), 0);
}

#[test]
fn a_replay_that_is_stopped_in_the_middle_leaves_the_rest_missing() {
    let house = Harness::start();
    let operator = house.operator();
    publish_unheard(&operator, 3);
    let made = operator.make_webhook("http://127.0.0.1:8/", &json!({"events": ["*"]}));
    let path = path_of(&made);
    operator.act(&format!("{path}/pause")).is(200);
    let job = operator.post(&format!("{path}/replay"), &missing()).is(202);
    assert_eq!(job["total"], 3_000);
    let stopped = operator.act(&format!("/v1/jobs/{}/stop", text(&job["id"]))).is(200);
    let done = stopped["done"].as_u64().expect("a number");
    assert!(stopped["state"] == "stopped" && done < 3_000, "{stopped}");
    assert_eq!(operator.get(&format!("{path}/stats")).is(200)["queued"], done);
    assert_eq!(count(&operator, &path, &missing()), 3_000 - done);
    assert_eq!(replay(&house, &operator, &path, &missing())["done"], 3_000 - done);
    assert_eq!(operator.get(&format!("{path}/stats")).is(200)["queued"], 3_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_in_the_middle_of_a_replay_loses_nothing_and_repeats_nothing() {
    let home = Home::new();
    let process = home.serve().await;
    for thousand in 0..4 {
        let one = |index: usize| event("ticket.updated", &(thousand * 1_000 + index).to_string());
        process.post("/v1/events", &(0..1_000).map(one).collect()).await.is(202);
    }
    let webhook = process.make_webhook(&json!({"url": "http://127.0.0.1:8/", "events": ["*"]})).await;
    let path = format!("/v1/webhooks/{webhook}");
    process.post(&format!("{path}/pause"), &json!({})).await.is(200);
    let job = process.post(&format!("{path}/replay"), &missing()).await.is(202);
    let shown = format!("/v1/jobs/{}", text(&job["id"]));
    let begun = until("it has begun", async || {
        process.get(&shown).await.is(200)["done"].as_u64().filter(|done| *done > 0)
    });
    assert!(begun.await < 4_000);
    process.kill().await;
    let process = home.serve().await;
    let ended = until("the job ends", async || {
        let job = process.get(&shown).await.is(200);
        (job["state"] == "finished").then_some(job)
    });
    assert_eq!(ended.await["done"], 4_000);
    assert_eq!(process.get(&format!("{path}/stats")).await.is(200)["queued"], 4_000);
    let mut dry = missing();
    dry["dry_run"] = true.into();
    let left = process.post(&format!("{path}/replay"), &dry).await.is(200);
    assert_eq!(left["total"], 0);
    process.stop().await;
}
