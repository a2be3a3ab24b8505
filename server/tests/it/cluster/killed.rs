//! Processes that are killed, or stopped, while others go on.

use std::sync::Arc;
use std::time::Duration;

use callboard_domain::clock::Clock as _;
use rand::RngExt as _;
use serde_json::{Value, json};

use super::load::Load;
use super::{BUSY, Cluster, LEASE, LOOKED, gone, listed};
use crate::process::figure;
use crate::process::hearer::{Hearer, Manner};

/// Between two kills.
const BETWEEN: Duration = Duration::from_secs(3);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_are_killed_lose_nothing_while_others_go_on() {
    let seconds = figure("CALLBOARD_SOAK_SECONDS", 60).max(60);
    let mut cluster = Cluster::start(3).await;
    let mut load = Load::on(&cluster).await;
    let (began, mut kills, mut takeovers) = (cluster.now(), 0, Vec::new());
    while cluster.since(began) < Duration::from_secs(seconds as u64) {
        tokio::time::sleep(BETWEEN).await;
        let victim = load.rng.random_range(0..3);
        let id = cluster.id(victim).await;
        cluster.kill(victim).await;
        kills += 1;
        let killed_at = cluster.now();
        let living = cluster.addresses.subscribe();
        let clock = Arc::clone(&cluster.clock);
        takeovers.push(tokio::spawn(async move {
            gone(living, None, &id).await;
            clock.elapsed().saturating_sub(killed_at)
        }));
        load.note_in_flight(cluster.node((victim + 1) % 3)).await;
        cluster.begin(victim).await;
    }
    let mut longest = Duration::ZERO;
    for takeover in takeovers {
        longest = longest.max(takeover.await.expect("it does not panic"));
    }
    println!("cluster: {kills} kills, each taken over within {longest:?}");
    assert!(longest < LEASE + LOOKED + BUSY, "{longest:?}");
    load.drain(&cluster).await;
    load.judge("nodes killed", None);
    assert_eq!(load.ledger.refused(), 0, "the others had a database all the time");
    cluster.end().await;
}

/// A webhook whose receiver keeps 4 requests waiting, and 40 events for it that
/// the first node holds.
async fn hold(cluster: &Cluster) -> (Hearer, String) {
    let hearer = Hearer::start(&[("/held", Manner::Held)]).await;
    let settings = json!({"url": hearer.url("/held"), "events": ["*"], "max_in_flight": 4});
    let webhook = cluster.node(0).make_webhook(&settings).await;
    cluster.node(0).post("/v1/events", &events("held", 40)).await.is(202);
    hearer.until("deliveries are under way", |counts| counts.held == 4).await;
    (hearer, webhook)
}

pub(super) fn events(name: &str, count: usize) -> Value {
    let event =
        |number| json!({"id": format!("{name}-{number}"), "type": "order.paid", "subject": {"id": "1"}});
    (0..count).map(event).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_node_held_is_taken_over_when_its_lease_has_passed() {
    let mut cluster = Cluster::start(3).await;
    let (hearer, webhook) = hold(&cluster).await;
    let nodes = listed(cluster.node(1).address).await.expect("a list");
    assert_eq!(nodes.len(), 3);
    assert_eq!(nodes[0]["leased_deliveries"], 40, "{nodes:?}");
    cluster.kill(0).await;
    let killed_at = cluster.now();
    hearer.until("its connections are gone", |counts| counts.open == 0).await;
    hearer.let_go();
    hearer.until("one is taken over", |counts| counts.taken > 0).await;
    let first = cluster.since(killed_at);
    cluster.node(1).until_drained(&[&webhook]).await;
    let last = cluster.since(killed_at);
    println!("cluster: what a killed node held was taken over after {first:?}, and delivered after {last:?}");
    assert_eq!(hearer.tally("/held"), (40, 0));
    assert_eq!(listed(cluster.node(1).address).await.expect("a list").len(), 2);
    assert!(last < LEASE + LOOKED + BUSY, "{last:?}");
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_stopped_hands_over_what_it_held_at_once() {
    let mut cluster = Cluster::start(3).await;
    let (hearer, webhook) = hold(&cluster).await;
    let id = cluster.id(0).await;
    let process = cluster.take(0);
    process.terminate();
    let stopped_at = cluster.now();
    // What is under way may end; the rest is for others by then.
    hearer.until("others deliver", |counts| counts.held > 4).await;
    let first = cluster.since(stopped_at);
    hearer.let_go();
    cluster.node(1).until_drained(&[&webhook]).await;
    let last = cluster.since(stopped_at);
    process.ended().await;
    cluster.until_gone(1, &id).await;
    println!(
        "cluster: what a stopped node held was taken over after {first:?}, and delivered after {last:?}"
    );
    assert_eq!(hearer.tally("/held"), (40, 0));
    assert_eq!(listed(cluster.node(1).address).await.expect("a list").len(), 2);
    assert!(last < BUSY, "{last:?}");
    cluster.end().await;
}
