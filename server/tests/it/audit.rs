//! The audit log, as it is told over HTTP.

use serde_json::{Value, json};

use crate::harness::{Caller, Harness, SCOPES, text};
use crate::receiver::Reply;

/// The actions of a list, oldest first.
fn actions(caller: &Caller, path: &str) -> Vec<String> {
    let entries = caller.all(path, 3);
    entries.iter().rev().map(|entry| text(&entry["action"]).to_owned()).collect()
}

#[test]
fn whatever_is_changed_or_done_by_hand_is_told() {
    let house = Harness::start();
    let operator = house.operator().tenant("acme");
    let owner = house.client("acme", &SCOPES);
    let receiver = house.receiver();
    receiver.otherwise(Reply::status(500));
    let settings = json!({"events": ["x.*"], "retry": {"schedule_seconds": []},
        "headers": {"x-key": "sesame-1"}, "authorization_header": "Bearer sesame-2"});
    let made = owner.make_webhook(&receiver.url("/"), &settings);
    let path = format!("/v1/webhooks/{}", text(&made["id"]));
    owner.patch(&path, &json!({"name": "North", "headers": {"x-key": "sesame-3"}})).is(200);
    owner.patch(&path, &json!({"name": ""})).problem(400, "invalid-input");
    let delivery = owner.publish(&json!({"type": "x.y", "subject": {"id": "1"}}));
    // So many that the replay below is not at its end when it is stopped.
    for subject in 2..6 {
        owner.publish(&json!({"type": "x.y", "subject": {"id": subject.to_string()}}));
    }
    house.drained(&owner, text(&made["id"]));
    owner.act(&format!("{path}/pause")).is(200);
    owner.act(&format!("/v1/deliveries/{delivery}/retry")).is(202);
    owner.act(&format!("/v1/deliveries/{delivery}/cancel")).is(202);
    owner.act(&format!("/v1/deliveries/{delivery}/cancel")).problem(409, "conflict");
    owner.act(&format!("{path}/ping")).is(202);
    let since = json!({"since": "2020-01-01T00:00:00Z", "rate_per_second": 0.01});
    let job = owner.post(&format!("{path}/replay"), &since).is(202);
    owner.act(&format!("/v1/jobs/{}/stop", text(&job["id"]))).is(200);
    owner.act(&format!("{path}/resume")).is(200);
    let shown = owner.get(&format!("{path}/secret")).is(200);
    let rotated = owner.act(&format!("{path}/secret")).is(201);
    owner.act(&format!("{path}/disable")).is(200);
    owner.act(&format!("{path}/enable")).is(200);
    owner.delete(&path).is(204);
    owner.delete(&path).problem(404, "not-found");
    let topics = json!({"url": receiver.url("/"), "topics": ["Sales"]});
    let number = owner.post("/viagogo/v2/webhooks", &topics).is(201)["id"].to_string();
    owner.delete(&format!("/viagogo/v2/webhooks/{number}")).is(204);
    let (client, _) = owner.make_client(&["admin"]);
    owner.act(&format!("/v1/clients/{client}/disable")).is(200);
    owner.delete(&format!("/v1/clients/{client}")).is(204);

    let told = actions(&owner, "/v1/audit");
    let expected = [
        "client.created",
        "webhook.created",
        "webhook.updated",
        "webhook.paused",
        "delivery.retried",
        "delivery.cancelled",
        "webhook.pinged",
        "replay.started",
        "job.stopped",
        "webhook.resumed",
        "webhook.secret_shown",
        "webhook.secret_rotated",
        "webhook.disabled",
        "webhook.enabled",
        "webhook.deleted",
        "webhook.created",
        "webhook.deleted",
        "client.created",
        "client.disabled",
        "client.deleted",
    ];
    assert_eq!(told, expected);
    let log = operator.all("/v1/audit", 200);
    assert_eq!(log, owner.all("/v1/audit", 7));
    for entry in &log[..log.len() - 1] {
        assert_eq!(
            (&entry["actor"]["kind"], &entry["actor"]["name"]),
            (&json!("client"), &json!("Ticket shop"))
        );
        assert_eq!(entry["address"], "127.0.0.1");
    }
    let first = log.last().expect("an entry");
    assert_eq!(first["actor"], json!({"kind": "operator", "id": "operator", "name": ""}));
    let whole = Value::from(log).to_string();
    for secret in ["sesame", text(&made["secret"]), text(&shown["secret"]), text(&rotated["secret"])] {
        assert!(!whole.contains(secret), "{secret}");
    }
}

