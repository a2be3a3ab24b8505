//! Who may do what: tokens, scopes, tenants and clients.

#![expect(clippy::expect_used, clippy::panic, reason = "a test that can't go on has failed")]

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD as BASE64, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::harness::{Answer, Caller, Harness, SCOPES, event, text};
use crate::openapi::routes;

const GRANT: &str = "grant_type=client_credentials";

/// What each route asks for: a scope, the operator, or nothing at all.
const NEEDS: [(&str, &str); 70] = [
    ("POST /v1/events", "write:events"),
    ("GET /v1/events", "read:events"),
    ("GET /v1/events/{id}", "read:events"),
    ("GET /v1/events/{id}/deliveries", "read:events"),
    ("GET /v1/stream", "read:events"),
    ("GET /v1/event-types", ""),
    ("GET /v1/event-types/{type}", ""),
    ("POST /v1/webhooks", "write:webhooks"),
    ("GET /v1/webhooks", "read:webhooks"),
    ("GET /v1/webhooks/{id}", "read:webhooks"),
    ("PATCH /v1/webhooks/{id}", "write:webhooks"),
    ("DELETE /v1/webhooks/{id}", "write:webhooks"),
    ("POST /v1/webhooks/{id}/enable", "write:webhooks"),
    ("POST /v1/webhooks/{id}/disable", "write:webhooks"),
    ("POST /v1/webhooks/{id}/pause", "write:webhooks"),
    ("POST /v1/webhooks/{id}/resume", "write:webhooks"),
    ("POST /v1/webhooks/{id}/ping", "write:webhooks"),
    ("POST /v1/webhooks/{id}/retry-failed", "write:webhooks"),
    ("POST /v1/webhooks/{id}/discard-failed", "write:webhooks"),
    ("POST /v1/webhooks/{id}/replay", "write:webhooks"),
    ("GET /v1/webhooks/{id}/stats", "read:webhooks"),
    ("GET /v1/webhooks/{id}/secret", "write:webhooks"),
    ("POST /v1/webhooks/{id}/secret", "write:webhooks"),
    ("GET /v1/webhooks/{id}/deliveries", "read:webhooks"),
    ("GET /v1/deliveries/{id}", "read:webhooks"),
    ("POST /v1/deliveries/{id}/retry", "write:webhooks"),
    ("POST /v1/deliveries/{id}/cancel", "write:webhooks"),
    ("GET /v1/failed", "read:webhooks"),
    ("GET /v1/failed/groups", "read:webhooks"),
    ("GET /v1/jobs", "read:webhooks"),
    ("GET /v1/jobs/{id}", "read:webhooks"),
    ("POST /v1/jobs/{id}/stop", "write:webhooks"),
    ("GET /v1/nodes", "operator"),
    ("POST /v1/clients", "admin"),
    ("GET /v1/clients", "admin"),
    ("GET /v1/clients/{id}", "admin"),
    ("DELETE /v1/clients/{id}", "admin"),
    ("POST /v1/clients/{id}/enable", "admin"),
    ("POST /v1/clients/{id}/disable", "admin"),
    ("POST /v1/portal-links", "admin"),
    ("GET /v1/portal-links", "admin"),
    ("GET /v1/portal-links/{id}", "admin"),
    ("DELETE /v1/portal-links/{id}", "admin"),
    ("GET /v1/audit", "admin"),
    ("GET /v1/deployment/audit", "operator"),
    ("GET /viagogo/v2", "read:webhooks"),
    ("GET /viagogo/v2/webhooks", "read:webhooks"),
    ("POST /viagogo/v2/webhooks", "write:webhooks"),
    ("GET /viagogo/v2/webhooks/{id}", "read:webhooks"),
    ("PATCH /viagogo/v2/webhooks/{id}", "write:webhooks"),
    ("DELETE /viagogo/v2/webhooks/{id}", "write:webhooks"),
    ("POST /viagogo/v2/webhooks/{id}/ping", "write:webhooks"),
    ("GET /openticket/webhook", "read:webhooks"),
    ("POST /openticket/webhook", "write:webhooks"),
    ("GET /openticket/webhook/{guid}", "read:webhooks"),
    ("PUT /openticket/webhook/{guid}", "write:webhooks"),
    ("PATCH /openticket/webhook/{guid}", "write:webhooks"),
    ("DELETE /openticket/webhook/{guid}", "write:webhooks"),
    ("GET /openticket/webhook/{guid}/invocations", "read:webhooks"),
    ("POST /openticket/webhook/{guid}/invocations/{invocation}/retry", "write:webhooks"),
    ("POST /openticket/webhook/{guid}/invocations/retry-failed", "write:webhooks"),
    ("POST /oauth2/token", ""),
    ("GET /openapi.json", ""),
    ("GET /healthz", ""),
    ("GET /readyz", ""),
    ("GET /metrics", "operator"),
    ("GET /v1/keys", "operator"),
    ("POST /v1/keys/rotate", "operator"),
    ("POST /v1/sign-in-links", "operator"),
    ("* /v1/tenants", "operator"),
];

