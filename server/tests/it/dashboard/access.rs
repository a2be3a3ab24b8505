//! Clients and portal links, as people make and end them.

use std::time::Duration;

use serde_json::json;

use super::{Visitor, between, copied, guest, operator, portal_path, said};
use crate::harness::Harness;

const ACCESS: &str = "/dashboard/t/acme/access";
const CLIENTS: &str = "/dashboard/t/acme/access/clients";
const LINKS: &str = "/dashboard/t/acme/access/links";

/// A program with the tenant, and somebody who may manage its access.
fn begin(house: &Harness) -> Visitor {
    house.operator().post("/v1/tenants", &json!({"id": "acme"})).is(201);
    operator(house)
}

#[test]
fn a_client_is_made_and_its_secret_is_shown_once() {
    let house = Harness::at_rest();
    let visitor = begin(&house);
    assert!(visitor.page(ACCESS).contains("No client yet"));
    let name = "\"Ticket\" <b>shop</b> \u{202e}";
    let form = [("name", name), ("scope", "read:webhooks"), ("scope", "write:events")];
    let made = visitor.send(CLIENTS, &form);
    assert_eq!((made.status, made.header("cache-control")), (201, "no-store"));
    let page = said(&made);
    assert!(!page.contains("<b>shop") && page.contains("&#60;b&#62;shop"), "{page}");
    let (id, secret) = (copied(&page, "Client id"), copied(&page, "Client secret"));
    assert!(secret.starts_with("cbs_"), "{secret}");
    assert_eq!(
        copied(&page, "Get a token"),
        format!("curl 'http://callboard/oauth2/token' -u '{id}:{secret}' -d grant_type=client_credentials")
    );
    let list = visitor.page(ACCESS);
    assert!(list.contains(&id) && !list.contains(&secret), "{list}");
    assert!(list.contains("<span class=\"quiet\">never</span>"), "{list}");
    let form = format!("grant_type=client_credentials&client_id={id}&client_secret={secret}");
    let token = house.nobody().form("/oauth2/token", &form).is(200);
    assert_eq!(token["scope"], "read:webhooks write:events");
    let list = visitor.page(ACCESS);
    let used = between(&list, "data-label=\"Last used\">", "</td>");
    assert!(used.contains("2026-11-21T19:00:00.000Z"), "{used}");
    assert_eq!(visitor.get(CLIENTS).header("location"), ACCESS);
    let told = house.operator().tenant("acme").all("/v1/audit?action=client.created", 50);
    assert_eq!((told.len(), &told[0]["actor"]["kind"]), (1, &json!("operator")));
}

#[test]
fn what_is_wrong_of_a_client_is_said_and_what_was_typed_stays() {
    let house = Harness::start();
    let visitor = begin(&house);
    let long = "x".repeat(256);
    for (form, told) in [
        (vec![("name", "Shop \"1\"")], "Tick at least one of them."),
        (vec![("name", " "), ("scope", "admin")], "must be 1 to 255 characters long"),
        (vec![("name", &*long), ("scope", "admin")], "must be 1 to 255 characters long"),
        (vec![("name", "Shop"), ("scope", "root")], "is no scope"),
    ] {
        let refused = visitor.send(CLIENTS, &form);
        let page = said(&refused);
        assert_eq!(refused.status, 422, "{page}");
        assert!(page.contains("role=\"alert\"") && page.contains(told), "{page}");
        let typed = form[0].1.replace('"', "&#34;");
        assert!(page.contains(&format!("name=\"name\" value=\"{typed}\"")), "{page}");
    }
    let kept = said(&visitor.send(CLIENTS, &[("name", ""), ("scope", "admin")]));
    assert!(
        kept.contains("value=\"admin\" checked") && !kept.contains("value=\"write:events\" checked"),
        "{kept}"
    );
    assert!(house.operator().tenant("acme").all("/v1/clients", 50).is_empty());
}

