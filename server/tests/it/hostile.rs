//! Receivers that misbehave in every way there is, all at once, beside one
//! that does not: each costs its own deliveries, and the log says why.

#![expect(clippy::expect_used, reason = "a test that can't go on has failed")]

use std::collections::HashSet;

use serde_json::{Value, json};

use crate::process::hearer::{Hearer, Manner};
use crate::process::{Home, Process, until};

mod villain;

use villain::{Conduct, Villain};

/// Events that all of them hear: few enough that their failures open no
/// breaker, which has tests of its own.
const EVENTS: usize = 8;

/// How long an attempt may take, in seconds.
const TIMEOUT: f64 = 0.5;

/// What becomes of deliveries to a receiver: the state that they end in, the
/// cause, and words of the message.
struct Case {
    conduct: Conduct,
    scheme: &'static str,
    state: &'static str,
    cause: Value,
    words: &'static [&'static str],
}

fn delivered(conduct: Conduct) -> Case {
    Case { conduct, scheme: "http", state: "delivered", cause: Value::Null, words: &[] }
}

fn failed(conduct: Conduct, scheme: &'static str, cause: &str, words: &'static [&'static str]) -> Case {
    Case { conduct, scheme, state: "failed", cause: cause.into(), words }
}

fn cases() -> Vec<Case> {
    let no_tls = &["127.0.0.1 does not speak TLS on this port", "http://"];
    let stranger = &["the certificate of 127.0.0.1", "self-signed", "egress.ca_file"];
    let drip = &["no answer within 500 ms", "bytes of headers that did not end"];
    let drip_body = &["no complete answer within 500 ms", "status 200", "of a body that did not end"];
    vec![
        failed(Conduct::Silence, "http", "timeout", &["no answer within 500 ms", "then silence"]),
        failed(Conduct::Drip, "http", "timeout", drip),
        failed(Conduct::DripBody, "http", "timeout", drip_body),
        // It took the delivery, and what it says about it is not read to the end.
        delivered(Conduct::Endless),
        delivered(Conduct::Bomb),
        failed(
            Conduct::Reset,
            "http",
            "reset",
            &["the connection was reset by 127.0.0.1:", "before any answer"],
        ),
        failed(Conduct::Headers, "http", "invalid_answer", &["headers are too large: more than 64 KiB"]),
        failed(Conduct::Greeting, "http", "invalid_answer", &["the answer is not HTTP", "SSH-2.0"]),
        failed(Conduct::Silence, "https", "connect_timeout", &["TLS handshake was not done within 500 ms"]),
        failed(Conduct::Greeting, "https", "tls", no_tls),
        failed(Conduct::SelfSigned, "https", "tls", stranger),
        failed(Conduct::Redirect, "http", "status", &["answered 302: redirects are not followed"]),
        failed(Conduct::Refuse, "http", "connect", &["connection refused by 127.0.0.1:"]),
        failed(Conduct::Half, "http", "reset", &["after status 200 and 5 bytes of its body"]),
        failed(Conduct::Interim, "http", "invalid_answer", &["more than 256 KiB without ending"]),
        failed(Conduct::Two, "http", "invalid_answer", &["the answer is not HTTP"]),
        failed(Conduct::Chunks, "http", "invalid_answer", &["body is not HTTP, after status 200"]),
        failed(Conduct::Binary, "http", "status", &["answered 999"]),
        failed(Conduct::Cookies, "http", "status", &["answered 500"]),
        failed(Conduct::Never, "http", "status", &["answered 503"]),
        failed(Conduct::HangUp, "http", "reset", &["by 127.0.0.1:", "before any answer"]),
        failed(Conduct::HangUp, "https", "tls", &["the connection during the TLS handshake"]),
    ]
}

fn events(name: &str) -> Value {
    let event =
        |number| json!({"id": format!("{name}-{number}"), "type": "order.paid", "subject": {"id": "1"}});
    (0..EVENTS).map(event).collect()
}

async fn make_webhook(process: &Process, url: &str) -> String {
    let settings = json!({
        "url": url, "events": ["*"], "timeout_seconds": TIMEOUT, "retry": {"schedule_seconds": [0.05]},
    });
    process.make_webhook(&settings).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_costs_its_own_deliveries_and_nobody_elses() {
    let home = Home::new();
    let process = home.serve().await;
    let hearer = Hearer::start(&[("/healthy", Manner::Prompt)]).await;
    let healthy = make_webhook(&process, &hearer.url("/healthy")).await;
    let mut villains = Vec::new();
    for case in cases() {
        let villain = Villain::start(case.conduct).await;
        let url = format!("{}://{}/hook", case.scheme, villain.address);
        villains.push((make_webhook(&process, &url).await, case, villain));
    }
    process.post("/v1/events", &events("first")).await.is(202);
    hearer.until("the healthy one hears of all", |counts| counts.taken == EVENTS as u64).await;
    for (webhook, case, _) in &villains {
        assert_judged(&process, webhook, case).await;
    }
    // All of that did no lasting harm either.
    process.post("/v1/events", &events("second")).await.is(202);
    process.until_drained(&[&healthy]).await;
    assert_eq!(hearer.tally("/healthy"), (2 * EVENTS, 0));
    let delivered = process.deliveries(&healthy, "delivered").await;
    assert!(delivered.iter().all(|delivery| delivery["attempts"] == 1), "{delivered:?}");
    process.until_ready().await;
    process.stop().await;
}

/// Waits until a webhook's deliveries are over, and looks at what the log says
/// of each.
async fn assert_judged(process: &Process, webhook: &str, case: &Case) {
    let deliveries = until("its deliveries are over", async || {
        let found = process.deliveries(webhook, case.state).await;
        (found.len() >= EVENTS).then_some(found)
    })
    .await;
    let events: HashSet<_> = deliveries.iter().map(|delivery| delivery["event_id"].to_string()).collect();
    assert_eq!(events.len(), EVENTS, "{:?}", case.conduct);
    let attempts = if case.state == "failed" { 2 } else { 1 };
    for delivery in &deliveries {
        assert_eq!(delivery["attempts"], attempts, "{:?}: {delivery}", case.conduct);
        let last = &delivery["last_attempt"];
        assert_eq!(last["cause"], case.cause, "{:?}: {delivery}", case.conduct);
        let message = last["message"].as_str().unwrap_or_default();
        for word in case.words {
            assert!(message.contains(word), "{:?}: {word:?} is missing in {message:?}", case.conduct);
        }
    }
    let id = deliveries[0]["id"].as_str().expect("an id");
    let detail = process.get(&format!("/v1/deliveries/{id}")).await.is(200);
    let log = detail["attempt_log"].as_array().expect("attempts");
    assert_eq!(log.len(), attempts);
    for attempt in log {
        assert_eq!(attempt["cause"], case.cause, "{:?}: {attempt}", case.conduct);
        let cut = attempt["answer"]["cut"].as_bool().unwrap_or(false);
        assert_eq!(
            cut,
            matches!(case.conduct, Conduct::Endless | Conduct::Bomb),
            "{:?}: {attempt}",
            case.conduct
        );
    }
}