fn need(route: &str) -> &'static str {
    let found = NEEDS.iter().find(|(known, _)| *known == route);
    let tenants = route.contains(" /v1/tenants").then_some("operator");
    found.map(|(_, need)| *need).or(tenants).unwrap_or_else(|| panic!("{route} is not in the table"))
}

fn send(caller: &Caller, route: &str) -> Answer {
    let (method, path) = route.split_once(' ').expect("a method and a path");
    let path =
        ["{id}", "{guid}", "{invocation}"].iter().fold(path.to_owned(), |path, name| path.replace(name, "x"));
    // With a good one its answer would go on for ever.
    let path = path.replace("/v1/stream", "/v1/stream?since=x");
    caller.send(method, &path.replace("{type}", "order.paid"), None, "")
}

#[test]
fn every_route_refuses_who_has_no_token() {
    let house = Harness::start();
    let wrong = house.nobody().bearer("the-operator-of-another-house");
    for route in routes(&house).iter().filter(|route| !need(route).is_empty()) {
        let refused = send(&house.nobody(), route);
        assert_eq!(refused.header("www-authenticate"), "Bearer realm=\"callboard\"", "{route}");
        refused.problem(401, "unauthenticated");
        let refused = send(&wrong, route);
        let challenge = "Bearer realm=\"callboard\", error=\"invalid_token\"";
        assert_eq!(refused.header("www-authenticate"), challenge, "{route}");
        refused.problem(401, "unauthenticated");
    }
}

#[test]
fn every_route_refuses_a_token_without_its_scope() {
    let house = Harness::start();
    let everything = house.client("acme", &SCOPES);
    for route in routes(&house).iter().filter(|route| need(route) == "operator") {
        let refused = send(&everything, route);
        let challenge = "Bearer realm=\"callboard\", error=\"insufficient_scope\"";
        assert_eq!(refused.header("www-authenticate"), challenge, "{route}");
        refused.problem(403, "forbidden");
    }
    for scope in SCOPES {
        let others: Vec<&str> = SCOPES.into_iter().filter(|other| *other != scope).collect();
        let (without, only) = (house.client("acme", &others), house.client("acme", &[scope]));
        for route in routes(&house).iter().filter(|route| need(route) == scope) {
            let refused = send(&without, route);
            let challenge =
                format!("Bearer realm=\"callboard\", error=\"insufficient_scope\", scope=\"{scope}\"");
            assert_eq!(refused.header("www-authenticate"), challenge, "{route}");
            refused.problem(403, "forbidden");
            let let_in = send(&only, route).status;
            assert!(![401, 403, 405].contains(&let_in), "{route}: {let_in}");
        }
    }
}

