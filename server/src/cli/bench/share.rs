//! The scenarios `relay` and `fan_out`: durable deliveries against a relay
//! that only forwards.

use super::Bench;
use super::connection::Entrance;
use super::counter::Counter;
use super::figures::{Figures, ratio};
use super::finding::{Aim, Finding, Side};
use super::load::Load;
use super::process::Process;
use super::scenario::Scenario;
use super::server::Server;
use crate::cli::Failure;

/// Webhooks that hear each event in the scenario `fan_out`.
pub(super) const FAN_OUT: u64 = 10;

/// Measures with so many webhooks that hear each event.
///
/// # Errors
/// When a part fails or a delivery is missing.
pub(super) async fn run(bench: &Bench<'_>, scenario: Scenario, webhooks: u64) -> Result<Finding, Failure> {
    let (mut relays, mut servers) = (Side::new("relay"), Side::new("callboard"));
    let load = Load { copies: webhooks, ..bench.load() };
    for round in 1..=bench.arguments.rounds {
        let figures = relay(bench, &load).await?;
        bench.tell(round, relays.name, &figures);
        relays.rounds.push(figures);
        let figures = server(bench, &load).await?;
        bench.tell(round, servers.name, &figures);
        servers.rounds.push(figures);
    }
    let rate = |side: &Side| side.median("deliveries_per_second");
    let share = ratio(rate(&servers), rate(&relays));
    let aim = Aim::AtLeast(if scenario == Scenario::FanOut { 0.8 } else { 0.6 });
    Ok(Finding::new(scenario, vec![relays, servers]).judged("deliveries_ratio", share, aim))
}

async fn relay(bench: &Bench<'_>, load: &Load) -> Result<Figures, Failure> {
    let counter = Counter::start().await?;
    let (target, copies) = (counter.address.to_string(), load.copies.to_string());
    let mut process = Process::start(&["bench", "relay", &target, &copies], &[])?;
    let entrance = Entrance::open(process.line().await?.parse()?);
    let figures = load.measure(&entrance, &process, &counter, &bench.clock).await?;
    process.end().await?;
    Ok(figures)
}

/// Each round on a new database.
async fn server(bench: &Bench<'_>, load: &Load) -> Result<Figures, Failure> {
    let (counter, folder) = (Counter::start().await?, bench.folder("share")?);
    let server = Server::start(folder.path(), &[], &bench.clock).await?;
    server.make_webhooks(counter.address, load.copies).await?;
    let figures = load.measure(&server.entrance(), &server.process, &counter, &bench.clock).await?;
    server.end().await?;
    Ok(figures)
}
