//! What all dialects have in common: one publish reaches them all, and the
//! native API knows webhooks of every one of them.

use serde_json::{Value, json};

use crate::harness::{Harness, text};
use crate::receiver::Reply;

/// One webhook a dialect, each of which hears of edited tickets or sales.
fn settings() -> [(&'static str, Value); 4] {
    [
        ("native", json!({"events": ["ticket.*", "sale.*"]})),
        ("ingresse", json!({"dialect": "ingresse", "hooks": ["ticket", "event-update"]})),
        ("viagogo", json!({"dialect": "viagogo", "topics": ["Sales"]})),
        ("openticket", json!({"dialect": "openticket", "resource": "ticket", "trigger": "update"})),
    ]
}

#[test]
fn one_publish_reaches_every_dialect_in_its_shape() {
    let house = Harness::start();
    let receiver = house.receiver();
    let operator = house.operator();
    let mut secrets = Vec::new();
    for (path, settings) in settings() {
        let made = operator.make_webhook(&receiver.url(&format!("/{path}")), &settings);
        secrets.push((path, text(&made["secret"]).to_owned()));
    }
    let event = json!({
        "id": "t1", "type": "ticket.updated", "subject": {"id": "408218", "name": "Pista"},
        "related": {"event": ["24724"]}, "changes": {"quantity": 100},
        "data": {"name": "Pista", "type": "Ticket", "quantity": 100, "sale_periods": [{"app_category_id": 1}]},
    });
    assert_eq!(operator.post("/v1/events", &event).is(202)["deliveries"], 3);
    let mut told = Vec::new();
    for _ in 0..3 {
        let delivery = receiver.next();
        assert_eq!(delivery.header("webhook-id"), "t1");
        let dialect = delivery.path.trim_start_matches('/').to_owned();
        let secret = &secrets.iter().find(|(path, _)| *path == dialect).expect("a webhook").1;
        let verifier = standardwebhooks::Webhook::new(secret).expect("a secret");
        let (id, at) = (delivery.header("webhook-id"), delivery.header("webhook-timestamp"));
        let signed = verifier.sign(id, at.parse().expect("a number"), &delivery.body).expect("a signature");
        assert_eq!(delivery.header("webhook-signature"), signed, "{dialect}");
        let agent = delivery.header("user-agent").to_owned();
        assert_eq!(agent == "OpenTicket/Webhook", dialect == "openticket", "{agent}");
        told.push((dialect, delivery.json()));
    }
    told.sort_by(|one, other| one.0.cmp(&other.0));
    let [ingresse, native, openticket] = [0, 1, 2].map(|index| &told[index].1);
    let members =
        |value: &Value| -> Vec<String> { value.as_object().expect("an object").keys().cloned().collect() };
    assert_eq!(members(ingresse), ["webhook", "data", "timestamp"]);
    assert_eq!((&ingresse["data"]["id"], &ingresse["data"]["eventId"]), (&json!(408_218), &json!(24_724)));
    assert_eq!(ingresse["data"]["salePeriods"][0]["appCategoryId"], 1);
    assert_eq!((&native["type"], &native["data"]), (&json!("ticket.updated"), &event["data"]));
    assert_eq!(members(openticket), ["meta", "model", "change", "type", "time"]);
    assert_eq!(openticket["change"], json!({"props": event["data"], "changes": {"quantity": 100}}));
}

#[test]
fn webhooks_of_every_dialect_are_handled_alike() {
    let house = Harness::start();
    let receiver = house.receiver();
    let operator = house.operator();
    for (dialect, settings) in settings() {
        let made = operator.make_webhook(&receiver.url("/"), &settings);
        let path = format!("/v1/webhooks/{}", text(&made["id"]));
        assert_eq!(made["dialect"], dialect);
        for (name, value) in settings.as_object().expect("an object") {
            assert_eq!(made[name], *value, "{dialect}");
        }
        // Seen and edited.
        let edit =
            json!({"name": "Renamed", "max_in_flight": 3, "headers": {"x-a": "b"}, "identifier": null});
        let edited = operator.patch(&path, &edit).is(200);
        assert_eq!(json!([edited["name"], edited["max_in_flight"]]), json!(["Renamed", 3]));
        let own = json!({"retry": {"schedule_seconds": []}});
        assert_eq!(operator.patch(&path, &own).is(200)["retry"], own["retry"]);
        // Tried out.
        let ping = operator.act(&format!("{path}/ping")).is(202);
        let tried = receiver.next();
        assert_eq!(tried.header("webhook-id"), text(&ping["event_id"]), "{dialect}");
        assert_eq!(tried.header("x-a"), "b");
        house.delivery(&operator, text(&ping["delivery_id"]), "delivered");
        // Paused and resumed.
        operator.act(&format!("{path}/pause")).is(200);
        let type_name = if dialect == "viagogo" { "sale.created" } else { "ticket.updated" };
        let id = operator.publish(&json!({"type": type_name, "subject": {"id": "1"}}));
        assert_eq!(operator.get(&format!("/v1/deliveries/{id}")).is(200)["state"], "pending", "{dialect}");
        receiver.then(Reply::status(500));
        operator.act(&format!("{path}/resume")).is(200);
        house.delivery(&operator, &id, "failed");
        let first = receiver.next();
        // Replayed: one, and all that failed.
        operator.act(&format!("{path}/retry-failed")).is(202);
        house.delivery(&operator, &id, "delivered");
        assert_eq!(receiver.next().json()["data"], first.json()["data"], "{dialect}");
        operator.act(&format!("/v1/deliveries/{id}/retry")).is(202);
        receiver.next();
        house.delivery(&operator, &id, "delivered");
        // And what was told since a time, but for the ping.
        let selection = json!({"since": "2000-01-01T00:00:00Z", "type": type_name});
        operator.post(&format!("{path}/replay"), &selection).is(202);
        assert_eq!(receiver.next().json()["data"], first.json()["data"], "{dialect}");
        house.delivery(&operator, &id, "delivered");
        operator.delete(&path).is(204);
    }
    assert!(receiver.unexpected().is_empty());
}

#[test]
fn what_a_dialect_cannot_express_is_refused_with_the_reason() {
    let house = Harness::start();
    let operator = house.operator();
    let refused = |settings: &Value| {
        let mut body = settings.clone();
        body["url"] = "https://example.com/".into();
        operator.post("/v1/webhooks", &body)
    };
    for (settings, blamed) in [
        (json!({"dialect": "ingresse", "hooks": ["ticket", "weather"]}), vec!["/hooks/1"]),
        (json!({"dialect": "ingresse", "events": ["*"]}), vec!["/events", "/hooks"]),
        (
            json!({"dialect": "ingresse", "hooks": ["ticket"], "triggered_by_related": true}),
            vec!["/triggered_by_related"],
        ),
        (json!({"dialect": "viagogo", "topics": ["Sales"], "retries": 3}), vec!["/retries"]),
        (json!({"dialect": "viagogo", "topics": ["Sale"]}), vec!["/topics/0"]),
        (json!({"dialect": "openticket", "resource": "sale", "trigger": "paid"}), vec!["/resource"]),
        (json!({"dialect": "openticket", "resource": "event"}), vec!["/trigger"]),
        (
            json!({"dialect": "openticket", "resource": "event", "trigger": "paid", "retries": -1}),
            vec!["/retries"],
        ),
        (json!({"events": ["*"], "hooks": ["ticket"]}), vec!["/hooks"]),
        (json!({"events": ["*"], "nonce": "x"}), vec!["/nonce"]),
        (
            json!({"events": ["*"], "headers": {"OpenTicket-Trigger": "x"}}),
            vec!["/headers/OpenTicket-Trigger"],
        ),
        (json!({"events": ["*"], "headers": {"viagogo-topic": "x"}}), vec!["/headers/viagogo-topic"]),
    ] {
        refused(&settings).blames(400, "invalid-input", &blamed);
    }
    let made =
        operator.make_webhook("https://example.com/", &json!({"dialect": "ingresse", "hooks": ["sale"]}));
    let path = format!("/v1/webhooks/{}", text(&made["id"]));
    operator.patch(&path, &json!({"dialect": "viagogo", "topics": ["Sales"]})).blames(
        400,
        "invalid-input",
        &["/dialect"],
    );
    let hooks = operator.patch(&path, &json!({"hooks": ["checkin"]})).is(200)["hooks"].clone();
    assert_eq!(hooks, json!(["checkin"]));
}

#[test]
fn ingresse_receivers_are_told_by_how_much_a_quantity_changed() {
    let house = Harness::start();
    let receiver = house.receiver();
    let operator = house.operator();
    let publish = |quantity: i64, diff: &Value| {
        let data = json!({"quantity": quantity, "quantity_diff": diff});
        let event = json!({"type": "ticket.updated", "subject": {"id": "408218"}, "data": data});
        operator.post("/v1/events", &event).is(202);
    };
    // Also what was published before anybody heard of it counts.
    publish(100, &Value::Null);
    let hooks = json!({"dialect": "ingresse", "hooks": ["ticket"], "retry": {"schedule_seconds": []}});
    let made = operator.make_webhook(&receiver.url("/"), &hooks);
    let told = || receiver.next().json()["data"]["quantityDiff"].clone();
    publish(80, &Value::Null);
    assert_eq!(told(), -20);
    publish(90, &json!(7));
    assert_eq!(told(), 7, "the publisher knows best");
    publish(95, &Value::Null);
    assert_eq!(told(), 5);
    // From memory or from the database: the same.
    let path = format!("/v1/webhooks/{}", text(&made["id"]));
    operator.act(&format!("{path}/pause")).is(200);
    publish(1, &Value::Null);
    operator.act(&format!("{path}/resume")).is(200);
    assert_eq!(told(), -94);
}

#[test]
fn postbacks_are_heard_only_when_the_order_says_how_it_stands() {
    let house = Harness::start();
    let receiver = house.receiver();
    let operator = house.operator();
    operator.make_webhook(&receiver.url("/"), &json!({"dialect": "ingresse", "hooks": ["postback"]}));
    let publish = |type_name: &str, data: &Value| {
        let event = json!({"type": type_name, "subject": {"id": "9917"}, "data": data});
        operator.post("/v1/events", &event).is(202)["deliveries"].clone()
    };
    assert_eq!(publish("order.updated", &json!({"total": 5})), 0);
    assert_eq!(publish("order.created", &json!({"status": "new"})), 0);
    let data = json!({"status": "refunded", "transaction_id": "TX-1", "date": "2026-11-21"});
    assert_eq!(publish("order.updated", &data), 1);
    let told = receiver.next().json();
    assert_eq!(told["data"], json!({"transactionId": "TX-1", "status": "refunded", "date": "2026-11-21"}));
}
