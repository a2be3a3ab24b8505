//! What has failed: its groups, retrying and discarding them, the list, the export.

use serde_json::{Value, json};

use super::{encoded, guest, id, operator, said};
use crate::harness::{Caller, Harness, text};
use crate::receiver::{Receiver, Reply};

const FAILED: &str = "/dashboard/t/default/failed";

/// A webhook whose deliveries fail at once, and so many of them.
fn failing(house: &Harness, api: &Caller, receiver: &Receiver, name: &str, count: usize) -> Value {
    let settings = json!({"name": name, "events": ["order.*"], "retry": {"schedule_seconds": []}});
    let made = api.make_webhook(&receiver.url("/"), &settings);
    fail(house, api, &made, count);
    made
}

fn fail(house: &Harness, api: &Caller, webhook: &Value, count: usize) {
    let data: Value = serde_json::from_str("{\"total\": 1.50}").expect("JSON");
    let events: Vec<Value> = (0..count)
        .map(|number| json!({"type": "order.paid", "subject": {"id": number.to_string()}, "data": data}))
        .collect();
    api.post("/v1/events", &json!(events)).is(202);
    house.drained(api, id(webhook));
}

fn states(api: &Caller, webhook: &Value, state: &str) -> usize {
    api.all(&format!("/v1/webhooks/{}/deliveries?state={state}", id(webhook)), 200).len()
}

#[test]
fn what_failed_stands_in_groups_and_a_group_is_retried_alone() {
    let house = Harness::start();
    let api = house.operator();
    let receiver = house.receiver();
    let visitor = operator(&house);
    assert!(visitor.page(FAILED).contains("Nothing has failed"));
    receiver.otherwise(Reply::status(503));
    let made = failing(&house, &api, &receiver, "<b>Shop</b>", 3);
    receiver.otherwise(Reply::status(500));
    fail(&house, &api, &made, 2);
    let page = visitor.page(FAILED);
    assert!(page.contains("answered 503") && page.contains("answered 500"), "{page}");
    assert!(page.contains("Only an answer of 200 to 299 counts") && !page.contains("<b>Shop"), "{page}");
    let large = page.find("answered 503").expect("a group");
    assert!(large < page.find("answered 500").expect("a group"), "the largest first");
    receiver.otherwise(Reply::status(200));
    let chosen = [("webhook", id(&made)), ("cause", "status"), ("status", "503")];
    let answer = visitor.send(&format!("{FAILED}/retry"), &chosen);
    assert_eq!((answer.status, answer.header("location")), (303, FAILED), "{}", said(&answer));
    assert!(answer.header("set-cookie").contains("job_started.job_"));
    house.until("the group is delivered", || (states(&api, &made, "delivered") == 3).then_some(()));
    assert_eq!(states(&api, &made, "failed"), 2, "the other group stays");
    let all = visitor.send(&format!("{FAILED}/retry"), &[("webhook", id(&made))]);
    assert_eq!(all.status, 400, "everything of a webhook is not a group");
    assert_eq!(states(&api, &made, "failed"), 2);
}

#[test]
fn to_discard_the_word_or_the_count_has_to_be_typed() {
    let house = Harness::start();
    let api = house.operator();
    let receiver = house.receiver();
    receiver.otherwise(Reply::status(503));
    let made = failing(&house, &api, &receiver, "Shop", 2);
    let visitor = operator(&house);
    let query = format!("webhook={}&cause=status&status=503", id(&made));
    let page = visitor.page(&format!("{FAILED}/discard?{query}"));
    assert!(page.contains("2 failed invocations") && page.contains("name=\"count\" value=\"2\""), "{page}");
    let chosen = [("webhook", id(&made)), ("cause", "status"), ("status", "503"), ("count", "2")];
    let submit = |typed: &str| {
        let mut fields = chosen.to_vec();
        fields.push(("confirm", typed));
        visitor.send(&format!("{FAILED}/discard"), &fields)
    };
    for typed in ["", "3", "Discard!", "\"><script>"] {
        let refused = submit(typed);
        let page = said(&refused);
        assert_eq!(refused.status, 422, "{typed}");
        assert!(page.contains("Nothing was discarded") && !page.contains("<script>x"), "{page}");
        assert!(!page.contains("\"><script>"), "{page}");
    }
    assert_eq!(states(&api, &made, "failed"), 2);
    assert_eq!(submit("2").status, 303);
    house.until("they are called off", || (states(&api, &made, "cancelled") == 2).then_some(()));
    let gone = visitor.page(&format!("{FAILED}/discard?{query}"));
    assert!(gone.contains("is failed so any more"), "{gone}");
    fail(&house, &api, &made, 1);
    assert_eq!(submit("discard").status, 303);
    house.until("it is called off", || (states(&api, &made, "cancelled") == 3).then_some(()));
    for query in ["", "?webhook=x&cause=status", "?webhook=0198c0de-7c5e-7d3a-9d7e-2f1d6a1c0b55&cause=status"]
    {
        visitor.page_of(&format!("{FAILED}/discard{query}"), 404);
    }
    visitor.page_of(&format!("{FAILED}/discard?webhook={}&cause=bad+luck", id(&made)), 400);
}

