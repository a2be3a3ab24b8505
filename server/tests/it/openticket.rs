//! The webhooks API of OpenTicket, as a client of that platform uses it, and
//! what its receivers get.

#![expect(clippy::expect_used, reason = "a test that can't go on has failed")]

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::harness::{Caller, Harness, blamed, text};
use crate::receiver::Reply;

const HOOKS: &str = "/openticket/webhook";

const RESOURCES: [&str; 6] = ["event", "ticket", "product", "shop", "order", "scanner"];

/// Each trigger and its participle.
const TRIGGERS: [(&str, &str); 7] = [
    ("create", "created"),
    ("update", "updated"),
    ("delete", "deleted"),
    ("paid", "paid"),
    ("scan", "scanned"),
    ("relation", "relation_changed"),
    ("reorder", "reordered"),
];

fn request(url: &str, resource: &str, trigger: &str) -> Value {
    json!({"name": "My Example Webhook", "url": url, "resource": resource, "trigger": trigger, "retries": 3})
}

fn make(caller: &Caller, url: &str, resource: &str, trigger: &str, related: bool) -> String {
    let mut body = request(url, resource, trigger);
    body["triggered_by_child_resources"] = related.into();
    text(&caller.post(HOOKS, &body).is(201)["guid"]).to_owned()
}

/// What two answers about two webhooks have in common.
fn without_identity(webhook: &Value) -> Value {
    let mut webhook = webhook.clone();
    for name in ["guid", "nonce"] {
        webhook.as_object_mut().expect("an object").remove(name).expect("an identity");
    }
    webhook
}

