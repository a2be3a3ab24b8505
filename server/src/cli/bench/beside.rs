//! The scenarios `other_webhooks`, `long_log` and `backlog`: throughput on a
//! full database against an empty one.
//!
//! Both servers run all the time, and the load takes turns: a full database
//! costs little at rest, and what it takes to load much.

use std::path::Path;
use std::time::Duration;

use callboard_domain::clock::Timestamp;
use serde_json::{Value, json};

use super::connection::Connection;
use super::counter::Counter;
use super::database::{Database, Fate, Filling};
use super::figures::{Figures, count, mebibytes, milliseconds, ratio};
use super::finding::{Aim, Finding, Side};
use super::load::{self, Load};
use super::scenario::Scenario;
use super::server::{self, Server};
use super::sick::Sick;
use super::{Bench, isolation};
use crate::app;
use crate::cli::temporary::TemporaryFolder;
use crate::cli::{Failure, note};

/// The tenants that the webhooks of others belong to.
const TENANTS: u64 = 100;

/// Webhooks that heard each event of the log.
const HEARD_BY: u64 = 10;

/// A server, and what it delivers to.
struct Contender {
    side: Side,
    server: Server,
    counter: Counter,
    _folder: TemporaryFolder,
}

impl Contender {
    /// Starts the server on a database that is ready.
    async fn start(bench: &Bench<'_>, name: &'static str, folder: TemporaryFolder) -> Result<Self, Failure> {
        let (server, counter) =
            (Server::start(folder.path(), &[], &bench.clock).await?, Counter::start().await?);
        server.make_webhooks(counter.address, 1).await?;
        Ok(Self { side: Side::new(name), server, counter, _folder: folder })
    }

    async fn measure(&self, bench: &Bench<'_>, load: &Load) -> Result<Figures, Failure> {
        load.measure(&self.server.entrance(), &self.server.process, &self.counter, &bench.clock).await
    }
}

/// Beside webhooks of other tenants, which are all in memory.
///
/// # Errors
/// When a part fails or a delivery is missing.
pub(super) async fn other_webhooks(bench: &Bench<'_>) -> Result<Finding, Failure> {
    let (folder, webhooks) = (bench.folder("full")?, bench.arguments.webhooks_of_others);
    note(&format!("writing {webhooks} webhooks of {TENANTS} other tenants"));
    let database = Database::open(folder.path(), &bench.clock).await?;
    let mut tenants = Vec::new();
    for number in 0..TENANTS {
        tenants.push(database.tenant(&other(number)).await?);
    }
    let settings =
        |number: u64| json!({"url": format!("http://127.0.0.1:8/{number}"), "events": ["ticket.*"]});
    database.webhooks(tenants, webhooks, settings).await?;
    database.close().await;
    let full = Contender::start(bench, "full", folder).await?;
    // A tenant's webhooks are loaded when it publishes something; none of
    // them hears it.
    let begun = bench.clock.elapsed();
    let event = load::event(bench.arguments.event_bytes, "order.paid", None, 0);
    for number in 0..TENANTS {
        let entrance = full.server.entrance().of_tenant(&other(number));
        load::accepted(Connection::open(&entrance).await?.post(event.clone()).await?)?;
    }
    let loading = bench.clock.elapsed().saturating_sub(begun);
    note(&format!("their webhooks were loaded in {:.1} s", loading.as_secs_f64()));
    let facts = Figures::default()
        .with("webhooks_of_others", count(webhooks))
        .with("loading_seconds", loading.as_secs_f64());
    compare(bench, Scenario::OtherWebhooks, full, facts).await
}

fn other(number: u64) -> String {
    format!("other-{number}")
}