#[test]
fn the_list_shows_each_and_the_export_has_them_all_with_their_events() {
    let house = Harness::start();
    let api = house.operator();
    let receiver = house.receiver();
    receiver.otherwise(Reply::status(503));
    let made = failing(&house, &api, &receiver, "Shop", 120);
    receiver.otherwise(Reply::status(500));
    let other = failing(&house, &api, &receiver, "Other", 1);
    house.drained(&api, id(&made));
    let visitor = operator(&house);
    let list = format!("{FAILED}/list?webhook={}&cause=status&status=503", id(&made));
    let page = visitor.page(&list);
    assert_eq!(page.matches("<tr data-row>").count(), 50, "{page}");
    assert!(page.contains("Resend") && page.contains("rel=\"next\""), "{page}");
    let one = visitor.page(&format!("{FAILED}/list?webhook={}", id(&other)));
    assert_eq!(one.matches("<tr data-row>").count(), 1, "{one}");
    let export = |query: &str| {
        let answer = visitor.caller().get(&format!("{FAILED}.ndjson{query}"));
        assert_eq!(answer.status, 200, "{}", said(&answer));
        assert_eq!(answer.header("content-type"), "application/x-ndjson");
        assert!(
            answer
                .header("content-disposition")
                .starts_with("attachment; filename=\"failed-default.ndjson\"")
        );
        let lines: Vec<Value> =
            said(&answer).lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        lines
    };
    let all = export("");
    assert_eq!(all.len(), 122, "and the last event failed at both");
    for line in &all {
        let mut delivery = line.clone();
        let event = delivery.as_object_mut().and_then(|line| line.remove("event")).expect("an event");
        assert_eq!((&event["id"], &event["type"]), (&line["event_id"], &json!("order.paid")));
    }
    let mut first = all[0].clone();
    first.as_object_mut().and_then(|line| line.remove("event"));
    let mut shown = api.get(&format!("/v1/deliveries/{}", text(&first["id"]))).is(200);
    shown.as_object_mut().and_then(|shown| shown.remove("attempt_log"));
    assert_eq!(first, shown, "a line is what the API says");
    assert!(
        said(&visitor.caller().get(&format!("{FAILED}.ndjson"))).contains("\"total\":1.50"),
        "numbers keep their form"
    );
    assert_eq!(export(&format!("?webhook={}", id(&other))).len(), 1);
    assert_eq!(export(&format!("?webhook={}&cause=status&status=503", id(&made))).len(), 120);
    assert_eq!(export("?cause=dns").len(), 0);
}

#[test]
fn pages_of_what_failed_ask_for_their_scopes_and_for_the_own_tenant() {
    let house = Harness::start();
    let api = house.operator();
    let receiver = house.receiver();
    receiver.otherwise(Reply::status(503));
    let made = failing(&house, &api, &receiver, "Shop", 1);
    let theirs = house.operator().tenant("acme").make_webhook(&receiver.url("/"), &json!({"events": ["*"]}));
    let reader = guest(&house, "default", &["read:webhooks"]);
    let page = reader.page(FAILED);
    assert!(
        !page.contains("Retry all") && !page.contains("failed/discard") && !page.contains(".ndjson"),
        "{page}"
    );
    let export = reader.page_of(&format!("{FAILED}.ndjson"), 403);
    assert!(export.contains("read:events"), "{export}");
    let query = format!("webhook={}&cause=status", id(&made));
    assert!(reader.page_of(&format!("{FAILED}/discard?{query}"), 403).contains("write:webhooks"));
    let events = guest(&house, "default", &["read:events"]);
    for path in ["failed", "failed/list", "failed.ndjson"] {
        assert!(events.page_of(&format!("/dashboard/t/default/{path}"), 403).contains("read:webhooks"));
    }
    let visitor = operator(&house);
    visitor.page_of(&format!("{FAILED}/list?webhook={}", id(&theirs)), 404);
    visitor.page_of(&format!("{FAILED}.ndjson?webhook={}", id(&theirs)), 404);
    let fields = [("webhook", id(&made)), ("cause", "status"), ("confirm", "discard")];
    for path in [format!("{FAILED}/retry"), format!("{FAILED}/discard")] {
        assert_eq!(reader.send(&path, &fields).status, 403);
        assert_eq!(visitor.caller().form(&path, &encoded(&fields)).status, 403, "without a token");
        let foreign = visitor.caller().with("sec-fetch-site", "cross-site");
        let mut all = vec![("token", &*visitor.token)];
        all.extend_from_slice(&fields);
        assert_eq!(foreign.form(&path, &encoded(&all)).status, 403);
        let mut other = fields;
        other[0] = ("webhook", id(&theirs));
        assert_eq!(visitor.send(&path, &other).status, 404);
    }
    assert_eq!(states(&api, &made, "failed"), 1);
    assert_eq!(api.get("/v1/jobs").is(200)["items"], json!([]));
}
