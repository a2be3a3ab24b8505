//! Events: finding them, publishing one by hand, whom one reached and why not others.

use serde_json::{Value, json};

use super::{between, encoded, guest, id, operator, said};
use crate::harness::{Caller, Harness, text};
use crate::receiver::Reply;

const EVENTS: &str = "/dashboard/t/default/events";
const SEND: &str = "/dashboard/t/default/send-event";

fn publish(caller: &Caller, event: &Value) -> String {
    text(&caller.post("/v1/events", event).is(202)["id"]).to_owned()
}

/// What follows a heading of a page, up to the next one.
fn below<'a>(page: &'a str, id: &str) -> &'a str {
    between(page, &format!("id=\"{id}\""), "<h2")
}

#[test]
fn events_are_found_by_their_subject_and_say_in_words_that_nobody_heard() {
    let house = Harness::at_rest();
    let api = house.operator();
    let visitor = operator(&house);
    assert!(visitor.page(EVENTS).contains("No event yet"));
    publish(
        &api,
        &json!({"id": "e1", "type": "order.paid", "subject": {"id": "9917", "name": "<b>Order</b>\u{202e}"}}),
    );
    publish(&api, &json!({"id": "e2", "type": "order.paid", "subject": {"id": "9918"}}));
    let page = visitor.page(&format!("{EVENTS}?subject=9917"));
    assert!(page.contains("/events/e1\"") && !page.contains("/events/e2\""), "{page}");
    assert!(page.contains("&#60;b&#62;Order&#60;/b&#62;⟨U+202E⟩"), "{page}");
    assert!(!page.contains("<b>Order") && !page.contains('\u{202e}'), "{page}");
    assert!(page.contains(">nobody<") && page.contains("/v1/events?subject=9917"), "{page}");
    let none = visitor.page(&format!("{EVENTS}?subject=1&type=order.paid"));
    assert!(none.contains("expired by retention"), "{none}");
    let wrong = visitor.page_of(&format!("{EVENTS}?since=soon"), 400);
    assert!(wrong.contains("must be a time"), "{wrong}");
    visitor.page(&format!("{EVENTS}?since=2026-11-21T18:00&until=2026-11-22"));
}

#[test]
fn a_page_of_events_leads_to_the_next_one_with_its_filters() {
    let house = Harness::at_rest();
    let events: Vec<Value> = (0..60)
        .map(|number| json!({"id": format!("n{number}"), "type": "a.b", "subject": {"id": "7"}}))
        .collect();
    house.operator().post("/v1/events", &json!(events)).is(202);
    let visitor = operator(&house);
    let first = visitor.page(&format!("{EVENTS}?subject=7"));
    let next = between(&first, "rel=\"next\" href=\"", "\"").replace("&#38;", "&").replace("&amp;", "&");
    assert!(next.starts_with("?subject=7&cursor="), "{next}");
    let second = visitor.page(&format!("{EVENTS}{next}"));
    assert!(first.contains("/events/n59\"") && !first.contains("/events/n0\""));
    assert!(second.contains("/events/n0\"") && second.contains("To the beginning"), "{second}");
}

#[test]
fn an_event_says_whom_it_reached_through_what_and_why_not_the_others() {
    let house = Harness::start();
    let api = house.operator();
    let receiver = house.receiver();
    let hook = |name: &str, more: Value| {
        let mut settings = json!({"name": name});
        settings.as_object_mut().expect("an object").extend(more.as_object().expect("one").clone());
        api.make_webhook(&receiver.url("/"), &settings)
    };
    hook("Orders", json!({"events": ["order.*"]}));
    hook("Tickets of orders", json!({"events": ["ticket.paid"], "triggered_by_related": true}));
    hook("<i>Scans</i>", json!({"events": ["order.scanned"]}));
    hook("Others", json!({"events": ["order.paid"], "identifier": "1"}));
    let event =
        json!({"id": "e1", "type": "order.paid", "subject": {"id": "9917"}, "related": {"ticket": ["5"]}});
    publish(&api, &event);
    receiver.next();
    receiver.next();
    let late = hook("Late", json!({"events": ["*"]}));
    let visitor = operator(&house);
    let page = visitor.page(&format!("{EVENTS}/e1"));
    assert!(page.contains("2 webhooks of default heard it."), "{page}");
    let (reached, missed) = (below(&page, "reached-title"), below(&page, "missed-title"));
    assert!(reached.contains("Orders") && reached.contains("directly"), "{reached}");
    assert!(
        reached.contains("through the related ticket") && reached.contains("/deliveries/dlv_"),
        "{reached}"
    );
    assert!(!missed.contains(">Orders<") && !missed.contains("<i>Scans"), "{missed}");
    assert!(missed.contains("it asks for order.scanned, not for order.paid"), "{missed}");
    assert!(missed.contains("it hears only what is about 1, and this is about 9917"), "{missed}");
    assert!(missed.contains("it was made only after the event was accepted"), "{missed}");
    // Only what would hear it can be sent it from its row.
    assert_eq!(missed.matches("Send it").count(), 1, "{missed}");
    let near = missed.find("it hears only").expect("the near one");
    assert!(near < missed.find("it asks for").expect("the far one"), "{missed}");
    let filtered = visitor.page(&format!("{EVENTS}/e1?webhook=late"));
    let filtered = below(&filtered, "missed-title");
    assert!(filtered.contains(id(&late)) && !filtered.contains("it asks for"), "{filtered}");
}

