//! Endpoints that are dead, each in its own way.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use hyper::StatusCode;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::cli::Failure;
use crate::receiver;

/// Most requests at a time for each webhook, so that a thousand of them do
/// not use up the sockets of a process.
const IN_FLIGHT: u32 = 2;

/// Seconds until a request to a silent endpoint is given up.
const TIMEOUT_SECONDS: u32 = 5;

/// Endpoints that are dead for as long as this lives.
pub(super) struct Sick {
    /// Nobody listens there.
    refusing: SocketAddr,
    /// It takes connections and never says anything.
    pub(super) silent: SocketAddr,
    /// It answers 503.
    unavailable: SocketAddr,
    _stop: DropGuard,
}

impl Sick {
    /// Starts them.
    ///
    /// # Errors
    /// When they can't listen.
    pub(super) async fn start() -> Result<Self, Failure> {
        let stop = CancellationToken::new();
        let refusing = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?.local_addr()?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let silent = listener.local_addr()?;
        tokio::spawn(stay_silent(listener, stop.clone()));
        let behaviour: receiver::Behaviour = Arc::new(|_| StatusCode::SERVICE_UNAVAILABLE);
        let unavailable = receiver::start(behaviour, stop.clone()).await?;
        Ok(Self { refusing, silent, unavailable, _stop: stop.drop_guard() })
    }

    /// The settings of webhooks at all kinds of them, in turn, that hear `types`.
    pub(super) fn webhooks(&self, types: &str) -> Vec<Value> {
        let webhook = |name: &str, address: SocketAddr| {
            json!({
                "name": name, "url": format!("http://{address}/"), "events": [types],
                "max_in_flight": IN_FLIGHT, "timeout_seconds": TIMEOUT_SECONDS,
            })
        };
        vec![
            webhook("refuses", self.refusing),
            webhook("is silent", self.silent),
            webhook("is unavailable", self.unavailable),
        ]
    }
}

/// Takes connections, and holds each until the other side closes it.
async fn stay_silent(listener: TcpListener, stop: CancellationToken) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return,
        };
        // Without a socket left, it is silent all the same: the kernel takes
        // connections, and nobody reads them.
        let Ok((mut stream, _)) = accepted else { return stop.cancelled().await };
        let stop = stop.clone();
        tokio::spawn(async move {
            let mut nowhere = tokio::io::sink();
            tokio::select! {
                _ = tokio::io::copy(&mut stream, &mut nowhere) => {}
                () = stop.cancelled() => {}
            }
        });
    }
}
