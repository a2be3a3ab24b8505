//! What a webhook may ask to be called, whichever dialect it is made by.

use serde_json::{Value, json};

use crate::harness::{Answer, Caller, Harness, text};

/// URLs that no webhook may have, and what is said of each.
const SHUT: [(&str, &str); 12] = [
    ("http://127.0.0.1/", "127.0.0.1 is loopback and may not be called; allow it with egress.allow"),
    ("http://2130706433/", "127.0.0.1 is loopback"),
    ("http://0x7f.1/", "127.0.0.1 is loopback"),
    ("http://0177.0.0.1./", "127.0.0.1 is loopback"),
    ("http://\u{ff11}\u{ff12}\u{ff17}\u{3002}0\u{ff0e}0.1/", "127.0.0.1 is loopback"),
    ("https://[::ffff:10.0.0.1]/", "::ffff:10.0.0.1 is private"),
    ("https://[64:ff9b::a9fe:a9fe]/", "is a NAT64 form of an IPv4 address"),
    ("http://169.254.169.254/latest/meta-data/", "is a cloud metadata address"),
    ("http://localhost:8080/", "the host name localhost leads nowhere that may be called"),
    ("http://a.LOCALHOST./", "leads nowhere that may be called"),
    ("http://partner.example:25/", "the port 25 may not be called; allow it by an egress.deny_ports"),
    ("https://8.8.8.8:6379/", "the port 6379 may not be called"),
];

/// The path to make a webhook at, and the body but for the URL.
fn kinds() -> [(&'static str, Value); 4] {
    [
        ("/v1/webhooks", json!({"events": ["*"]})),
        ("/v1/webhooks", json!({"dialect": "ingresse", "hooks": ["sale"]})),
        ("/viagogo/v2/webhooks", json!({"name": "n", "topics": ["Sales"]})),
        ("/openticket/webhook", json!({"name": "n", "resource": "shop", "trigger": "paid", "retries": 0})),
    ]
}

fn with_url(body: &Value, url: &str) -> Value {
    let mut body = body.clone();
    body["url"] = url.into();
    body
}

/// What an answer says is wrong with the URL, in the form of its dialect.
fn blame(path: &str, answer: Answer) -> String {
    let detail = if path.starts_with("/viagogo") {
        answer.viagogo_error(400, "validation_failed")["errors"]["url"][0].clone()
    } else if path.starts_with("/openticket") {
        answer.openticket_error(422)["errors"]["url"][0].clone()
    } else {
        let document = answer.problem(400, "invalid-input");
        assert_eq!(document["errors"][0]["pointer"], "/url", "{document}");
        document["errors"][0]["detail"].clone()
    };
    text(&detail).to_owned()
}

/// Where a webhook that was just made is shown and edited.
fn made(operator: &Caller, path: &str, body: &Value) -> String {
    let answer = operator.post(path, body);
    let location = answer.header("location").to_owned();
    answer.is(201);
    match location.split_once(path) {
        Some((_, rest)) => format!("{path}{rest}"),
        None => location,
    }
}

#[test]
fn every_dialect_refuses_what_may_not_be_called() {
    let house = Harness::configured(|settings| settings.egress.allow.clear());
    let operator = house.operator();
    for (path, body) in kinds() {
        let good = made(&operator, path, &with_url(&body, "https://partner.example/hook"));
        for (url, says) in SHUT {
            let detail = blame(path, operator.post(path, &with_url(&body, url)));
            assert!(detail.starts_with("can't be called: ") && detail.contains(says), "{url}: {detail}");
            let detail = blame(path, operator.patch(&good, &json!({"url": url})));
            assert!(detail.contains(says), "{url}: {detail}");
        }
        assert_eq!(operator.get(&good).is(200)["url"], "https://partner.example/hook");
    }
    assert_eq!(operator.get("/v1/webhooks").is(200)["items"].as_array().map(Vec::len), Some(4));
}

#[test]
fn settings_decide_what_may_be_called() {
    let house = Harness::configured(|settings| {
        let net = |text: &str| text.parse().expect("a network");
        settings.egress.allow = vec![net("10.0.0.0/8"), net("127.0.0.0/8")];
        settings.egress.deny = vec![net("10.1.0.0/16"), net("8.8.8.0/24")];
        settings.egress.deny_ports = Some(vec![8443]);
        settings.egress.require_https = true;
    });
    let operator = house.operator();
    for (url, says) in [
        ("http://partner.example/", Some("only https:// may be called")),
        ("https://partner.example:8443/", Some("the port 8443")),
        ("https://10.1.0.1/", Some("10.1.0.1 is denied by egress.deny")),
        ("https://[::ffff:8.8.8.8]/", Some("is denied by egress.deny")),
        ("https://192.168.0.1/", Some("is private")),
        ("https://10.2.0.1:25/", None),
        ("https://localhost/", None),
    ] {
        let answer = operator.post("/v1/webhooks", &json!({"url": url, "events": ["*"]}));
        match says {
            Some(says) => assert!(blame("/v1/webhooks", answer).contains(says), "{url}"),
            None => assert_eq!(text(&answer.is(201)["url"]), url),
        }
    }
}
