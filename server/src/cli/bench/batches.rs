//! The scenario `batches`: events accepted a second in arrays, against single
//! ones.

use super::Bench;
use super::counter::Counter;
use super::figures::ratio;
use super::finding::{Aim, Finding, Side};
use super::load::Load;
use super::scenario::Scenario;
use super::server::Server;
use crate::cli::Failure;

/// Events of an array.
const BATCH: usize = 100;

/// Measures both on one server, in turns.
///
/// # Errors
/// When a part fails or a delivery is missing.
pub(super) async fn run(bench: &Bench<'_>) -> Result<Finding, Failure> {
    let (counter, folder) = (Counter::start().await?, bench.folder("batches")?);
    let server = Server::start(folder.path(), &[], &bench.clock).await?;
    server.make_webhooks(counter.address, 1).await?;
    let mut sides = [(Side::new("single"), 1), (Side::new("arrays"), BATCH)];
    for round in 1..=bench.arguments.rounds {
        for (side, batch) in &mut sides {
            let load = Load { batch: *batch, ..bench.load() };
            let figures = load.measure(&server.entrance(), &server.process, &counter, &bench.clock).await?;
            bench.tell(round, side.name, &figures);
            side.rounds.push(figures);
        }
    }
    server.end().await?;
    let [single, arrays] = sides.map(|(side, _)| side);
    let rate = |side: &Side| side.median("accepted_events_per_second");
    let times = ratio(rate(&arrays), rate(&single));
    let finding = Finding::new(Scenario::Batches, vec![single, arrays]);
    Ok(finding.judged("accepted_events_ratio", times, Aim::AtLeast(2.0)))
}
