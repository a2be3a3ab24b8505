//! Events from a stream of NATS JetStream: what is recorded, what is handed on,
//! and what comes again.

#![expect(clippy::expect_used, reason = "a test that can't go on has failed")]

use serde_json::{Value, json};
use tokio::process::Command;

use crate::process::hearer::{Hearer, Manner};
use crate::process::{Home, Process, output, text, until};

mod crash;
mod held;
mod server;
mod sign_in;

use server::{Broker, NatsServer};

const STREAM: &str = "TICKETS";
const CONSUMER: &str = "callboard";

/// The program, consuming from this server.
fn consuming(home: &Home, nats: &NatsServer) -> Command {
    let mut command = home.server();
    command
        .env("CALLBOARD_SOURCE_NATS_URL", nats.url())
        .env("CALLBOARD_SOURCE_NATS_STREAM", STREAM)
        .env("CALLBOARD_SOURCE_NATS_SUBJECT", "tickets.>")
        .env("CALLBOARD_SOURCE_NATS_DEAD_LETTER", "dead.tickets");
    command
}

/// A server with both streams.
async fn nats() -> (NatsServer, Broker) {
    let nats = NatsServer::start().await;
    let broker = nats.client().await;
    broker.make_stream(STREAM, "tickets.>").await;
    broker.make_stream("DEAD", "dead.>").await;
    (nats, broker)
}

async fn start(command: Command) -> Process {
    let process = Process::start(command).await;
    process.until_ready().await;
    process
}

/// Waits until `/readyz` says this of the source.
async fn until_it_is(process: &Process, condition: &str) {
    let what = format!("NATS is {condition}");
    until(&what, async || (process.get("/readyz").await.is(200)["nats"] == condition).then_some(())).await;
}

fn event(id: &str) -> Value {
    json!({"id": id, "type": "acme.seat.held", "subject": {"id": id}})
}

fn nameless(subject: &str) -> Value {
    json!({"type": "acme.seat.held", "subject": {"id": subject}})
}

