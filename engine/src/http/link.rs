//! One connection to a receiver, and one exchange at a time over it.
//!
//! hyper's connection future is not spawned: whoever uses the connection
//! drives it in the same task. That saves two task switches an exchange, lets
//! an idle connection cost no task, and closes the socket the moment a post is
//! given up.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use hyper::client::conn::http1::{self, Connection, SendRequest};
use hyper_util::rt::TokioIo;

use super::answer::{self, Answer};
use super::explain;
use super::progress::{Progress, Stage};
use super::wire::{Gauge, Wire};
use super::{Endpoint, Fault};

/// Most bytes that hyper buffers of an answer. It reads whatever its buffer has
/// room for, so this is rather where it stops reading than an exact limit.
const BUFFER_LIMIT: usize = 64 * 1024;

/// Longest answer after which a connection is still kept. hyper's buffer grows
/// with an answer and never shrinks, and thousands of connections may rest.
const SLIM_ANSWER: usize = 32 * 1024;

type Driver = Connection<TokioIo<Wire>, Full<Bytes>>;

/// A connection that is ready for one exchange.
pub(super) struct Link {
    sender: SendRequest<Full<Bytes>>,
    /// `None` once the connection has ended.
    driver: Option<Driver>,
    gauge: Arc<Gauge>,
    peer: SocketAddr,
}

/// How an exchange failed.
pub(super) enum Failure {
    /// Not one byte of the request was sent, and here it is again.
    Unsent(Box<Request<Full<Bytes>>>, Fault),
    /// The receiver may have seen the request.
    Sent(Fault),
}

impl Link {
    pub(super) async fn new(wire: Wire, gauge: Arc<Gauge>, peer: SocketAddr) -> hyper::Result<Self> {
        let mut builder = http1::Builder::new();
        builder.max_buf_size(BUFFER_LIMIT);
        let (sender, driver) = builder.handshake(TokioIo::new(wire)).await?;
        Ok(Self { sender, driver: Some(driver), gauge, peer })
    }

    /// Whether an idle connection still stands, as far as the kernel knows.
    pub(super) fn is_alive(&mut self) -> bool {
        self.gauge.probe(true);
        let alive = self.settle();
        self.gauge.probe(false);
        alive
    }

    /// Whether it is worth keeping for another exchange.
    pub(super) fn may_rest(&mut self) -> bool {
        self.gauge.read() <= SLIM_ANSWER && self.settle()
    }

    /// Lets the connection finish what it can without waiting; whether it is
    /// then ready for another exchange.
    fn settle(&mut self) -> bool {
        // Nobody waits for a connection at rest, so there is nobody to wake.
        let mut cx = Context::from_waker(Waker::noop());
        drive(&mut self.driver, &mut cx);
        self.driver.is_some() && self.sender.is_ready()
    }

    /// Sends the request and reads its answer.
    pub(super) async fn exchange(
        &mut self,
        endpoint: &Endpoint,
        request: Request<Full<Bytes>>,
        progress: &mut Progress<'_>,
    ) -> Result<Answer, Failure> {
        self.gauge.reset();
        progress.peer = Some(self.peer);
        progress.gauge = Some(Arc::clone(&self.gauge));
        progress.enter(Stage::Exchange);
        let sent = self.sender.try_send_request(request);
        let response = match along(&mut self.driver, sent).await {
            Ok(response) => response,
            Err(mut error) => {
                let fault = explain::exchange(endpoint, error.error(), progress);
                return Err(match error.take_message() {
                    Some(request) => Failure::Unsent(Box::new(request), fault),
                    None => Failure::Sent(fault),
                });
            }
        };
        if answer::headers_too_large(response.headers()) {
            return Err(Failure::Sent(explain::headers_too_large()));
        }
        progress.status = Some(response.status().as_u16());
        let read = answer::read(response, &mut progress.body);
        let read = along(&mut self.driver, read).await;
        read.map_err(|error| Failure::Sent(explain::exchange(endpoint, &error, progress)))
    }
}

/// Waits for `future` while driving the connection that it depends on.
async fn along<F: Future>(driver: &mut Option<Driver>, future: F) -> F::Output {
    let mut future = pin!(future);
    std::future::poll_fn(|cx| {
        if let Poll::Ready(output) = future.as_mut().poll(cx) {
            return Poll::Ready(output);
        }
        drive(driver, cx);
        future.as_mut().poll(cx)
    })
    .await
}

fn drive(driver: &mut Option<Driver>, cx: &mut Context<'_>) {
    if let Some(running) = driver
        && Pin::new(running).poll(cx).is_ready()
    {
        // What the end means reaches the exchange through its own future, for
        // which the connection has to be gone.
        *driver = None;
    }
}
