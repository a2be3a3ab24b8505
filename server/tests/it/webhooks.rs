//! Webhooks: making, editing, pausing, and what each means for deliveries.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Caller, Harness, event, text};
use crate::receiver::{Received, Receiver, Reply};

/// Makes a webhook that hears tickets; returns its path and its id.
fn made(caller: &Caller, receiver: &Receiver, settings: &Value) -> (String, String) {
    let mut settings = settings.clone();
    if settings["events"].is_null() {
        settings["events"] = json!(["ticket.*"]);
    }
    let webhook = caller.make_webhook(&receiver.url("/"), &settings);
    let id = text(&webhook["id"]).to_owned();
    (format!("/v1/webhooks/{id}"), id)
}

fn ticket(subject: &str) -> Value {
    event("ticket.updated", subject)
}

/// The subject that a request is about.
fn subject(request: &Received) -> String {
    text(&request.json()["subject"]["id"]).to_owned()
}

#[test]
fn a_webhook_is_made_with_the_documented_defaults() {
    let house = Harness::at_rest();
    let operator = house.operator();
    let wanted = json!({"url": "https://partner.example/callboard", "events": ["ticket.*", "order.paid"]});
    let answer = operator.post("/v1/webhooks", &wanted);
    let location = answer.header("location").to_owned();
    let webhook = answer.is(201);
    let id = text(&webhook["id"]);
    assert_eq!(location, format!("/v1/webhooks/{id}"));
    let secret = text(&webhook["secret"]);
    assert!(secret.starts_with("whsec_"), "{secret}");
    let mut shown = json!({
        "id": id, "name": "partner.example", "url": "https://partner.example/callboard", "dialect": "native",
        "events": ["ticket.*", "order.paid"], "identifier": null, "triggered_by_related": false,
        "filter": null,
        "retry": {"schedule_seconds": [5.0, 300.0, 1800.0, 7200.0, 18000.0, 36000.0, 50400.0, 72000.0, 86400.0]},
        "ordering": "none", "collapse": "none", "rate_per_second": null, "max_in_flight": 16,
        "timeout_seconds": 15.0, "headers": {}, "authorization_header": null, "client_certificate": null, "signature": "hmac",
        "enabled": true, "status": "active", "disabled_reason": null, "failing_since": null, "revision": 1,
        "created_at": "2026-11-21T19:00:00Z", "updated_at": "2026-11-21T19:00:00Z",
    });
    let answer = operator.get(&location);
    assert_eq!(answer.header("etag"), "\"1\"");
    assert_eq!(answer.is(200), shown);
    assert_eq!(operator.get("/v1/webhooks").is(200), json!({"items": [shown], "next": null}));
    shown["secret"] = secret.into();
    assert_eq!(webhook, shown);
}

#[test]
fn webhooks_are_listed_newest_first_page_by_page() {
    let house = Harness::start();
    let operator = house.operator();
    let receiver = house.receiver();
    let mut made: Vec<String> = (0..5).map(|_| made(&operator, &receiver, &json!({})).1).collect();
    made.reverse();
    for limit in [1, 2, 5, 200] {
        let listed = operator.all("/v1/webhooks", limit);
        assert_eq!(listed.iter().map(|webhook| text(&webhook["id"])).collect::<Vec<_>>(), made);
    }
}