/// With a long log of deliveries that are over.
///
/// # Errors
/// When a part fails or a delivery is missing.
pub(super) async fn long_log(bench: &Bench<'_>) -> Result<Finding, Failure> {
    let folder = bench.folder("full")?;
    let from = bench.clock.now().saturating_sub(Duration::from_hours(2))?;
    write_log(bench, folder.path(), from, Duration::from_hours(1)).await?;
    let facts = space_facts(&folder)?.with("log_deliveries", count(bench.arguments.log_deliveries));
    let full = Contender::start(bench, "full", folder).await?;
    compare(bench, Scenario::LongLog, full, facts).await
}

/// Writes a log of the usual tenant, to webhooks that hear nothing that the
/// load publishes. Returns how many events it holds.
///
/// # Errors
/// When it can't be written.
pub(super) async fn write_log(
    bench: &Bench<'_>,
    folder: &Path,
    from: Timestamp,
    span: Duration,
) -> Result<u64, Failure> {
    note(&format!("writing {} deliveries that are over", bench.arguments.log_deliveries));
    let database = Database::open(folder, &bench.clock).await?;
    let tenant = database.tenant("default").await?;
    let settings = |number: u64| -> Value {
        json!({"name": format!("log {number}"), "url": "http://127.0.0.1:8/", "events": ["ticket.*"]})
    };
    let webhooks = database.webhooks(vec![tenant], HEARD_BY, settings).await?;
    let filling = Filling {
        tenant,
        webhooks,
        deliveries: bench.arguments.log_deliveries,
        fate: Fate::Delivered,
        event_bytes: bench.arguments.event_bytes,
        from,
        span,
    };
    let events = filling.events();
    database.fill(filling).await?;
    database.close().await;
    Ok(events)
}

/// With a backlog for a silent endpoint.
///
/// # Errors
/// When a part fails or a delivery is missing.
pub(super) async fn backlog(bench: &Bench<'_>) -> Result<Finding, Failure> {
    let (folder, sick) = (bench.folder("full")?, Sick::start().await?);
    let database = Database::open(folder.path(), &bench.clock).await?;
    isolation::pile_up(bench, &database, &sick).await?;
    database.close().await;
    let facts = space_facts(&folder)?.with("pending", count(bench.arguments.pending));
    let full = Contender::start(bench, "full", folder).await?;
    compare(bench, Scenario::Backlog, full, facts).await
}

fn space_facts(folder: &TemporaryFolder) -> Result<Figures, Failure> {
    let space = app::space(&server::database(folder.path()))?;
    Ok(Figures::default().with("database_mib", mebibytes(space.bytes)))
}

/// Measures in turns against a server on an empty database.
async fn compare(
    bench: &Bench<'_>,
    scenario: Scenario,
    full: Contender,
    facts: Figures,
) -> Result<Finding, Failure> {
    let empty = Contender::start(bench, "empty", bench.folder("empty")?).await?;
    let facts = facts.with("ready_full_ms", milliseconds(full.server.ready_after));
    let mut contenders = [empty, full];
    // Until its log is written over, each commit takes longer; see the page.
    let warm = Load { length: bench.length() / 2, ..bench.load() };
    for contender in &contenders {
        contender.measure(bench, &warm).await?;
    }
    for round in 1..=bench.arguments.rounds {
        for contender in &mut contenders {
            let figures = contender.measure(bench, &bench.load()).await?;
            bench.tell(round, contender.side.name, &figures);
            contender.side.rounds.push(figures);
        }
        // So that neither is always the second.
        contenders.reverse();
    }
    let mut sides = Vec::new();
    for contender in contenders {
        contender.server.end().await?;
        sides.push(contender.side);
    }
    sides.sort_by_key(|side| side.name);
    let rate = |name| {
        let side = sides.iter().find(|side| side.name == name);
        side.map_or(f64::NAN, |side| side.median("deliveries_per_second"))
    };
    let share = ratio(rate("full"), rate("empty"));
    Ok(Finding::new(scenario, sides).knowing(facts).judged("deliveries_ratio", share, Aim::AtLeast(0.8)))
}
