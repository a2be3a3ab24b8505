//! The scenario `footprint`: memory, time to get ready, size of the program.

use std::time::Duration;

use super::Bench;
use super::binary::Binary;
use super::counter::Counter;
use super::figures::{Figures, count, mebibytes, milliseconds};
use super::finding::{Aim, Finding, Side};
use super::scenario::Scenario;
use super::server::Server;
use crate::cli::Failure;

/// How long a server that is ready is left alone before its memory is read.
const REST: Duration = Duration::from_millis(500);

/// Measures each on a new database, and full load on the last.
///
/// # Errors
/// When a part fails or a delivery is missing.
pub(super) async fn run(bench: &Bench<'_>) -> Result<Finding, Failure> {
    let (mut idle, mut loaded) = (Side::new("idle"), Side::new("full_load"));
    let mut slowest = Duration::ZERO;
    for round in 1..=bench.arguments.rounds {
        let (counter, folder) = (Counter::start().await?, bench.folder("footprint")?);
        let server = Server::start(folder.path(), &[], &bench.clock).await?;
        slowest = slowest.max(server.ready_after);
        tokio::time::sleep(REST).await;
        let memory = |read: Option<f64>| read.unwrap_or(f64::NAN);
        let figures = Figures::default()
            .with("ready_ms", milliseconds(server.ready_after))
            .with("memory_mib", memory(server.process.resident_memory()))
            .with("anonymous_memory_mib", memory(server.process.anonymous_memory()));
        bench.tell(round, idle.name, &figures);
        idle.rounds.push(figures);
        server.make_webhooks(counter.address, 1).await?;
        let figures =
            bench.load().measure(&server.entrance(), &server.process, &counter, &bench.clock).await?;
        bench.tell(round, loaded.name, &figures);
        loaded.rounds.push(figures);
        server.end().await?;
    }
    let binary = Binary::read(&std::env::current_exe()?)?;
    let stripped = mebibytes(binary.bytes - binary.strippable_bytes.min(binary.bytes));
    let facts = Figures::default()
        .with("program_mib", mebibytes(binary.bytes))
        .with("program_symbols_mib", mebibytes(binary.strippable_bytes))
        .with("program_holds_symbols", count(u64::from(binary.strippable_bytes > 0)));
    let (at_rest, most) = (idle.median("memory_mib"), loaded.median("memory_mib"));
    Ok(Finding::new(Scenario::Footprint, vec![idle, loaded])
        .knowing(facts)
        .judged("idle_memory_mib", at_rest, Aim::Below(30.0))
        .judged("most_memory_mib", most, Aim::Below(120.0))
        .judged("slowest_ready_ms", milliseconds(slowest), Aim::Below(200.0))
        .judged("stripped_program_mib", stripped, Aim::Below(20.0)))
}
