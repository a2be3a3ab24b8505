//! Pages that hear what changes on them.

use serde_json::{Value, json};

use super::{between, guest, operator, webhook};
use crate::harness::{Harness, SCOPES, text};
use crate::listener::Listener;
use crate::receiver::Reply;

/// Where a page hears what changes on it.
fn live(page: &str) -> String {
    between(page, "data-live=\"", "\"").replace("&#38;", "&").replace("&amp;", "&")
}

/// Listens until a part of the page holds this text.
fn until_shown(listener: &mut Listener, id: &str, wanted: &str) {
    loop {
        let told = listener.next().expect("the stream goes on");
        if told.event == "parts" && told.json()[id].as_str().is_some_and(|html| html.contains(wanted)) {
            return;
        }
    }
}

fn event(subject: &str) -> Value {
    json!({"type": "order.paid", "subject": {"id": subject}})
}

#[test]
fn rows_change_in_their_places_and_new_ones_are_counted() {
    let house = Harness::start();
    let owner = house.client("acme", &SCOPES);
    let receiver = house.receiver();
    receiver.otherwise(Reply::status(500));
    let id = webhook(&owner, &receiver.url("/in"), &json!({}));
    let key = owner.publish(&event("1"));
    house.delivery(&owner, &key, "failed");
    let visitor = operator(&house);
    let path = live(&visitor.page(&format!("/dashboard/t/acme/webhooks/{id}")));
    let mut listener = visitor.caller().listen(&path);
    assert_eq!(listener.header("content-type"), "text/event-stream");
    assert_eq!(listener.header("cache-control"), "no-store");
    let row = format!("row-{key}");
    let first = listener.next().expect("a beginning");
    assert_eq!(first.event, "parts");
    for part in [&*row, "head", "banners", "jobs"] {
        assert!(
            first.json()[part].as_str().is_some_and(|html| html.contains(&format!("id=\"{part}\""))),
            "{part}"
        );
    }
    receiver.otherwise(Reply::status(200));
    owner.act(&format!("/v1/deliveries/{key}/retry")).is(202);
    until_shown(&mut listener, &row, "delivered");
    let other = owner.publish(&event("2"));
    let told = loop {
        let told = listener.next().expect("the stream goes on");
        assert!(!told.data.contains(&format!("row-{other}")), "it is counted, not put in: {}", told.data);
        if told.event == "new" {
            break told.json();
        }
    };
    assert_eq!(told, json!({"new": 1, "text": "1 new"}));
    owner.act(&format!("/v1/webhooks/{id}/pause")).is(200);
    until_shown(&mut listener, "banners", "This webhook is paused.");
    // A filter does not take a row from under the reader.
    let path = live(&visitor.page(&format!("/dashboard/t/acme/webhooks/{id}?state=delivered")));
    let mut listener = visitor.caller().listen(&path);
    until_shown(&mut listener, &row, "delivered");
    owner.act(&format!("/v1/deliveries/{key}/retry")).is(202);
    until_shown(&mut listener, &row, "pending");
}

#[test]
fn an_invocation_and_the_list_of_webhooks_are_live_too() {
    let house = Harness::start();
    let owner = house.client("acme", &SCOPES);
    let receiver = house.receiver();
    receiver.otherwise(Reply::status(500));
    let id = webhook(&owner, &receiver.url("/in"), &json!({}));
    let key = owner.publish(&event("1"));
    house.delivery(&owner, &key, "failed");
    let visitor = operator(&house);
    let path = live(&visitor.page(&format!("/dashboard/t/acme/deliveries/{key}")));
    let mut invocation = visitor.caller().listen(&path);
    let path = live(&visitor.page("/dashboard/t/acme/webhooks"));
    let mut list = visitor.caller().listen(&path);
    until_shown(&mut invocation, "standing", "failed");
    until_shown(&mut list, &format!("row-{id}"), "500 in");
    receiver.otherwise(Reply::status(200));
    owner.act(&format!("/v1/deliveries/{key}/retry")).is(202);
    until_shown(&mut invocation, "attempts", "answered 200");
    until_shown(&mut list, &format!("row-{id}"), "200 in");
}

#[test]
fn nobody_hears_what_they_may_not_see_or_goes_on_after_their_session() {
    let house = Harness::start();
    let owner = house.client("acme", &SCOPES);
    let id = webhook(&owner, "https://partner.example/", &json!({}));
    let visitor = operator(&house);
    let at = format!("/dashboard/t/acme/webhooks/{id}");
    let path = live(&visitor.page(&at));
    assert_eq!(house.nobody().get(&path).status, 401);
    assert_eq!(guest(&house, "acme", &["read:events"]).get(&path).status, 403);
    let stranger = guest(&house, "other", &["read:webhooks"]);
    assert_eq!(stranger.get(&path).status, 404);
    assert_eq!(stranger.get(&path.replace("/t/acme/", "/t/other/")).status, 404);
    for query in ["", "page=x", "page=log&webhook=x", "page=invocation&id=dlv_99", "page=webhook&webhook=x"] {
        assert_eq!(visitor.get(&format!("/dashboard/t/acme/live?{query}")).status, 404, "{query}");
    }
    let wrong = format!("/dashboard/t/acme/live?page=log&webhook={id}&rows=x");
    assert_eq!(visitor.get(&wrong).status, 400);
    let mut listener = visitor.caller().listen(&path);
    until_shown(&mut listener, "head", "active");
    assert_eq!(visitor.submit("/dashboard/sign-out", "").status, 303);
    while listener.next().is_some() {}
}

#[test]
fn so_many_pages_are_live_at_a_time_and_places_come_back() {
    let mut house = Harness::configured(|settings| settings.limits.max_connections_per_address = 1_000);
    let owner = house.client("acme", &SCOPES);
    let id = webhook(&owner, "https://partner.example/", &json!({}));
    let visitor = operator(&house);
    let path = live(&visitor.page(&format!("/dashboard/t/acme/webhooks/{id}/settings")));
    let mut listeners: Vec<Listener> = (0..64).map(|_| visitor.caller().listen(&path)).collect();
    let refused = visitor.get(&path);
    assert_eq!(refused.status, 503, "{}", super::said(&refused));
    listeners.pop();
    house.until("a place is free", || (visitor.caller().open(&path).status() == 200).then_some(()));
    // The program stops although pages listen.
    house.pause();
    for listener in &mut listeners {
        while listener.next().is_some() {}
    }
}

#[test]
fn a_live_page_of_a_guest_leads_its_forms_back_to_the_page() {
    let house = Harness::start();
    let owner = house.client("acme", &SCOPES);
    let id = webhook(&owner, "https://partner.example/", &json!({"name": "<North>"}));
    let visitor = guest(&house, "acme", &["read:webhooks", "write:webhooks"]);
    let at = format!("/dashboard/t/acme/webhooks/{id}?state=failed");
    let shown = visitor.page(&at);
    let mut listener = visitor.caller().listen(&live(&shown));
    let head = listener.next().expect("a beginning").json()["head"].clone();
    assert!(text(&head).contains(&format!("name=\"next\" value=\"{at}\"")), "{head}");
    assert!(!text(&head).contains("<North>"), "{head}");
    assert!(shown.contains(text(&head)), "what is told first is what stands there: {head}\n{shown}");
}