#[test]
fn a_client_gets_a_token_by_basic_or_by_form() {
    let house = Harness::start();
    let operator = house.operator().tenant("acme");
    let (id, secret) = operator.make_client(&["read:events", "write:events"]);
    let basic = |text: &str| house.nobody().with("authorization", &format!("Basic {}", BASE64.encode(text)));
    let nobody = house.nobody();
    for answer in [
        basic(&format!("{id}:{secret}")).form("/oauth2/token", GRANT),
        // RFC 6749 section 2.3.1: both parts are form-encoded.
        basic(&format!("{}:{secret}", id.replace('-', "%2D"))).form("/oauth2/token", GRANT),
        basic(&format!("{id}:{secret}")).form("/oauth2/token", &format!("{GRANT}&client_id={id}&audience=x")),
        nobody.form("/oauth2/token", &format!("{GRANT}&client_id={id}&client_secret={secret}")),
        nobody.form("/oauth2/token", &format!("{GRANT}&client_id={id}&client_secret={secret}&scope=")),
    ] {
        assert_eq!(answer.header("cache-control"), "no-store");
        assert_eq!(answer.header("content-type"), "application/json");
        let token = answer.is(200);
        assert_eq!((&token["token_type"], &token["expires_in"]), (&json!("bearer"), &json!(3_600)));
        assert_eq!(token["scope"], "read:events write:events");
        let client = nobody.bearer(text(&token["access_token"]));
        client.post("/v1/events", &event("x.y", "1")).is(202);
    }
    assert_eq!(operator.all("/v1/events", 200).len(), 5);
}

#[test]
fn a_token_can_be_narrower_than_its_client() {
    let house = Harness::start();
    let (id, secret) = house.operator().make_client(&["read:events", "write:events"]);
    let ask = |scope: &str| {
        let form = format!("{GRANT}&client_id={id}&client_secret={secret}&scope={scope}");
        house.nobody().form("/oauth2/token", &form)
    };
    for scope in ["read:events", "read:events+read:events", "read:events%20admin"] {
        let token = ask(scope).is(200);
        assert_eq!(token["scope"], "read:events");
        let client = house.nobody().bearer(text(&token["access_token"]));
        client.get("/v1/events").is(200);
        client.post("/v1/events", &event("x.y", "1")).problem(403, "forbidden");
    }
}

#[test]
fn refusals_of_the_token_endpoint_follow_the_rfc() {
    let house = Harness::start();
    let (id, secret) = house.operator().make_client(&["read:events"]);
    let nobody = house.nobody();
    let who = format!("client_id={id}&client_secret={secret}");
    let refused = |answer: Answer, status: u16, error: &str| {
        assert_eq!(answer.header("cache-control"), "no-store");
        let challenge = if status == 401 { "Basic realm=\"callboard\"" } else { "" };
        assert_eq!(answer.header("www-authenticate"), challenge);
        let document = answer.is(status);
        assert_eq!(document["error"], error, "{document}");
        assert!(!text(&document["error_description"]).is_empty());
    };
    for (form, status, error) in [
        (String::new(), 400, "invalid_request"),
        (who.clone(), 400, "invalid_request"),
        (format!("grant_type=&{who}"), 400, "invalid_request"),
        (format!("{GRANT}&{GRANT}&{who}"), 400, "invalid_request"),
        (format!("grant_type=password&{who}"), 400, "unsupported_grant_type"),
        (GRANT.to_owned(), 401, "invalid_client"),
        (format!("{GRANT}&client_id={id}"), 401, "invalid_client"),
        (format!("{GRANT}&client_id={id}&client_secret=wrong"), 401, "invalid_client"),
        (format!("{GRANT}&client_id=nobody&client_secret={secret}"), 401, "invalid_client"),
        (format!("{GRANT}&client_id=a%20b&client_secret={secret}"), 401, "invalid_client"),
        (format!("{GRANT}&{who}&scope=root"), 400, "invalid_scope"),
        (format!("{GRANT}&{who}&scope=admin"), 400, "invalid_scope"),
    ] {
        refused(nobody.form("/oauth2/token", &form), status, error);
    }
    let as_json = json!({"grant_type": "client_credentials", "client_id": id, "client_secret": secret});
    refused(nobody.post("/oauth2/token", &as_json), 400, "invalid_request");
    for header in ["Basic", "Basic !!!", "Basic bm9jb2xvbg==", "Bearer x", "Basic YTpi"] {
        refused(nobody.with("authorization", header).form("/oauth2/token", GRANT), 401, "invalid_client");
    }
    let both = nobody.with("authorization", "Basic YTpi").form("/oauth2/token", &format!("{GRANT}&{who}"));
    refused(both, 400, "invalid_request");
    house.operator().act(&format!("/v1/clients/{id}/disable")).is(200);
    refused(nobody.form("/oauth2/token", &format!("{GRANT}&{who}")), 401, "invalid_client");
}