#[test]
fn the_log_can_be_searched() {
    let house = Harness::start();
    let owner = house.client("acme", &SCOPES);
    let operator = house.operator().tenant("acme");
    let made = operator.make_webhook("http://127.0.0.1:8/", &json!({"events": ["*"]}));
    let id = text(&made["id"]);
    owner.act(&format!("/v1/webhooks/{id}/pause")).is(200);
    owner.make_client(&["admin"]);
    for (query, expected) in [
        ("", &["client.created", "webhook.created", "webhook.paused", "client.created"][..]),
        ("?actor=operator", &["client.created", "webhook.created"]),
        ("?actor=system", &[]),
        ("?action=webhook.*", &["webhook.created", "webhook.paused"]),
        ("?action=webhook.paused", &["webhook.paused"]),
        (&format!("?target={id}"), &["webhook.created", "webhook.paused"]),
        (&format!("?target={id}&actor=operator"), &["webhook.created"]),
        ("?since=2020-01-01T00:00:00Z&until=2021-01-01T00:00:00Z", &[]),
    ] {
        assert_eq!(actions(&owner, &format!("/v1/audit{query}")), expected, "{query}");
    }
    owner.get("/v1/audit?action=web*").blames(400, "invalid-input", &["action"]);
    owner.get("/v1/audit?since=yesterday").blames(400, "invalid-input", &["since"]);
    owner.get("/v1/audit?limit=0").blames(400, "invalid-input", &["limit"]);
    let paused = &owner.get("/v1/audit?action=webhook.paused").is(200)["items"][0];
    assert_eq!(paused["before"], json!({"status": "active"}));
    assert_eq!(paused["after"], json!({"status": "paused"}));
    assert_eq!(paused["target"], json!({"kind": "webhook", "id": id}));
}

#[test]
fn what_concerns_the_deployment_is_for_the_operator() {
    let house = Harness::start();
    let operator = house.operator();
    operator.post("/v1/tenants", &json!({"id": "opera"})).is(201);
    operator.post("/v1/tenants", &json!({"id": "opera"})).problem(409, "conflict");
    operator.patch("/v1/tenants/opera", &json!({"name": "The Opera"})).is(200);
    operator.tenant("acme").get("/v1/webhooks").is(200);
    let told = actions(&operator, "/v1/deployment/audit");
    assert_eq!(told, ["tenant.created", "tenant.updated", "tenant.created"]);
    assert_eq!(actions(&operator, "/v1/deployment/audit?target=acme"), ["tenant.created"]);
    assert_eq!(actions(&operator.tenant("opera"), "/v1/audit"), [] as [&str; 0]);
}

#[test]
fn a_webhook_that_is_gone_is_disabled_by_the_system() {
    let house = Harness::start();
    let owner = house.client("acme", &SCOPES);
    let receiver = house.receiver();
    receiver.otherwise(Reply::status(410));
    let made = owner.make_webhook(&receiver.url("/"), &json!({"events": ["x.*"]}));
    owner.publish(&json!({"type": "x.y", "subject": {"id": "1"}}));
    let path = format!("/v1/audit?actor=system&target={}", text(&made["id"]));
    let entry = house.until("it is disabled", || owner.all(&path, 9).pop());
    assert_eq!((&entry["action"], &entry["address"]), (&json!("webhook.disabled"), &Value::Null));
    assert!(text(&entry["after"]["disabled_reason"]).contains("410"), "{entry}");
}
