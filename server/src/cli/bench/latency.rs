//! The scenario `latency`: the time from publishing to arrival at a modest
//! rate.

use super::Bench;
use super::database::Database;
use super::finding::{Aim, Finding, Side};
use super::journey::{Arrivals, Journey, TYPES};
use super::scenario::Scenario;
use super::server::Server;
use crate::cli::Failure;

/// Events a second.
const RATE: f64 = 50.0;

/// Measures it on one server.
///
/// # Errors
/// When a part fails or a delivery is missing.
pub(super) async fn run(bench: &Bench<'_>) -> Result<Finding, Failure> {
    let (arrivals, folder) = (Arrivals::start(&bench.clock).await?, bench.folder("latency")?);
    let database = Database::open(folder.path(), &bench.clock).await?;
    let (tenant, webhooks) = (database.tenant("default").await?, arrivals.webhooks());
    database.webhooks(vec![tenant], TYPES.len() as u64, move |number| nth(&webhooks, number)).await?;
    database.close().await;
    let server = Server::start(folder.path(), &[], &bench.clock).await?;
    let journey = Journey { rate: RATE, length: bench.length(), event_bytes: bench.arguments.event_bytes };
    // The first ones find everything cold.
    arrivals.time(Journey { length: bench.length() / 4, ..journey }, &server.entrance(), "warm").await?;
    let mut side = Side::new("callboard");
    for round in 1..=bench.arguments.rounds {
        let figures = arrivals.time(journey, &server.entrance(), &format!("round-{round}")).await?;
        bench.tell(round, side.name, &figures);
        side.rounds.push(figures);
    }
    server.end().await?;
    let way = side.median("end_to_end_p99_ms");
    Ok(Finding::new(Scenario::Latency, vec![side]).judged("end_to_end_p99_ms", way, Aim::Below(5.0)))
}

/// Settings by their number, from the start again after the last.
pub(super) fn nth(settings: &[serde_json::Value], number: u64) -> serde_json::Value {
    let turn = usize::try_from(number).unwrap_or_default() % settings.len().max(1);
    settings.get(turn).cloned().unwrap_or_default()
}
