//! A client that is disabled on one process is refused by the others soon.

use std::time::Duration;

use bytes::Bytes;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use super::Cluster;
use crate::process::connection::{Connection, dial, token};
use crate::process::{PATIENCE, until};

/// How soon others obey.
const SOON: Duration = Duration::from_secs(1);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_is_disabled_is_refused_on_all_nodes() {
    let cluster = Cluster::start(2).await;
    let (here, there) = (cluster.node(0), cluster.node(1).address);
    let wanted = json!({"name": "Shop", "scopes": ["read:events"]});
    let made = here.post("/v1/clients", &wanted).await.is(201);
    let (id, secret) =
        (made["client_id"].as_str().expect("an id"), made["client_secret"].as_str().expect("a secret"));
    let form = || format!("grant_type=client_credentials&client_id={id}&client_secret={secret}");
    let issued = token(there, form()).await.expect("an answer").is(200);
    let bearer = issued["access_token"].as_str().expect("a token");

    // It is known there, and listens.
    let mut asking = Connection::open(there).await.expect("a connection");
    asking.get_as(bearer, "/v1/events").await.expect("an answer").is(200);
    let mut stream = dial(there).await.expect("a connection");
    let request =
        format!("GET /v1/stream HTTP/1.1\r\nhost: callboard\r\nauthorization: Bearer {bearer}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut seen = Vec::new();
    timeout(PATIENCE, stream.read_buf(&mut seen)).await.expect("in time").expect("a start");

    let mut changing = Connection::open(here.address).await.expect("a connection");
    // Just before, so that what is remembered is as new as it can be.
    asking.get_as(bearer, "/v1/events").await.expect("an answer").is(200);
    let disable = format!("/v1/clients/{id}/disable");
    changing.send("POST", &disable, Bytes::new()).await.expect("an answer").is(200);
    let began = cluster.now();
    until("it is refused there", async || {
        let mut asking = Connection::open(there).await.expect("a connection");
        let answer = asking.get_as(bearer, "/v1/events").await.expect("an answer");
        (answer.status == 401).then_some(())
    })
    .await;
    let refused = cluster.since(began);
    // The last piece is an empty one; the connection may go on.
    let reading = async {
        while !seen.ends_with(b"\r\n0\r\n\r\n") {
            assert!(stream.read_buf(&mut seen).await.expect("a read") > 0, "it is cut off");
        }
    };
    timeout(PATIENCE, reading).await.expect("the stream ends");
    let ended = cluster.since(began);
    println!(
        "cluster: a disabled client is refused elsewhere after {refused:?}, and its stream ended after {ended:?}"
    );
    assert!(refused < SOON && ended < SOON + super::BUSY, "{refused:?} {ended:?}");
    token(there, form()).await.expect("an answer").is(401);
    cluster.end().await;
}
