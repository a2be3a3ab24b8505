//! The scenario `half_rate`: how long publishers wait at half of the highest
//! rate.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::counter::Counter;
use super::finding::{Aim, Finding, Side};
use super::open_loop::OpenLoop;
use super::scenario::Scenario;
use super::server::Server;
use super::{Bench, load};
use crate::cli::Failure;

/// Measures the highest rate and half of it, in turns, each time on a new
/// database.
///
/// # Errors
/// When a part fails or a delivery is missing.
pub(super) async fn run(bench: &Bench<'_>) -> Result<Finding, Failure> {
    let (mut highest, mut half) = (Side::new("highest"), Side::new("half"));
    for round in 1..=bench.arguments.rounds {
        let (counter, folder) = (Counter::start().await?, bench.folder("half-rate")?);
        let server = Server::start(folder.path(), &[], &bench.clock).await?;
        server.make_webhooks(counter.address, 1).await?;
        let figures =
            bench.load().measure(&server.entrance(), &server.process, &counter, &bench.clock).await?;
        bench.tell(round, highest.name, &figures);
        let open_loop = at_half_of(bench, figures.get("deliveries_per_second"), bench.length());
        highest.rounds.push(figures);
        let before = counter.arrived();
        let sent = open_loop.publish(&server.entrance(), &bench.clock, &CancellationToken::new()).await?;
        counter.wait_for(before + sent.events()).await?;
        let figures = sent.figures(Duration::MAX).with("offered_events_per_second", open_loop.rate);
        bench.tell(round, half.name, &figures);
        half.rounds.push(figures);
        server.end().await?;
    }
    let wait = half.median("publish_p99_ms");
    Ok(Finding::new(Scenario::HalfRate, vec![highest, half]).judged("publish_p99_ms", wait, Aim::Below(15.0)))
}

/// Publishing at half of a rate, whether answers come or not.
pub(super) fn at_half_of(bench: &Bench<'_>, rate: f64, length: Duration) -> OpenLoop {
    let orders = load::orders(bench.arguments.event_bytes);
    let body = move |number: u64| {
        let turn = usize::try_from(number % orders.len() as u64).unwrap_or_default();
        orders[turn].clone()
    };
    let connections = bench.arguments.connections;
    OpenLoop { rate: rate / 2.0, length, connections, body: Arc::new(body) }
}
