//! The scenario `retention`: what publishers notice while a long log is
//! deleted, and whether its space comes back.
//!
//! One database, and two servers on it, one after the other: for the first
//! nothing is old, for the second everything is that was written before.

use std::path::Path;
use std::time::Duration;

use callboard_domain::clock::Timestamp;
use tokio_util::sync::CancellationToken;

use super::counter::Counter;
use super::figures::{Figures, count, mebibytes, per_second, ratio};
use super::finding::{Aim, Finding, Side};
use super::half_rate::at_half_of;
use super::open_loop::{OpenLoop, Sent};
use super::scenario::Scenario;
use super::server::{self, Server};
use super::{Bench, beside};
use crate::app::{self, Space};
use crate::cli::{Failure, note};

/// The setting by which the log is deleted or not.
const RETENTION: &str = "CALLBOARD_RETENTION_DAYS";

/// Hours since the first event of the log: between the two settings.
const AGE: Duration = Duration::from_hours(24 * 10);

/// Hours until the last one.
const SPAN: Duration = Duration::from_hours(24);

/// How often the server is asked whether anything old is left.
const LOOK: Duration = Duration::from_millis(250);

/// How long to wait for space to come back when everything is deleted.
const SETTLING: Duration = Duration::from_mins(1);

/// Share of the files that may be free in the end: the store keeps an eighth of
/// its file for what comes next.
const FREE_SHARE: f64 = 0.15;

/// What a store keeps free however small it is.
const SPARE: u64 = 1_024 * 1_024;

/// Measures it.
///
/// # Errors
/// When a part fails or a delivery is missing.
pub(super) async fn run(bench: &Bench<'_>) -> Result<Finding, Failure> {
    let (counter, folder) = (Counter::start().await?, bench.folder("retention")?);
    let from = bench.clock.now().saturating_sub(AGE)?;
    let events = beside::write_log(bench, folder.path(), from, SPAN).await?;
    let before = app::space(&server::database(folder.path()))?;
    let (mut without, mut deleting) = (Side::new("without"), Side::new("deleting"));

    let server = Server::start(folder.path(), &[(RETENTION, "30")], &bench.clock).await?;
    server.make_webhooks(counter.address, 1).await?;
    let highest = bench.load().measure(&server.entrance(), &server.process, &counter, &bench.clock).await?;
    let half = at_half_of(bench, highest.get("deliveries_per_second"), bench.length());
    without.rounds.push(publish(bench, &half, &server, &counter).await?);
    server.end().await?;

    let server = Server::start(folder.path(), &[(RETENTION, "7")], &bench.clock).await?;
    let (figures, deletion) = delete(bench, &half, &server, &counter, from.saturating_add(2 * SPAN)?).await?;
    deleting.rounds.push(figures);
    note(&format!("deleted within {:.1} s", deletion.as_secs_f64()));
    let at_once = app::space(&server::database(folder.path()))?;
    without.rounds.push(publish(bench, &half, &server, &counter).await?);
    let settling = settle(bench, folder.path()).await?;
    server.end().await?;
    let after = written_back(folder.path()).await?;

    let facts = Figures::default()
        .with("deletion_seconds", deletion.as_secs_f64())
        .with("deleted_deliveries_per_second", per_second(bench.arguments.log_deliveries, deletion))
        .with("deleted_events_per_second", per_second(events, deletion))
        .with("offered_events_per_second", half.rate)
        .with("published_meanwhile_events", deleting.median("events"))
        .with("files_before_mib", mebibytes(before.bytes))
        .with("files_when_deleted_mib", mebibytes(at_once.bytes))
        .with("files_after_mib", mebibytes(after.bytes))
        .with("free_after_mib", mebibytes(after.free_bytes))
        .with("settling_seconds", settling.as_secs_f64());
    let wait = |side: &Side| side.median("publish_p99_ms");
    let times = ratio(wait(&deleting), wait(&without));
    Ok(Finding::new(Scenario::Retention, vec![without, deleting])
        .knowing(facts)
        .judged("publish_p99_ratio", times, Aim::AtMost(2.0))
        .judged("free_share", free_share(after), Aim::AtMost(FREE_SHARE)))
}

/// Publishes for one round, until everything has arrived.
async fn publish(
    bench: &Bench<'_>,
    half: &OpenLoop,
    server: &Server,
    counter: &Counter,
) -> Result<Figures, Failure> {
    let before = counter.arrived();
    let sent = half.publish(&server.entrance(), &bench.clock, &CancellationToken::new()).await?;
    counter.wait_for(before + sent.events()).await?;
    Ok(sent.figures(Duration::MAX))
}

/// Publishes until no event is left that was accepted before `until`. Returns
/// the figures of that time, and how long it took.
async fn delete(
    bench: &Bench<'_>,
    half: &OpenLoop,
    server: &Server,
    counter: &Counter,
    until: Timestamp,
) -> Result<(Figures, Duration), Failure> {
    let (before, begun) = (counter.arrived(), bench.clock.elapsed());
    let (stop, entrance) = (CancellationToken::new(), server.entrance());
    let publishing = OpenLoop { length: Duration::MAX, ..half.clone() };
    let deleting = async {
        // However it ends, publishing ends with it.
        let _stop = stop.clone().drop_guard();
        let old = format!("/v1/events?limit=1&until={until}");
        while server.get(&old).await?["items"].as_array().is_some_and(|items| !items.is_empty()) {
            tokio::time::sleep(LOOK).await;
        }
        let deleted = bench.clock.elapsed();
        // A short log would be gone before anything is published.
        tokio::time::sleep((begun + bench.length()).saturating_sub(deleted)).await;
        Ok::<_, Failure>(deleted)
    };
    let (sent, deleted): (Result<Sent, Failure>, Result<Duration, Failure>) =
        tokio::join!(publishing.publish(&entrance, &bench.clock, &stop), deleting);
    let (sent, deleted) = (sent?, deleted?);
    counter.wait_for(before + sent.events()).await?;
    let figures = sent.figures(deleted.max(begun + bench.length()));
    bench.tell(1, "deleting", &figures);
    Ok((figures, deleted.saturating_sub(begun)))
}

/// Waits until no more than what the store keeps is free. Returns how long
/// that took, at most [`SETTLING`].
async fn settle(bench: &Bench<'_>, folder: &Path) -> Result<Duration, Failure> {
    let begun = bench.clock.elapsed();
    loop {
        let waited = bench.clock.elapsed().saturating_sub(begun);
        if free_share(app::space(&server::database(folder))?) <= FREE_SHARE || waited > SETTLING {
            return Ok(waited);
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn free_share(space: Space) -> f64 {
    ratio(count(space.free_bytes.saturating_sub(SPARE)), count(space.bytes))
}

/// What the database takes when its log has been written back, which a store
/// does when it is closed.
async fn written_back(folder: &Path) -> Result<Space, Failure> {
    let database = server::database(folder);
    app::open_store(&database).await?.close().await;
    Ok(app::space(&database)?)
}