#[test]
fn webhooks_are_listed_by_what_is_asked_for() {
    let house = Harness::start();
    let operator = house.operator();
    let receiver = house.receiver();
    let mut names = Vec::new();
    for (name, settings) in [
        ("Box office", json!({})),
        ("100% of it", json!({"authorization_header": "Bearer sesame"})),
        ("Hooks", json!({"dialect": "ingresse", "hooks": ["ticket"]})),
        ("1000 boxes", json!({"enabled": false})),
    ] {
        let mut settings = settings;
        settings["name"] = name.into();
        if settings["dialect"].is_null() {
            settings["events"] = json!(["ticket.*"]);
        }
        let webhook = operator.make_webhook(&receiver.url("/"), &settings);
        names.push((name, format!("/v1/webhooks/{}", text(&webhook["id"]))));
    }
    operator.act(&format!("{}/pause", names[1].1)).is(200);
    for (query, expected) in [
        ("search=", vec!["1000 boxes", "Hooks", "100% of it", "Box office"]),
        ("search=BOX", vec!["1000 boxes", "Box office"]),
        ("search=0%25", vec!["100% of it"]),
        ("search=127.0.0.1", vec!["1000 boxes", "Hooks", "100% of it", "Box office"]),
        ("search=sesame", vec![]),
        ("dialect=ingresse", vec!["Hooks"]),
        ("dialect=native&search=box", vec!["1000 boxes", "Box office"]),
        ("status=active", vec!["Hooks", "Box office"]),
        ("status=paused", vec!["100% of it"]),
        ("status=disabled", vec!["1000 boxes"]),
        ("failing=true", vec![]),
        ("failing=false&status=active", vec!["Hooks", "Box office"]),
    ] {
        for limit in [1, 50] {
            let listed = operator.all(&format!("/v1/webhooks?{query}"), limit);
            let listed: Vec<_> = listed.iter().map(|webhook| text(&webhook["name"])).collect();
            assert_eq!(listed, expected, "{query}");
        }
    }
    for (query, says) in [
        ("status=active,paused", "active, paused, disabled"),
        ("dialect=Native", "native"),
        ("failing=1", "true or false"),
        ("name=Hooks", "name"),
    ] {
        let problem = operator.get(&format!("/v1/webhooks?{query}")).problem(400, "invalid-input");
        assert!(problem.to_string().contains(says), "{problem}");
    }
}

#[test]
fn those_that_fail_are_listed_until_they_work_again() {
    let house = Harness::start();
    let operator = house.operator();
    let receiver = house.receiver();
    receiver.otherwise(Reply::status(503));
    let (_, id) = made(&operator, &receiver, &json!({"retry": {"schedule_seconds": []}}));
    made(&operator, &receiver, &json!({"events": ["order.*"]}));
    operator.publish(&ticket("1"));
    let failing = || operator.all("/v1/webhooks?failing=true", 50);
    let failed = house.until("it fails", || Some(failing()).filter(|listed| !listed.is_empty()));
    assert_eq!((failed.len(), text(&failed[0]["id"])), (1, &*id));
    receiver.otherwise(Reply::status(200));
    operator.publish(&ticket("2"));
    house.until("it works again", || failing().is_empty().then_some(()));
}

#[test]
fn an_edit_changes_what_it_names_and_nothing_else() {
    let house = Harness::at_rest();
    let operator = house.operator();
    let receiver = house.receiver();
    let (path, _) =
        made(&operator, &receiver, &json!({"name": "Door", "identifier": "9", "max_in_flight": 3}));
    let before = operator.get(&path).is(200);
    house.advance(Duration::from_mins(1));
    let edit = json!({"identifier": null, "timeout_seconds": 2.5, "retry": {"schedule_seconds": []}, "events": ["*"]});
    let answer = operator.patch(&path, &edit);
    assert_eq!(answer.header("etag"), "\"2\"");
    let mut wanted = before;
    for (member, value) in edit.as_object().expect("an object") {
        wanted[member] = value.clone();
    }
    wanted["revision"] = 2.into();
    wanted["updated_at"] = "2026-11-21T19:01:00Z".into();
    assert_eq!(answer.is(200), wanted);
    assert_eq!(operator.get(&path).is(200), wanted);
    let reset = operator.patch(&path, &json!({"max_in_flight": null, "timeout_seconds": null, "name": null}));
    let reset = reset.is(200);
    assert_eq!(reset["max_in_flight"], 16);
    assert_eq!(reset["timeout_seconds"], json!(15.0));
    assert_eq!(reset["name"], "127.0.0.1");
}

#[test]
fn an_edit_of_an_old_revision_is_refused() {
    let house = Harness::start();
    let operator = house.operator();
    let receiver = house.receiver();
    let (path, _) = made(&operator, &receiver, &json!({}));
    let stale = operator.get(&path).header("etag").to_owned();
    let first = operator.with("if-match", &stale).patch(&path, &json!({"name": "First"}));
    let fresh = first.header("etag").to_owned();
    first.is(200);
    operator.with("if-match", &stale).patch(&path, &json!({"name": "Late"})).problem(412, "conflict");
    assert_eq!(operator.get(&path).is(200)["name"], "First");
    operator.with("if-match", &fresh).patch(&path, &json!({"name": "Second"})).is(200);
    operator.with("if-match", "*").patch(&path, &json!({"name": "Third"})).is(200);
}