#[test]
fn a_client_is_disabled_enabled_and_deleted_by_its_name() {
    let house = Harness::start();
    let visitor = begin(&house);
    let owner = house.operator().tenant("acme");
    let (id, secret) = owner.make_client(&["read:events"]);
    let form = format!("grant_type=client_credentials&client_id={id}&client_secret={secret}");
    let token = || house.nobody().form("/oauth2/token", &form).status;
    let act =
        |action: &str, fields: &[(&str, &str)]| visitor.send(&format!("{CLIENTS}/{id}/{action}"), fields);
    let here = "/dashboard/t/acme/access?clients=AAAAAAAAAAA";
    let done = act("disable", &[("next", here)]);
    assert_eq!((done.status, done.header("location"), token()), (303, here, 401));
    assert!(done.header("set-cookie").starts_with("callboard-note=client_disabled"));
    let seen =
        visitor.with("cookie", &format!("{}; callboard-note=client_disabled", visitor.caller().cookie()));
    assert!(seen.page(ACCESS).contains("The client gets no more tokens"));
    let done = act("enable", &[("next", "https://evil.example")]);
    assert_eq!((done.header("location"), token()), (ACCESS, 200));

    let asked = visitor.page(&format!("{CLIENTS}/{id}/delete"));
    assert!(asked.contains("Ticket shop"), "{asked}");
    for wrong in ["", "ticket shop", "Ticket"] {
        let refused = act("delete", &[("confirmation", wrong)]);
        assert_eq!(refused.status, 422);
        assert!(said(&refused).contains("Nothing was deleted"), "{}", said(&refused));
    }
    assert_eq!(token(), 200);
    let done = act("delete", &[("confirmation", "Ticket shop")]);
    assert_eq!((done.header("location"), token()), (ACCESS, 401));
    assert_eq!(act("delete", &[("confirmation", "Ticket shop")]).status, 404);
    let (id, _) = owner.make_client(&["read:events"]);
    assert_eq!(visitor.send(&format!("{CLIENTS}/{id}/delete"), &[("confirmation", &id)]).status, 303);
    assert!(owner.all("/v1/clients", 50).is_empty());
}

#[test]
fn a_portal_link_is_made_shown_once_and_revoked() {
    let house = Harness::at_rest();
    let visitor = begin(&house);
    let form = [("name", "North <Hall>"), ("scope", "read:webhooks"), ("lifetime", "28800")];
    let made = visitor.send(LINKS, &form);
    assert_eq!(made.status, 201);
    let url = copied(&said(&made), "Portal link");
    assert!(url.starts_with("http://callboard/portal/cbp_"), "{url}");
    let opened = house.nobody().get(&portal_path(&json!(url)));
    let partner = Visitor::let_in(&house, &opened);
    assert_eq!(partner.get("/dashboard/t/acme/webhooks").status, 200);
    let list = visitor.page(ACCESS);
    assert!(!list.contains("cbp_") && list.contains("North &#60;Hall&#62;"), "{list}");
    assert!(list.contains("2026-11-22T03:00:00.000Z"), "it ends in 8 hours: {list}");
    let id = between(&list, "<code class=\"sub\">", "</code>").to_owned();
    assert_eq!(visitor.send(&format!("{LINKS}/{id}/revoke"), &[]).header("location"), ACCESS);
    assert_eq!(partner.get("/dashboard/t/acme/webhooks").status, 401);
    let list = visitor.page(ACCESS);
    assert!(list.contains("revoked") && !list.contains("/revoke\""), "{list}");
    assert_eq!(visitor.send(&format!("{LINKS}/ptl_999/revoke"), &[]).status, 404);
    let short = [("scope", "read:events"), ("lifetime", "3600")];
    assert_eq!(visitor.send(LINKS, &short).status, 201);
    house.advance(Duration::from_hours(1));
    assert!(visitor.page(ACCESS).contains("expired"));
    assert_eq!(visitor.get(LINKS).header("location"), ACCESS);
}

