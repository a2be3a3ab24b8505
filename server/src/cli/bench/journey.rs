//! Times events at an even rate from when they are due to be published to
//! their arrival at the receiver.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use callboard_domain::clock::Clock;
use hyper::StatusCode;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::connection::Entrance;
use super::figures::{Figures, count, milliseconds, percentile};
use super::load;
use super::open_loop::OpenLoop;
use crate::cli::Failure;
use crate::receiver;

/// No event may be on its way for longer than this.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is published, in turn; each has a webhook of its own.
pub(super) const TYPES: [&str; 4] = ["order.paid", "order.created", "order.updated", "order.scanned"];

/// Connections that publish. At a modest rate few are ever busy; a server
/// that stands still for a while needs the others.
const CONNECTIONS: usize = 16;

/// A receiver that notes when each event arrived first.
pub(super) struct Arrivals {
    address: SocketAddr,
    seen: Arc<Mutex<HashMap<String, Duration>>>,
    changed: Arc<Notify>,
    clock: Arc<dyn Clock>,
    stop: CancellationToken,
}

impl Drop for Arrivals {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Events whose way is timed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Journey {
    /// Events a second.
    pub(super) rate: f64,
    /// How long.
    pub(super) length: Duration,
    /// Bytes of an event.
    pub(super) event_bytes: usize,
}

impl Arrivals {
    /// Starts it.
    ///
    /// # Errors
    /// When it can't listen.
    pub(super) async fn start(clock: &Arc<dyn Clock>) -> Result<Self, Failure> {
        let seen: Arc<Mutex<HashMap<String, Duration>>> = Arc::default();
        let (changed, stop) = (Arc::new(Notify::new()), CancellationToken::new());
        let behaviour: receiver::Behaviour = {
            let (seen, changed, clock) = (Arc::clone(&seen), Arc::clone(&changed), Arc::clone(clock));
            Arc::new(move |received| {
                let arrived = clock.elapsed();
                let id = received.headers.get("webhook-id").and_then(|id| id.to_str().ok());
                seen.lock().entry(id.unwrap_or_default().to_owned()).or_insert(arrived);
                changed.notify_one();
                StatusCode::OK
            })
        };
        let address = receiver::start(behaviour, stop.clone()).await?;
        Ok(Self { address, seen, changed, clock: Arc::clone(clock), stop })
    }

    /// The settings of the webhooks that hear what is timed.
    pub(super) fn webhooks(&self) -> Vec<Value> {
        let webhook =
            |name: &str| json!({"name": name, "url": format!("http://{}/", self.address), "events": [name]});
        TYPES.map(webhook).into()
    }

    /// Publishes, waits until everything has arrived, and reads the figures.
    /// `name` tells this run of events from all others of the same database.
    ///
    /// # Errors
    /// When an event is not accepted, or does not arrive.
    pub(super) async fn time(
        &self,
        journey: Journey,
        entrance: &Entrance,
        name: &str,
    ) -> Result<Figures, Failure> {
        let id = {
            let name = name.to_owned();
            move |number: u64| format!("{name}-{number}")
        };
        let (of, bytes) = (id.clone(), journey.event_bytes);
        let open_loop = OpenLoop {
            rate: journey.rate,
            length: journey.length,
            connections: CONNECTIONS,
            body: Arc::new(move |number| body(number, &of(number), bytes)),
        };
        let sent = open_loop.publish(entrance, &self.clock, &CancellationToken::new()).await?;
        let mut ways = Vec::new();
        for number in 0..sent.events() {
            let arrived = self.arrival(&id(number)).await?;
            ways.push(arrived.saturating_sub(sent.pacing.due(number)));
        }
        self.seen.lock().clear();
        ways.sort_unstable();
        Ok(Figures::default()
            .with("events", count(ways.len() as u64))
            .with("end_to_end_p50_ms", milliseconds(percentile(&ways, 500)))
            .with("end_to_end_p99_ms", milliseconds(percentile(&ways, 990)))
            .with("end_to_end_most_ms", milliseconds(ways.last().copied().unwrap_or_default())))
    }

    /// Waits for an event, and tells when it came.
    async fn arrival(&self, id: &str) -> Result<Duration, Failure> {
        let wait = async {
            loop {
                let changed = self.changed.notified();
                if let Some(arrived) = self.seen.lock().get(id).copied() {
                    return arrived;
                }
                changed.await;
            }
        };
        let arrived = tokio::time::timeout(PATIENCE, wait).await;
        arrived.map_err(|_| format!("event {id} did not arrive within {} s", PATIENCE.as_secs()).into())
    }
}

fn body(number: u64, id: &str, bytes: usize) -> Bytes {
    let turn = usize::try_from(number % TYPES.len() as u64).unwrap_or_default();
    load::event(bytes, TYPES[turn], Some(id), number)
}
