//! Publishes as fast as answers come, and counts what arrives.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use callboard_domain::clock::Clock;
use hyper::StatusCode;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::connection::Connection;
use crate::cli::Failure;
use crate::receiver;

/// What to publish.
#[derive(Debug, Clone)]
pub(super) struct Load {
    /// Connections at the same time.
    pub(super) connections: usize,
    /// Bytes of an event.
    pub(super) event_bytes: usize,
    /// How long.
    pub(super) length: Duration,
    /// How often each event arrives.
    pub(super) copies: usize,
}

/// Counts what arrives.
pub(super) struct Counter {
    /// Where it listens.
    pub(super) address: SocketAddr,
    arrived: Arc<AtomicU64>,
    changed: Arc<Notify>,
    stop: CancellationToken,
}

impl Drop for Counter {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Counter {
    /// A receiver that answers 200 and counts.
    ///
    /// # Errors
    /// When it can't listen.
    pub(super) async fn start() -> Result<Self, Failure> {
        let (arrived, changed) = (Arc::new(AtomicU64::new(0)), Arc::new(Notify::new()));
        let stop = CancellationToken::new();
        let (counted, notify) = (Arc::clone(&arrived), Arc::clone(&changed));
        let behaviour: receiver::Behaviour = Arc::new(move |_| {
            counted.fetch_add(1, Ordering::Relaxed);
            notify.notify_one();
            StatusCode::OK
        });
        let address = receiver::start(behaviour, stop.clone()).await?;
        Ok(Self { address, arrived, changed, stop })
    }

    /// Waits until `wanted` have arrived.
    ///
    /// # Errors
    /// When nothing has arrived for ten seconds.
    pub(super) async fn wait_for(&self, wanted: u64) -> Result<(), Failure> {
        loop {
            let changed = self.changed.notified();
            let arrived = self.arrived.load(Ordering::Relaxed);
            if arrived >= wanted {
                return Ok(());
            }
            if tokio::time::timeout(Duration::from_secs(10), changed).await.is_err() {
                return Err(format!("only {arrived} of {wanted} deliveries arrived").into());
            }
        }
    }
}

/// What came of publishing.
#[derive(Debug, Default)]
pub(super) struct Published {
    /// Events that were accepted.
    pub(super) accepted: u64,
    /// How long each answer took, sorted.
    pub(super) waits: Vec<Duration>,
}

/// Publishes at `to` for the length of the load.
///
/// # Errors
/// When an event is not accepted.
pub(super) async fn publish(
    load: &Load,
    to: SocketAddr,
    path: &'static str,
    token: Option<&str>,
    clock: &Arc<dyn Clock>,
) -> Result<Published, Failure> {
    let body = event(load.event_bytes);
    let end = clock.elapsed() + load.length;
    let mut publishers = Vec::new();
    for _ in 0..load.connections {
        let mut connection = Connection::open(to, token).await?;
        let (clock, body) = (Arc::clone(clock), body.clone());
        publishers.push(tokio::spawn(async move {
            let mut waits = Vec::new();
            while clock.elapsed() < end {
                let begun = clock.elapsed();
                let status = connection.post(path, body.clone()).await?;
                if status != StatusCode::ACCEPTED {
                    return Err(Failure::from(format!("an event was answered {status}")));
                }
                waits.push(clock.elapsed().saturating_sub(begun));
            }
            Ok(waits)
        }));
    }
    let mut published = Published::default();
    for publisher in publishers {
        published.waits.extend(publisher.await??);
    }
    published.accepted = published.waits.len() as u64;
    published.waits.sort_unstable();
    Ok(published)
}

/// An event of `bytes`: a paid order. It has no id, so that each is a new one.
fn event(bytes: usize) -> Bytes {
    let with = |padding: &str| {
        serde_json::json!({
            "type": "order.paid", "occurred_at": "2026-11-21T19:00:00Z",
            "subject": {"id": "9917", "name": "Order 9917"},
            "related": {"event": ["24724"], "ticket": ["408218"], "shop": ["12"]},
            "data": {"total": {"amount": 10, "currency": "EUR"}, "note": padding},
        })
        .to_string()
    };
    let missing = bytes.saturating_sub(with("").len());
    with(&"x".repeat(missing)).into()
}