#[test]
fn when_nobody_heard_it_one_sentence_says_so_and_names_the_closest() {
    let house = Harness::at_rest();
    let api = house.operator();
    let visitor = operator(&house);
    publish(&api, &json!({"id": "alone", "type": "order.scanned", "subject": {"id": "1"}}));
    let page = visitor.page(&format!("{EVENTS}/alone"));
    assert!(page.contains("default has no webhook yet, so nobody heard it."), "{page}");
    let url = "https://partner.example/";
    for (name, events) in [("Far", "sale.created"), ("Near", "order.paid")] {
        api.make_webhook(url, &json!({"name": name, "events": [events]}));
    }
    for number in 0..7 {
        api.make_webhook(url, &json!({"name": format!("Further {number}"), "events": ["shop.paid"]}));
    }
    publish(&api, &json!({"id": "e2", "type": "order.scanned", "subject": {"id": "1"}}));
    let page = visitor.page(&format!("{EVENTS}/e2"));
    assert!(page.contains("No webhook of default hears order.scanned."), "{page}");
    let closest = between(&page, "Closest to hearing it", "</div>");
    assert_eq!(closest.matches("<li>").count(), 5, "{closest}");
    let first = between(closest, "<li>", "</li>");
    assert!(
        first.contains("Near") && first.contains("it asks for order.paid, not for order.scanned"),
        "{first}"
    );
    api.make_webhook(url, &json!({"name": "Other", "events": ["order.scanned"], "identifier": "2"}));
    publish(&api, &json!({"id": "e3", "type": "order.scanned", "subject": {"id": "1"}}));
    let page = visitor.page(&format!("{EVENTS}/e3"));
    assert!(page.contains("No webhook of default heard this order.scanned."), "{page}");
}

#[test]
fn more_webhooks_than_a_page_shows_are_paged_both_where_it_arrived_and_where_not() {
    let mut house = Harness::start();
    house.operator().post("/v1/events", &json!({"type": "a.b", "subject": {"id": "1"}})).is(202);
    house.fill_with_viagogo_webhooks("default", 60);
    let api = house.operator();
    publish(&api, &json!({"id": "missed", "type": "order.paid", "subject": {"id": "1"}}));
    publish(&api, &json!({"id": "heard", "type": "sale.created", "subject": {"id": "1"}}));
    let visitor = operator(&house);
    for (event, list, heading) in
        [("missed", "missed", "missed-title"), ("heard", "reached", "reached-title")]
    {
        let page = visitor.page(&format!("{EVENTS}/{event}"));
        let first = below(&page, heading);
        assert_eq!(first.matches("<tr data-row>").count(), 50, "{event}");
        let next = between(first, "rel=\"next\" href=\"", "\"").to_owned();
        assert!(next.starts_with(&format!("?{list}=")), "{next}");
        let page = visitor.page(&format!("{EVENTS}/{event}{next}"));
        assert_eq!(below(&page, heading).matches("<tr data-row>").count(), 10, "{event}");
    }
    let page = visitor.page(&format!("{EVENTS}/heard"));
    assert!(below(&page, "missed-title").contains("None on this page"), "{page}");
}