#[test]
fn who_tries_too_many_secrets_has_to_wait_and_locks_nobody_out() {
    let house = Harness::at_rest_configured(|settings| {
        settings.limits.client_failures_per_minute = 3;
        settings.limits.address_failures_per_minute = 10;
        settings.http.trusted_proxies = vec!["127.0.0.1/32".parse().expect("a network")];
    });
    let (id, secret) = house.operator().make_client(&["read:events"]);
    let (fresh, fresh_secret) = house.operator().make_client(&["read:events"]);
    let from = |address: &str| house.nobody().with("x-forwarded-for", address);
    let ask = |address: &str, id: &str, secret: &str| {
        let form = format!("{GRANT}&client_id={id}&client_secret={secret}");
        from(address).form("/oauth2/token", &form)
    };
    for _ in 0..3 {
        ask("192.0.2.1", &id, "wrong").is(401);
    }
    let refused = ask("192.0.2.1", &id, "wrong");
    assert_eq!(refused.header("retry-after"), "20");
    assert_eq!(refused.header("cache-control"), "no-store");
    assert_eq!(refused.is(429)["error"], "slow_down");
    // The client itself is let in, from there as from elsewhere; elsewhere a
    // wrong secret is just wrong.
    ask("192.0.2.1", &id, &secret).is(200);
    ask("192.0.2.2", &id, &secret).is(200);
    ask("192.0.2.2", &id, "wrong").is(401);
    // Many ids from one address.
    for number in 0..20 {
        ask("192.0.2.1", &format!("nobody-{number}"), "wrong");
    }
    ask("192.0.2.1", "nobody", "wrong").is(429);
    ask("192.0.2.1", &id, &secret).is(200);
    // One that was never heard of can't be told from them, until they end.
    ask("192.0.2.1", &fresh, &fresh_secret).is(429);
    ask("192.0.2.2", &fresh, &fresh_secret).is(200);
    ask("192.0.2.1", &fresh, &fresh_secret).is(200);
    house.advance(Duration::from_mins(1));
    ask("192.0.2.1", &id, "wrong").is(401);
}

#[test]
fn who_tries_too_many_tokens_has_to_wait_and_locks_nobody_out() {
    let house = Harness::at_rest_configured(|settings| {
        settings.limits.token_failures_per_minute = 6;
        settings.http.trusted_proxies = vec!["127.0.0.1/32".parse().expect("a network")];
    });
    let client = house.client("acme", &["read:events"]).with("x-forwarded-for", "2001:db8::1");
    let wrong = house.nobody().bearer("wrong").with("x-forwarded-for", "2001:db8::2");
    for _ in 0..6 {
        wrong.get("/v1/events").problem(401, "unauthenticated");
    }
    let refused = wrong.get("/v1/events");
    assert_eq!(refused.header("retry-after"), "10");
    refused.problem(429, "too-many");
    wrong.get("/viagogo/v2/webhooks").viagogo_error(429, "too_many");
    // Who sends none has not failed.
    house.nobody().with("x-forwarded-for", "2001:db8::2").get("/v1/events").problem(401, "unauthenticated");
    // A client's token can't be guessed, so it is looked at.
    client.get("/v1/events").is(200);
    // The operator's is short enough to be guessed, so it is not.
    house.operator().with("x-forwarded-for", "2001:db8::3").get("/v1/events").problem(429, "too-many");
    house.operator().with("x-forwarded-for", "2001:db8:1::1").get("/v1/events").is(200);
    house.advance(Duration::from_mins(1));
    house.operator().with("x-forwarded-for", "2001:db8::3").get("/v1/events").is(200);
}

