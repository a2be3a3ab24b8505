//! A receiver that counts what arrives.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hyper::StatusCode;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::cli::Failure;
use crate::receiver;

/// Nothing may be missing for longer than this.
const PATIENCE: Duration = Duration::from_secs(10);

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

    /// How many have arrived since it was started.
    pub(super) fn arrived(&self) -> u64 {
        self.arrived.load(Ordering::Relaxed)
    }

    /// Waits until `wanted` have arrived since it was started.
    ///
    /// # Errors
    /// When nothing has arrived for ten seconds.
    pub(super) async fn wait_for(&self, wanted: u64) -> Result<(), Failure> {
        loop {
            let changed = self.changed.notified();
            let arrived = self.arrived();
            if arrived >= wanted {
                return Ok(());
            }
            if tokio::time::timeout(PATIENCE, changed).await.is_err() {
                return Err(format!("only {arrived} of {wanted} deliveries arrived").into());
            }
        }
    }
}