#[test]
fn a_webhook_is_answered_field_by_field() {
    let house = Harness::at_rest();
    let company = "d0a3f370-cd43-11ed-9c9c-bbcffde24a48";
    let integrator = house.client(company, &["read:webhooks", "write:webhooks"]);
    let made = integrator.post(HOOKS, &request("https://example.com/webhook/receive", "ticket", "create"));
    assert_eq!(made.header("content-type"), "application/json");
    let made = made.is(201);
    let (guid, nonce) = (text(&made["guid"]), text(&made["nonce"]));
    assert!(nonce.len() == 20 && nonce.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{nonce}");
    let expected = json!({
        "guid": guid, "created_at": "2026-11-21T19:00:00Z", "updated_at": "2026-11-21T19:00:00Z",
        "deleted_at": null, "company_id": company, "name": "My Example Webhook",
        "url": "https://example.com/webhook/receive", "retries": 3, "resource": "ticket", "identifier": "",
        "nonce": nonce, "trigger": "create", "triggered_by_child_resources": false, "invocations": null,
    });
    assert_eq!(made.to_string(), expected.to_string(), "in this order");
    let path = format!("{HOOKS}/{guid}");
    assert_eq!(integrator.get(&path).is(200), expected);

    house.advance(std::time::Duration::from_secs(61));
    let part = json!({"identifier": "0b6c1a52", "triggered_by_related_resources": true, "retries": 0});
    let edited = integrator.patch(&path, &part).is(200);
    let changed = ["updated_at", "identifier", "triggered_by_child_resources", "retries", "nonce"];
    let told = changed.map(|name| edited[name].clone());
    assert_eq!(json!(told), json!(["2026-11-21T19:01:01Z", "0b6c1a52", true, 0, nonce]));
    // In the place of the whole: what is left out gets its default.
    let replaced = integrator.put(&path, &request("https://example.com/", "order", "paid")).is(200);
    let told = ["guid", "resource", "trigger", "identifier", "triggered_by_child_resources", "retries"];
    assert_eq!(json!(told.map(|name| replaced[name].clone())), json!([guid, "order", "paid", "", false, 3]));
    // A client may send back the whole of what it was shown.
    assert_eq!(integrator.put(&path, &replaced).is(200), replaced);

    let deleted = integrator.delete(&path).is(200);
    assert_eq!(deleted["deleted_at"], "2026-11-21T19:01:01Z");
    assert_eq!(integrator.get(&path).is(200), deleted, "it can still be shown");
    assert_eq!(integrator.get(HOOKS).is(200), json!([]));
    integrator.get(&format!("{path}/invocations")).is(200);
    for answer in [
        integrator.delete(&path),
        integrator.patch(&path, &part),
        integrator.put(&path, &replaced),
        integrator.act(&format!("{path}/invocations/retry-failed")),
    ] {
        answer.openticket_error(404);
    }
}

#[test]
fn json_and_both_kinds_of_form_make_the_same_webhook() {
    let house = Harness::at_rest();
    let operator = house.operator();
    let mut body = request("https://example.com/a?b=c&d=e", "order", "scan");
    body["identifier"] = "9917".into();
    body["triggered_by_child_resources"] = true.into();
    let by_json = operator.post(HOOKS, &body).is(201);
    let form = "name=My+Example+Webhook&url=https%3A%2F%2Fexample.com%2Fa%3Fb%3Dc%26d%3De&resource=order&trigger=scan&retries=3&identifier=9917&triggered_by_child_resources=1";
    let by_form = operator.form(HOOKS, form).is(201);
    // As PHP's curl sends an array of fields.
    let mut parts = String::new();
    for (name, value) in [
        ("name", "My Example Webhook"),
        ("url", "https://example.com/a?b=c&d=e"),
        ("resource", "order"),
        ("trigger", "scan"),
        ("retries", "3"),
        ("identifier", "9917"),
        ("triggered_by_child_resources", "true"),
    ] {
        write!(parts, "--sep\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
            .expect("a text");
    }
    let kind = Some("multipart/form-data; boundary=sep");
    let by_parts = operator.send("POST", HOOKS, kind, format!("{parts}--sep--\r\n")).is(201);
    let mut texts = body.clone();
    texts["retries"] = "03".into();
    texts["triggered_by_child_resources"] = 1.into();
    let by_texts = operator.post(HOOKS, &texts).is(201);
    for other in [&by_form, &by_parts, &by_texts] {
        assert_eq!(without_identity(other), without_identity(&by_json));
    }
    let unique: BTreeSet<&str> =
        [&by_json, &by_form, &by_parts].iter().map(|made| text(&made["nonce"])).collect();
    assert_eq!(unique.len(), 3);
    let path = format!("{HOOKS}/{}", text(&by_form["guid"]));
    let kind = Some("application/x-www-form-urlencoded");
    let edited =
        operator.send("PATCH", &path, kind, "identifier=&triggered_by_related_resources=off").is(200);
    assert_eq!(json!([edited["identifier"], edited["triggered_by_child_resources"]]), json!(["", false]));
}

#[test]
fn bad_bodies_are_refused_field_by_field() {
    let house = Harness::start();
    let operator = house.operator();
    let required = ["name", "url", "resource", "trigger", "retries"];
    assert_eq!(blamed(&operator.post(HOOKS, &json!({})).openticket_error(422)), required);
    assert_eq!(blamed(&operator.form(HOOKS, "").openticket_error(422)), required);
    let wrong = operator.form(HOOKS, "name=x&retries=-1&identifier=&triggered_by_child_resources=maybe");
    let wrong = wrong.openticket_error(422);
    let mut wrong = blamed(&wrong);
    wrong.sort_unstable();
    assert_eq!(wrong, ["resource", "retries", "trigger", "triggered_by_child_resources", "url"]);
    let refused = |changes: &Value| {
        let mut body = request("https://example.com/", "ticket", "paid");
        body.as_object_mut().expect("an object").extend(changes.as_object().expect("an object").clone());
        let error = operator.post(HOOKS, &body).openticket_error(422);
        blamed(&error).join(" ")
    };
    for (changes, fields) in [
        (json!({"resource": "sale"}), "resource"),
        (json!({"resource": "tickets"}), "resource"),
        (json!({"trigger": "paided"}), "trigger"),
        (json!({"trigger": "cancel"}), "trigger"),
        (json!({"retries": -1}), "retries"),
        (json!({"retries": "-1"}), "retries"),
        (json!({"retries": 101}), "retries"),
        (json!({"retries": 2.5}), "retries"),
        (json!({"retries": "many"}), "retries"),
        (json!({"retries": null}), "retries"),
        (json!({"name": ""}), "name"),
        (json!({"url": "example.com"}), "url"),
        (json!({"identifier": 5}), "identifier"),
        (json!({"triggered_by_child_resources": "perhaps"}), "triggered_by_child_resources"),
        (json!({"triggered_by_related_resources": 7}), "triggered_by_related_resources"),
        (
            json!({"triggered_by_related_resources": true, "triggered_by_child_resources": true}),
            "triggered_by_child_resources",
        ),
        (json!({"events": ["*"]}), "events"),
        (json!({"url": 5, "trigger": null, "colour": 1}), "colour trigger url"),
    ] {
        let mut found: Vec<_> = refused(&changes).split(' ').map(str::to_owned).collect();
        found.sort();
        assert_eq!(found.join(" "), fields, "{changes}");
    }
    let twice = "name=a&name=b&url=http://x.example&resource=ticket&trigger=paid&retries=1";
    assert_eq!(blamed(&operator.form(HOOKS, twice).openticket_error(422)), ["name"]);
    for text in ["{", "[]", "5"] {
        operator.send("POST", HOOKS, Some("application/json"), text).openticket_error(400);
    }
    operator.send("POST", HOOKS, Some("multipart/form-data"), "x").openticket_error(400);
    operator
        .send("POST", HOOKS, Some("multipart/form-data; boundary=s"), "--s\r\nnonsense")
        .openticket_error(400);
    let part = "--s\r\nContent-Disposition: form-data; name=\"name\"\r\n\r\n";
    let large = format!("{part}{}\r\n--s--\r\n", "x".repeat(11 * 1024 * 1024));
    operator.send("POST", HOOKS, Some("multipart/form-data; boundary=s"), large).openticket_error(413);
    // However many fields there are, they are not compared each with each.
    operator.form(HOOKS, &"guid=&name=&".repeat(200_000)).openticket_error(400);
    let many: Vec<String> = (0..100_000).map(|_| "\"name\":1".to_owned()).collect();
    let many = format!("{{{}}}", many.join(","));
    operator.send("POST", HOOKS, Some("application/json"), many).openticket_error(400);
    operator.act(&format!("{HOOKS}/%FF/invocations/x/retry")).openticket_error(404);
    operator.send("POST", HOOKS, Some("text/plain"), "x").openticket_error(415);
    operator.get("/openticket").openticket_error(404);
    operator.get(&format!("{HOOKS}/none")).openticket_error(404);
    operator.get(&format!("{HOOKS}?per_page=0")).openticket_error(422);
    operator.act(HOOKS).openticket_error(415);
    assert_eq!(operator.get(HOOKS).is(200), json!([]), "nothing was made");
    // Another dialect's webhook is none of these.
    let native = operator.make_webhook("https://example.com/", &json!({"events": ["*"]}));
    operator.get(&format!("{HOOKS}/{}", text(&native["id"]))).openticket_error(404);
}

#[test]
fn webhooks_are_listed_page_by_page() {
    let house = Harness::start();
    let operator = house.operator();
    let mut made: Vec<String> =
        (0..5).map(|_| make(&operator, "https://example.com/", "shop", "reorder", false)).collect();
    made.reverse();
    let page = operator.get(&format!("{HOOKS}?per_page=2&page=2"));
    let link = page.header("link").to_owned();
    let guids = |page: &Value| -> Vec<String> {
        page.as_array().expect("an array").iter().map(|one| text(&one["guid"]).to_owned()).collect()
    };
    assert_eq!(guids(&page.is(200)), made[2..4]);
    let to = |relation: &str, page: u32| {
        format!("<http://callboard{HOOKS}?per_page=2&page={page}>; rel=\"{relation}\"")
    };
    assert_eq!(link, [to("first", 1), to("last", 3), to("next", 3), to("prev", 1)].join(", "));
    assert_eq!(guids(&operator.get(HOOKS).is(200)), made);
}

/// The whole table, end to end: every happening, every webhook that asks for
/// related resources, and what each of them gets to read.
#[test]
fn every_cell_of_the_propagation_table_fires() {
    let table: &[(&str, &str, &[&str])] = &[
        ("ticket", "event", &["create", "update", "delete"]),
        ("product", "event", &["create", "update", "delete"]),
        ("shop", "event", &["paid", "update"]),
        ("shop", "ticket", &["paid"]),
        ("shop", "product", &["paid"]),
        ("order", "event", &["create", "delete", "scan", "paid"]),
        ("order", "ticket", &["scan", "paid"]),
        ("order", "product", &["scan", "paid"]),
    ];
    let house = Harness::start();
    let receiver = house.receiver();
    let operator = house.operator();
    for resource in RESOURCES {
        for (trigger, _) in TRIGGERS {
            make(&operator, &receiver.url(&format!("/{resource}")), resource, trigger, true);
            // And one that hears nothing of related resources.
            make(&operator, &receiver.url(&format!("/{resource}/direct")), resource, trigger, false);
        }
    }
    for resource in RESOURCES {
        for (trigger, participle) in TRIGGERS {
            let happening = json!({"type": format!("{resource}.{participle}"), "subject": {"id": "1"}});
            let published = operator.post("/v1/events", &happening).is(202);
            let mut expected: BTreeSet<(String, String)> = BTreeSet::new();
            for path in [format!("/{resource}"), format!("/{resource}/direct")] {
                expected.insert((path, format!("{resource}.{participle}")));
            }
            for (_, column, _) in
                table.iter().filter(|(row, _, cell)| *row == resource && cell.contains(&trigger))
            {
                expected.insert((format!("/{column}"), format!("{resource}.{column}.{participle}")));
            }
            assert_eq!(published["deliveries"], expected.len(), "{happening}");
            let found: BTreeSet<_> = (0..expected.len())
                .map(|_| receiver.next())
                .map(|received| (received.path.clone(), received.header("openticket-trigger").to_owned()))
                .collect();
            assert_eq!(found, expected);
        }
    }
    assert!(receiver.unexpected().is_empty());
}

/// The platform's worked example, with the identifier that it leaves out.
#[test]
fn a_ticket_webhook_hears_that_an_order_of_its_ticket_was_paid() {
    let house = Harness::start();
    let receiver = house.receiver();
    let operator = house.operator();
    let mut body = request(&receiver.url("/"), "ticket", "paid");
    body["triggered_by_child_resources"] = true.into();
    body["identifier"] = "408218".into();
    let made = operator.post(HOOKS, &body).is(201);
    let order = |tickets: &[&str], subject: &str| {
        json!({
            "id": format!("order-{subject}"), "type": "order.paid", "occurred_at": "2026-11-21T19:00:00Z",
            "subject": {"id": subject, "name": format!("Order {subject}")}, "related": {"ticket": tickets},
            "actor": {"id": "535f11b0", "name": "Firstname Lastname"},
            "data": {"status": "paid", "total": 10.50}, "changes": {"status": "paid"},
        })
    };
    assert_eq!(operator.post("/v1/events", &order(&["1", "2"], "1")).is(202)["deliveries"], 0);
    // The order's own id is not the ticket's.
    assert_eq!(operator.post("/v1/events", &order(&["1"], "408218")).is(202)["deliveries"], 0);
    receiver.then(Reply::status(500));
    let delivery = operator.publish(&order(&["1", "408218"], "9917"));
    let first = receiver.next();
    assert_eq!(first.header("user-agent"), "OpenTicket/Webhook");
    assert_eq!(first.header("openticket-trigger"), "order.ticket.paid");
    assert_eq!(first.header("openticket-identifier"), text(&made["nonce"]));
    let key = first.header("openticket-dedupe-key");
    assert!(key.len() == 32 && key.bytes().all(|byte| byte.is_ascii_hexdigit()), "{key}");
    assert_eq!(
        (first.header("webhook-id"), first.header("content-type")),
        ("order-9917", "application/json")
    );
    let expected = r#"{"meta":{"user_id":"535f11b0","user_name":"Firstname Lastname","company_id":"default"},"model":{"guid":"9917","type":"order","name":"Order 9917"},"change":{"props":{"status":"paid","total":10.50},"changes":{"status":"paid"}},"type":"paid","time":"2026-11-21T19:00:00Z"}"#;
    // Numbers as given, but for what the test's own JSON does to them.
    let expected = expected.replace("10.50", &json!(10.50).to_string());
    assert_eq!(String::from_utf8_lossy(&first.body), expected);

    let waiting = house.delivery(&operator, &delivery, "waiting");
    operator.act(&format!("/v1/deliveries/{}/retry", text(&waiting["id"]))).is(202);
    let again = receiver.next();
    assert_eq!((again.header("openticket-dedupe-key"), &again.body), (key, &first.body));
    house.delivery(&operator, &delivery, "delivered");
    let log = operator.get(&format!("{HOOKS}/{}/invocations", text(&made["guid"]))).is(200);
    assert_eq!(log.as_array().expect("an array").len(), 1);
    let told = ["id", "trigger", "dedupe_key", "state", "attempts", "status_code", "event_id"];
    let told = told.map(|name| log[0][name].clone());
    assert_eq!(json!(told), json!([delivery, "order.ticket.paid", key, "delivered", 2, 200, "order-9917"]));
}

#[test]
fn waits_double_and_end() {
    let house = Harness::at_rest();
    let receiver = house.receiver();
    receiver.otherwise(Reply::status(404));
    let operator = house.operator();
    make(&operator, &receiver.url("/"), "order", "paid", false);
    let id = operator.publish(&json!({"type": "order.paid", "subject": {"id": "1"}}));
    let mut waits = Vec::new();
    for attempt in 1..=4 {
        receiver.next();
        let wanted = if attempt < 4 { "waiting" } else { "failed" };
        let delivery = house.until("the attempt is written down", || {
            let delivery = operator.get(&format!("/v1/deliveries/{id}")).is(200);
            (delivery["attempts"] == attempt && delivery["state"] == wanted).then_some(delivery)
        });
        if attempt < 4 {
            let due: callboard_domain::clock::Timestamp =
                text(&delivery["next_attempt_at"]).parse().expect("a time");
            waits.push(due.duration_since(house.now()).as_secs());
            house.advance_to_next_attempt(&operator, &delivery);
        }
    }
    assert_eq!(waits, [30, 60, 120]);
    assert!(receiver.unexpected().is_empty(), "1 attempt and 3 retries");
}

#[test]
fn the_wait_that_doubles_is_a_setting() {
    let house = Harness::configured(|settings| settings.openticket.retry_base_seconds = 0.01);
    let receiver = house.receiver();
    receiver.otherwise(Reply::status(500));
    let operator = house.operator();
    let guid = make(&operator, &receiver.url("/"), "order", "paid", false);
    let native = operator.get(&format!("/v1/webhooks/{guid}")).is(200);
    assert_eq!(native["retry"]["schedule_seconds"], json!([0.01, 0.02, 0.04]));
    let id = operator.publish(&json!({"type": "order.paid", "subject": {"id": "1"}}));
    let failed = house.delivery(&operator, &id, "failed");
    assert_eq!(failed["attempts"], 4);
}

#[test]
fn failed_invocations_are_retried_one_by_one_and_all_at_once() {
    let house = Harness::start();
    let receiver = house.receiver();
    receiver.otherwise(Reply::status(500));
    let operator = house.operator();
    let mut body = request(&receiver.url("/"), "order", "paid");
    body["retries"] = 0.into();
    let guid = text(&operator.post(HOOKS, &body).is(201)["guid"]).to_owned();
    let invocations = format!("{HOOKS}/{guid}/invocations");
    let other = make(&operator, "http://127.0.0.1:8/", "shop", "paid", false);
    let ids: Vec<String> = (0..5)
        .map(|index| operator.publish(&json!({"type": "order.paid", "subject": {"id": index.to_string()}})))
        .collect();
    for id in &ids {
        house.delivery(&operator, id, "failed");
    }
    let page = operator.get(&format!("{invocations}?state=failed&per_page=3"));
    let next = page.header("link").strip_suffix(">; rel=\"next\"").expect("a link").to_owned();
    let next = next.strip_prefix("<http://callboard").expect("an absolute link").to_owned();
    let listed = |page: &Value| -> Vec<String> {
        page.as_array().expect("an array").iter().map(|one| text(&one["id"]).to_owned()).collect()
    };
    let mut found = listed(&page.is(200));
    let rest = operator.get(&next);
    assert_eq!(rest.header("link"), "");
    found.extend(listed(&rest.is(200)));
    found.reverse();
    assert_eq!(found, ids);
    let first = operator.get(&format!("{invocations}?per_page=1")).is(200);
    assert_eq!(
        json!([first[0]["status_code"], first[0]["message"]]),
        json!([500, "answered 500: the receiver failed"])
    );
    operator.get(&format!("{invocations}?state=lost")).openticket_error(422);

    receiver.otherwise(Reply::status(200));
    let retried = operator.act(&format!("{invocations}/{}/retry", ids[0])).is(202);
    assert_eq!(retried["id"], *ids[0]);
    house.delivery(&operator, &ids[0], "delivered");
    for stranger in
        [format!("{HOOKS}/{other}/invocations/{}/retry", ids[0]), format!("{invocations}/dlv_999999/retry")]
    {
        operator.act(&stranger).openticket_error(404);
    }
    let job = operator.act(&format!("{invocations}/retry-failed")).is(202);
    assert_eq!((&job["total"], &job["state"]), (&json!(4), &json!("running")));
    for id in &ids {
        house.delivery(&operator, id, "delivered");
    }
    let native = operator.get(&format!("/v1/jobs/{}", text(&job["job_id"]))).is(200);
    assert_eq!(native["webhook_id"], *guid);
}
