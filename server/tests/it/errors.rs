//! Bad input: each is refused with every fault named, and changes nothing.

use serde_json::{Value, json};

use crate::harness::{Caller, Harness, event};

const JSON: Option<&str> = Some("application/json");

/// Everything that input can change.
fn state(caller: &Caller) -> Vec<Vec<Value>> {
    ["/v1/events", "/v1/webhooks", "/v1/clients", "/v1/jobs", "/v1/tenants"]
        .map(|path| caller.all(path, 200))
        .to_vec()
}

/// A program that has something to lose.
fn settled() -> (Harness, Caller, Vec<Vec<Value>>) {
    let house = Harness::start();
    let operator = house.operator();
    operator.make_webhook("http://127.0.0.1:8/", &json!({"events": ["order.*"], "name": "Kept"}));
    operator.make_client(&["read:events"]);
    operator.post("/v1/events", &json!({"id": "kept", "type": "x.y", "subject": {"id": "1"}})).is(202);
    let before = state(&operator);
    (house, operator, before)
}

#[test]
fn bad_events_are_refused_fault_by_fault() {
    let (_house, operator, before) = settled();
    let cases: &[(&str, &[&str])] = &[
        ("", &[""]),
        ("nonsense", &[""]),
        ("{\"type\": \"x.y\",}", &[""]),
        ("{\"type\": \"x.y\"", &[""]),
        ("[{\"type\": \"x.y\"", &[""]),
        ("null", &[""]),
        ("12", &[""]),
        ("\"event\"", &[""]),
        ("[]", &[""]),
        ("{}", &["/type", "/subject"]),
        ("[1, null, []]", &["/0", "/1", "/2"]),
        (r#"{"type": "x.y"}"#, &["/subject"]),
        (r#"{"type": "x.y", "subject": "9917"}"#, &["/subject"]),
        (r#"{"type": "x.y", "subject": {}}"#, &["/subject/id"]),
        (r#"{"type": "x.y", "subject": {"id": 9917}}"#, &["/subject/id"]),
        (r#"{"type": "x.y", "subject": {"id": ""}}"#, &["/subject/id"]),
        (r#"{"type": "ticket.sold", "subject": {"id": "1"}}"#, &["/type"]),
        (r#"{"type": "sale.paid", "subject": {"id": "1"}}"#, &["/type"]),
        (r#"{"type": "webhook.ping", "subject": {"id": "1"}}"#, &["/type"]),
        (r#"{"type": "Ticket.Updated", "subject": {"id": "1"}}"#, &["/type"]),
        (r#"{"type": "ticket", "subject": {"id": "1"}}"#, &["/type"]),
        (r#"{"type": "x.y", "type": "x.z", "subject": {"id": "1"}}"#, &["/type"]),
        (r#"{"type": "x.y", "subject": {"id": "1"}, "data": {"a": "\ud800"}}"#, &["/data"]),
        (r#"{"type": "ticket.updated", "subject": {"id": "1"}, "data": {"id": {}}}"#, &["/data/id"]),
        (r#"{"type": "ticket.updated", "data": {"id": {}}}"#, &["/subject", "/data/id"]),
        (
            r#"{"id": "a.b", "type": 5, "occurred_at": "yesterday", "subject": {"id": "1", "colour": 1},
                "related": {"tickets": ["1"], "event": "1"}, "actor": {"name": "x"}, "action": 1,
                "data": [], "changes": "x", "a/b": 0}"#,
            &[
                "/a~1b",
                "/id",
                "/type",
                "/occurred_at",
                "/subject/colour",
                "/related/tickets",
                "/related/event",
                "/actor/id",
                "/action",
                "/data",
                "/changes",
            ],
        ),
    ];
    for (body, pointers) in cases {
        operator.send("POST", "/v1/events", JSON, *body).blames(400, "invalid-input", pointers);
    }
    let lines = "{\"type\":\"x.y\",\"subject\":{\"id\":\"1\"}}\nnonsense\n\n{\"type\":\"x.y\"}\n";
    let lines = operator.send("POST", "/v1/events", Some("application/x-ndjson"), lines);
    lines.blames(400, "invalid-input", &["/1", "/2/subject"]);
    assert_eq!(state(&operator), before);
}

#[test]
fn what_is_too_large_is_refused() {
    let (_house, operator, before) = settled();
    let sized = |bytes: usize| {
        let mut event = event("x.y", "1");
        event["data"] = json!({"text": ""});
        let room = bytes - event.to_string().len();
        event["data"]["text"] = "x".repeat(room).into();
        assert_eq!(event.to_string().len(), bytes);
        event
    };
    operator.post("/v1/events", &sized(257 * 1024)).blames(413, "too-large", &[""]);
    operator.post("/v1/events", &json!([event("x.y", "1"), sized(256 * 1024 + 1)])).blames(
        413,
        "too-large",
        &["/1"],
    );
    let many = |count: usize| json!(vec![event("x.y", "1"); count]);
    operator.post("/v1/events", &many(1_001)).blames(413, "too-large", &[""]);
    let lines = format!("{}\n", event("x.y", "1")).repeat(1_001);
    let lines = operator.send("POST", "/v1/events", Some("application/x-ndjson"), lines);
    lines.blames(413, "too-large", &[""]);
    let huge = "x".repeat(11 * 1024 * 1024);
    operator.send("POST", "/v1/events", JSON, huge.clone()).blames(413, "too-large", &[]);
    operator.send("POST", "/v1/webhooks", JSON, huge).blames(413, "too-large", &[]);
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    operator.send("POST", "/v1/events", JSON, deep.clone()).blames(400, "invalid-input", &["/0"]);
    let deep = format!(r#"{{"type": "x.y", "subject": {{"id": "1"}}, "data": {{"deep": {deep}}}}}"#);
    operator.send("POST", "/v1/events", JSON, deep).blames(400, "invalid-input", &["/data"]);
    assert_eq!(state(&operator), before);
    // What is just as large as allowed is taken.
    operator.post("/v1/events", &sized(256 * 1024)).is(202);
    operator.post("/v1/events", &many(1_000)).is(202);
}

#[test]
fn bad_webhooks_are_refused_fault_by_fault() {
    let (_house, operator, before) = settled();
    let ok = r#""events": ["ticket.*"]"#;
    let at = r#""url": "https://example.com/""#;
    let cases: &[(String, &[&str])] = &[
        ("nonsense".to_owned(), &[""]),
        ("[]".to_owned(), &[""]),
        ("{}".to_owned(), &["/events", "/url"]),
        (format!("{{{at}}}"), &["/events"]),
        (format!(r#"{{{at}, "events": []}}"#), &["/events"]),
        (format!(r#"{{{at}, "events": "*"}}"#), &["/events"]),
        (
            format!(r#"{{{at}, "events": ["ticket.sold", "*.paid", 7, ""]}}"#),
            &["/events/0", "/events/1", "/events/2", "/events/3"],
        ),
        (format!(r#"{{"url": "example.com", {ok}}}"#), &["/url"]),
        (format!(r#"{{"url": "/hook", {ok}}}"#), &["/url"]),
        (format!(r#"{{"url": "ftp://example.com/", {ok}}}"#), &["/url"]),
        (format!(r#"{{"url": "https://u:p@example.com/", {ok}}}"#), &["/url"]),
        (format!(r#"{{"url": "https://example.com/#top", {ok}}}"#), &["/url"]),
        (format!(r#"{{"url": "https://", {ok}}}"#), &["/url"]),
        (format!(r#"{{"url": "https://exa mple.com/", {ok}}}"#), &["/url"]),
        (format!(r#"{{"url": "http://example.com:99999/", {ok}}}"#), &["/url"]),
        (format!(r#"{{"url": 1, {ok}}}"#), &["/url"]),
        (
            format!(
                r#"{{{at}, {ok}, "retry": {{"schedule_seconds": [-1]}}, "max_in_flight": 0, "timeout_seconds": 61,
                "headers": {{"Host": "x", "webhook-id": "1", "X-A": "a\nb"}}, "authorization_header": "",
                "signature": "rsa", "enabled": "yes", "dialect": "morse", "triggered_by_related": 1,
                "identifier": "", "name": "", "filter": "quantity", "ordering": "first", "collapse": "latest",
                "rate_per_second": 0, "colour": "red"}}"#
            ),
            &[
                "/authorization_header",
                "/collapse",
                "/colour",
                "/dialect",
                "/enabled",
                "/filter",
                "/headers/Host",
                "/headers/X-A",
                "/headers/webhook-id",
                "/identifier",
                "/max_in_flight",
                "/name",
                "/ordering",
                "/rate_per_second",
                "/retry/schedule_seconds",
                "/signature",
                "/timeout_seconds",
                "/triggered_by_related",
            ],
        ),
    ];
    for (body, pointers) in cases {
        let document =
            operator.send("POST", "/v1/webhooks", JSON, body.clone()).problem(400, "invalid-input");
        let faults = document["errors"].as_array().cloned().unwrap_or_default();
        let mut found: Vec<&str> = faults.iter().filter_map(|fault| fault["pointer"].as_str()).collect();
        found.sort_unstable();
        assert_eq!(&found, pointers, "{body}");
    }
    let path = format!("/v1/webhooks/{}", before[1][0]["id"].as_str().unwrap_or_default());
    for (edit, pointers) in [
        (json!({"url": null}), &["/url"] as &[&str]),
        (json!({"events": null}), &["/events"]),
        (json!({"events": []}), &["/events"]),
        (json!({"id": "x", "secret": "y"}), &["/id", "/secret"]),
        (json!({"name": "Changed", "max_in_flight": 1_001}), &["/max_in_flight"]),
    ] {
        operator.patch(&path, &edit).blames(400, "invalid-input", pointers);
    }
    assert_eq!(state(&operator), before);
}

#[test]
fn bad_clients_and_tenants_are_refused_fault_by_fault() {
    let (_house, operator, before) = settled();
    for (body, pointers) in [
        (json!({}), &["/name", "/scopes"] as &[&str]),
        (json!({"name": "x", "scopes": []}), &["/scopes"]),
        (json!({"name": "x", "scopes": ["root"]}), &["/scopes"]),
        (json!({"name": "x", "scopes": "admin"}), &["/scopes"]),
        (json!({"name": 1, "scopes": ["admin"]}), &["/name"]),
        (json!({"name": "", "scopes": ["admin"], "client_id": "mine"}), &["/client_id", "/name"]),
    ] {
        operator.post("/v1/clients", &body).blames(400, "invalid-input", pointers);
    }
    for (body, pointers) in [
        (json!({}), &["/id"] as &[&str]),
        (json!({"id": "No Slug"}), &["/id"]),
        (json!({"id": "x".repeat(64)}), &["/id"]),
        (
            json!({"id": "x", "name": "", "retention_seconds": 59, "plan": "gold"}),
            &["/plan", "/name", "/retention_seconds"],
        ),
    ] {
        operator.post("/v1/tenants", &body).blames(400, "invalid-input", pointers);
    }
    operator.post("/v1/tenants", &json!({"id": "default"})).problem(409, "conflict");
    operator.patch("/v1/tenants/default", &json!({"id": "other"})).blames(400, "invalid-input", &["/id"]);
    operator.get("/v1/tenants/other").problem(404, "not-found");
    assert_eq!(state(&operator), before);
}

#[test]
fn a_body_that_is_no_json_is_refused_before_it_is_read() {
    let (_house, operator, before) = settled();
    let event = event("x.y", "1").to_string();
    for content_type in
        [None, Some("text/plain"), Some("application/x-www-form-urlencoded"), Some("application/jsonp")]
    {
        for path in ["/v1/events", "/v1/webhooks", "/v1/clients", "/v1/tenants"] {
            let refused = operator.send("POST", path, content_type, event.clone());
            refused.problem(415, "unsupported-media-type");
        }
    }
    // Lines are for events alone.
    for path in ["/v1/webhooks", "/v1/clients", "/v1/tenants"] {
        let refused = operator.send("POST", path, Some("application/x-ndjson"), "{}\n");
        refused.problem(415, "unsupported-media-type");
    }
    let latin: &[u8] = b"{\"type\": \"x.y\", \"subject\": {\"id\": \"Zo\xeb\"}}";
    operator.send("POST", "/v1/events", JSON, latin).problem(400, "invalid-input");
    operator.send("POST", "/v1/webhooks", JSON, latin).problem(400, "invalid-input");
    assert_eq!(state(&operator), before);
    // Parameters and capitals of a content type make no difference.
    operator.send("POST", "/v1/events", Some("Application/JSON; charset=utf-8"), event).is(202);
}

#[test]
fn bad_parameters_are_named() {
    let (_house, operator, before) = settled();
    let webhook = before[1][0]["id"].as_str().unwrap_or_default().to_owned();
    let deliveries = format!("/v1/webhooks/{webhook}/deliveries");
    let lists = [
        "/v1/events",
        "/v1/webhooks",
        "/v1/clients",
        "/v1/tenants",
        "/v1/jobs",
        &deliveries,
        "/v1/events/kept/deliveries",
    ];
    for list in lists {
        for limit in ["0", "201", "-1", "many", ""] {
            operator.get(&format!("{list}?limit={limit}")).blames(400, "invalid-input", &["limit"]);
        }
        for cursor in ["", "x", "AAAA", "%00", "AAAAAAAAAAAAAA"] {
            operator.get(&format!("{list}?cursor={cursor}")).blames(400, "invalid-input", &["cursor"]);
        }
        for (query, blamed) in [("colour=red", "colour"), ("limit=1&limit=2", "limit"), ("Limit=1", "Limit")]
        {
            operator.get(&format!("{list}?{query}")).blames(400, "invalid-input", &[blamed]);
        }
    }
    for list in ["/v1/events", &deliveries] {
        for time in ["since", "until"] {
            for wrong in ["yesterday", "2026-11-21", "2026-11-21T19:00:00", "1763751600"] {
                operator.get(&format!("{list}?{time}={wrong}")).blames(400, "invalid-input", &[time]);
            }
        }
    }
    operator.get(&format!("{deliveries}?state=lost")).blames(400, "invalid-input", &["state"]);
    operator.tenant("No Slug").get("/v1/events").blames(400, "invalid-input", &["Callboard-Tenant"]);
}

#[test]
fn unknown_paths_methods_and_ids_are_told_apart() {
    let (_house, operator, _) = settled();
    for path in ["/", "/v1", "/v1/", "/v2/events", "/v1/events/", "/v1/events/kept/", "/openapi.yaml"] {
        let problem = operator.get(path).problem(404, "not-found");
        let detail = problem["detail"].as_str().expect("a text");
        let places = ["/v1", "/viagogo/v2", "/openticket", "/docs", "/dashboard"];
        assert!(places.iter().all(|place| detail.contains(place)), "{path}: {detail}");
    }
    for path in [
        "/v1/webhooks//secret",
        "/v1/events/a.b",
        "/v1/events/%ff",
        "/v1/webhooks/x",
        "/v1/deliveries/1",
        "/v1/deliveries/dlv_99999999999999999999",
        "/v1/deliveries/dlv_9223372036854775807",
        "/v1/jobs/dlv_1",
        "/v1/clients/a%2fb",
        "/v1/tenants/UP",
    ] {
        operator.get(path).problem(404, "not-found");
    }
    for (method, path) in
        [("DELETE", "/v1/events"), ("PUT", "/v1/webhooks"), ("GET", "/oauth2/token"), ("POST", "/healthz")]
    {
        let refused = operator.send(method, path, None, "");
        assert_ne!(refused.header("allow"), "", "{method} {path}");
        refused.problem(405, "method-not-allowed");
    }
}

#[test]
fn health_needs_no_token() {
    let house = Harness::start();
    house.nobody().get("/healthz").is(200);
    house.nobody().get("/readyz").is(200);
}
