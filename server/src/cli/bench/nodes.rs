//! The scenario `nodes`: what one, two and three nodes deliver on one PostgreSQL.

use super::Bench;
use super::counter::Counter;
use super::figures::{Figures, ratio};
use super::finding::{Finding, Side};
use super::process::Process;
use super::scenario::Scenario;
use super::server::Server;
use crate::app;
use crate::cli::Failure;
use crate::config::DatabaseUrl;

/// The setting of the key that seals secrets.
const KEYS: &str = "CALLBOARD_ENCRYPTION_KEYS";

/// Measures one, two and three nodes, in turns. The connections are shared out
/// among them.
///
/// # Errors
/// When a part fails or a delivery is missing.
pub(super) async fn run(bench: &Bench<'_>) -> Result<Finding, Failure> {
    let url = bench.arguments.postgres.as_ref().map(DatabaseUrl::reveal);
    let url = url.ok_or("name an empty database of PostgreSQL with --postgres")?;
    if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
        return Err("--postgres takes a URL such as postgres://callboard:PASSWORD@db.internal/bench".into());
    }
    let counter = Counter::start().await?;
    let mut sides = [(Side::new("one"), 1), (Side::new("two"), 2), (Side::new("three"), 3)];
    // One for all of them, and no file of keys that stays behind.
    let (_, key) = app::new_key()?;
    let first = Server::start_on(url, &[(KEYS, key.as_str())], &bench.clock).await?;
    first.make_webhooks(counter.address, 1).await?;
    first.end().await?;
    for round in 1..=bench.arguments.rounds {
        for (side, nodes) in &mut sides {
            let figures = measure(bench, (url, key.as_str()), *nodes, &counter).await?;
            bench.tell(round, side.name, &figures);
            side.rounds.push(figures);
        }
    }
    let [one, two, three] = sides.map(|(side, _)| side);
    let rate = |side: &Side| side.median("deliveries_per_second");
    let facts = Figures::default()
        .with("two_nodes_ratio", ratio(rate(&two), rate(&one)))
        .with("three_nodes_ratio", ratio(rate(&three), rate(&one)));
    Ok(Finding::new(Scenario::Nodes, vec![one, two, three]).knowing(facts))
}

async fn measure(
    bench: &Bench<'_>,
    (url, key): (&str, &str),
    nodes: usize,
    counter: &Counter,
) -> Result<Figures, Failure> {
    let mut servers = Vec::with_capacity(nodes);
    for _ in 0..nodes {
        servers.push(Server::start_on(url, &[(KEYS, key)], &bench.clock).await?);
    }
    let entrances: Vec<_> = servers.iter().map(Server::entrance).collect();
    let processes: Vec<&Process> = servers.iter().map(|server| &server.process).collect();
    let figures = bench.load().measure_all(&entrances, &processes, counter, &bench.clock).await?;
    for server in servers {
        server.end().await?;
    }
    Ok(figures)
}
