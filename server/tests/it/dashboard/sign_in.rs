//! Signing in and out, and what a browser keeps.

use std::time::Duration;

use callboard::config::Hidden;
use serde_json::json;

use super::{Visitor, cookies, guest, operator, said};
use crate::harness::{Harness, OPERATOR, SCOPES, text};

const SIGN_IN: &str = "/dashboard/sign-in";

#[test]
fn the_operators_token_opens_and_no_other() {
    let house = Harness::start();
    let stranger = Visitor::stranger(&house);
    let client = house.operator().tenant("acme").make_client(&SCOPES).1;
    for (wrong, told) in [
        ("", "Paste the operator"),
        ("the-operator-of-the-test", "is not the operator"),
        (&*client, "portal link does"),
    ] {
        let refused = stranger.send(SIGN_IN, &[("operator_token", wrong)]);
        assert_eq!((refused.status, cookies(&refused)), (422, String::new()), "{wrong}");
        assert!(said(&refused).contains(told), "{}", said(&refused));
        assert!(wrong.is_empty() || !said(&refused).contains(wrong), "a token is not shown");
    }
    let opened = stranger.send(SIGN_IN, &[("operator_token", OPERATOR)]);
    assert_eq!((opened.status, opened.header("location")), (303, "/dashboard"));
    let set = opened.header("set-cookie");
    assert!(set.starts_with("callboard=cbo_"), "{set}");
    assert!(set.ends_with("; Max-Age=43200; Path=/; HttpOnly; SameSite=Lax"), "{set}");
    let visitor = Visitor::let_in(&house, &opened);
    assert_eq!(visitor.get("/dashboard").header("location"), "/dashboard/t/acme");
    assert_eq!(visitor.get(SIGN_IN).header("location"), "/dashboard");
    let told = house.operator().all("/v1/deployment/audit?action=operator.signed_in", 50);
    assert_eq!((told.len(), &told[0]["address"]), (1, &json!("127.0.0.1")));
    visitor.caller().get("/v1/webhooks").problem(401, "unauthenticated");
}

#[test]
fn forms_of_elsewhere_sign_nobody_in() {
    let house = Harness::start();
    let stranger = Visitor::stranger(&house);
    let token = [("operator_token", OPERATOR)];
    let refusals = [
        stranger.without_token().send(SIGN_IN, &token),
        stranger.with("origin", "https://evil.example").send(SIGN_IN, &token),
        stranger.with("sec-fetch-site", "cross-site").send(SIGN_IN, &token),
        stranger.with("cookie", "callboard-guest=other").send(SIGN_IN, &token),
    ];
    for refused in refusals {
        assert_eq!((refused.status, cookies(&refused)), (403, String::new()));
        assert!(said(&refused).contains("Nothing was done"), "{}", said(&refused));
    }
}

#[test]
fn who_guesses_too_often_has_to_wait() {
    let house = Harness::at_rest_configured(|settings| settings.limits.token_failures_per_minute = 6);
    let stranger = Visitor::stranger(&house);
    let guess = |token: &str| stranger.send(SIGN_IN, &[("operator_token", token)]);
    for _ in 0..6 {
        assert_eq!(guess("wrong").status, 422);
    }
    let refused = guess("wrong");
    assert_eq!((refused.status, refused.header("retry-after")), (429, "10"));
    assert_eq!(guess(OPERATOR).status, 429, "one that might be guessed is not looked at");
    house.advance(Duration::from_mins(2));
    assert_eq!(guess(OPERATOR).status, 303);

    let long = "an-operator-token-that-nobody-can-guess";
    let house = Harness::at_rest_configured(|settings| {
        settings.limits.token_failures_per_minute = 1;
        settings.admin_token = Some(Hidden(long.to_owned()));
    });
    let stranger = Visitor::stranger(&house);
    let guess = |token: &str| stranger.send(SIGN_IN, &[("operator_token", token)]).status;
    assert_eq!((guess("wrong"), guess("wrong"), guess(long)), (422, 429, 303));
}

