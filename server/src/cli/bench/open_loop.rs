//! Publishes at an even rate, whether answers come or not. How long an event
//! waited is counted from when it was due: one that had to wait for a
//! connection is not told as if it had been quick.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use callboard_domain::clock::Clock;
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::connection::{Connection, Entrance};
use super::figures::{Figures, count, milliseconds, percentile};
use super::load::accepted;
use super::pacing::Pacing;
use crate::cli::Failure;

/// Longest that the pacer sleeps before it looks whether it is to stop.
const NAP: Duration = Duration::from_millis(50);

/// The body of event `number`.
pub(super) type Body = Arc<dyn Fn(u64) -> Bytes + Send + Sync>;

/// What to publish, and how often.
#[derive(Clone)]
pub(super) struct OpenLoop {
    /// Events a second.
    pub(super) rate: f64,
    /// How long, unless it is stopped before.
    pub(super) length: Duration,
    /// Connections that may wait for an answer at the same time.
    pub(super) connections: usize,
    /// What is published.
    pub(super) body: Body,
}

/// What came of it.
#[derive(Debug)]
pub(super) struct Sent {
    /// When each event was due.
    pub(super) pacing: Pacing,
    /// The number of each event, and how long after it was due it was
    /// accepted; in no order.
    waits: Vec<(u64, Duration)>,
}

impl Sent {
    /// How many events were accepted.
    pub(super) fn events(&self) -> u64 {
        self.waits.len() as u64
    }

    /// The figures of those that were due before `end`.
    pub(super) fn figures(&self, end: Duration) -> Figures {
        let due_before = |(number, wait): &(u64, Duration)| (self.pacing.due(*number) < end).then_some(*wait);
        let mut waits: Vec<Duration> = self.waits.iter().filter_map(due_before).collect();
        waits.sort_unstable();
        Figures::default()
            .with("events", count(waits.len() as u64))
            .with("publish_p50_ms", milliseconds(percentile(&waits, 500)))
            .with("publish_p99_ms", milliseconds(percentile(&waits, 990)))
            .with("publish_most_ms", milliseconds(waits.last().copied().unwrap_or_default()))
    }
}

impl OpenLoop {
    /// Publishes until the end, or until `stop` is cancelled, and waits for the
    /// answers.
    ///
    /// # Errors
    /// When an event is not accepted.
    pub(super) async fn publish(
        &self,
        entrance: &Entrance,
        clock: &Arc<dyn Clock>,
        stop: &CancellationToken,
    ) -> Result<Sent, Failure> {
        let mut connections = Vec::with_capacity(self.connections);
        for _ in 0..self.connections {
            connections.push(Connection::open(entrance).await?);
        }
        let pacing = Pacing::new(clock.elapsed(), self.rate);
        let (due, _pacer) = self.pace(pacing, clock, stop)?;
        let due = Arc::new(Mutex::new(due));
        let mut publishers = JoinSet::new();
        for mut connection in connections {
            let (clock, due, body) = (Arc::clone(clock), Arc::clone(&due), Arc::clone(&self.body));
            publishers.spawn(async move {
                let mut waits = Vec::new();
                loop {
                    let Some(number) = due.lock().await.recv().await else { return Ok::<_, Failure>(waits) };
                    accepted(connection.post(body(number)).await?)?;
                    waits.push((number, clock.elapsed().saturating_sub(pacing.due(number))));
                }
            });
        }
        let mut waits = Vec::new();
        while let Some(publisher) = publishers.join_next().await {
            waits.extend(publisher??);
        }
        Ok(Sent { pacing, waits })
    }

    /// Names each event when it is due. That is done by a thread of its own:
    /// the runtime's timers only know whole milliseconds. It ends with the
    /// guard.
    fn pace(
        &self,
        pacing: Pacing,
        clock: &Arc<dyn Clock>,
        stop: &CancellationToken,
    ) -> Result<(mpsc::UnboundedReceiver<u64>, DropGuard), Failure> {
        let (due, numbers) = mpsc::unbounded_channel();
        let (clock, stop) = (Arc::clone(clock), stop.child_token());
        let guard = stop.clone().drop_guard();
        let events = pacing.events_within(self.length);
        std::thread::Builder::new().name("bench-pacer".to_owned()).spawn(move || {
            for number in 0..events {
                loop {
                    if stop.is_cancelled() {
                        return;
                    }
                    let early = pacing.due(number).saturating_sub(clock.elapsed());
                    if early.is_zero() {
                        break;
                    }
                    std::thread::park_timeout(early.min(NAP));
                }
                if due.send(number).is_err() {
                    return;
                }
            }
        })?;
        Ok((numbers, guard))
    }
}
