//! What is logged of deliveries and requests, and what never is.

#![expect(clippy::expect_used, reason = "a test that can't go on has failed")]

use serde_json::{Value, json};

use crate::process::{Home, Process, TOKEN, connection, until};

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

/// Publishes twice to a webhook that nobody answers for, over a server that logs in this
/// format; the ids that the answers gave the requests, and the log.
async fn published_twice(format: &str) -> ([String; 2], Vec<String>) {
    let home = Home::new();
    let mut command = home.server();
    command.env("CALLBOARD_LOG_FILTER", "info,callboard::event=debug,callboard::delivery=debug");
    command.env("CALLBOARD_LOG_FORMAT", format);
    let process = Process::start(command).await;
    process.until_ready().await;
    let settings = json!({"url": format!("http://127.0.0.1:{}/", dead_port()), "events": ["order.*"],
        "retry": {"schedule_seconds": [0.01]}});
    process.make_webhook(&settings).await;
    let event = json!({"id": "order-7", "type": "order.paid", "subject": {"id": "7"}});
    let mut ids = Vec::new();
    for _ in 0..2 {
        let answer = process.post("/v1/events", &event).await;
        ids.push(answer.headers["x-request-id"].to_str().expect("a text").to_owned());
        answer.is(202);
    }
    process.line("a delivery is given up").await;
    let log = process.log();
    process.stop().await;
    (ids.try_into().expect("two"), log)
}

#[tokio::test]
async fn an_event_is_followed_from_its_request_through_its_attempts() {
    let ([first, second], log) = published_twice("text").await;
    let at = |parts: &[&str]| {
        let found = log.iter().position(|line| parts.iter().all(|part| line.contains(part)));
        found.unwrap_or_else(|| panic!("no line with {parts:?} in {log:#?}"))
    };
    let event = "event=order-7";
    let recorded = at(&[&first, "callboard::event", event, "tenant=", "deliveries=1", "duplicate=false"]);
    at(&[&second, "callboard::event", event, "tenant=", "deliveries=0", "duplicate=true"]);
    let attempted = at(&["callboard::delivery", event, "number=1"]);
    assert!(recorded < attempted, "{log:#?}");
    assert!(attempted < at(&["callboard::delivery", event, "number=2"]), "{log:#?}");
    assert!(!log.iter().any(|line| line.contains("answered")), "{log:#?}");
}

#[tokio::test]
async fn programs_follow_an_event_too() {
    let ([first, _], log) = published_twice("json").await;
    let lines: Vec<Value> = log.iter().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let recorded = lines.iter().find(|line| line["span"]["id"] == first).expect("a line of the request");
    assert_eq!(recorded["span"]["name"], "request");
    assert_eq!(recorded["target"], "callboard::event");
    let fields = &recorded["fields"];
    assert_eq!((&fields["deliveries"], &fields["duplicate"]), (&json!(1), &json!(false)), "{fields}");
    let attempts = lines
        .iter()
        .filter(|line| line["target"] == "callboard::delivery" && line["fields"]["event"] == fields["event"]);
    let numbers: Vec<&Value> = attempts.map(|line| &line["fields"]["number"]).collect();
    assert_eq!(numbers, [&json!(1), &json!(2)]);
}

#[tokio::test]
async fn a_log_that_can_not_be_written_holds_nobody_up() {
    let home = Home::on_sqlite();
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], dead_port()));
    let mut command = home.command(&["serve", "--listen", &address.to_string()]);
    command.env("CALLBOARD_ADMIN_TOKEN", TOKEN).env("CALLBOARD_LOG_FILTER", "debug");
    command.stderr(std::fs::OpenOptions::new().write(true).open("/dev/full").expect("a full disk"));
    let mut child = command.spawn().expect("the program starts");
    let ready = async || connection::get(address, "/readyz").await.ok().filter(|ready| ready.status == 200);
    until("it is ready", ready).await;
    let event = json!({"id": "order-8", "type": "order.paid", "subject": {"id": "8"}});
    let published = connection::post(address, "/v1/events", &event).await.expect("an answer").is(202);
    assert_eq!(published["id"], "order-8");
    child.kill().await.expect("it can be ended");
}

#[tokio::test]
async fn by_default_only_what_is_given_up_has_a_line() {
    let home = Home::new();
    let process = home.serve().await;
    one_that_fails(&process).await;
    let log = process.log();
    assert!(
        !log.iter().any(|line| ["an attempt failed", "request_id", "callboard::event"]
            .iter()
            .any(|part| line.contains(part))),
        "{log:#?}"
    );
    process.stop().await;
}
