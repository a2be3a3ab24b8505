//! A rate holds for all processes together, whoever is killed or stopped.

#![expect(clippy::print_stdout, reason = "it reports figures")]

use std::time::Duration;

use serde_json::json;

use super::killed::events;
use super::{BUSY, Cluster, LEASE, LOOKED};
use crate::process::connection::Connection;
use crate::process::hearer::{Hearer, Manner};
use crate::process::until;

/// Requests a second.
const RATE: usize = 20;

/// When what came on this path did so, in order.
fn times(hearer: &Hearer, path: &str) -> Vec<Duration> {
    let mut times: Vec<Duration> = hearer.taken(path).values().map(|taken| taken.first_at).collect();
    times.sort_unstable();
    times
}

/// The most that came in any second.
fn most_in_a_second(times: &[Duration]) -> usize {
    let second = Duration::from_secs(1);
    let within = |from: usize| times[from..].iter().take_while(|at| **at < times[from] + second).count();
    (0..times.len()).map(within).max().unwrap_or(0)
}

/// A burst may come at once, and what is on its way arrives less evenly than it left.
fn assert_paced(times: &[Duration]) {
    let most = most_in_a_second(times);
    println!("cluster: {} deliveries at {RATE} a second, at most {most} in one", times.len());
    assert!(most <= RATE + RATE / 4 + 2, "{most} in a second");
}

/// Publishes on every node, and waits until so many have come.
async fn publish_and_hear(cluster: &Cluster, hearer: &Hearer, name: &str, each: usize, heard: usize) {
    for (number, node) in cluster.nodes.iter().enumerate() {
        if let Some(node) = node {
            node.post("/v1/events", &events(&format!("{name}-{number}"), each)).await.is(202);
        }
    }
    until("the paced ones come", async || (hearer.tally("/paced").0 >= heard).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rate_holds_for_the_cluster_and_outlives_its_owner() {
    let mut cluster = Cluster::start(3).await;
    let hearer = Hearer::start(&[("/paced", Manner::Prompt)]).await;
    let settings = json!({"url": hearer.url("/paced"), "events": ["*"], "rate_per_second": RATE});
    let webhook = cluster.node(0).make_webhook(&settings).await;
    publish_and_hear(&cluster, &hearer, "first", 40, 40).await;
    // Who claims has some of them in its hands.
    let owner = async |cluster: &Cluster| {
        until("one owns it", async || {
            let living = cluster.nodes.iter().flatten().next().expect("one that lives");
            let listed = super::listed(living.address).await?;
            let owner = listed.iter().find(|node| node["leased_deliveries"].as_u64() > Some(0))?;
            let name = owner["name"].as_str().expect("a name");
            name.trim_start_matches("node-").parse::<usize>().ok()
        })
        .await
    };
    let first = owner(&cluster).await;
    cluster.stop(first).await;
    let (stopped_at, before) = (hearer.elapsed(), hearer.tally("/paced").0);
    until("another goes on", async || (hearer.tally("/paced").0 > before + 2).then_some(())).await;
    let after_stop = hearer.elapsed().saturating_sub(stopped_at);
    let second = owner(&cluster).await;
    assert_ne!(first, second);
    cluster.kill(second).await;
    let (killed_at, before) = (hearer.elapsed(), hearer.tally("/paced").0);
    until("the last goes on", async || (hearer.tally("/paced").0 > before + 2).then_some(())).await;
    let after_kill = hearer.elapsed().saturating_sub(killed_at);
    let last = cluster.nodes.iter().flatten().next().expect("one that lives");
    last.until_drained(&[&webhook]).await;
    println!(
        "cluster: another node took a rate over {after_stop:?} after its owner was stopped, {after_kill:?} after one was killed"
    );
    assert_paced(&times(&hearer, "/paced"));
    assert_eq!(hearer.tally("/paced").0, 120);
    assert!(after_stop < BUSY, "{after_stop:?}");
    assert!(after_kill < LEASE + LOOKED + BUSY, "{after_kill:?}");
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rate_that_is_set_later_holds_for_what_several_nodes_hold_already() {
    let cluster = Cluster::start(3).await;
    let hearer = Hearer::start(&[("/paced", Manner::Slow(Duration::from_millis(100)))]).await;
    let settings = json!({"url": hearer.url("/paced"), "events": ["*"], "max_in_flight": 1});
    let webhook = cluster.node(0).make_webhook(&settings).await;
    publish_and_hear(&cluster, &hearer, "held", 40, 3).await;
    let mut connection = Connection::open(cluster.node(0).address).await.expect("a connection");
    let edit = json!({"rate_per_second": RATE, "max_in_flight": 16}).to_string();
    connection
        .send("PATCH", &format!("/v1/webhooks/{webhook}"), edit.into())
        .await
        .expect("an answer")
        .is(200);
    // Others hear of it a little later.
    let from = hearer.elapsed() + Duration::from_secs(1);
    cluster.node(0).until_drained(&[&webhook]).await;
    let paced: Vec<Duration> = times(&hearer, "/paced").into_iter().filter(|at| *at > from).collect();
    assert_eq!(hearer.tally("/paced"), (120, 0));
    assert!(paced.len() > RATE, "{} of 120 came after the rate was set", paced.len());
    assert_paced(&paced);
    cluster.end().await;
}
