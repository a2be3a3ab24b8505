//! Accepts connections and answers requests until it is told to stop.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::DefaultBodyLimit;
use axum::handler::Handler as _;
use axum::http::{HeaderValue, Method, header};
use axum::response::Response;
use callboard_domain::measures::Entered;
use futures_util::FutureExt as _;
use futures_util::future::Either;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use super::connections::{Full, Place};
use super::patience::{Answer, Course, Patience, Patient};
use super::peer::Near;
use super::request::{Requests, Series};
use super::tls::Certificate;
use super::upload::Upload;
use super::{State, native, router};
use crate::config::{Limits, seconds};

/// How long requests under way may take after a stop was asked for.
const DRAIN: Duration = Duration::from_secs(10);

/// How long to wait when no connection can be accepted, as when the process
/// has no file handle left.
const PAUSE: Duration = Duration::from_millis(50);

/// How often it is logged at most that connections are refused.
const TOLD: Duration = Duration::from_mins(1);

/// What all connections share.
struct Entrance {
    router: TowerToHyperService<Router>,
    limits: Limits,
    patience: Patience,
    /// Where TLS is spoken.
    certificate: Option<Arc<Certificate>>,
    requests: Requests,
    state: State,
    stop: CancellationToken,
}

/// Serves until `stop` is cancelled and the time to drain has passed, then answers
/// what it has.
///
/// # Errors
/// None at present; a listener that fails is tried again.
pub async fn serve(listener: TcpListener, state: State, stop: CancellationToken) -> std::io::Result<()> {
    let options = &state.inner.options;
    let drain = options.drain;
    let closing = state.inner.closing.clone();
    // Another listener of this state would be told to stop by the same word.
    let _ = state.inner.stopping.set(stop.clone());
    let limits = options.limits.clone();
    let places = Arc::clone(&state.inner.connections);
    let certificate = options.certificate.clone();
    if let Some(certificate) = &certificate {
        let every = options.certificate_looked_at;
        tokio::spawn(Arc::clone(certificate).follow(every, closing.clone()));
    }
    let mut refusals = Refusals::new(&state);
    if let Some(issuer) = &state.inner.issuer {
        // So that the first token need not wait for it.
        tokio::spawn(Arc::clone(&issuer.keys).begin());
    }
    let quota = (state.clone(), closing.clone());
    tokio::spawn(async move {
        let (state, stop) = quota;
        if let Some(quota) = &state.inner.quota {
            quota.follow(&*state.inner.store, stop).await;
        }
    });
    let patience = Patience {
        idle: seconds(limits.idle_seconds),
        headers: seconds(limits.header_seconds),
        stall: seconds(limits.stall_seconds),
        answer: seconds(limits.answer_seconds),
    };
    let measures = Arc::clone(&state.inner.measures);
    let requests = Requests::new(&state);
    let router = TowerToHyperService::new(router(state.clone()));
    let entrance =
        Arc::new(Entrance { router, limits, patience, certificate, requests, state, stop: closing.clone() });
    let connections = TaskTracker::new();
    let mut drained = std::pin::pin!(async {
        stop.cancelled().await;
        tokio::time::sleep(drain).await;
    });
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = drained.as_mut() => break,
        };
        match accepted {
            Ok((stream, address)) => match places.admit(address.ip()) {
                Ok(place) => {
                    let place = (place, measures.api.connections.enter());
                    connections.spawn(Arc::clone(&entrance).welcome(stream, address, place));
                }
                Err(full) => {
                    measures.api.refused.one();
                    refusals.refuse(&stream, address, full);
                }
            },
            Err(error) => {
                tracing::warn!(%error, "can't accept a connection");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
    drop(listener);
    closing.cancel();
    connections.close();
    if tokio::time::timeout(DRAIN, connections.wait()).await.is_err() {
        tracing::warn!("requests still under way after {DRAIN:?} are cut off");
    }
    Ok(())
}

impl Entrance {
    async fn welcome(self: Arc<Self>, stream: TcpStream, address: SocketAddr, place: (Place, Entered)) {
        // Answers are small and single: waiting to fill a packet only delays them.
        let _ = stream.set_nodelay(true);
        let near = Near { address: address.ip(), tls: self.certificate.is_some() };
        match &self.certificate {
            None => self.connection(stream, near).await,
            Some(certificate) => {
                let shaken = tokio::select! {
                    shaken = tokio::time::timeout(self.patience.headers, certificate.acceptor().accept(stream)) => shaken,
                    () = self.stop.cancelled() => return,
                };
                match shaken {
                    Ok(Ok(stream)) => self.connection(stream, near).await,
                    Ok(Err(error)) => tracing::debug!(%error, "a client's TLS handshake failed"),
                    Err(_) => tracing::debug!("a client's TLS handshake took too long"),
                }
            }
        }
        drop(place);
    }

    async fn connection<S: AsyncRead + AsyncWrite + Unpin>(&self, stream: S, near: Near) {
        let course = Arc::new(Course::new());
        let stream = Patient::new(stream, Arc::clone(&course), self.patience);
        let body_time = seconds(self.limits.body_seconds);
        let series = Series::new(&self.state);
        // Here and not as a layer, which each route would box its requests for.
        let body_limit = DefaultBodyLimit::max(self.state.inner.options.body_limit());
        let service = service_fn(move |request: Request<Incoming>| {
            course.begin();
            let begun = (request.method(), request.uri(), request.headers());
            let begun = self.requests.begin(near.address, &series, begun);
            let mut request = request.map(|body| Upload::new(body, body_time));
            request.extensions_mut().insert(near);
            body_limit.apply(&mut request);
            let answering = answer(&self.router, &self.state, request).instrument(begun.span());
            let course = Arc::clone(&course);
            async move {
                let mut response = answering.await;
                self.requests.end(begun, &mut response);
                if goes_on(&response) {
                    course.goes_on();
                }
                Ok::<_, std::convert::Infallible>(response.map(|body| Answer { body, course }))
            }
        });
        let served = http1::Builder::new()
            .timer(TokioTimer::new())
            // The stream's own patience is shorter. This makes the reader ask
            // the stream again when an answer is done, so that it can begin.
            .header_read_timeout(self.patience.idle + self.patience.headers + self.patience.answer)
            .max_buf_size(self.limits.header_kib * 1024)
            .max_headers(self.limits.max_headers)
            .serve_connection(TokioIo::new(stream), service);
        let mut served = std::pin::pin!(served);
        tokio::select! {
            ended = served.as_mut() => return note(ended),
            () = self.stop.cancelled() => served.as_mut().graceful_shutdown(),
        }
        note(served.await);
    }
}

/// Answers a request by its route. Publishing is what nearly all requests do when much is
/// sold, so that one is not looked for.
fn answer(
    router: &TowerToHyperService<Router>,
    state: &State,
    request: Request<Upload>,
) -> impl Future<Output = Response> + use<> {
    let publishes = request.method() == Method::POST && request.uri().path() == "/v1/events";
    if publishes {
        Either::Left(native::publish.call(request.map(Body::new), state.clone()))
    } else {
        Either::Right(router.call(request).map(|answered| answered.unwrap_or_else(|never| match never {})))
    }
}

/// Whether an answer goes on for as long as its client listens.
fn goes_on(response: &Response) -> bool {
    let stream = HeaderValue::from_static("text/event-stream");
    response.headers().get(header::CONTENT_TYPE) == Some(&stream)
}

fn note(ended: Result<(), hyper::Error>) {
    if let Err(error) = ended {
        tracing::debug!(%error, "a client's connection ended early");
    }
}

/// Tells those for whom there is no place, and now and then the operator.
struct Refusals {
    state: State,
    told: Option<Duration>,
}

impl Refusals {
    fn new(state: &State) -> Self {
        Self { state: state.clone(), told: None }
    }

    fn refuse(&mut self, stream: &TcpStream, address: SocketAddr, full: Full) {
        // A new connection has room for so little; who does not get it, or expects
        // TLS, sees that the connection is closed.
        if self.state.inner.options.certificate.is_none() {
            let _ = stream.try_write(full.answer());
        }
        let now = self.state.inner.clock.elapsed();
        if self.told.is_none_or(|told| now.saturating_sub(told) >= TOLD) {
            self.told = Some(now);
            tracing::warn!(%address, ?full, "connections are refused; see limits.max_connections");
        }
    }
}
