//! The catalogue: the grid, one type, and who listens.

use serde_json::json;

use super::{between, guest, id, operator};
use crate::harness::Harness;

const CATALOGUE: &str = "/dashboard/t/default/catalogue";

#[test]
fn the_grid_counts_who_asks_and_custom_types_stand_beneath() {
    let house = Harness::at_rest();
    let api = house.operator();
    let url = "https://partner.example/";
    api.make_webhook(url, &json!({"events": ["order.paid", "order.*"]}));
    api.make_webhook(url, &json!({"events": ["*", "loyalty.points_added"]}));
    let off = api.make_webhook(url, &json!({"events": ["order.paid"]}));
    api.act(&format!("/v1/webhooks/{}/disable", id(&off))).is(200);
    api.make_webhook(url, &json!({"dialect": "ingresse", "hooks": ["postback"]}));
    house.operator().tenant("acme").make_webhook(url, &json!({"events": ["order.paid", "acme.secret"]}));
    let page = operator(&house).page(CATALOGUE);
    let count = |name: &str| {
        let cell = between(&page, &format!("{CATALOGUE}/{name}\""), "</a>");
        between(cell, "</span>", "<").to_owned()
    };
    assert_eq!(count("order.paid"), "3");
    assert_eq!(count("order.updated"), "3", "one of them where there is a status");
    assert_eq!(count("sale.created"), "1");
    assert!(!page.contains(&format!("{CATALOGUE}/sale.paid\"")), "it can't happen");
    assert!(page.contains("loyalty.points_added") && !page.contains("acme.secret"), "{page}");
    assert_eq!(page.matches(&format!("href=\"{CATALOGUE}/")).count(), 52);
}

#[test]
fn a_type_says_what_it_is_and_who_listens_through_what() {
    let house = Harness::at_rest();
    let api = house.operator();
    let url = "https://partner.example/";
    api.make_webhook(url, &json!({"name": "<b>Direct", "events": ["order.paid"]}));
    api.make_webhook(
        url,
        &json!({"name": "Related", "events": ["ticket.paid"], "triggered_by_related": true}),
    );
    api.make_webhook(url, &json!({"name": "Deaf", "events": ["ticket.paid"]}));
    let visitor = operator(&house);
    let page = visitor.page(&format!("{CATALOGUE}/order.paid"));
    assert!(page.contains("An order was paid."), "{page}");
    let listeners = between(&page, "id=\"listeners-title\"", "<section");
    assert!(
        listeners.contains("directly") && listeners.contains("through the related ticket"),
        "{listeners}"
    );
    assert!(!listeners.contains("Deaf") && !listeners.contains("<b>Direct"), "{listeners}");
    for word in
        ["OpenTicket-Trigger: order.ticket.paid", "postback", "$schema", "/v1/events", "application/json"]
    {
        assert!(page.contains(word), "{word}: {page}");
    }
    let sale = visitor.page(&format!("{CATALOGUE}/sale.updated"));
    assert!(sale.contains("SaleUpdates") && sale.contains("No webhook asks for it"), "{sale}");
    for name in ["sale.paid", "loyalty.points", "webhook.ping", "x"] {
        visitor.page_of(&format!("{CATALOGUE}/{name}"), 404);
    }
}

#[test]
fn more_webhooks_than_are_gone_through_are_said_to_be_more() {
    let mut house = Harness::start();
    house.operator().get("/v1/webhooks").is(200);
    house.fill_with_viagogo_webhooks("default", 1_050);
    let visitor = operator(&house);
    let page = visitor.page(CATALOGUE);
    assert!(page.contains("The newest 1,000 webhooks were counted; there are more."), "{page}");
    let page = visitor.page(&format!("{CATALOGUE}/sale.created"));
    assert!(page.contains("1,000 hear it; the newest hundred are named."), "{page}");
    assert!(page.contains("1,000 webhooks were gone through; there are more"), "{page}");
}

#[test]
fn the_catalogue_asks_for_its_scope() {
    let house = Harness::at_rest();
    let events = guest(&house, "default", &["read:events"]);
    assert!(events.page_of(CATALOGUE, 403).contains("read:webhooks"));
    let hooks = guest(&house, "default", &["read:webhooks"]);
    let page = hooks.page(&format!("{CATALOGUE}/order.paid"));
    assert!(!page.contains("Send a test event"), "{page}");
}