#[test]
fn tokens_expire() {
    let house = Harness::at_rest();
    let client = house.client("acme", &["read:events"]);
    house.advance(Duration::from_secs(3_599));
    client.get("/v1/events").is(200);
    house.advance(Duration::from_secs(1));
    let refused = client.get("/v1/events");
    assert!(refused.header("www-authenticate").contains("invalid_token"));
    refused.problem(401, "unauthenticated");
}

#[test]
fn a_client_that_was_disabled_is_obeyed_no_longer() {
    let house = Harness::start();
    let operator = house.operator();
    let (id, secret) = operator.make_client(&["read:events"]);
    let form = format!("{GRANT}&client_id={id}&client_secret={secret}");
    let token = house.nobody().form("/oauth2/token", &form).is(200);
    let client = house.nobody().bearer(text(&token["access_token"]));
    client.get("/v1/events").is(200);
    let path = format!("/v1/clients/{id}");
    assert_eq!(operator.act(&format!("{path}/disable")).is(200)["enabled"], false);
    client.get("/v1/events").problem(401, "unauthenticated");
    assert_eq!(operator.act(&format!("{path}/enable")).is(200)["enabled"], true);
    client.get("/v1/events").is(200);
    operator.delete(&path).is(204);
    client.get("/v1/events").problem(401, "unauthenticated");
    operator.get(&path).problem(404, "not-found");
    operator.delete(&path).problem(404, "not-found");
}

#[test]
fn a_forged_token_opens_nothing() {
    let house = Harness::start();
    let (id, secret) = house.operator().make_client(&["read:events"]);
    let form = format!("{GRANT}&client_id={id}&client_secret={secret}");
    let token = house.nobody().form("/oauth2/token", &form).is(200);
    let token = text(&token["access_token"]);
    let (signed, signature) = token.rsplit_once('.').expect("a signature");
    let (header, claims) = signed.split_once('.').expect("claims");
    let claims = URL_SAFE_NO_PAD.decode(claims).expect("base64");
    let more = String::from_utf8(claims).expect("a text").replace("read:events", "admin");
    let more = URL_SAFE_NO_PAD.encode(more);
    let none = URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"JWT"}"#);
    for forged in [
        format!("{header}.{more}.{signature}"),
        format!("{none}.{more}."),
        format!("{none}.{more}.{signature}"),
        format!("{signed}."),
        signed.to_owned(),
        String::new(),
    ] {
        house.nobody().bearer(&forged).get("/v1/clients").problem(401, "unauthenticated");
        house.nobody().bearer(&forged).get("/v1/events").problem(401, "unauthenticated");
    }
    house.nobody().with("authorization", &format!("bearer {token}")).get("/v1/events").is(200);
    let another = Harness::start();
    another.nobody().bearer(token).get("/v1/events").problem(401, "unauthenticated");
}

#[test]
fn clients_are_shown_without_their_secrets() {
    let house = Harness::at_rest();
    let operator = house.operator();
    let answer = operator.post("/v1/clients", &json!({"name": "Shop", "scopes": ["admin", "read:events"]}));
    assert_eq!(answer.header("cache-control"), "no-store");
    let location = answer.header("location").to_owned();
    let mut made = answer.is(201);
    assert_eq!(location, format!("/v1/clients/{}", text(&made["client_id"])));
    let secret = made.as_object_mut().and_then(|made| made.remove("client_secret"));
    assert!(secret.is_some_and(|secret| text(&secret).starts_with("cbs_")));
    let wanted = json!({
        "client_id": made["client_id"], "name": "Shop", "scopes": ["read:events", "admin"], "enabled": true,
        "created_at": "2026-11-21T19:00:00Z", "last_used_at": null,
    });
    assert_eq!(made, wanted);
    assert_eq!(operator.get(&location).is(200), wanted);
    assert_eq!(operator.get("/v1/clients").is(200), json!({"items": [wanted], "next": null}));
}