#[test]
fn an_event_is_sent_to_one_webhook_again_late_or_not_at_all() {
    let house = Harness::start();
    let api = house.operator();
    let (receiver, other) = (house.receiver(), house.receiver());
    let first = api.make_webhook(&receiver.url("/first"), &json!({"events": ["order.*"]}));
    // Both in one moment, and of one subject.
    let twins = json!([
        {"id": "twin", "type": "order.paid", "subject": {"id": "1"}},
        {"id": "e1", "type": "order.paid", "subject": {"id": "1"}},
        {"id": "twin2", "type": "order.paid", "subject": {"id": "1"}},
    ]);
    api.post("/v1/events", &twins).is(202);
    for _ in 0..3 {
        receiver.next();
    }
    house.drained(&api, id(&first));
    let late = api.make_webhook(&other.url("/late"), &json!({"events": ["order.paid"]}));
    let deaf = api.make_webhook(&other.url("/deaf"), &json!({"name": "<u>Deaf", "events": ["sale.created"]}));
    let visitor = operator(&house);
    let send = |webhook: &Value| visitor.send(&format!("{EVENTS}/e1/replay"), &[("webhook", id(webhook))]);
    let again = send(&first);
    assert_eq!(
        (again.status, again.header("location")),
        (303, "/dashboard/t/default/events/e1"),
        "{}",
        said(&again)
    );
    assert!(again.header("set-cookie").contains("resent.dlv_"), "{}", again.header("set-cookie"));
    assert_eq!(receiver.next().header("webhook-id"), "e1");
    let answer = send(&late);
    assert_eq!(answer.status, 303, "{}", said(&answer));
    assert!(answer.header("set-cookie").contains("job_started.job_"), "{}", answer.header("set-cookie"));
    assert_eq!(other.next().header("webhook-id"), "e1");
    house.drained(&api, id(&late));
    house.until("the job ends", || {
        let jobs = api.get("/v1/jobs").is(200);
        (jobs["items"][0]["state"] == "finished").then_some(())
    });
    assert!(other.unexpected().is_empty(), "its twins stay where they are");
    let refused = send(&deaf);
    assert_eq!(refused.status, 422);
    let page = said(&refused);
    assert!(
        page.contains(
            "Deaf would not hear it: it asks for sale.created, not for order.paid. Nothing was sent."
        ),
        "{page}"
    );
    assert!(!page.contains("<u>Deaf"), "{page}");
    api.act(&format!("/v1/webhooks/{}/disable", id(&deaf))).is(200);
    let nobody = visitor.send(&format!("{EVENTS}/e1/replay"), &[("webhook", "x")]);
    assert!(nobody.status == 422 && said(&nobody).contains("Choose a webhook"));
    let others = house.operator().tenant("acme");
    let theirs = others.make_webhook(&other.url("/theirs"), &json!({"events": ["*"]}));
    assert_eq!(send(&theirs).status, 422, "it is another tenant's");
    assert!(other.unexpected().is_empty() && receiver.unexpected().is_empty());
    // What it reached late stands among whom it reached.
    let page = visitor.page(&format!("{EVENTS}/e1"));
    assert!(below(&page, "reached-title").contains(id(&late)), "{page}");
    assert!(!below(&page, "missed-title").contains(&format!("webhooks/{}\"", id(&late))), "{page}");
}

