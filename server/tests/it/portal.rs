//! Portal links, the sessions made from them, and the pages that they lead to.

#![expect(clippy::expect_used, reason = "a test that can't go on has failed")]

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Answer, Caller, Harness, SCOPES, text};

/// The path of a link's URL.
fn path(link: &Value) -> String {
    let url = text(&link["url"]);
    url[url.find("/portal/").expect("a link to the portal")..].to_owned()
}

/// The first page of the tenant that these links are for.
const PAGE: &str = "/dashboard/t/acme";

/// The cookie that an answer sets, as a browser sends it back.
fn cookie(answer: &Answer) -> String {
    answer.header("set-cookie").split(';').next().expect("a cookie").to_owned()
}

fn body(answer: &Answer) -> String {
    String::from_utf8_lossy(&answer.body).into_owned()
}

/// Opens a link; returns somebody with its session.
fn visit(house: &Harness, link: &Value) -> Caller {
    let opened = house.nobody().get(&path(link));
    assert_eq!(opened.status, 303, "{}", body(&opened));
    house.nobody().with("cookie", &format!("theme=dark; {}", cookie(&opened)))
}

#[test]
fn a_link_is_made_listed_and_revoked() {
    let house = Harness::at_rest();
    let owner = house.client("acme", &SCOPES);
    let answer = owner.post("/v1/portal-links", &json!({"name": "Support"}));
    assert_eq!(answer.header("cache-control"), "no-store");
    let location = answer.header("location").to_owned();
    let mut made = answer.is(201);
    assert_eq!(location, format!("/v1/portal-links/{}", text(&made["id"])));
    let url = made.as_object_mut().and_then(|made| made.remove("url")).expect("a URL");
    assert!(text(&url).starts_with("http://callboard/portal/cbp_"), "{url}");
    let wanted = json!({
        "id": made["id"], "name": "Support", "scopes": ["read:webhooks", "write:webhooks", "read:events"],
        "state": "open", "created_at": "2026-11-21T19:00:00Z", "expires_at": "2026-11-22T19:00:00Z",
        "revoked_at": null,
    });
    assert_eq!(made, wanted);
    assert_eq!(owner.get(&location).is(200), wanted);
    assert_eq!(owner.get("/v1/portal-links").is(200), json!({"items": [wanted], "next": null}));
    owner.delete(&location).is(204);
    owner.delete(&location).is(204);
    assert_eq!(owner.get(&location).is(200)["state"], "revoked");
    owner.delete("/v1/portal-links/ptl_999").problem(404, "not-found");
    let short = owner.post("/v1/portal-links", &json!({"lifetime_seconds": 60, "scopes": ["admin"]})).is(201);
    house.advance(Duration::from_mins(1));
    let short = owner.get(&format!("/v1/portal-links/{}", text(&short["id"]))).is(200);
    assert_eq!((&short["state"], &short["scopes"]), (&json!("expired"), &json!(["admin"])));
}

#[test]
fn a_link_gives_no_more_than_its_maker_has() {
    let house = Harness::start();
    let link = |scopes: &[&str], asked: &Value| house.client("acme", scopes).post("/v1/portal-links", asked);
    let made = link(&["admin", "read:events"], &json!({})).is(201);
    assert_eq!(made["scopes"], json!(["read:events"]));
    link(&["admin"], &json!({})).blames(400, "invalid-input", &["/scopes"]);
    let more = json!({"scopes": ["read:events", "write:events"]});
    link(&["admin", "read:events"], &more).blames(400, "invalid-input", &["/scopes"]);
    for (asked, blamed) in [
        (json!({"scopes": []}), "/scopes"),
        (json!({"scopes": ["root"]}), "/scopes"),
        (json!({"lifetime_seconds": 59}), "/lifetime_seconds"),
        (json!({"lifetime_seconds": 604_801}), "/lifetime_seconds"),
        (json!({"lifetime_seconds": "x"}), "/lifetime_seconds"),
        (json!({"name": "x".repeat(256)}), "/name"),
        (json!({"uses": 1}), "/uses"),
    ] {
        link(&SCOPES, &asked).blames(400, "invalid-input", &[blamed]);
    }
    assert_eq!(house.client("acme", &SCOPES).all("/v1/portal-links", 200).len(), 1);
}

#[test]
fn a_link_opens_a_page_and_nothing_else() {
    let house = Harness::start();
    let operator = house.operator();
    operator.post("/v1/tenants", &json!({"id": "acme", "name": "<b>Acme & Sons</b>"})).is(201);
    let owner = house.client("acme", &SCOPES);
    let link = owner.post("/v1/portal-links", &json!({"name": "\"Support\" <i>"})).is(201);
    let opened = house.nobody().get(&path(&link));
    assert_eq!((opened.status, opened.header("location")), (303, "/dashboard"));
    let set = opened.header("set-cookie");
    assert!(set.starts_with("callboard=cbx_") && set.contains("; Path=/; HttpOnly; SameSite=Lax"), "{set}");
    assert!(!set.contains("Secure"), "{set}");
    for (name, value) in [("cache-control", "no-store"), ("referrer-policy", "no-referrer")] {
        assert_eq!(opened.header(name), value);
    }
    let visitor = visit(&house, &link);
    let home = visitor.get("/dashboard");
    assert_eq!((home.status, home.header("location")), (303, PAGE));
    let page = visitor.get(PAGE);
    assert_eq!((page.status, page.header("cache-control")), (200, "no-store"));
    assert!(page.header("content-security-policy").starts_with("default-src 'self'"));
    let shown = body(&page);
    assert!(shown.contains("&#60;b&#62;Acme &#38; Sons&#60;/b&#62;"), "{shown}");
    assert!(shown.contains("&#34;Support&#34; &#60;i&#62;"), "{shown}");
    assert!(!shown.contains("<b>Acme") && !shown.contains("<i>"), "{shown}");
    let leads = |place: &str| shown.contains(&format!("href=\"{PAGE}/{place}\""));
    assert!(leads("webhooks") && leads("events") && !leads("access"), "{shown}");
    let token = path(&link).rsplit('/').next().expect("a token").to_owned();
    assert!(!shown.contains(&token), "{shown}");

    visitor.get("/v1/webhooks").problem(401, "unauthenticated");
    house.nobody().bearer(&token).get("/v1/webhooks").problem(401, "unauthenticated");
    for place in ["/dashboard", PAGE] {
        let page = house.nobody().get(place);
        assert_eq!(page.status, 401, "{place}");
        assert!(body(&page).contains("<h1>Sign in</h1>"), "{}", body(&page));
    }
    let wrong = house.nobody().get(&format!("/portal/{token}x"));
    assert_eq!(wrong.status, 404);
    assert!(!wrong.header("set-cookie").starts_with("callboard="), "{}", wrong.header("set-cookie"));
    let opened = owner.all("/v1/audit?action=portal_link.opened", 200);
    assert_eq!(opened.len(), 2, "each opening is told");
    assert_eq!((&opened[0]["actor"]["id"], &opened[0]["address"]), (&link["id"], &json!("127.0.0.1")));
    let whole = Value::from(owner.all("/v1/audit", 200)).to_string();
    assert!(!whole.contains(&token), "{whole}");
}

