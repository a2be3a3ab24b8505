//! A process that stands still for longer than its lease, and goes on.

#![expect(clippy::expect_used, reason = "a test that can't go on has failed")]

use std::time::Duration;

use serde_json::json;

use super::killed::events;
use super::load::{Load, Unnoted};
use super::{BUSY, Cluster, LEASE, LOOKED, listed};
use crate::process::hearer::{Hearer, Manner};
use crate::process::load::{IN_FLIGHT, WEBHOOKS};
use crate::process::{Process, until};

/// How long it stands still.
const PAUSED: Duration = Duration::from_secs(20);

/// What is on its way has arrived after this.
const ARRIVED: Duration = Duration::from_secs(5);

/// Each delivery of a webhook was delivered, by one attempt alone.
async fn assert_each_delivered_once(process: &Process, webhook: &str) -> usize {
    let deliveries = process.deliveries(webhook, "delivered").await;
    for delivery in &deliveries {
        let id = delivery["id"].as_str().expect("an id");
        let delivery = process.get(&format!("/v1/deliveries/{id}")).await.is(200);
        let log = delivery["attempt_log"].as_array().expect("attempts");
        let delivered = log.iter().filter(|attempt| attempt["state"] == "delivered").count();
        assert_eq!(delivered, 1, "{delivery}");
    }
    deliveries.len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_stood_still_sends_nothing_of_what_it_had_queued() {
    let cluster = Cluster::start(2).await;
    let hearer = Hearer::start(&[("/held", Manner::Held)]).await;
    let settings = json!({"url": hearer.url("/held"), "events": ["*"], "max_in_flight": 4});
    let webhook = cluster.node(0).make_webhook(&settings).await;
    cluster.node(0).post("/v1/events", &events("held", 100)).await.is(202);
    hearer.until("deliveries are under way", |counts| counts.held == 4).await;
    let id = cluster.id(0).await;
    cluster.node(0).pause().await;
    let paused_at = cluster.now();
    hearer.let_go();
    hearer.until("what it held is taken over", |counts| counts.taken >= 104).await;
    let taken_over = cluster.since(paused_at);
    println!("cluster: what a paused node held was taken over and delivered within {taken_over:?}");
    assert!(taken_over < LEASE + LOOKED + BUSY, "{taken_over:?}");
    tokio::time::sleep(PAUSED.saturating_sub(taken_over)).await;
    cluster.node(0).resume();
    until("it is a node again", async || {
        let listed = listed(cluster.node(1).address).await?;
        let names: Vec<_> = listed.iter().map(|node| node["name"].as_str()).collect();
        (names.contains(&Some("node-0")) && names.len() == 2).then_some(())
    })
    .await;
    assert_ne!(cluster.id(0).await, id, "it came back as another node");
    cluster.node(0).post("/v1/events", &events("after", 50)).await.is(202);
    cluster.node(0).until_drained(&[&webhook]).await;
    // Its own 4 were under way, and came twice.
    assert_eq!(hearer.tally("/held"), (150, 4));
    assert_eq!(assert_each_delivered_once(cluster.node(1), &webhook).await, 150);
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_stands_still_amid_its_work_does_not_hold_up_the_others() {
    let mut cluster = Cluster::start(3).await;
    let mut load = Load::on(&cluster).await;
    load.until_accepted(300).await;
    let id = cluster.id(0).await;
    // Publishers leave it, for nobody can tell that it will answer.
    let address = cluster.node(0).address;
    cluster.node(0).pause().await;
    let paused_at = load.hearer.elapsed();
    cluster.addresses.send_modify(|all| all.retain(|one| *one != address));
    // Before others take over, and after whatever was on its way has arrived.
    tokio::time::sleep(ARRIVED).await;
    let unwritten = load.unwritten_in(&cluster.urls[0]);
    load.note(unwritten);
    let gone = ARRIVED + cluster.until_gone(1, &id).await;
    println!("cluster: a node that stands still amid its work was taken over from within {gone:?}");
    tokio::time::sleep(PAUSED.saturating_sub(gone)).await;
    load.until_accepted(300).await;
    cluster.node(0).resume();
    cluster.addresses.send_modify(|all| all.push(address));
    load.until_accepted(300).await;
    load.drain(&cluster).await;
    // Its requests that were under way and had not arrived come once more when it goes
    // on. The others have sent these first by then.
    let during = vec![paused_at..load.hearer.elapsed()];
    load.judge("a node paused", Some(Unnoted { most: WEBHOOKS.len() * IN_FLIGHT, during }));
    for webhook in load.webhooks.values() {
        assert_each_delivered_once(cluster.node(1), webhook).await;
    }
    assert!(gone < LEASE + LOOKED + BUSY, "{gone:?}");
    cluster.stop(0).await;
    cluster.end().await;
}
