//! The database goes away and comes back: for all processes, or for one.

use std::time::Duration;

use serde_json::json;

use super::killed::events;
use super::load::Load;
use super::{BUSY, Cluster, LEASE, LOOKED, listed};
use crate::process::database::OwnServer;
use crate::process::hearer::{Hearer, Manner};
use crate::process::line::Line;
use crate::process::load::{IN_FLIGHT, WEBHOOKS};
use crate::process::{Home, figure, until};

/// Longer than a lease, in seconds.
const CUT: usize = 16;

/// What may come twice when no outcome could be written down for a while: that of
/// each of these nodes.
fn most_again(nodes: usize) -> usize {
    nodes * (WEBHOOKS.len() * IN_FLIGHT + callboard_engine::UNWRITTEN)
}

async fn until_refused(load: &Load) {
    let before = load.ledger.refused();
    until("publishing is refused", async || (load.ledger.refused() > before).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_crashes_under_load_loses_nothing() {
    let mut server = OwnServer::start().await;
    let cluster = Cluster::on(Home::on_sqlite(), vec![server.url().to_owned(); 3]).await;
    let load = Load::on(&cluster).await;
    for _ in 0..figure("CALLBOARD_SOAK_SECONDS", 2).div_ceil(10).max(2) {
        load.until_accepted(200).await;
        server.crash().await;
        until_refused(&load).await;
        cluster.node(0).post("/v1/events", &events("refused", 1)).await.assert_unavailable();
        cluster.node(1).get("/readyz").await.assert_unavailable();
        server.recover().await;
        let back = cluster.now();
        load.until_accepted(1).await;
        println!("cluster: publishing works {:?} after the database does", cluster.since(back));
    }
    load.until_accepted(200).await;
    load.drain(&cluster).await;
    load.judge("the database crashed", Some(most_again(3)));
    let nodes = listed(cluster.node(2).address).await.expect("a list");
    assert_eq!(nodes.len(), 3, "{nodes:?}");
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_that_is_cut_for_all_nodes_loses_nothing() {
    let home = Home::on_postgres();
    let line = Line::to(home.server_url().expect("a URL")).await;
    let cluster = Cluster::on(home, vec![line.url().to_owned(); 3]).await;
    let load = Load::on(&cluster).await;
    load.until_accepted(200).await;
    line.cut();
    until_refused(&load).await;
    tokio::time::sleep(Duration::from_secs(figure("CALLBOARD_SOAK_SECONDS", CUT).clamp(CUT, 30) as u64))
        .await;
    line.mend();
    let back = cluster.now();
    load.until_accepted(200).await;
    println!("cluster: 200 events are accepted {:?} after the line is mended for all", cluster.since(back));
    load.drain(&cluster).await;
    load.judge("the line cut for all", Some(most_again(3)));
    let nodes = listed(cluster.node(0).address).await.expect("a list");
    assert_eq!(nodes.len(), 3, "{nodes:?}");
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_cut_off_sends_nothing_that_others_took_over() {
    let home = Home::on_postgres();
    let url = home.server_url().expect("a URL").to_owned();
    let line = Line::to(&url).await;
    let cluster = Cluster::on(home, vec![line.url().to_owned(), url.clone(), url]).await;
    let load = Load::on(&cluster).await;
    let hearer = Hearer::start(&[("/held", Manner::Held)]).await;
    let settings =
        json!({"url": hearer.url("/held"), "events": ["*"], "identifier": "held", "max_in_flight": 4});
    let webhook = cluster.node(0).make_webhook(&settings).await;
    let mut held = events("held", 100);
    for event in held.as_array_mut().expect("events") {
        event["type"] = "event.updated".into();
        event["subject"]["id"] = "held".into();
        load.ledger.note_accepted(event["id"].as_str().expect("an id"), "event.updated");
    }
    cluster.node(0).post("/v1/events", &held).await.is(202);
    hearer.until("deliveries are under way", |counts| counts.held == 4).await;
    let id = cluster.id(0).await;
    line.cut();
    let gone = cluster.until_gone(1, &id).await;
    println!("cluster: what a node held that was cut off was given to others after {gone:?}");
    assert!(gone < LEASE + LOOKED + BUSY, "{gone:?}");
    // It may not send what it holds now, though its receiver takes it again.
    hearer.let_go();
    hearer.until("others have delivered it", |counts| counts.taken >= 104).await;
    cluster.node(0).post("/v1/events", &events("refused", 1)).await.assert_unavailable();
    line.mend();
    until("it is a node again", async || {
        let nodes = listed(cluster.node(1).address).await?;
        (nodes.len() == 3 && nodes.iter().all(|node| node["id"] != id.as_str())).then_some(())
    })
    .await;
    load.until_accepted(200).await;
    load.drain(&cluster).await;
    load.judge("the line cut for one", Some(most_again(1)));
    cluster.node(0).until_drained(&[&webhook]).await;
    assert_eq!(hearer.tally("/held"), (100, 4), "its own 4 were under way, and came twice");
    cluster.end().await;
}
