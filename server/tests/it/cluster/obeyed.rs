//! What is done on one process holds on the others soon.

#![expect(clippy::expect_used, clippy::print_stdout, reason = "a test that can't go on has failed; figures")]

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use super::Cluster;
use crate::process::connection::{Connection, dial};
use crate::process::hearer::{Hearer, Manner};
use crate::process::{PATIENCE, TOKEN, until};

/// How soon others obey.
const SOON: Duration = Duration::from_secs(1);

/// Publishes on each of the others until it says that so many webhooks hear it,
/// and returns how long the slower took.
async fn obeyed(cluster: &Cluster, name: &str, heard_by: u64) -> Duration {
    let began = cluster.now();
    for number in [1, 2] {
        let mut count = 0;
        until("the others obey", async || {
            count += 1;
            let event = json!({"id": format!("{name}-{number}-{count}"), "type": "order.paid", "subject": {"id": "1"}});
            let answer = cluster.node(number).post("/v1/events", &event).await.is(202);
            let answer = answer["items"].as_array().map_or(&answer, |items| &items[0]);
            (answer["deliveries"].as_u64().expect("a number") == heard_by).then_some(())
        })
        .await;
    }
    let took = cluster.since(began);
    println!("cluster: a webhook that is {name} on one node is obeyed on the others within {took:?}");
    assert!(took < SOON, "{name}: {took:?}");
    took
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_of_a_webhook_is_obeyed_on_all_nodes() {
    let cluster = Cluster::start(3).await;
    let hearer = Hearer::start(&[("/prompt", Manner::Prompt)]).await;
    // What they know is in memory from here on.
    for number in 0..3 {
        let event = json!({"id": format!("before-{number}"), "type": "order.paid", "subject": {"id": "1"}});
        cluster.node(number).post("/v1/events", &event).await.is(202);
    }
    let first = cluster.node(0);
    let id = first.make_webhook(&json!({"url": hearer.url("/prompt"), "events": ["order.*"]})).await;
    obeyed(&cluster, "made", 1).await;
    let path = format!("/v1/webhooks/{id}");
    let change = async |method: &str, path: &str, body: Value| {
        let mut connection = Connection::open(first.address).await.expect("a connection");
        let answer = connection.send(method, path, body.to_string().into()).await.expect("an answer");
        assert!((200..300).contains(&answer.status), "{answer:?}");
    };
    change("PATCH", &path, json!({"events": ["ticket.*"]})).await;
    obeyed(&cluster, "edited", 0).await;
    change("PATCH", &path, json!({"events": ["order.*"]})).await;
    obeyed(&cluster, "edited-back", 1).await;
    change("POST", &format!("{path}/disable"), json!({})).await;
    obeyed(&cluster, "disabled", 0).await;
    change("POST", &format!("{path}/enable"), json!({})).await;
    obeyed(&cluster, "enabled", 1).await;
    change("DELETE", &path, json!({})).await;
    obeyed(&cluster, "deleted", 0).await;
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_on_one_node_tells_what_was_published_on_another() {
    let cluster = Cluster::start(2).await;
    let mut stream = dial(cluster.node(1).address).await.expect("a connection");
    let request =
        format!("GET /v1/stream HTTP/1.1\r\nhost: callboard\r\nauthorization: Bearer {TOKEN}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut seen = Vec::new();
    let mut until_told = async |what: &str| {
        let reading = async {
            while !String::from_utf8_lossy(&seen).contains(what) {
                assert!(stream.read_buf(&mut seen).await.expect("a read") > 0, "it ended");
            }
        };
        timeout(PATIENCE, reading).await.expect(what);
    };
    until_told("\n\r\n").await;
    let mut longest = Duration::ZERO;
    for number in 0..10 {
        let id = format!("told-{number}");
        let event = json!({"id": id, "type": "order.paid", "subject": {"id": "1"}});
        let began = cluster.now();
        cluster.node(0).post("/v1/events", &event).await.is(202);
        until_told(&format!("\"id\":\"{id}\"")).await;
        longest = longest.max(cluster.since(began));
    }
    println!("cluster: a stream tells of what another node accepted within {longest:?}");
    assert!(longest < SOON, "{longest:?}");
    drop(stream);
    cluster.end().await;
}
