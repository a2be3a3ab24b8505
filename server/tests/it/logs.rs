//! What is logged of deliveries and requests, and what never is.

#![expect(clippy::expect_used, reason = "a test that can't go on has failed")]

use serde_json::{Value, json};

use crate::process::{Home, Process};

/// A port that nobody listens at.
fn dead_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}

/// Publishes an event to a webhook that nobody answers for, and waits for what the log
/// says in the end; the webhook and the event's id.
async fn one_that_fails(process: &Process) -> (Value, &'static str) {
    let url = format!("http://127.0.0.1:{}/hidden-in-the-url", dead_port());
    let retry = json!({"schedule_seconds": [0.01]});
    let settings = json!({"url": url, "events": ["order.*"], "retry": retry,
        "authorization_header": "Bearer hidden-in-the-header"});
    let webhook = process.post("/v1/webhooks", &settings).await.is(201);
    let data = json!({"note": "hidden-in-the-body"});
    let event = json!({"id": "order-1", "type": "order.paid", "subject": {"id": "1"}, "data": data});
    process.post("/v1/events?x=hidden-in-the-query", &event).await;
    process.post("/v1/events", &event).await.is(202);
    process.line("a delivery is given up").await;
    (webhook, "order-1")
}

#[tokio::test]
async fn the_id_of_an_event_leads_through_its_attempts() {
    let home = Home::new();
    let mut command = home.server();
    command.env("CALLBOARD_LOG_FILTER", "info,callboard=debug");
    let process = Process::start(command).await;
    process.until_ready().await;
    let (webhook, event) = one_that_fails(&process).await;
    let log = process.log();
    let of_event = |part: &str| log.iter().filter(|line| line.contains(part) && line.contains(event)).count();
    assert_eq!((of_event("an attempt failed"), of_event("a delivery is given up")), (1, 1), "{log:#?}");
    let last = log.iter().find(|line| line.contains("is given up")).expect("a line");
    for part in
        ["delivery=dlv_", text(&webhook["id"]), "tenant=", "number=2", "cause=\"connect\"", "duration_us="]
    {
        assert!(last.contains(part), "{part}: {last}");
    }
    let requests = log.iter().filter(|line| line.contains("request_id=") && line.contains("/v1/events"));
    assert_eq!(requests.count(), 2, "{log:#?}");
    let secret = process.get(&format!("/v1/webhooks/{}/secret", text(&webhook["id"]))).await.is(200);
    for line in process.log() {
        let hidden = ["hidden-in-the", "Bearer", text(&secret["secret"])];
        assert!(!hidden.iter().any(|hidden| line.contains(hidden)), "{line}");
    }
    process.stop().await;
}

#[tokio::test]
async fn by_default_only_what_is_given_up_has_a_line() {
    let home = Home::new();
    let process = home.serve().await;
    one_that_fails(&process).await;
    let log = process.log();
    assert!(
        !log.iter().any(|line| line.contains("an attempt failed") || line.contains("request_id")),
        "{log:#?}"
    );
    process.stop().await;
}