#[test]
fn a_session_ends_when_it_is_told_to_from_its_own_page() {
    let house = Harness::start();
    let link = house.client("acme", &SCOPES).post("/v1/portal-links", &json!({})).is(201);
    let (visitor, other) = (visit(&house, &link), visit(&house, &link));
    let token = |visitor: &Caller| {
        let page = body(&visitor.get(PAGE));
        let (_, rest) = page.split_once("name=\"token\" value=\"").expect("a form");
        rest.split('"').next().expect("a token").to_owned()
    };
    let form = format!("token={}", token(&visitor));
    let sign_out = |visitor: &Caller, form: &str| visitor.form("/dashboard/sign-out", form).status;
    assert_eq!(sign_out(&visitor, ""), 403);
    assert_eq!(sign_out(&visitor, &format!("token={}", token(&other))), 403);
    for (name, value) in [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("origin", "https://evil.example"),
        ("origin", "http://callboard.evil.example"),
    ] {
        assert_eq!(sign_out(&visitor.with(name, value), &form), 403, "{name}: {value}");
    }
    assert_eq!(visitor.get(PAGE).status, 200);
    let from_here = visitor.with("sec-fetch-site", "same-origin").with("origin", "http://callboard");
    let done = from_here.form("/dashboard/sign-out", &form);
    assert_eq!((done.status, done.header("location")), (303, "/dashboard/sign-in"));
    assert!(done.header("set-cookie").contains("Max-Age=0"), "{}", done.header("set-cookie"));
    assert_eq!((visitor.get(PAGE).status, other.get(PAGE).status), (401, 200));
}

#[test]
fn sessions_end_with_their_link() {
    let house = Harness::at_rest();
    let owner = house.client("acme", &SCOPES);
    let make = |seconds: u64| owner.post("/v1/portal-links", &json!({"lifetime_seconds": seconds})).is(201);
    let (short, long) = (make(60), make(600));
    let (brief, lasting) = (visit(&house, &short), visit(&house, &long));
    house.advance(Duration::from_secs(59));
    assert_eq!(brief.get(PAGE).status, 200);
    house.advance(Duration::from_secs(1));
    assert_eq!((brief.get(PAGE).status, house.nobody().get(&path(&short)).status), (401, 404));
    assert_eq!(lasting.get(PAGE).status, 200);
    owner.delete(&format!("/v1/portal-links/{}", text(&long["id"]))).is(204);
    assert_eq!((lasting.get(PAGE).status, house.nobody().get(&path(&long)).status), (401, 404));
}

#[test]
fn by_https_the_cookie_is_for_this_host_alone() {
    let public = "https://callboard.example/hooks".to_owned();
    let house = Harness::configured(|settings| settings.public_url = Some(public));
    let link = house.client("acme", &SCOPES).post("/v1/portal-links", &json!({})).is(201);
    assert!(text(&link["url"]).starts_with("https://callboard.example/hooks/portal/cbp_"), "{link}");
    let opened = house.nobody().get(&path(&link));
    let set = opened.header("set-cookie");
    assert!(set.starts_with("__Host-callboard=cbx_"), "{set}");
    assert!(set.ends_with("; Path=/; HttpOnly; SameSite=Lax; Secure"), "{set}");
    let visitor = visit(&house, &link);
    assert_eq!(visitor.get(PAGE).status, 200);
    let unmarked = cookie(&opened).replace("__Host-", "");
    assert_eq!(house.nobody().with("cookie", &unmarked).get(PAGE).status, 401);
}

#[test]
fn who_tries_too_many_links_has_to_wait_and_a_right_one_opens() {
    let house = Harness::at_rest_configured(|settings| settings.limits.token_failures_per_minute = 6);
    let link = house.client("acme", &SCOPES).post("/v1/portal-links", &json!({})).is(201);
    let nobody = house.nobody();
    for _ in 0..6 {
        assert_eq!(nobody.get("/portal/cbp_wrong").status, 404);
    }
    let refused = nobody.get("/portal/cbp_wrong");
    assert_eq!((refused.status, refused.header("retry-after")), (429, "10"));
    assert_eq!(nobody.get(&path(&link)).status, 303);
    house.advance(Duration::from_mins(1));
    assert_eq!(nobody.get("/portal/cbp_wrong").status, 404);
}