#[test]
fn a_masked_authorization_header_survives_the_round_trip() {
    let house = Harness::start();
    let operator = house.operator();
    let receiver = house.receiver();
    let (path, _) = made(&operator, &receiver, &json!({"authorization_header": "Bearer hunter2"}));
    let answer = operator.get(&path);
    assert!(!String::from_utf8_lossy(&answer.body).contains("hunter2"));
    let shown = answer.is(200);
    assert_eq!(shown["authorization_header"], "********");
    let edit = json!({"name": "Renamed", "authorization_header": shown["authorization_header"]});
    assert_eq!(operator.patch(&path, &edit).is(200)["authorization_header"], "********");
    operator.publish(&ticket("1"));
    assert_eq!(receiver.next().header("authorization"), "Bearer hunter2");
    operator.patch(&path, &json!({"authorization_header": null})).is(200);
    operator.publish(&ticket("2"));
    assert_eq!(receiver.next().header("authorization"), "");
}

#[test]
fn an_edit_is_obeyed_at_once() {
    let house = Harness::start();
    let operator = house.operator();
    let (receiver, other) = (house.receiver(), house.receiver());
    let (path, _) = made(&operator, &receiver, &json!({}));
    operator.publish(&ticket("1"));
    receiver.next();
    operator.patch(&path, &json!({"url": other.url("/new"), "events": ["order.*"]})).is(200);
    assert_eq!(operator.post("/v1/events", &ticket("2")).is(202)["deliveries"], 0);
    operator.publish(&event("order.paid", "3"));
    assert_eq!(other.next().path, "/new");
    assert!(receiver.unexpected().is_empty());
}

#[test]
fn a_deleted_webhook_hears_nothing_and_what_waited_is_cancelled() {
    let house = Harness::start();
    let operator = house.operator();
    let receiver = house.receiver();
    let (path, _) = made(&operator, &receiver, &json!({}));
    operator.act(&format!("{path}/pause")).is(200);
    let waiting = operator.publish(&ticket("1"));
    assert_eq!(operator.delete(&path).is(204), Value::Null);
    operator.get(&path).problem(404, "not-found");
    operator.delete(&path).problem(404, "not-found");
    assert_eq!(operator.get("/v1/webhooks").is(200)["items"], json!([]));
    assert_eq!(operator.post("/v1/events", &ticket("2")).is(202)["deliveries"], 0);
    let cancelled = house.delivery(&operator, &waiting, "cancelled");
    assert_eq!(cancelled["webhook_id"], Value::Null);
    assert!(text(&cancelled["last_attempt"]["message"]).contains("deleted"), "{cancelled}");
    assert!(receiver.unexpected().is_empty());
}

#[test]
fn a_paused_webhook_hears_and_is_called_when_it_is_resumed() {
    let house = Harness::start();
    let operator = house.operator();
    let receiver = house.receiver();
    let (path, id) = made(&operator, &receiver, &json!({"max_in_flight": 1}));
    let paused = operator.act(&format!("{path}/pause")).is(200);
    assert_eq!((&paused["status"], &paused["enabled"]), (&json!("paused"), &json!(true)));
    let waiting = operator.publish(&ticket("1"));
    operator.publish(&ticket("2"));
    assert_eq!(operator.get(&format!("{path}/stats")).is(200)["queued"], 2);
    assert_eq!(operator.get(&format!("/v1/deliveries/{waiting}")).is(200)["state"], "pending");
    assert!(receiver.unexpected().is_empty());
    assert_eq!(operator.act(&format!("{path}/resume")).is(200)["status"], "active");
    assert_eq!([subject(&receiver.next()), subject(&receiver.next())], ["1", "2"]);
    house.drained(&operator, &id);
    assert!(receiver.unexpected().is_empty());
}