#[test]
fn who_signs_in_goes_on_below_the_dashboard_and_nowhere_else() {
    let house = Harness::start();
    let stranger = Visitor::stranger(&house);
    let lead = |next: &str| {
        let answer = stranger.send(SIGN_IN, &[("operator_token", OPERATOR), ("next", next)]);
        assert_eq!(answer.status, 303, "{next}");
        answer.header("location").to_owned()
    };
    for wanted in ["/dashboard/t/acme/webhooks?search=x", "/dashboard", "/dashboard/system"] {
        assert_eq!(lead(wanted), wanted);
    }
    for elsewhere in [
        "//evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "https://evil.example",
        "https:/dashboard",
        "javascript:alert(1)",
        "/dashboardx",
        "/dashboard\\..\\..\\evil",
        "/dashboard/\r\nset-cookie: a=b",
        "/v1/webhooks",
        "/dashboard/sign-in/cbl_x",
        "",
    ] {
        assert_eq!(lead(elsewhere), "/dashboard", "{elsewhere}");
    }
    // The page that was asked for is remembered by the form that is shown in its place.
    let asked = house.nobody().get("/dashboard/t/acme/access?clients=x");
    assert_eq!(asked.status, 401);
    assert!(
        said(&asked).contains("name=\"next\" value=\"/dashboard/t/acme/access?clients=x\""),
        "{}",
        said(&asked)
    );
}

#[test]
fn the_operators_session_lasts_twelve_hours_and_no_longer_than_the_token() {
    let mut house = Harness::at_rest();
    let visitor = operator(&house);
    house.advance(Duration::from_hours(12) - Duration::from_secs(1));
    assert_eq!(visitor.get("/dashboard/system").status, 200);
    house.advance(Duration::from_secs(1));
    assert_eq!(visitor.get("/dashboard/system").status, 401);

    let visitor = operator(&house);
    house.restart();
    let visitor = visitor.at(house.address);
    assert_eq!(visitor.get("/dashboard/system").status, 200, "a restart ends no session");
    house.restart_with(|settings| {
        settings.admin_token = Some(Hidden("another-token-of-the-operator".to_owned()));
    });
    let visitor = visitor.at(house.address);
    assert_eq!(visitor.get("/dashboard/system").status, 401);
}

#[test]
fn who_signs_out_is_out() {
    let house = Harness::start();
    let (visitor, other) = (operator(&house), operator(&house));
    let sign_out = "/dashboard/sign-out";
    assert_eq!(visitor.without_token().send(sign_out, &[]).status, 403);
    assert_eq!(visitor.with("origin", "https://evil.example").send(sign_out, &[]).status, 403);
    assert_eq!(visitor.get("/dashboard/system").status, 200);
    let done = visitor.send(sign_out, &[]);
    assert_eq!((done.status, done.header("location")), (303, SIGN_IN));
    assert!(done.header("set-cookie").starts_with("callboard=; Max-Age=0"), "{}", done.header("set-cookie"));
    assert_eq!((visitor.get("/dashboard/system").status, other.get("/dashboard/system").status), (401, 200));
}

#[test]
fn a_sign_in_link_opens_once_within_an_hour() {
    let house = Harness::at_rest();
    let path = || {
        let made = house.operator().act("/v1/sign-in-links");
        assert_eq!(made.header("cache-control"), "no-store");
        let made = made.is(201);
        let url = text(&made["url"]).to_owned();
        url.strip_prefix("http://callboard").expect("where the request was sent").to_owned()
    };
    let link = path();
    assert!(link.starts_with("/dashboard/sign-in/cbl_"), "{link}");
    let visitor = Visitor::let_in(&house, &house.nobody().get(&link));
    assert_eq!(visitor.get("/dashboard/system").status, 200);
    let again = house.nobody().get(&link);
    assert_eq!(again.status, 404);
    assert!(said(&again).contains("callboard sign-in-link"), "{}", said(&again));
    let late = path();
    house.advance(Duration::from_hours(1));
    assert_eq!(house.nobody().get(&late).status, 404);
    assert_eq!(house.nobody().get("/dashboard/sign-in/cbl_wrong").status, 404);
    house.client("acme", &SCOPES).act("/v1/sign-in-links").problem(403, "forbidden");
    house.nobody().act("/v1/sign-in-links").problem(401, "unauthenticated");
    let told = house.operator().all("/v1/deployment/audit?action=operator.*", 50);
    let actions: Vec<&str> = told.iter().map(|entry| text(&entry["action"])).collect();
    let made = "operator.sign_in_link_created";
    assert_eq!(actions, [made, "operator.signed_in", made]);
    let token = link.rsplit('/').next().expect("a token");
    assert!(!format!("{told:?}").contains(token), "{told:?}");
}

