//! The database goes away and comes back: for all processes, or for one.

#![expect(clippy::print_stdout, reason = "it reports figures")]

use std::collections::HashSet;
use std::time::Duration;

use serde_json::json;

use super::killed::events;
use super::load::{Load, Unnoted};
use super::{BUSY, Cluster, LEASE, LOOKED, listed};
use crate::process::database::OwnServer;
use crate::process::hearer::{Hearer, Manner};
use crate::process::line::Line;
use crate::process::load::{IN_FLIGHT, WEBHOOKS};
use crate::process::{Home, Process, figure, until};

/// How long the database can't be reached, in seconds: two leases.
const CUT: usize = 30;

/// How long a line is silent: longer than a lease, and than anybody waits for an
/// answer on it.
const SILENT: Duration = Duration::from_secs(20);

/// Longest wait of a request while the database does not answer: 10 s for who waits
/// for it already, and then 5 s for a connection in vain.
const ANSWERED: Duration = Duration::from_secs(15);

/// How long after the database is back nodes still become others.
const ENTERED: Duration = Duration::from_secs(3);

fn cut() -> Duration {
    Duration::from_secs(figure("CALLBOARD_SOAK_SECONDS", CUT).clamp(CUT, 60) as u64)
}

/// What comes twice after the database was away for all. What had come by then and is
/// not written down was noted, just before it was back at `noted`. Beside that, a node
/// whose lease has passed, or that was amid a commit, becomes another one once the
/// database is back, and gives back what it has in its hands at that moment: what is
/// under way (16 requests of each of the four webhooks at most), and what has come and
/// is on its way into the database, which is as much again at most while commits are
/// quicker than requests. Nodes say in their log when they do that.
fn given_back(cluster: &Cluster, load: &Load, noted: &[Duration]) -> Unnoted {
    let said = |process: &Process| {
        process.log().iter().filter(|line| line.contains("what it had claimed is given to")).count()
    };
    let times: usize = cluster.nodes.iter().flatten().map(said).sum();
    println!("cluster: {times} times a node became another one");
    let until = |noted: &Duration| (*noted + ENTERED + BUSY).min(load.hearer.elapsed());
    Unnoted {
        most: times * 2 * WEBHOOKS.len() * IN_FLIGHT,
        during: noted.iter().map(|noted| *noted..until(noted)).collect(),
    }
}

/// Every node refuses to publish, within this time; and none has accepted anything
/// by the end of `away` that it did not accept before.
async fn assert_refused_while(
    cluster: &Cluster,
    load: &Load,
    within: Duration,
    away: impl Future<Output = ()>,
) {
    for number in 0..3 {
        let began = cluster.now();
        let event = events(&format!("refused-{number}-{}", began.as_millis()), 1);
        cluster.node(number).post("/v1/events", &event).await.assert_unavailable();
        cluster.node(number).get("/readyz").await.assert_unavailable();
        assert!(cluster.since(began) < (within + BUSY) * 2, "{:?}", cluster.since(began));
    }
    let before = load.ledger.accepted();
    away.await;
    assert_eq!(load.ledger.accepted(), before, "something was accepted without a database");
}

async fn until_refused(load: &Load) {
    let before = load.ledger.refused();
    until("publishing is refused", async || (load.ledger.refused() > before).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_crashes_under_load_loses_nothing() {
    let mut server = OwnServer::start().await;
    let cluster = Cluster::on(Home::on_sqlite(), vec![server.url().to_owned(); 3]).await;
    let mut load = Load::on(&cluster).await;
    let mut noted = Vec::new();
    for _ in 0..figure("CALLBOARD_SOAK_SECONDS", 2).div_ceil(10).max(2) {
        load.until_accepted(500).await;
        server.crash().await;
        until_refused(&load).await;
        assert_refused_while(&cluster, &load, Duration::ZERO, async {}).await;
        server.recover().await;
        let back = cluster.now();
        noted.push(load.hearer.elapsed());
        let unwritten = load.unwritten_in(server.url());
        load.note(unwritten);
        load.until_accepted(1).await;
        println!("cluster: publishing works {:?} after the database does", cluster.since(back));
    }
    load.until_accepted(500).await;
    load.drain(&cluster).await;
    load.judge("the database crashed", Some(given_back(&cluster, &load, &noted)));
    let nodes = listed(cluster.node(2).address).await.expect("a list");
    assert_eq!(nodes.len(), 3, "{nodes:?}");
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_that_is_cut_for_all_nodes_loses_nothing() {
    a_line_that_fails_loses_nothing("the line cut for all", Duration::ZERO, Line::cut, cut()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_that_goes_silent_for_all_nodes_loses_nothing() {
    a_line_that_fails_loses_nothing("the line silent for all", ANSWERED, Line::silence, SILENT).await;
}

async fn a_line_that_fails_loses_nothing(what: &str, refused: Duration, fail: fn(&Line), away: Duration) {
    let home = Home::on_postgres();
    let url = home.server_url().expect("a URL").to_owned();
    let line = Line::to(&url).await;
    let cluster = Cluster::on(home, vec![line.url().to_owned(); 3]).await;
    let mut load = Load::on(&cluster).await;
    load.until_accepted(1_000).await;
    fail(&line);
    let began = cluster.now();
    until_refused(&load).await;
    println!("cluster: {what}: publishing is refused after {:?}", cluster.since(began));
    assert!(cluster.since(began) < refused + BUSY, "{:?}", cluster.since(began));
    let rest = away.saturating_sub(cluster.since(began));
    assert_refused_while(&cluster, &load, refused, tokio::time::sleep(rest)).await;
    let noted = load.hearer.elapsed();
    let unwritten = load.unwritten_in(&url);
    load.note(unwritten);
    line.mend();
    let back = cluster.now();
    load.until_accepted(200).await;
    println!("cluster: {what}: 200 events are accepted {:?} after it is mended", cluster.since(back));
    load.until_accepted(1_000).await;
    load.drain(&cluster).await;
    load.judge(what, Some(given_back(&cluster, &load, &[noted])));
    let nodes = listed(cluster.node(0).address).await.expect("a list");
    assert_eq!(nodes.len(), 3, "{nodes:?}");
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_cut_off_sends_nothing_that_others_took_over() {
    let home = Home::on_postgres();
    let url = home.server_url().expect("a URL").to_owned();
    let line = Line::to(&url).await;
    let cluster = Cluster::on(home, vec![line.url().to_owned(), url.clone(), url.clone()]).await;
    let mut load = Load::on(&cluster).await;
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
    let cut_at = load.hearer.elapsed();
    // It sends what it holds until its lease ends, and can write nothing of it down.
    let mut unwritten = HashSet::new();
    let gone = {
        let until_gone = cluster.until_gone(1, &id);
        tokio::pin!(until_gone);
        loop {
            unwritten.extend(load.unwritten_in(&url));
            tokio::select! {
                gone = &mut until_gone => break gone,
                () = tokio::time::sleep(super::LOOK) => {}
            }
        }
    };
    load.note(unwritten);
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
    // Its requests that were under way when the others took over were not noted.
    let during = vec![cut_at..load.hearer.elapsed()];
    load.judge("the line cut for one", Some(Unnoted { most: WEBHOOKS.len() * IN_FLIGHT, during }));
    cluster.node(0).until_drained(&[&webhook]).await;
    assert_eq!(hearer.tally("/held"), (100, 4), "its own 4 were under way, and came twice");
    cluster.end().await;
}