#[test]
fn clients_are_shown_with_when_they_last_got_a_token() {
    let house = Harness::at_rest();
    let operator = house.operator();
    let (id, secret) = operator.make_client(&["read:events"]);
    let path = format!("/v1/clients/{id}");
    let wrong = format!("{GRANT}&client_id={id}&client_secret=wrong");
    house.nobody().form("/oauth2/token", &wrong).is(401);
    let form = format!("{GRANT}&client_id={id}&client_secret={secret}");
    house.nobody().form("/oauth2/token", &format!("{form}&scope=admin")).is(400);
    assert_eq!(operator.get(&path).is(200)["last_used_at"], Value::Null, "it got none");
    for (seconds, used) in
        [(5, "2026-11-21T19:00:05Z"), (59, "2026-11-21T19:00:05Z"), (1, "2026-11-21T19:01:05Z")]
    {
        house.advance(Duration::from_secs(seconds));
        house.nobody().form("/oauth2/token", &form).is(200);
        assert_eq!(operator.get(&path).is(200)["last_used_at"], used);
    }
    assert_eq!(operator.get("/v1/clients").is(200)["items"][0]["last_used_at"], "2026-11-21T19:01:05Z");
}

#[test]
fn the_operator_names_a_tenant_which_is_made_on_first_use() {
    let house = Harness::start();
    let operator = house.operator();
    let tenants = || {
        let listed = operator.all("/v1/tenants", 2);
        listed.iter().map(|tenant| text(&tenant["id"]).to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(tenants(), [] as [&str; 0]);
    operator.get("/v1/events").is(200);
    assert_eq!(tenants(), ["default"]);
    operator.tenant("acme").post("/v1/events", &event("x.y", "1")).is(202);
    assert_eq!(tenants(), ["acme", "default"]);
    assert_eq!(operator.get("/v1/events").is(200)["items"], json!([]));
    assert_eq!(operator.tenant("default").get("/v1/events").is(200)["items"], json!([]));
    assert_eq!(operator.tenant("acme").all("/v1/events", 200).len(), 1);
    // A client's tenant is its own, whatever it says.
    let client = house.client("acme", &["read:events"]);
    assert_eq!(client.tenant("default").all("/v1/events", 200).len(), 1);
    assert_eq!(client.tenant("nobody").all("/v1/events", 200).len(), 1);
    assert_eq!(tenants(), ["acme", "default"]);
}

#[test]
fn tenants_are_made_and_edited_by_the_operator() {
    let house = Harness::at_rest();
    let operator = house.operator();
    let answer = operator.post("/v1/tenants", &json!({"id": "acme", "retention_seconds": 60}));
    assert_eq!(answer.header("location"), "/v1/tenants/acme");
    let mut wanted =
        json!({"id": "acme", "name": "acme", "retention_seconds": 60, "created_at": "2026-11-21T19:00:00Z"});
    assert_eq!(answer.is(201), wanted);
    operator.post("/v1/tenants", &json!({"id": "acme"})).problem(409, "conflict");
    wanted["name"] = "Acme Concerts".into();
    assert_eq!(operator.patch("/v1/tenants/acme", &json!({"name": "Acme Concerts"})).is(200), wanted);
    wanted["retention_seconds"] = Value::Null;
    assert_eq!(operator.patch("/v1/tenants/acme", &json!({"retention_seconds": null})).is(200), wanted);
    assert_eq!(operator.get("/v1/tenants/acme").is(200), wanted);
    operator.patch("/v1/tenants/other", &json!({})).problem(404, "not-found");
    operator.get("/v1/tenants/other").problem(404, "not-found");
}
