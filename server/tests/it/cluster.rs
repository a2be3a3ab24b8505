//! Several processes on one PostgreSQL database, and what becomes of the whole
//! when one of them is killed, stopped, paused or cut off, or the database is.

#![expect(clippy::expect_used, reason = "a test that can't go on has failed")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use callboard_domain::clock::{Clock as _, SystemClock};
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::process::{Home, PATIENCE, Process, connection};

mod away;
mod clock;
mod killed;
mod load;
mod obeyed;
mod paced;
mod paused;
mod revoked;

/// How long a lease runs, and how often others look for leases that have passed.
const LEASE: Duration = Duration::from_secs(11);
const LOOKED: Duration = Duration::from_secs(3);

/// How much longer something may take because the machine is busy.
const BUSY: Duration = Duration::from_secs(2);

/// How often a list is looked at, which nothing tells of.
const LOOK: Duration = Duration::from_millis(50);

/// The processes, by number.
struct Cluster {
    home: Home,
    /// How each reaches the database.
    urls: Vec<String>,
    nodes: Vec<Option<Process>>,
    /// Where those that live listen.
    addresses: watch::Sender<Vec<SocketAddr>>,
    clock: Arc<SystemClock>,
}

impl Cluster {
    /// So many processes on a database of their own.
    async fn start(count: usize) -> Self {
        let home = Home::on_postgres();
        let url = home.server_url().expect("a URL").to_owned();
        Self::on(home, vec![url; count]).await
    }

    /// A process for each of these ways to a database.
    async fn on(home: Home, urls: Vec<String>) -> Self {
        let nodes = urls.iter().map(|_| None).collect();
        let addresses = watch::Sender::new(Vec::new());
        let mut cluster = Self { home, urls, nodes, addresses, clock: Arc::new(SystemClock::new()) };
        for number in 0..cluster.urls.len() {
            cluster.begin(number).await;
        }
        cluster
    }

    /// Starts the one of this number.
    async fn begin(&mut self, number: usize) {
        let mut command = self.home.server();
        command
            .env("CALLBOARD_DATABASE", &self.urls[number])
            .env("CALLBOARD_POSTGRES_NODE_NAME", format!("node-{number}"));
        let process = Process::start(command).await;
        process.until_ready().await;
        self.addresses.send_modify(|all| all.push(process.address));
        self.nodes[number] = Some(process);
    }

    fn node(&self, number: usize) -> &Process {
        self.nodes[number].as_ref().expect("a process that lives")
    }

    fn take(&mut self, number: usize) -> Process {
        let process = self.nodes[number].take().expect("a process that lives");
        self.addresses.send_modify(|all| all.retain(|one| *one != process.address));
        process
    }

    async fn kill(&mut self, number: usize) {
        self.take(number).kill().await;
    }

    async fn stop(&mut self, number: usize) {
        self.take(number).stop().await;
    }

    /// Stops all of them, which each has to do without a fault.
    async fn end(mut self) {
        for number in 0..self.nodes.len() {
            if self.nodes[number].is_some() {
                self.stop(number).await;
            }
        }
    }

    fn now(&self) -> Duration {
        self.clock.elapsed()
    }

    /// How long it is since [`Self::now`] was `began`.
    fn since(&self, began: Duration) -> Duration {
        self.now().saturating_sub(began)
    }

    /// What the one of this number is called in the list of nodes.
    async fn id(&self, number: usize) -> String {
        let listed = listed(self.node(number).address).await.expect("an answer");
        let this = listed.iter().find(|node| node["is_this"] == true).expect("itself");
        this["id"].as_str().expect("an id").to_owned()
    }

    /// How long it takes from now until `number` no longer lists the node `id`,
    /// whose deliveries are somebody else's then.
    async fn until_gone(&self, number: usize, id: &str) -> Duration {
        let began = self.now();
        gone(self.addresses.subscribe(), Some(self.node(number).address), id).await;
        self.since(began)
    }
}

/// The list of nodes, as the process at this address has it; `None` when that
/// has gone, or has no database.
async fn listed(address: SocketAddr) -> Option<Vec<Value>> {
    let answer = connection::get(address, "/v1/nodes").await.ok()?;
    (answer.status == 200).then(|| answer.json["items"].as_array().expect("items").clone())
}

/// Waits until a node is not listed any more, by whoever lives.
async fn gone(living: watch::Receiver<Vec<SocketAddr>>, asked: Option<SocketAddr>, id: &str) {
    let mut looks = tokio::time::interval(LOOK);
    let looking = async {
        loop {
            looks.tick().await;
            let first = living.borrow().first().copied();
            let Some(address) = asked.or(first) else { continue };
            if listed(address).await.is_some_and(|listed| listed.iter().all(|node| node["id"] != id)) {
                return;
            }
        }
    };
    timeout(PATIENCE, looking).await.expect("the node is gone from the list");
}