#[test]
fn a_test_event_is_published_from_its_example_and_faults_keep_what_was_typed() {
    let house = Harness::start();
    let receiver = house.receiver();
    let api = house.operator();
    api.make_webhook(&receiver.url("/"), &json!({"events": ["sale.*"]}));
    let visitor = operator(&house);
    let new = SEND;
    let page = visitor.page(&format!("{new}?type=sale.created"));
    assert!(page.contains("<option value=\"sale.created\" selected>"), "{page}");
    let example = between(&page, "spellcheck=\"false\" required", "</textarea>");
    let example = example.split_once('>').expect("the textarea").1;
    let example = example.replace("&#34;", "\"").replace("&quot;", "\"").replace("&#39;", "'");
    assert!(
        example.contains("\"type\": \"sale.created\"") && !example.contains("\"id\": \"sale-"),
        "{example}"
    );
    for _ in 0..2 {
        let sent = visitor.send(new, &[("type", "sale.created"), ("body", &example)]);
        assert_eq!(sent.status, 303, "{}", said(&sent));
        assert!(
            sent.header("location").starts_with("/dashboard/t/default/events/"),
            "{}",
            sent.header("location")
        );
        assert!(sent.header("set-cookie").contains("event_published"), "{}", sent.header("set-cookie"));
        assert_eq!(receiver.next().json()["type"], "sale.created");
        visitor.page(sent.header("location"));
    }
    let before = api.all("/v1/events", 200).len();
    let wrong = r#"{"type": "order.sold", "subject": {}, "data": {"</textarea><b>": 1}}"#;
    let refused = visitor.send(new, &[("type", "sale.created"), ("body", wrong)]);
    let page = said(&refused);
    assert_eq!(refused.status, 422, "{page}");
    assert!(page.contains("<code>/type</code>") && page.contains("<code>/subject/id</code>"), "{page}");
    assert!(!page.contains("</textarea><b>") && page.contains("order.sold"), "{page}");
    for list in ["[]", "[{\"type\": \"a.b\", \"subject\": {\"id\": \"1\"}}]"] {
        assert_eq!(visitor.send(new, &[("body", list)]).status, 422);
    }
    assert_eq!(api.all("/v1/events", 200).len(), before, "nothing was published");
    let known = [("body", r#"{"id": "k", "type": "a.b", "subject": {"id": "1"}}"#)];
    assert!(visitor.send(new, &known).header("set-cookie").contains("event_published"));
    assert!(visitor.send(new, &known).header("set-cookie").contains("event_known"));
    let taken = visitor.send(new, &[("body", r#"{"id": "k", "type": "a.b", "subject": {"id": "2"}}"#)]);
    assert!(taken.status == 409 && said(&taken).contains("<code>/id</code>"), "{}", said(&taken));
}

#[test]
fn the_quota_of_the_tenant_holds_for_test_events_too() {
    let house = Harness::at_rest_configured(|settings| {
        settings.limits.publish_events_per_second = 1.0;
        settings.limits.publish_burst_events = 1;
    });
    let visitor = operator(&house);
    let fields = [("body", r#"{"type": "a.b", "subject": {"id": "typed"}}"#)];
    let new = SEND;
    assert_eq!(visitor.send(new, &fields).status, 303);
    let refused = visitor.send(new, &fields);
    assert_eq!((refused.status, refused.header("retry-after")), (429, "1"));
    assert!(said(&refused).contains("faster than it may") && said(&refused).contains("typed"));
}

#[test]
fn pages_of_events_ask_for_their_scopes_and_for_the_own_tenant() {
    let house = Harness::start();
    let api = house.operator();
    let receiver = house.receiver();
    let made = api.make_webhook(&receiver.url("/"), &json!({"name": "Secret name", "events": ["*"]}));
    publish(&api, &json!({"id": "e1", "type": "order.paid", "subject": {"id": "1"}}));
    receiver.next();
    publish(
        &house.operator().tenant("acme"),
        &json!({"id": "theirs", "type": "a.b", "subject": {"id": "1"}}),
    );
    let visitor = operator(&house);
    assert!(visitor.page_of(&format!("{EVENTS}/theirs"), 404).contains("expired by retention"));
    visitor.page_of(&format!("{EVENTS}/none"), 404);
    let hooks = guest(&house, "default", &["read:webhooks"]);
    for path in [EVENTS.to_owned(), format!("{EVENTS}/e1")] {
        assert!(hooks.page_of(&path, 403).contains("read:events"));
    }
    let events = guest(&house, "default", &["read:events"]);
    let page = events.page(&format!("{EVENTS}/e1"));
    assert!(!page.contains("Secret name") && !page.contains("Send it") && !page.contains("Resend"), "{page}");
    assert!(page.contains("dlv_") && !page.contains("Whom it did not reach"), "{page}");
    assert!(events.page_of(SEND, 403).contains("write:events"));
    assert_eq!(events.send(SEND, &[("body", "{}")]).status, 403);
    let sent = events.send(&format!("{EVENTS}/e1/replay"), &[("webhook", id(&made))]);
    assert_eq!(sent.status, 403);
    events.page_of("/dashboard/t/acme/events", 404);
    for (path, fields) in [
        (SEND.to_owned(), [("body", r#"{"type": "a.b", "subject": {"id": "1"}}"#)]),
        (format!("{EVENTS}/e1/replay"), [("webhook", id(&made))]),
    ] {
        let without = visitor.caller().form(&path, &encoded(&fields));
        assert_eq!(without.status, 403, "{path}");
        let foreign = visitor.caller().with("origin", "https://evil.example");
        let mut all = vec![("token", &*visitor.token)];
        all.extend_from_slice(&fields);
        assert_eq!(foreign.form(&path, &encoded(&all)).status, 403, "{path}");
    }
    assert_eq!(api.all("/v1/events", 200).len(), 1);
    assert!(receiver.unexpected().is_empty());
}

#[test]
fn a_delivery_that_fails_says_so_where_it_reached() {
    let house = Harness::start();
    let api = house.operator();
    let receiver = house.receiver();
    receiver.otherwise(Reply::status(503));
    api.make_webhook(&receiver.url("/"), &json!({"events": ["*"], "retry": {"schedule_seconds": []}}));
    let delivery = api.publish(&json!({"id": "e1", "type": "order.paid", "subject": {"id": "1"}}));
    house.delivery(&api, &delivery, "failed");
    let page = operator(&house).page(&format!("{EVENTS}/e1"));
    let reached = below(&page, "reached-title");
    assert!(reached.contains("answered 503") && reached.contains("badge bad"), "{reached}");
    assert!(reached.contains(&format!("/deliveries/{delivery}/retry")), "{reached}");
}

/// No id of an event is the address of another page.
#[test]
fn an_event_may_be_called_whatever_its_publisher_likes() {
    let house = Harness::at_rest();
    let api = house.operator();
    let visitor = operator(&house);
    for id in ["new", "replay", "deliveries"] {
        publish(&api, &json!({"id": id, "type": "order.paid", "subject": {"id": "7"}}));
        let page = visitor.page(&format!("{EVENTS}/{id}"));
        assert!(page.contains(&format!("<dd class=\"mono\">{id}</dd>")), "{page}");
    }
}
