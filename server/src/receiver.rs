//! A small receiver on loopback, for the demonstration and the benchmark.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// A request that came in.
#[derive(Debug)]
pub struct Received {
    /// The path it was posted to.
    pub path: String,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

/// Says which status a request is answered with.
pub type Behaviour = Arc<dyn Fn(Received) -> StatusCode + Send + Sync>;

/// Starts a receiver on a free port of loopback, until `stop` is cancelled.
///
/// # Errors
/// When it can't listen.
pub async fn start(behaviour: Behaviour, stop: CancellationToken) -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = stop.cancelled() => return,
            };
            let Ok((stream, _)) = accepted else { continue };
            let _ = stream.set_nodelay(true);
            let behaviour = Arc::clone(&behaviour);
            let service = service_fn(move |request| answer(request, Arc::clone(&behaviour)));
            let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            let stop = stop.clone();
            tokio::spawn(async move {
                tokio::select! {
                    // A sender that goes away is its own affair.
                    _ = connection => {}
                    () = stop.cancelled() => {}
                }
            });
        }
    });
    Ok(address)
}

async fn answer(
    request: Request<Incoming>,
    behaviour: Behaviour,
) -> Result<Response<Empty<Bytes>>, Infallible> {
    let (parts, body) = request.into_parts();
    let mut response = Response::new(Empty::new());
    *response.status_mut() = match body.collect().await {
        Ok(body) => {
            let path = parts.uri.path().to_owned();
            behaviour(Received { path, headers: parts.headers, body: body.to_bytes() })
        }
        Err(_) => StatusCode::BAD_REQUEST,
    };
    Ok(response)
}
