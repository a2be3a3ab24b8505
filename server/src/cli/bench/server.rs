//! A server that is measured, on a database in a folder of its own.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use callboard_domain::clock::Clock;
use hyper::{Method, StatusCode};
use serde_json::{Value, json};

use super::connection::{Connection, Entrance};
use super::process::Process;
use crate::cli::Failure;

/// The operator's token.
pub(super) const TOKEN: &str = "callboard-bench-token";

/// How long a server may take to get ready.
const PATIENCE: Duration = Duration::from_mins(1);

/// How long to wait before a starting server is asked again.
const PAUSE: Duration = Duration::from_millis(1);

/// The URL of the database in a folder.
pub(super) fn database(folder: &Path) -> String {
    format!("sqlite:{}", folder.join("bench.db").display())
}

/// A running server.
pub(super) struct Server {
    /// Its process.
    pub(super) process: Process,
    address: SocketAddr,
    /// From its start until it said that it is ready.
    pub(super) ready_after: Duration,
}

impl Server {
    /// Starts a server on the database in `folder`, with further settings, and
    /// waits until it is ready.
    ///
    /// # Errors
    /// When it does not get ready.
    pub(super) async fn start(
        folder: &Path,
        settings: &[(&str, &str)],
        clock: &Arc<dyn Clock>,
    ) -> Result<Self, Failure> {
        Self::start_on(&database(folder), settings, clock).await
    }

    /// The same on the database that a URL names.
    ///
    /// # Errors
    /// When it does not get ready.
    pub(super) async fn start_on(
        database: &str,
        settings: &[(&str, &str)],
        clock: &Arc<dyn Clock>,
    ) -> Result<Self, Failure> {
        let address = free_address().await?;
        let listen = address.to_string();
        let mut variables = vec![
            ("CALLBOARD_ADMIN_TOKEN", TOKEN),
            // Not among the arguments: it may hold a password.
            ("CALLBOARD_DATABASE", database),
            ("CALLBOARD_EGRESS_ALLOW", "127.0.0.0/8"),
            ("CALLBOARD_LOG_FILTER", "warn"),
        ];
        variables.extend_from_slice(settings);
        let begun = clock.elapsed();
        let process = Process::start(&["serve", "--listen", &listen], &variables)?;
        let mut server = Self { process, address, ready_after: Duration::ZERO };
        while !server.is_ready().await {
            server.process.check()?;
            if clock.elapsed().saturating_sub(begun) > PATIENCE {
                return Err(format!("the server is not ready after {} s", PATIENCE.as_secs()).into());
            }
            tokio::time::sleep(PAUSE).await;
        }
        server.ready_after = clock.elapsed().saturating_sub(begun);
        Ok(server)
    }

    async fn is_ready(&self) -> bool {
        self.ask(Method::GET, "/readyz", None).await.is_ok_and(|(status, _)| status.is_success())
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<(StatusCode, Bytes), Failure> {
        let body = body.map_or_else(Bytes::new, |body| body.to_string().into());
        Connection::open(&self.entrance()).await?.send(method, path, body).await
    }

    /// Where events are published.
    pub(super) fn entrance(&self) -> Entrance {
        Entrance { address: self.address, path: "/v1/events", token: Some(TOKEN), tenant: None }
    }

    /// Makes `count` webhooks that hear what a load publishes.
    ///
    /// # Errors
    /// When it refuses.
    pub(super) async fn make_webhooks(&self, receiver: SocketAddr, count: u64) -> Result<(), Failure> {
        for number in 0..count {
            let name = format!("bench {number}");
            let settings =
                json!({"name": name, "url": format!("http://{receiver}/"), "events": ["order.paid"]});
            let (status, answer) = self.ask(Method::POST, "/v1/webhooks", Some(&settings)).await?;
            if !status.is_success() {
                return Err(
                    format!("a webhook was refused: {status} {}", String::from_utf8_lossy(&answer)).into()
                );
            }
        }
        Ok(())
    }

    /// Asks for a document.
    ///
    /// # Errors
    /// When it does not give it.
    pub(super) async fn get(&self, path: &str) -> Result<Value, Failure> {
        let (status, answer) = self.ask(Method::GET, path, None).await?;
        if status.is_success() {
            return Ok(serde_json::from_slice(&answer)?);
        }
        Err(format!("{path} was answered {status}").into())
    }

    /// Ends it, as a kill does.
    ///
    /// # Errors
    /// When it can't be ended.
    pub(super) async fn end(self) -> Result<(), Failure> {
        self.process.end().await
    }
}

/// An address that was free a moment ago.
async fn free_address() -> Result<SocketAddr, Failure> {
    Ok(tokio::net::TcpListener::bind("127.0.0.1:0").await?.local_addr()?)
}