#[test]
fn a_link_gives_no_more_than_its_maker_has() {
    let house = Harness::start();
    let maker = guest(&house, "acme", &["admin", "read:events"]);
    let page = maker.page(ACCESS);
    let form = between(&page, "action=\"/dashboard/t/acme/access/links\"", "</form>");
    assert!(form.contains("value=\"read:events\" checked") && !form.contains("write:webhooks"), "{form}");
    let count = || house.operator().tenant("acme").all("/v1/portal-links", 50).len();
    let before = count();
    for (form, told) in [
        (vec![("scope", "write:webhooks"), ("lifetime", "3600")], "must be among the caller"),
        (vec![("lifetime", "3600")], "Tick at least one of them."),
        (vec![("scope", "read:events"), ("lifetime", "604801")], "from 60 to 604800"),
        (vec![("scope", "read:events"), ("lifetime", "long")], "from 60 to 604800"),
    ] {
        let refused = maker.send(LINKS, &form);
        assert_eq!(refused.status, 422);
        assert!(said(&refused).contains(told), "{told}: {}", said(&refused));
    }
    assert_eq!(count(), before);
    assert_eq!(maker.send(LINKS, &[("scope", "read:events"), ("lifetime", "3600")]).status, 201);
    let made = house.operator().tenant("acme").get("/v1/audit?action=portal_link.created&limit=1").is(200);
    assert_eq!(made["items"][0]["actor"]["kind"], "portal_link");
}

#[test]
fn who_may_not_manage_access_is_told_which_scope_is_missing() {
    let house = Harness::start();
    let partner = guest(&house, "acme", &["read:webhooks", "write:webhooks", "read:events", "write:events"]);
    let (id, _) = house.operator().tenant("acme").make_client(&["read:events"]);
    let all = [("name", "Mine"), ("scope", "admin"), ("lifetime", "3600"), ("confirmation", &*id)];
    for refused in [
        partner.get(ACCESS),
        partner.get("/dashboard/t/acme/audit"),
        partner.get(&format!("{CLIENTS}/{id}/delete")),
        partner.send(CLIENTS, &all),
        partner.send(LINKS, &all),
        partner.send(&format!("{CLIENTS}/{id}/delete"), &all),
    ] {
        assert_eq!(refused.status, 403);
        assert!(said(&refused).contains("needs the scope admin"), "{}", said(&refused));
    }
    assert!(!partner.page("/dashboard/t/acme").contains(ACCESS), "nothing leads there");
    assert_eq!(house.operator().tenant("acme").all("/v1/clients", 50).len(), 2);
}

#[test]
fn each_list_has_a_place_of_its_own_in_the_address() {
    let house = Harness::start();
    let visitor = begin(&house);
    let owner = house.operator().tenant("acme");
    let first = owner.make_client(&["read:events"]).0;
    for number in 0..50 {
        owner.make_client(&["read:events"]);
        owner.post("/v1/portal-links", &json!({"name": format!("link-{number}")})).is(201);
    }
    owner.post("/v1/portal-links", &json!({"name": "link-50"})).is(201);
    let page = visitor.page(ACCESS);
    assert!(!page.contains(&first) && !page.contains("link-0<"), "{page}");
    let next = |page: &str, of: &str| {
        let nav = between(page, &format!("<nav class=\"pager\" aria-label=\"Pages of the {of}\">"), "</nav>");
        let last = nav.rsplit("href=\"").next().expect("a link");
        last.split('"').next().expect("a path").replace("&#38;", "&")
    };
    let page = visitor.page(&next(&page, "clients"));
    assert!(page.contains(&first) && page.contains("link-50<") && !page.contains("link-0<"), "{page}");
    let page = visitor.page(&next(&page, "portal links"));
    assert!(page.contains(&first) && page.contains("link-0<") && !page.contains("link-50<"), "{page}");
    assert_eq!(visitor.get(&format!("{ACCESS}?clients=nowhere")).status, 400);
}