#[test]
fn what_somebody_likes_is_kept() {
    let house = Harness::start();
    let visitor = operator(&house);
    let page = visitor.page("/dashboard/system");
    assert!(page.contains("data-theme=\"system\" data-keys>"), "{page}");
    let like = |name: &str, value: &str| {
        visitor.send("/dashboard/preferences", &[(name, value), ("next", "//evil")])
    };
    for (name, value, cookie) in [
        ("theme", "dark", "callboard-theme=dark"),
        ("theme", "light", "callboard-theme=light"),
        ("theme", "\"><script>", "callboard-theme=system"),
        ("keys", "off", "callboard-keys=off"),
        ("keys", "on", "callboard-keys=on"),
    ] {
        let kept = like(name, value);
        assert_eq!((kept.status, kept.header("location"), &*cookies(&kept)), (303, "/dashboard", cookie));
    }
    let session = visitor.caller().cookie();
    let with =
        |cookie: &str| visitor.with("cookie", &format!("{session}; {cookie}")).page("/dashboard/system");
    let page = with("callboard-theme=dark; callboard-keys=off");
    assert!(page.contains("data-theme=\"dark\">") && !page.contains("<dialog"), "{page}");
    let page = with("callboard-theme=\"><script>");
    assert!(page.contains("data-theme=\"system\""), "{page}");
    assert_eq!(visitor.without_token().send("/dashboard/preferences", &[("theme", "dark")]).status, 403);
}

#[test]
fn the_operator_goes_to_any_tenant_and_a_guest_to_none() {
    let house = Harness::start();
    let operator_api = house.operator();
    operator_api.post("/v1/tenants", &json!({"id": "acme"})).is(201);
    let visitor = operator(&house);
    let choose = |visitor: &Visitor, id: &str| visitor.get(&format!("/dashboard/tenant?tenant={id}"));
    assert_eq!(choose(&visitor, "acme").header("location"), "/dashboard/t/acme");
    for none in ["globex", "", "..", "%2F%2Fevil"] {
        assert_eq!(choose(&visitor, none).status, 404, "{none}");
    }
    operator_api.tenant("globex").get("/v1/tenants").is(200);
    assert_eq!(operator_api.get("/v1/tenants/globex").status, 404, "looking makes none");
    let guest = guest(&house, "acme", &["read:webhooks"]);
    assert_eq!(guest.get("/dashboard/t/default").status, 404);
    assert_eq!(choose(&guest, "acme").status, 403);
    assert_eq!(choose(&Visitor::stranger(&house), "acme").status, 401);
}

#[test]
fn the_usual_tenant_is_there_as_soon_as_the_operator_asks_for_it() {
    for path in ["/dashboard/t/default", "/dashboard/t/default/webhooks", "/dashboard/tenant?tenant=default"]
    {
        let house = Harness::start();
        Visitor::stranger(&house).page_of("/dashboard/t/default", 401);
        let visitor = operator(&house);
        let others = visitor.page_of("/dashboard/t/globex", 404);
        assert!(!others.contains("globex</h1>"), "{others}");
        let shown = visitor.get(path);
        assert!([200, 303].contains(&shown.status), "{path}: {}", shown.status);
        let tenants = house.operator().get("/v1/tenants").is(200);
        let ids: Vec<_> =
            tenants["items"].as_array().expect("tenants").iter().map(|one| &one["id"]).collect();
        assert_eq!(ids, ["default"], "{path}");
        let told = house.operator().all("/v1/deployment/audit?action=tenant.created", 50);
        assert_eq!((told.len(), &told[0]["address"]), (1, &json!("127.0.0.1")), "{path}");
        assert_eq!(visitor.get("/dashboard").header("location"), "/dashboard/t/default");
    }
}
