//! Publishes as fast as answers come: each connection sends its next event
//! when the one before was answered.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use callboard_domain::clock::Clock;
use hyper::StatusCode;
use serde_json::{Value, json};

use super::connection::{Connection, Entrance};
use super::counter::Counter;
use super::figures::{Figures, count, milliseconds, per_second, percentile};
use super::process::Process;
use crate::cli::Failure;

/// Orders that are published about, in turn: with a single one, the log by
/// subject would cost less than it does anywhere else.
const ORDERS: u64 = 1_000;

/// What to publish.
#[derive(Debug, Clone, Copy)]
pub(super) struct Load {
    /// Connections at the same time.
    pub(super) connections: usize,
    /// Bytes of an event.
    pub(super) event_bytes: usize,
    /// Events of a request; a single one is no array.
    pub(super) batch: usize,
    /// How long.
    pub(super) length: Duration,
    /// How often each event arrives.
    pub(super) copies: u64,
}

/// What came of publishing.
#[derive(Debug)]
struct Published {
    /// Events that were accepted.
    events: u64,
    /// How long each answer took, sorted.
    waits: Vec<Duration>,
}

impl Load {
    /// Publishes for the length of the load, waits until everything has
    /// arrived, and reads the figures.
    ///
    /// # Errors
    /// When an event is not accepted, or does not arrive.
    pub(super) async fn measure(
        &self,
        entrance: &Entrance,
        process: &Process,
        counter: &Counter,
        clock: &Arc<dyn Clock>,
    ) -> Result<Figures, Failure> {
        self.measure_all(std::slice::from_ref(entrance), &[process], counter, clock).await
    }

    /// The same with several processes; the connections are shared out among their
    /// entrances.
    ///
    /// # Errors
    /// When an event is not accepted, or does not arrive.
    pub(super) async fn measure_all(
        &self,
        entrances: &[Entrance],
        processes: &[&Process],
        counter: &Counter,
        clock: &Arc<dyn Clock>,
    ) -> Result<Figures, Failure> {
        let used = || processes.iter().filter_map(|process| process.processor_time()).sum::<Duration>();
        let used_before = used();
        let arrived_before = counter.arrived();
        let begun = clock.elapsed();
        let published = self.publish(entrances, clock).await?;
        let publishing = clock.elapsed().saturating_sub(begun);
        let deliveries = published.events * self.copies;
        counter.wait_for(arrived_before + deliveries).await?;
        let took = clock.elapsed().saturating_sub(begun);
        let used = used().saturating_sub(used_before);
        let memory = processes.iter().map(|process| process.peak_memory().unwrap_or(f64::NAN)).sum();
        Ok(Figures::default()
            .with("events", count(published.events))
            .with("deliveries", count(deliveries))
            .with("accepted_events_per_second", per_second(published.events, publishing))
            .with("deliveries_per_second", per_second(deliveries, took))
            .with("cpu_us_per_delivery", used.as_secs_f64() * 1e6 / count(deliveries.max(1)))
            .with("memory_mib", memory)
            .with("publish_p50_ms", milliseconds(percentile(&published.waits, 500)))
            .with("publish_p99_ms", milliseconds(percentile(&published.waits, 990))))
    }

    async fn publish(&self, entrances: &[Entrance], clock: &Arc<dyn Clock>) -> Result<Published, Failure> {
        let bodies: Arc<[Bytes]> = self.bodies().into();
        let mut publishers = tokio::task::JoinSet::new();
        let mut connections = Vec::with_capacity(self.connections);
        for entrance in entrances.iter().cycle().take(self.connections) {
            connections.push(Connection::open(entrance).await?);
        }
        let end = clock.elapsed() + self.length;
        for (number, mut connection) in connections.into_iter().enumerate() {
            let (clock, bodies) = (Arc::clone(clock), Arc::clone(&bodies));
            publishers.spawn(async move {
                let mut waits = Vec::new();
                // Each begins elsewhere, or all would publish about the same order.
                let mut following = bodies.iter().cycle().skip(number * bodies.len() / 64);
                while clock.elapsed() < end {
                    let Some(body) = following.next() else { break };
                    let begun = clock.elapsed();
                    accepted(connection.post(body.clone()).await?)?;
                    waits.push(clock.elapsed().saturating_sub(begun));
                }
                Ok::<_, Failure>(waits)
            });
        }
        let mut waits = Vec::new();
        while let Some(publisher) = publishers.join_next().await {
            waits.extend(publisher??);
        }
        waits.sort_unstable();
        Ok(Published { events: (waits.len() * self.batch) as u64, waits })
    }

    /// One request after the other.
    fn bodies(&self) -> Vec<Bytes> {
        let events = orders(self.event_bytes);
        if self.batch == 1 { events } else { events.chunks(self.batch).map(batch).collect() }
    }
}

/// Insists that what was published is accepted.
///
/// # Errors
/// When it is not.
pub(super) fn accepted(status: StatusCode) -> Result<(), Failure> {
    if status == StatusCode::ACCEPTED {
        return Ok(());
    }
    Err(format!("an event was answered {status}").into())
}

/// An array of events.
pub(super) fn batch(events: &[Bytes]) -> Bytes {
    let mut array = vec![b'['];
    for (number, event) in events.iter().enumerate() {
        array.extend_from_slice(if number == 0 { b"" } else { b"," });
        array.extend_from_slice(event);
    }
    array.push(b']');
    array.into()
}

/// Events of about `bytes`, each about another order.
pub(super) fn orders(bytes: usize) -> Vec<Bytes> {
    (0..ORDERS).map(|order| event(bytes, "order.paid", None, order)).collect()
}

/// An event of about `bytes` about an order. Without an id, each is a new one.
pub(super) fn event(bytes: usize, type_name: &str, id: Option<&str>, order: u64) -> Bytes {
    let with = |padding: &str| {
        let mut event = json!({
            "type": type_name, "occurred_at": "2026-11-21T19:00:00Z",
            "subject": {"id": order.to_string(), "name": format!("Order {order}")},
            "related": {"event": ["24724"], "ticket": ["408218"], "shop": ["12"]},
            "data": {"total": {"amount": 10, "currency": "EUR"}, "note": padding},
        });
        if let Some(id) = id {
            event["id"] = Value::from(id);
        }
        event.to_string()
    };
    let missing = bytes.saturating_sub(with("").len());
    with(&"x".repeat(missing)).into()
}