#[test]
fn a_disabled_webhook_hears_nothing_new_and_keeps_what_waited() {
    let house = Harness::start();
    let operator = house.operator();
    let receiver = house.receiver();
    let (path, id) = made(&operator, &receiver, &json!({}));
    operator.act(&format!("{path}/pause")).is(200);
    let kept = operator.publish(&ticket("kept"));
    let disabled = operator.act(&format!("{path}/disable")).is(200);
    assert_eq!((&disabled["status"], &disabled["enabled"]), (&json!("disabled"), &json!(false)));
    assert_eq!(operator.post("/v1/events", &ticket("missed")).is(202)["deliveries"], 0);
    assert_eq!(operator.get(&format!("/v1/deliveries/{kept}")).is(200)["state"], "pending");
    for action in ["pause", "resume", "ping"] {
        operator.act(&format!("{path}/{action}")).problem(409, "conflict");
    }
    assert_eq!(operator.act(&format!("{path}/enable")).is(200)["status"], "active");
    assert_eq!(subject(&receiver.next()), "kept");
    operator.patch(&path, &json!({"enabled": false})).is(200);
    assert_eq!(operator.post("/v1/events", &ticket("missed")).is(202)["deliveries"], 0);
    assert_eq!(operator.patch(&path, &json!({"enabled": true})).is(200)["status"], "active");
    operator.publish(&ticket("heard"));
    assert_eq!(subject(&receiver.next()), "heard");
    house.drained(&operator, &id);
    let born = operator.make_webhook(&receiver.url("/"), &json!({"events": ["*"], "enabled": false}));
    assert_eq!(born["status"], "disabled");
    assert!(receiver.unexpected().is_empty());
}

#[test]
fn a_ping_reaches_one_webhook_only() {
    let house = Harness::start();
    let operator = house.operator();
    let (receiver, other) = (house.receiver(), house.receiver());
    let (path, id) = made(&operator, &receiver, &json!({"name": "Door"}));
    made(&operator, &other, &json!({"events": ["*", "webhook.ping"]}));
    let ping = operator.act(&format!("{path}/ping")).is(202);
    let request = receiver.next();
    assert_eq!(request.header("webhook-id"), text(&ping["event_id"]));
    let body = request.json();
    assert_eq!(body["type"], "webhook.ping");
    assert_eq!(body["subject"], json!({"id": id, "name": "Door"}));
    let delivered = house.delivery(&operator, text(&ping["delivery_id"]), "delivered");
    assert_eq!(delivered["event_id"], ping["event_id"]);
    assert!(other.unexpected().is_empty());
}

#[test]
fn gone_disables_the_webhook_and_tells_who_asked_to_know() {
    let house = Harness::start();
    let operator = house.operator();
    let (receiver, watcher) = (house.receiver(), house.receiver());
    let (path, id) = made(&operator, &receiver, &json!({"events": ["ticket.*", "webhook.disabled"]}));
    made(&operator, &watcher, &json!({"events": ["webhook.disabled"]}));
    made(&operator, &watcher, &json!({"events": ["order.paid", "*"]}));
    receiver.otherwise(Reply::status(410));
    let published = operator.post("/v1/events", &ticket("1")).is(202);
    receiver.next();
    let heard = [watcher.next().json(), watcher.next().json()];
    let notice = heard.iter().find(|body| body["type"] == "webhook.disabled").expect("a notice");
    assert_eq!(notice["subject"]["id"], json!(id));
    assert!(text(&notice["data"]["reason"]).contains("410"), "{notice}");
    let webhook = operator.get(&path).is(200);
    assert_eq!(webhook["status"], "disabled");
    assert!(text(&webhook["disabled_reason"]).contains("410"), "{webhook}");
    let notices = operator.get("/v1/events?type=webhook.disabled").is(200);
    assert_eq!(notices["items"].as_array().map(Vec::len), Some(1));
    assert_eq!(notices["items"][0]["deliveries"], 1, "the disabled one is not told");
    let fan_out = operator.get(&format!("/v1/events/{}/deliveries", text(&published["id"]))).is(200);
    assert_eq!(fan_out["items"].as_array().map(Vec::len), Some(2));
    assert!(receiver.unexpected().is_empty());
    assert_eq!(operator.act(&format!("{path}/enable")).is(200)["disabled_reason"], Value::Null);
}

