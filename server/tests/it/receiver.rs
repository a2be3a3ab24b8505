//! A receiver on loopback that answers from a script and records what came.

#![expect(clippy::expect_used, reason = "a test that can't go on has failed")]

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

/// Longest wait for a request.
const PATIENCE: Duration = Duration::from_secs(20);

/// A request as it came in.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Received {
    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }

    /// The header, or an empty text.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("a text"))
    }
}

/// One answer of a script.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    status: u16,
    header: Option<(&'static str, String)>,
    /// Answered only once this is cancelled.
    gate: Option<CancellationToken>,
}

impl Reply {
    pub(crate) const fn status(status: u16) -> Self {
        Self { status, header: None, gate: None }
    }

    pub(crate) fn header(self, name: &'static str, value: &str) -> Self {
        Self { header: Some((name, value.to_owned())), ..self }
    }

    /// The same, answered only when `gate` is cancelled.
    pub(crate) fn behind(self, gate: &CancellationToken) -> Self {
        Self { gate: Some(gate.clone()), ..self }
    }
}

struct Stage {
    script: Mutex<VecDeque<Reply>>,
    /// What is answered when the script is played.
    otherwise: Mutex<Reply>,
    requests: mpsc::UnboundedSender<Received>,
    answered: Arc<Notify>,
}

/// A listening receiver; it hangs up when dropped.
pub(crate) struct Receiver {
    address: SocketAddr,
    stage: Arc<Stage>,
    requests: Mutex<mpsc::UnboundedReceiver<Received>>,
    handle: Handle,
    stop: CancellationToken,
}

impl Receiver {
    /// Listens on a free port; signals `answered` with each answer.
    pub(crate) fn start(handle: Handle, answered: Arc<Notify>) -> Self {
        let (sender, requests) = mpsc::unbounded_channel();
        let otherwise = Mutex::new(Reply::status(200));
        let stage = Arc::new(Stage { script: Mutex::default(), otherwise, requests: sender, answered });
        let listener =
            handle.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).expect("a port to listen on");
        let address = listener.local_addr().expect("an address");
        let stop = CancellationToken::new();
        handle.spawn(stop.clone().run_until_cancelled_owned(accept(
            listener,
            Arc::clone(&stage),
            stop.clone(),
        )));
        Self { address, stage, requests: Mutex::new(requests), handle, stop }
    }

    /// Where it is called under this path.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Adds to the script.
    pub(crate) fn then(&self, reply: Reply) -> &Self {
        self.stage.script.lock().push_back(reply);
        self
    }

    /// Answers like this whenever the script is played.
    pub(crate) fn otherwise(&self, reply: Reply) {
        *self.stage.otherwise.lock() = reply;
    }

    /// The next request, as soon as it has come.
    pub(crate) fn next(&self) -> Received {
        let mut requests = self.requests.lock();
        let next = self.handle.block_on(async { tokio::time::timeout(PATIENCE, requests.recv()).await });
        next.expect("a request in time").expect("a receiver")
    }

    /// Requests that came and that nobody asked for.
    pub(crate) fn unexpected(&self) -> Vec<Received> {
        let mut requests = self.requests.lock();
        std::iter::from_fn(|| requests.try_recv().ok()).collect()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn accept(listener: TcpListener, stage: Arc<Stage>, stop: CancellationToken) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let stage = Arc::clone(&stage);
        let service = service_fn(move |request| answer(request, Arc::clone(&stage)));
        let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
        tokio::spawn(stop.clone().run_until_cancelled_owned(async move {
            // A sender that goes away is its own affair.
            let _ = connection.await;
        }));
    }
}

async fn answer(request: Request<Incoming>, stage: Arc<Stage>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let reply = stage.script.lock().pop_front();
    let reply = reply.unwrap_or_else(|| stage.otherwise.lock().clone());
    let received = Received { path: parts.uri.path().to_owned(), headers: parts.headers, body };
    // Nobody listens any more when the test is over.
    let _ = stage.requests.send(received);
    if let Some(gate) = &reply.gate {
        gate.cancelled().await;
    }
    let mut response = Response::builder().status(reply.status);
    if let Some((name, value)) = reply.header {
        response = response.header(name, value);
    }
    stage.answered.notify_waiters();
    Ok(response.body(Full::new(Bytes::from_static(b"noted"))).expect("an answer"))
}
