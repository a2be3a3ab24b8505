//! The scenario `isolation`: what healthy endpoints notice of the sick ones of
//! a neighbour.
//!
//! Three databases, whose servers run in turns and never beside each other: one
//! with healthy endpoints alone; one with a neighbour whose endpoints are dead
//! and whose events go on being published; and one with a neighbour whose
//! backlog waits for a silent endpoint.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::connection::Entrance;
use super::database::{Database, Fate, Filling};
use super::figures::{Figures, ratio};
use super::finding::{Aim, Finding, Side};
use super::journey::{Arrivals, Journey, TYPES};
use super::latency::nth;
use super::open_loop::{OpenLoop, Sent};
use super::scenario::Scenario;
use super::server::Server;
use super::sick::Sick;
use super::{Bench, load};
use crate::cli::temporary::TemporaryFolder;
use crate::cli::{Failure, note};

/// Events a second for the healthy endpoints.
const RATE: f64 = 200.0;

/// Events a second of the neighbour. Each is heard by all of its dead
/// endpoints: with a thousand of them, five times as many deliveries as the
/// healthy ones get.
const NEIGHBOUR_RATE: f64 = 1.0;

const NEIGHBOUR: &str = "neighbour";

/// Who is beside the healthy endpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Beside {
    Nobody,
    DeadEndpoints,
    Backlog,
}

impl Beside {
    const fn name(self) -> &'static str {
        match self {
            Self::Nobody => "alone",
            Self::DeadEndpoints => "dead",
            Self::Backlog => "backlog",
        }
    }
}

/// Measures all three in turns.
///
/// # Errors
/// When a part fails or a delivery is missing.
pub(super) async fn run(bench: &Bench<'_>) -> Result<Finding, Failure> {
    let (arrivals, sick) = (Arrivals::start(&bench.clock).await?, Sick::start().await?);
    let mut sides = Vec::new();
    for beside in [Beside::Nobody, Beside::DeadEndpoints, Beside::Backlog] {
        sides.push((beside, prepare(bench, beside, &arrivals, &sick).await?, Side::new(beside.name())));
    }
    for round in 1..=bench.arguments.rounds {
        for (beside, folder, side) in &mut sides {
            let figures = measure(bench, *beside, folder, &arrivals, round).await?;
            bench.tell(round, side.name, &figures);
            side.rounds.push(figures);
        }
    }
    let sides: Vec<Side> = sides.into_iter().map(|(_, _, side)| side).collect();
    let way = |name| {
        sides.iter().find(|side| side.name == name).map_or(f64::NAN, |side| side.median("end_to_end_p99_ms"))
    };
    let against_alone = |beside: Beside| ratio(way(beside.name()), way(Beside::Nobody.name()));
    let (dead, backlog) = (against_alone(Beside::DeadEndpoints), against_alone(Beside::Backlog));
    Ok(Finding::new(Scenario::Isolation, sides)
        .judged("dead_endpoints_p99_ratio", dead, Aim::AtMost(1.5))
        .judged("backlog_p99_ratio", backlog, Aim::AtMost(1.5)))
}

/// Makes the database of one side.
async fn prepare(
    bench: &Bench<'_>,
    beside: Beside,
    arrivals: &Arrivals,
    sick: &Sick,
) -> Result<TemporaryFolder, Failure> {
    let folder = bench.folder(beside.name())?;
    let database = Database::open(folder.path(), &bench.clock).await?;
    let (tenant, healthy) = (database.tenant("default").await?, arrivals.webhooks());
    database.webhooks(vec![tenant], TYPES.len() as u64, move |number| nth(&healthy, number)).await?;
    match beside {
        Beside::Nobody => {}
        Beside::DeadEndpoints => {
            let (neighbour, dead) = (database.tenant(NEIGHBOUR).await?, sick.webhooks("ticket.*"));
            let count = bench.arguments.sick_webhooks;
            database.webhooks(vec![neighbour], count, move |number| nth(&dead, number)).await?;
        }
        Beside::Backlog => pile_up(bench, &database, sick).await?,
    }
    database.close().await;
    Ok(folder)
}

/// Has deliveries of a neighbour wait for a silent endpoint.
///
/// # Errors
/// When they can't be written.
pub(super) async fn pile_up(bench: &Bench<'_>, database: &Database, sick: &Sick) -> Result<(), Failure> {
    note(&format!("writing {} deliveries that wait for a silent endpoint", bench.arguments.pending));
    let neighbour = database.tenant(NEIGHBOUR).await?;
    let settings: Value =
        json!({"name": "silent", "url": format!("http://{}/", sick.silent), "events": ["order.*"]});
    let webhooks = database.webhooks(vec![neighbour], 1, move |_| settings.clone()).await?;
    let hour = Duration::from_hours(1);
    let filling = Filling {
        tenant: neighbour,
        webhooks,
        deliveries: bench.arguments.pending,
        fate: Fate::Pending,
        event_bytes: bench.arguments.event_bytes,
        from: bench.clock.now().saturating_sub(2 * hour)?,
        span: hour,
    };
    database.fill(filling).await
}

/// One round of a side: its server runs only meanwhile.
async fn measure(
    bench: &Bench<'_>,
    beside: Beside,
    folder: &TemporaryFolder,
    arrivals: &Arrivals,
    round: u32,
) -> Result<Figures, Failure> {
    let server = Server::start(folder.path(), &[], &bench.clock).await?;
    let journey = Journey { rate: RATE, length: bench.length(), event_bytes: bench.arguments.event_bytes };
    let name = |part: &str| format!("{}-{part}-{round}", beside.name());
    let (warm, entrance) = (Journey { length: bench.length() / 4, ..journey }, server.entrance());
    let timed = async {
        // The first ones find everything cold.
        arrivals.time(warm, &entrance, &name("warm")).await?;
        arrivals.time(journey, &entrance, &name("timed")).await
    };
    let figures = if beside == Beside::DeadEndpoints {
        let (stop, next_door) = (CancellationToken::new(), server.entrance().of_tenant(NEIGHBOUR));
        let timed = async {
            let figures = timed.await;
            stop.cancel();
            figures
        };
        let (figures, neighbour) = tokio::join!(timed, neighbour(bench, &next_door, &stop));
        let events = neighbour?.events();
        figures?.with("neighbour_deliveries", super::figures::count(events * bench.arguments.sick_webhooks))
    } else {
        timed.await?
    };
    server.end().await?;
    Ok(figures)
}

/// Publishes what the dead endpoints hear, until it is stopped.
async fn neighbour(
    bench: &Bench<'_>,
    entrance: &Entrance,
    stop: &CancellationToken,
) -> Result<Sent, Failure> {
    let event = load::event(bench.arguments.event_bytes, "ticket.updated", None, 0);
    let open_loop = OpenLoop {
        rate: NEIGHBOUR_RATE,
        length: Duration::MAX,
        connections: 4,
        body: Arc::new(move |_| event.clone()),
    };
    open_loop.publish(entrance, &bench.clock, stop).await
}