/// What is told of a webhook goes to other receivers, who may be somebody else's.
#[test]
fn what_is_told_of_a_webhook_holds_none_of_its_credentials() {
    let house = Harness::start();
    let operator = house.operator();
    let (receiver, watcher) = (house.receiver(), house.receiver());
    let hidden = ["Bearer-sesame", "header-sesame"];
    let (_, id) = made(
        &operator,
        &receiver,
        &json!({
            "events": ["ticket.*"],
            "retry": {"schedule_seconds": []},
            "authorization_header": hidden[0],
            "headers": {"X-Api-Key": hidden[1]},
        }),
    );
    let secret = operator.get(&format!("/v1/webhooks/{id}/secret")).is(200);
    let secret = text(&secret["secret"]).to_owned();
    let all = ["webhook.disabled", "webhook.failing", "webhook.recovered", "delivery.exhausted"];
    made(&operator, &watcher, &json!({"events": all}));
    receiver.otherwise(Reply::status(410));
    operator.publish(&ticket("1"));
    let request = receiver.next();
    assert_eq!([request.header("authorization"), request.header("x-api-key")], hidden);
    let told = [watcher.next(), watcher.next()];
    let types: Vec<_> = told.iter().map(|request| request.json()["type"].clone()).collect();
    assert!(types.contains(&json!("webhook.disabled")), "{types:?}");
    for request in told {
        let whole = format!("{request:?} {}", String::from_utf8_lossy(&request.body));
        for text in hidden.iter().copied().chain([&*secret, &secret[6..]]) {
            assert!(!whole.contains(text), "{text}: {whole}");
        }
    }
}

#[test]
fn gone_many_times_at_once_is_told_once() {
    let mut house = Harness::start();
    let receiver = house.receiver();
    let gate = tokio_util::sync::CancellationToken::new();
    receiver.otherwise(Reply::status(410).behind(&gate));
    let operator = house.operator();
    made(&operator, &receiver, &json!({}));
    let batch: Vec<Value> = (0..8).map(|index| ticket(&index.to_string())).collect();
    operator.post("/v1/events", &json!(batch)).is(202);
    for _ in 0..8 {
        receiver.next();
    }
    gate.cancel();
    // A stop lets every attempt have its say.
    house.restart();
    let operator = house.operator();
    assert_eq!(operator.all("/v1/events?type=webhook.disabled", 200).len(), 1);
    let listed = operator.get("/v1/webhooks").is(200);
    assert_eq!(
        (&listed["items"][0]["status"], &listed["items"][0]["revision"]),
        (&json!("disabled"), &json!(2))
    );
}

#[test]
fn retry_after_is_honoured() {
    let house = Harness::at_rest();
    let operator = house.operator();
    let receiver = house.receiver();
    made(&operator, &receiver, &json!({"retry": {"schedule_seconds": [5, 5]}}));
    receiver.then(Reply::status(429).header("retry-after", "120"));
    receiver.then(Reply::status(503).header("retry-after", "Sat, 21 Nov 2026 19:10:00 GMT"));
    let id = operator.publish(&ticket("1"));
    receiver.next();
    let waiting = house.delivery(&operator, &id, "waiting");
    assert_eq!(waiting["next_attempt_at"], "2026-11-21T19:02:00Z");
    house.advance_to_next_attempt(&operator, &waiting);
    receiver.next();
    let waiting = house.until("a second attempt", || {
        let delivery = operator.get(&format!("/v1/deliveries/{id}")).is(200);
        (delivery["attempts"] == 2).then_some(delivery)
    });
    assert_eq!(waiting["next_attempt_at"], "2026-11-21T19:10:00Z");
    house.advance_to_next_attempt(&operator, &waiting);
    receiver.next();
    assert_eq!(house.delivery(&operator, &id, "delivered")["attempts"], 3);
}

#[test]
fn related_resources_trigger_where_that_is_asked_for() {
    let house = Harness::start();
    let operator = house.operator();
    let receiver = house.receiver();
    let hears = |path: &str, settings: Value| {
        let mut settings = settings;
        settings["events"] = json!(["ticket.paid"]);
        operator.make_webhook(&receiver.url(path), &settings);
    };
    hears("/related", json!({"triggered_by_related": true}));
    hears("/this", json!({"triggered_by_related": true, "identifier": "408218"}));
    hears("/other", json!({"triggered_by_related": true, "identifier": "1"}));
    hears("/direct", json!({}));
    let mut paid = event("order.paid", "9917");
    paid["related"] = json!({"ticket": ["408217", "408218"], "event": ["1"]});
    assert_eq!(operator.post("/v1/events", &paid).is(202)["deliveries"], 2);
    let mut reached = [receiver.next(), receiver.next()].map(|request| {
        assert_eq!(request.json()["type"], "order.paid");
        request.path
    });
    reached.sort();
    assert_eq!(reached, ["/related", "/this"]);
    // Directly, the identifier is compared with the subject.
    assert_eq!(operator.post("/v1/events", &event("ticket.paid", "1")).is(202)["deliveries"], 3);
    let mut reached = [receiver.next(), receiver.next(), receiver.next()].map(|request| request.path);
    reached.sort();
    assert_eq!(reached, ["/direct", "/other", "/related"]);
    assert!(receiver.unexpected().is_empty());
}

