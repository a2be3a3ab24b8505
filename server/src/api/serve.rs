//! Accepts connections and answers requests until it is told to stop.

use std::net::SocketAddr;
use std::time::Duration;

use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::patience::Patient;
use super::{State, router};

/// How long a client may take to send the headers of a request.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// How long requests under way may take after a stop was asked for.
const DRAIN: Duration = Duration::from_secs(10);

/// How long to wait when no connection can be accepted, as when the process
/// has no file handle left.
const PAUSE: Duration = Duration::from_millis(50);

/// The other end of the connection that a request came by.
#[derive(Debug, Clone, Copy)]
pub(super) struct PeerAddress(pub(super) SocketAddr);

/// Tells answers that would go on for ever that the program stops.
#[derive(Debug, Clone)]
pub(super) struct Stopping(pub(super) CancellationToken);

/// Serves until `stop` is cancelled, then answers what it has.
///
/// # Errors
/// None at present; a listener that fails is tried again.
pub async fn serve(listener: TcpListener, state: State, stop: CancellationToken) -> std::io::Result<()> {
    let router = router(state).layer(Extension(Stopping(stop.clone())));
    let connections = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => break,
        };
        match accepted {
            Ok((stream, peer)) => {
                connections.spawn(connection((stream, peer), router.clone(), stop.clone()));
            }
            Err(error) => {
                tracing::warn!(%error, "can't accept a connection");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
    drop(listener);
    connections.close();
    if tokio::time::timeout(DRAIN, connections.wait()).await.is_err() {
        tracing::warn!("requests still under way after {DRAIN:?} are cut off");
    }
    Ok(())
}

async fn connection((stream, peer): (TcpStream, SocketAddr), router: Router, stop: CancellationToken) {
    // Answers are small and single: waiting to fill a packet only delays them.
    let _ = stream.set_nodelay(true);
    let router = TowerToHyperService::new(router);
    let from_peer = service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(PeerAddress(peer));
        router.call(request)
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .serve_connection(TokioIo::new(Patient::new(stream)), from_peer);
    let mut served = std::pin::pin!(served);
    tokio::select! {
        ended = served.as_mut() => return note(ended),
        () = stop.cancelled() => served.as_mut().graceful_shutdown(),
    }
    note(served.await);
}

fn note(ended: Result<(), hyper::Error>) {
    if let Err(error) = ended {
        tracing::debug!(%error, "a client's connection ended early");
    }
}
