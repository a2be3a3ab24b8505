//! `callboard serve` is told to stop while it is at work.

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::process::connection::{self, Connection, dial};
use crate::process::hearer::{Hearer, Manner};
use crate::process::{Home, Process, TOKEN, text, until};

const IN_FLIGHT: u64 = 4;

fn events(name: &str, count: usize) -> Value {
    let event =
        |number| json!({"id": format!("{name}-{number}"), "type": "order.paid", "subject": {"id": "1"}});
    (0..count).map(event).collect()
}

async fn make_webhook(process: &Process, hearer: &Hearer) -> String {
    let settings = json!({"url": hearer.url("/hook"), "events": ["*"], "max_in_flight": IN_FLIGHT});
    process.make_webhook(&settings).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_in_flight_ends_and_the_rest_waits_for_the_next_start() {
    let home = Home::new();
    let hearer = Hearer::start(&[("/hook", Manner::Held)]).await;
    let process = home.serve().await;
    let webhook = make_webhook(&process, &hearer).await;
    process.post("/v1/events", &events("before", 20)).await.is(202);
    hearer.until("deliveries are under way", |counts| counts.held == IN_FLIGHT).await;
    // A request that is under way when the stop comes: its body is asked for.
    let body = events("meanwhile", 3).to_string();
    let mut half_sent = dial(process.address).await.expect("a connection");
    let head = format!(
        "POST /v1/events HTTP/1.1\r\nhost: callboard\r\nauthorization: Bearer {TOKEN}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\nexpect: 100-continue\r\n\r\n",
        body.len(),
    );
    half_sent.write_all(head.as_bytes()).await.expect("a start");
    let mut go_on = [0; 25];
    half_sent.read_exact(&mut go_on).await.expect("a first answer");
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
    let address = process.address;
    process.terminate();
    process.line("stopping").await;
    // New ones are not taken on; nobody is told that they were.
    until("new connections are refused", async || connection::get(address, "/readyz").await.err()).await;
    half_sent.write_all(body.as_bytes()).await.expect("the rest");
    let mut answer = Vec::new();
    half_sent.read_to_end(&mut answer).await.expect("an answer");
    assert!(text(&answer).starts_with("HTTP/1.1 202 "), "{}", text(&answer));
    assert_eq!(hearer.counts().held, IN_FLIGHT);
    hearer.let_go();
    let status = process.ended().await;
    assert!(status.success(), "{status}");
    assert_eq!(hearer.counts().open, 0);
    let process = home.serve().await;
    process.until_drained(&[&webhook]).await;
    assert_eq!(hearer.tally("/hook"), (23, 0));
    process.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_connection_does_not_hold_the_stop_up() {
    let home = Home::new();
    let process = home.serve().await;
    let mut idle = Connection::open(process.address).await.expect("a connection");
    idle.publish(&events("one", 1)).await.expect("an answer").is(202);
    process.terminate();
    let status = process.ended().await;
    assert!(status.success(), "{status}");
    assert!(idle.publish(&events("two", 1)).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_signal_ends_it_at_once_and_loses_nothing() {
    let home = Home::new();
    let hearer = Hearer::start(&[("/hook", Manner::Held)]).await;
    let process = home.serve().await;
    let webhook = make_webhook(&process, &hearer).await;
    process.post("/v1/events", &events("event", 10)).await.is(202);
    hearer.until("deliveries are under way", |counts| counts.held == IN_FLIGHT).await;
    process.terminate();
    process.line("stopping").await;
    process.terminate();
    assert_eq!(process.ended().await.code(), Some(1));
    hearer.let_go();
    let process = home.serve().await;
    process.until_drained(&[&webhook]).await;
    let (delivered, again) = hearer.tally("/hook");
    assert_eq!(delivered, 10);
    assert!(again <= 4, "{again} came twice");
    process.stop().await;
}