#[test]
fn stats_count_what_happened() {
    let house = Harness::at_rest();
    let operator = house.operator();
    let receiver = house.receiver();
    let (path, id) = made(&operator, &receiver, &json!({"retry": {"schedule_seconds": []}}));
    let stats = format!("{path}/stats");
    let empty = operator.get(&stats).is(200);
    assert_eq!((&empty["success_ratio"], &empty["hours"]), (&Value::Null, &json!([])));
    for status in [200, 500, 200, 200] {
        receiver.then(Reply::status(status));
        operator.publish(&ticket("1"));
        receiver.next();
        house.drained(&operator, &id);
        house.advance(Duration::from_mins(30));
    }
    operator.act(&format!("{path}/pause")).is(200);
    operator.publish(&ticket("2"));
    let counted = operator.get(&stats).is(200);
    assert_eq!(counted["delivered"], 3);
    assert_eq!((&counted["failed_attempts"], &counted["given_up"]), (&json!(1), &json!(1)));
    assert_eq!(counted["success_ratio"], json!(0.75));
    assert_eq!((&counted["queued"], &counted["queued_capped"]), (&json!(1), &json!(false)));
    assert_eq!(counted["oldest_queued_at"], "2026-11-21T21:00:00Z");
    let hours = counted["hours"].as_array().expect("hours");
    let begins: Vec<&str> = hours.iter().map(|hour| text(&hour["start"])).collect();
    assert_eq!(begins, ["2026-11-21T19:00:00Z", "2026-11-21T20:00:00Z"]);
    assert_eq!((&hours[0]["delivered"], &hours[0]["given_up"]), (&json!(1), &json!(1)));
    assert_eq!(operator.get(&format!("{stats}?hours=1")).is(200)["delivered"], 2);
    for wrong in ["0", "169", "x"] {
        operator.get(&format!("{stats}?hours={wrong}")).blames(400, "invalid-input", &["hours"]);
    }
}

#[test]
fn a_filter_is_asked_of_the_native_body() {
    let house = Harness::start();
    let receiver = house.receiver();
    let operator = house.operator();
    let few = json!({"events": ["ticket.*"], "filter": "$[?@.quantity < 10]"});
    let made = operator.make_webhook(&receiver.url("/few"), &few);
    assert_eq!(made["filter"], few["filter"]);
    operator.make_webhook(&receiver.url("/all"), &json!({"events": ["ticket.*"]}));
    let publish = |quantity: i64| {
        let event = json!({"type": "ticket.updated", "subject": {"id": "1"}, "data": {"quantity": quantity}});
        operator.post("/v1/events", &event).is(202)["deliveries"].clone()
    };
    assert_eq!((publish(10), publish(9)), (json!(1), json!(2)));
    let path = format!("/v1/webhooks/{}", text(&made["id"]));
    // It is read again as it was written.
    assert_eq!(operator.patch(&path, &json!({"name": "Few"})).is(200)["filter"], few["filter"]);
    assert_eq!(operator.patch(&path, &json!({"filter": null})).is(200)["filter"], Value::Null);
    assert_eq!(publish(10), 2);
    for wrong in ["$..a..b", "data", "$[?@ == $.data]", "$[?match(@.a, 'x')]"] {
        operator.patch(&path, &json!({ "filter": wrong })).blames(400, "invalid-input", &["/filter"]);
    }
    let hooks =
        json!({"url": receiver.url("/"), "dialect": "ingresse", "hooks": ["sale"], "filter": "$.data"});
    operator.post("/v1/webhooks", &hooks).blames(400, "invalid-input", &["/filter"]);
}
