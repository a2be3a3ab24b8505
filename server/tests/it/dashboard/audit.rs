//! The audit log, as people read it.

use std::time::Duration;

use serde_json::json;

use super::{guest, operator, said};
use crate::harness::{Harness, SCOPES, text};

const AUDIT: &str = "/dashboard/t/acme/audit";

#[test]
fn a_change_is_told_member_by_member_without_secrets() {
    let house = Harness::start();
    let owner = house.client("acme", &SCOPES);
    let settings = json!({
        "name": "<script>alert(1)</script>\u{202e}", "events": ["*"], "authorization_header": "Bearer sesame",
    });
    let webhook = owner.make_webhook("https://one.example/", &settings);
    let id = text(&webhook["id"]);
    owner.patch(&format!("/v1/webhooks/{id}"), &json!({"url": "https://two.example/"})).is(200);
    let visitor = operator(&house);
    let page = visitor.page(AUDIT);
    let edited = page.split("<tr ").find(|row| row.contains("webhook.updated")).expect("an entry");
    for part in [
        "<dt>url</dt>",
        "<del><span class=\"quiet\">was</span> <bdi>https://one.example/</bdi></del>",
        "<ins><span class=\"quiet\">is</span> <bdi>https://two.example/</bdi></ins>",
        "Client <bdi>Ticket shop</bdi>",
        "127.0.0.1",
    ] {
        assert!(edited.contains(part), "{part} is not in {edited}");
    }
    assert!(edited.contains(&format!("href=\"/dashboard/t/acme/webhooks/{id}\"")), "{edited}");
    assert!(!edited.contains("<dt>name</dt>"), "only what differs: {edited}");
    assert!(!page.contains("sesame") && page.contains("********"), "{page}");
    assert!(!page.contains("<script>alert") && page.contains("&#60;script&#62;alert(1)"), "{page}");
    assert!(!page.contains('\u{202e}') && page.contains("⟨U+202E⟩"), "{page}");
}

#[test]
fn entries_are_found_by_who_what_and_when() {
    let house = Harness::at_rest();
    let owner = house.client("acme", &SCOPES);
    let webhook = owner.make_webhook("https://one.example/", &json!({"name": "N", "events": ["*"]}));
    let id = text(&webhook["id"]).to_owned();
    house.advance(Duration::from_mins(30));
    owner.act(&format!("/v1/webhooks/{id}/pause")).is(200);
    let visitor = operator(&house);
    let actions = |query: &str| {
        let page = visitor.page(&format!("{AUDIT}?{query}"));
        let rows = page.split("<th scope=\"row\"><code>").skip(1);
        rows.map(|row| row.split('<').next().expect("an action").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(actions(""), ["webhook.paused", "webhook.created", "client.created"]);
    assert_eq!(actions("action=webhook.*"), ["webhook.paused", "webhook.created"]);
    assert_eq!(actions("actor=operator&action="), ["client.created"]);
    assert_eq!(actions(&format!("target={id}&until=2026-11-21T19:30")), ["webhook.created"]);
    assert_eq!(actions("since=2026-11-21T19:30"), ["webhook.paused"]);
    assert!(actions("actor=nobody").is_empty());
    assert!(visitor.page(&format!("{AUDIT}?actor=nobody")).contains("No entry fits."));
    let page = visitor.page(&format!("{AUDIT}?since=2026-11-21T19:30"));
    assert!(page.contains("since=2026-11-21T19%3A30%3A00Z"), "as the API takes it: {page}");

    for (query, field, kept) in [
        ("action=web*&actor=operator", "action-fault", "value=\"web*\""),
        ("since=soon", "since-fault", "value=\"soon\""),
    ] {
        let refused = visitor.get(&format!("{AUDIT}?{query}"));
        let page = said(&refused);
        assert_eq!(refused.status, 422, "{page}");
        assert!(page.contains(&format!("id=\"{field}\"")) && page.contains(kept), "{page}");
        assert!(!page.contains("client.created"), "{page}");
    }
    assert_eq!(visitor.get(&format!("{AUDIT}?cursor=x")).status, 400);
}

#[test]
fn a_long_log_is_shown_in_pages() {
    let house = Harness::start();
    let owner = house.client("acme", &SCOPES);
    let webhook = owner.make_webhook("https://one.example/", &json!({"name": "N", "events": ["*"]}));
    let path = format!("/v1/webhooks/{}", text(&webhook["id"]));
    for number in 0..52 {
        owner.patch(&path, &json!({"name": format!("name-{number}")})).is(200);
    }
    let visitor = operator(&house);
    let first = visitor.page(&format!("{AUDIT}?action=webhook.*"));
    assert!(!first.contains("webhook.created"), "{first}");
    let next = first.split("rel=\"next\" href=\"").nth(1).and_then(|rest| rest.split('"').next());
    let next = next.expect("another page").replace("&#38;", "&");
    let second = visitor.page(&format!("{AUDIT}{next}"));
    assert!(second.contains("webhook.created") && !second.contains("client.created"), "{second}");
    assert!(second.contains("To the beginning"), "{second}");
}

#[test]
fn the_deployments_log_tells_of_tenants_and_of_no_tenants_things() {
    let house = Harness::start();
    let visitor = operator(&house);
    assert_eq!(visitor.send("/dashboard/system/tenants", &[("id", "acme"), ("name", "Acme")]).status, 303);
    house.operator().tenant("acme").make_client(&["read:events"]);
    let page = visitor.page("/dashboard/system/audit");
    assert!(page.contains("tenant.created") && page.contains("operator.signed_in"), "{page}");
    assert!(
        page.contains("href=\"/dashboard/system/tenants/acme\"") && !page.contains("client.created"),
        "{page}"
    );
    let of_tenant = visitor.page(AUDIT);
    assert!(of_tenant.contains("client.created") && !of_tenant.contains("tenant.created"), "{of_tenant}");
    let partner = guest(&house, "acme", &["admin"]);
    assert!(partner.page(AUDIT).contains("portal_link.opened"));
}