/// The ids of the events that were recorded, in the order of acceptance.
async fn recorded(process: &Process) -> Vec<String> {
    let list = process.get("/v1/events?limit=200&type=acme.seat.held").await.is(200);
    let ids = list["items"].as_array().expect("items").iter();
    ids.rev().map(|event| event["id"].as_str().expect("an id").to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_published_there_is_delivered() {
    let (nats, broker) = nats().await;
    let (home, hearer) = (Home::new(), Hearer::start(&[("/hook", Manner::Prompt)]).await);
    let process = start(consuming(&home, &nats)).await;
    process.make_webhook(&json!({"url": hearer.url("/hook"), "events": ["*"]})).await;
    until_it_is(&process, "consuming").await;
    broker.publish("tickets.a", &[("Nats-Msg-Id", "theirs")], nameless("1").to_string()).await;
    broker.publish("tickets.a", &[("Nats-Msg-Id", "other")], event("own").to_string()).await;
    broker.publish("tickets.b", &[], json!([event("x"), event("y")]).to_string()).await;
    let lines = format!("{}\n{}\n", event("l1"), event("l2"));
    broker.publish("tickets.b", &[("Content-Type", "application/x-ndjson")], lines).await;
    broker.publish("tickets.c", &[("Nats-Msg-Id", "no/id of ours")], nameless("2").to_string()).await;
    broker.publish("tickets.c", &[], nameless("3").to_string()).await;
    hearer.until("all of them come", |counts| counts.taken == 8).await;
    let ids = recorded(&process).await;
    assert_eq!(ids[..6], ["theirs", "own", "x", "y", "l1", "l2"]);
    assert_eq!(ids[6].len(), 43, "{ids:?}");
    assert!(ids[7].starts_with("TICKETS-6-"), "{ids:?}");
    assert_eq!(hearer.tally("/hook"), (8, 0));
    broker.until_taken(STREAM, CONSUMER).await;
    process.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_than_a_request_may_have_is_recorded_in_parts_and_in_order() {
    let (nats, broker) = nats().await;
    let home = Home::new();
    let ids: Vec<String> = (0..5).flat_map(|m| (0..400).map(move |n| format!("m{m}-{n}"))).collect();
    for message in ids.chunks(400) {
        let events: Value = message.iter().map(|id| event(id)).collect();
        broker.publish("tickets.a", &[], events.to_string()).await;
    }
    let process = start(consuming(&home, &nats)).await;
    broker.until_taken(STREAM, CONSUMER).await;
    assert_eq!(recorded(&process).await, ids[1_800..]);
    process.get("/v1/events/m0-0").await.is(200);
    process.get("/v1/events/m2-199").await.is(200);
    process.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_given_again_is_known_and_not_delivered_again() {
    let (nats, broker) = nats().await;
    let (home, hearer) = (Home::new(), Hearer::start(&[("/hook", Manner::Prompt)]).await);
    let process = start(consuming(&home, &nats)).await;
    process.make_webhook(&json!({"url": hearer.url("/hook"), "events": ["*"]})).await;
    broker.publish("tickets.a", &[], event("twice").to_string()).await;
    broker.publish("tickets.a", &[], event("twice").to_string()).await;
    broker.publish("tickets.a", &[("Nats-Msg-Id", "m")], nameless("1").to_string()).await;
    broker.publish("tickets.a", &[], nameless("2").to_string()).await;
    broker
        .publish("tickets.a", &[("Nats-Msg-Id", "n")], json!([nameless("3"), nameless("4")]).to_string())
        .await;
    hearer.until("all of them come", |counts| counts.taken == 5).await;
    broker.until_taken(STREAM, CONSUMER).await;
    let before = recorded(&process).await;
    // Made anew, it gives everything from the start.
    broker.jetstream.delete_consumer_from_stream(CONSUMER, STREAM).await.expect("deleted");
    broker.until_taken(STREAM, CONSUMER).await;
    broker.publish("tickets.a", &[], event("last").to_string()).await;
    hearer.until("the last comes", |counts| counts.taken >= 6).await;
    assert_eq!(hearer.tally("/hook"), (6, 0));
    assert_eq!(recorded(&process).await[..5], before);
    assert_eq!(broker.jetstream.get_stream("DEAD").await.expect("a stream").cached_info().state.messages, 0);
    process.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_is_no_event_is_handed_on_with_the_reason() {
    let (nats, broker) = nats().await;
    let home = Home::new();
    for number in 0..3 {
        broker.publish("tickets.a", &[], event(&format!("before-{number}")).to_string()).await;
    }
    let faulty = json!([event("good"), {"type": "acme.seat.held", "subject": {"id": 5}}]).to_string();
    broker.publish("tickets.b", &[("Nats-Msg-Id", "m"), ("Trace", "t-1")], faulty.clone()).await;
    broker.publish("tickets.b", &[], "no JSON").await;
    broker.publish("tickets.b", &[], b"\xff".as_slice()).await;
    let taken = json!({"id": "before-1", "type": "acme.seat.freed", "subject": {"id": "1"}}).to_string();
    broker.publish("tickets.c", &[], taken).await;
    broker
        .publish(
            "tickets.c",
            &[],
            json!({"type": "acme.a", "subject": {"id": "1"}, "data": {"x": "x".repeat(300_000)}}).to_string(),
        )
        .await;
    broker.publish("tickets.c", &[], json!([event("between"), event("between-2"), {"id": "before-2", "type": "acme.b", "subject": {"id": "1"}}]).to_string()).await;
    broker.publish("tickets.a", &[], event("after").to_string()).await;
    let process = start(consuming(&home, &nats)).await;
    broker.until_taken(STREAM, CONSUMER).await;
    assert_eq!(recorded(&process).await, ["before-0", "before-1", "before-2", "after"]);

    let dead = broker.messages("DEAD", 6).await;
    let header = |index: usize, name: &str| -> String {
        let headers = dead[index].headers.as_ref().expect("headers");
        headers.get(name).map(ToString::to_string).unwrap_or_default()
    };
    let index = |sequence: &str| {
        (0..6).find(|index| header(*index, "Callboard-Sequence") == sequence).expect(sequence)
    };
    let first = index("4");
    assert_eq!(dead[first].payload, faulty);
    for (name, value) in [
        ("Callboard-Reason", "invalid-input"),
        ("Callboard-Detail", "the body has a fault"),
        ("Callboard-Stream", STREAM),
        ("Callboard-Subject", "tickets.b"),
        ("Callboard-Original-Nats-Msg-Id", "m"),
        ("Trace", "t-1"),
    ] {
        assert_eq!(header(first, name), value, "{name}");
    }
    let errors: Value = serde_json::from_str(&header(first, "Callboard-Errors")).expect("JSON");
    assert_eq!(errors, json!([{"pointer": "/1/subject/id", "detail": "must be a string, not a number"}]));
    for (sequence, reason, part) in [
        ("5", "invalid-input", "is not valid JSON"),
        ("6", "invalid-input", ""),
        ("7", "conflict", "\"pointer\":\"/id\""),
        ("8", "too-large", "is 300"),
        ("9", "conflict", "\"pointer\":\"/2/id\""),
    ] {
        let index = index(sequence);
        assert_eq!(header(index, "Callboard-Reason"), reason, "{sequence}");
        assert!(
            header(index, "Callboard-Errors").contains(part),
            "{sequence}: {}",
            header(index, "Callboard-Errors")
        );
    }
    process.line("was handed on").await;
    process.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_can_not_be_handed_on_stays_and_what_nobody_wants_is_dropped() {
    let nats = NatsServer::start().await;
    let broker = nats.client().await;
    broker.make_stream(STREAM, "tickets.>").await;
    let home = Home::new();
    broker.publish("tickets.a", &[], "no JSON").await;
    broker.publish("tickets.a", &[], event("good").to_string()).await;
    let process = start(consuming(&home, &nats)).await;
    process.line("can't be handed on yet").await;
    until("one is left", async || (broker.left(STREAM, CONSUMER).await? == (0, 1)).then_some(())).await;
    assert_eq!(recorded(&process).await, ["good"]);
    process.stop().await;

    let mut command = consuming(&home, &nats);
    command.env_remove("CALLBOARD_SOURCE_NATS_DEAD_LETTER").env("CALLBOARD_SOURCE_NATS_CONSUMER", "other");
    let process = start(command).await;
    let line = process.line("is no event, and is dropped").await;
    assert!(line.contains("sequence=1") && line.contains("is not valid JSON"), "{line}");
    broker.until_taken(STREAM, "other").await;
    process.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_share_one_consumer() {
    let (nats, broker) = nats().await;
    let homes = [Home::new(), Home::new()];
    let few = |home| {
        let mut command = consuming(home, &nats);
        command.env("CALLBOARD_SOURCE_NATS_BATCH_MESSAGES", "5");
        command
    };
    let (one, two) = tokio::join!(start(few(&homes[0])), start(few(&homes[1])));
    until_it_is(&one, "consuming").await;
    until_it_is(&two, "consuming").await;
    for number in 0..100 {
        broker.publish("tickets.a", &[], event(&format!("shared-{number}")).to_string()).await;
    }
    broker.until_taken(STREAM, CONSUMER).await;
    let (here, there) = (recorded(&one).await, recorded(&two).await);
    assert!(!here.is_empty() && !there.is_empty(), "{} and {}", here.len(), there.len());
    assert_eq!(here.len() + there.len(), 100);
    assert!(here.iter().all(|id| !there.contains(id)));
    one.stop().await;
    two.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_is_larger_than_a_request_may_be_is_taken_alone() {
    let home = Home::new();
    let file = home.path("nats.conf");
    std::fs::write(&file, "max_payload: 8MB\n").expect("a file");
    let mut nats = NatsServer::with(&["--config", file.to_str().expect("UTF-8")]).await;
    let broker = nats.client().await;
    broker.make_stream(STREAM, "tickets.>").await;
    let large = |name: &str| -> String {
        let event = |number| {
            let mut event = event(&format!("{name}-{number}"));
            event["data"] = json!({"padding": "x".repeat(200_000)});
            event
        };
        (0..15).map(event).collect::<Value>().to_string()
    };
    broker.publish("tickets.a", &[], event("first").to_string()).await;
    broker.publish("tickets.a", &[], large("large")).await;
    broker.publish("tickets.a", &[], large("larger")).await;
    broker.publish("tickets.a", &[], event("last").to_string()).await;
    // Now it says that no message may be like that, and has them all the same.
    nats.kill().await;
    std::fs::write(&file, "max_payload: 1MB\n").expect("a file");
    nats.run().await;
    let mut command = consuming(&home, &nats);
    command.env("CALLBOARD_SOURCE_NATS_BATCH_MIB", "1");
    let process = start(command).await;
    broker.until_taken(STREAM, CONSUMER).await;
    let ids = recorded(&process).await;
    assert_eq!(ids.len(), 32);
    assert_eq!((&*ids[0], &*ids[1], &*ids[16], &*ids[31]), ("first", "large-0", "larger-0", "last"));
    process.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_waits_for_a_server_and_for_its_stream() {
    let mut nats = NatsServer::start().await;
    nats.kill().await;
    let home = Home::new();
    let process = start(consuming(&home, &nats)).await;
    process.line("can't take events from NATS; trying again until it works").await;
    until_it_is(&process, "away").await;
    nats.run().await;
    process.line("the consumer can't be").await;
    until_it_is(&process, "away").await;
    let broker = nats.client().await;
    broker.make_stream(STREAM, "tickets.>").await;
    until_it_is(&process, "consuming").await;
    broker.publish("tickets.a", &[], event("first").to_string()).await;
    broker.until_taken(STREAM, CONSUMER).await;
    nats.kill().await;
    until_it_is(&process, "away").await;
    // What has no tries any more: a stop must not wait for it.
    process.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subject_can_name_the_tenant() {
    let (nats, broker) = nats().await;
    let home = Home::new();
    let mut command = consuming(&home, &nats);
    command.env("CALLBOARD_SOURCE_NATS_TENANT_TOKEN", "2");
    let process = start(command).await;
    broker.publish("tickets.acme.seat", &[], event("a").to_string()).await;
    broker.publish("tickets.North.seat", &[], event("b").to_string()).await;
    broker.publish("tickets.south.seat", &[], event("a").to_string()).await;
    broker.until_taken(STREAM, CONSUMER).await;
    let tenants = process.get("/v1/tenants").await.is(200);
    let tenants: Vec<&str> = tenants["items"]
        .as_array()
        .expect("items")
        .iter()
        .filter_map(|tenant| tenant["id"].as_str())
        .collect();
    assert!(tenants.contains(&"acme") && tenants.contains(&"south"), "{tenants:?}");
    assert_eq!(recorded(&process).await, Vec::<String>::new());
    let dead = broker.messages("DEAD", 1).await;
    let headers = dead[0].headers.as_ref().expect("headers");
    assert!(headers.get("Callboard-Detail").expect("a detail").as_str().contains("\"North\""));
    process.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consumer_that_could_lose_something_is_refused() {
    let (nats, broker) = nats().await;
    let home = Home::new();
    let config = async_nats::jetstream::consumer::pull::Config {
        durable_name: Some(CONSUMER.to_owned()),
        filter_subject: "tickets.>".to_owned(),
        max_deliver: 3,
        ..Default::default()
    };
    broker.jetstream.create_consumer_on_stream(config, STREAM).await.expect("a consumer");
    let process = start(consuming(&home, &nats)).await;
    process.line("gives messages up after 3 deliveries; set its max_deliver to -1").await;
    until_it_is(&process, "away").await;
    process.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn credentials_are_used_and_never_shown() {
    const PASSWORD: &str = "correct-horse-battery";
    let nats = NatsServer::with(&["--user", "box-office", "--pass", PASSWORD]).await;
    let home = Home::new();
    std::fs::write(home.path("password"), format!("{PASSWORD}\n")).expect("a file");
    let mut command = consuming(&home, &nats);
    command
        .env("CALLBOARD_SOURCE_NATS_USER", "box-office")
        .env("CALLBOARD_SOURCE_NATS_PASSWORD_FILE", home.path("password"));
    let process = start(command).await;
    // It is let in, and finds no stream.
    let line = process.line("the consumer can't be").await;
    assert!(!process.log().concat().contains(PASSWORD), "{line}");
    process.stop().await;

    let mut command = consuming(&home, &nats);
    command
        .env("CALLBOARD_SOURCE_NATS_USER", "box-office")
        .env("CALLBOARD_SOURCE_NATS_PASSWORD", "a-wrong-one");
    let process = start(command).await;
    let line = process.line("can't take events from NATS").await;
    assert!(line.contains("uthorization") && !line.contains("a-wrong-one"), "{line}");
    process.stop().await;

    let mut command = home.command(&["config", "check"]);
    command
        .env("CALLBOARD_SOURCE_NATS_URL", "nats://127.0.0.1:4222")
        .env("CALLBOARD_SOURCE_NATS_STREAM", STREAM)
        .env("CALLBOARD_SOURCE_NATS_SUBJECT", "tickets.>")
        .env("CALLBOARD_SOURCE_NATS_TOKEN", PASSWORD);
    let shown = text(&output(command).await.stdout);
    assert!(!shown.contains(PASSWORD), "{shown}");
    assert!(shown.contains("the stream TICKETS, the subject tickets.>"), "{shown}");
}

/// What the page of NATS says that the user needs.
const PERMISSIONS: &str = r#"
authorization { users = [
  { user: admin, password: admin-of-nats }
  { user: box-office, password: box-office-of-nats, permissions: {
    publish: [
      "$JS.API.CONSUMER.INFO.TICKETS.callboard",
      "$JS.API.CONSUMER.MSG.NEXT.TICKETS.callboard",
      "$JS.API.CONSUMER.CREATE.TICKETS.callboard.tickets.>",
      "$JS.ACK.TICKETS.callboard.>",
      "dead.tickets"
    ]
    subscribe: "_INBOX.>"
  } }
] }
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_permissions_that_are_named_are_enough() {
    let home = Home::new();
    let file = home.path("nats.conf");
    std::fs::write(&file, PERMISSIONS).expect("a file");
    let nats = NatsServer::with(&["--config", file.to_str().expect("UTF-8")]).await;
    let options = async_nats::ConnectOptions::with_user_and_password("admin".into(), "admin-of-nats".into());
    let broker = nats.client_as(options).await;
    broker.make_stream(STREAM, "tickets.>").await;
    broker.make_stream("DEAD", "dead.>").await;
    broker.publish("tickets.a", &[], event("allowed").to_string()).await;
    broker.publish("tickets.a", &[], "no JSON").await;
    let mut command = consuming(&home, &nats);
    command
        .env("CALLBOARD_SOURCE_NATS_USER", "box-office")
        .env("CALLBOARD_SOURCE_NATS_PASSWORD", "box-office-of-nats");
    let process = start(command).await;
    broker.until_taken(STREAM, CONSUMER).await;
    assert_eq!(recorded(&process).await, ["allowed"]);
    assert_eq!(broker.messages("DEAD", 1).await[0].payload, "no JSON");
    process.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_speaks_tls_has_to_be_trusted() {
    let home = Home::new();
    let identity = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate");
    let (certificate, key) = (home.path("certificate.pem"), home.path("key.pem"));
    std::fs::write(&certificate, identity.cert.pem()).expect("a file");
    std::fs::write(&key, identity.signing_key.serialize_pem()).expect("a file");
    let path = |path: &std::path::PathBuf| path.to_str().expect("UTF-8").to_owned();
    let arguments = ["--tls", "--tlscert", &path(&certificate), "--tlskey", &path(&key)];
    let nats = NatsServer::with(&arguments).await;
    let tls = || {
        let mut command = consuming(&home, &nats);
        command.env("CALLBOARD_SOURCE_NATS_URL", nats.url().replace("nats://", "tls://"));
        command
    };
    let process = start(tls()).await;
    let line = process.line("can't take events from NATS").await;
    assert!(line.contains("ertificate"), "{line}");
    process.stop().await;

    let mut command = tls();
    command.env("CALLBOARD_SOURCE_NATS_CA_FILE", &certificate);
    let process = start(command).await;
    // It is trusted, and has no stream.
    process.line("the consumer can't be").await;
    process.stop().await;
}
