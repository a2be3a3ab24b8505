//! One connection to a receiver, and one exchange at a time over it.
//!
//! HTTP/1.1 is spoken here and not by a library's client, because an exchange is all
//! that a delivery is: see docs/decisions/0004-own-connection-pool-and-address-guard.md.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use bytes::buf::Chain;
use bytes::{Buf as _, Bytes, BytesMut};
use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};
use tokio_util::io::{poll_read_buf, poll_write_buf};

use super::answer::{Answer, Reader};
use super::explain;
use super::framing::Malformed;
use super::progress::{Progress, Stage};
use super::request::Request;
use super::wire::{Gauge, Wire};
use super::{Endpoint, Fault};

/// Bytes that are read at a time, at least: more than most answers have.
const READ: usize = 2 * 1024;

/// Largest buffer of a connection that is kept: there may be thousands at rest.
const SLIM: usize = 8 * 1024;

/// A connection.
pub(super) struct Link {
    wire: Wire,
    gauge: Arc<Gauge>,
    peer: SocketAddr,
    /// What came and was not read yet.
    unread: BytesMut,
    /// Whether the last exchange left nothing behind, and the receiver goes on.
    may_rest: bool,
}

/// How an exchange failed.
pub(super) enum Failure {
    /// Not one byte of the request was sent.
    Unsent(Fault),
    /// The receiver may have seen the request.
    Sent(Fault),
}

/// What ended an exchange before the answer's end.
#[derive(Debug)]
pub(super) enum Broken {
    /// The connection failed.
    Io(io::Error),
    /// The receiver closed the connection.
    Closed,
    /// What it sent is no answer.
    Malformed(Malformed),
}

/// A request on its way.
struct Sending {
    rest: Chain<Bytes, Bytes>,
    begun: bool,
    flushed: bool,
    /// The receiver takes no more of it. It may have answered all the same.
    refused: bool,
}

impl Sending {
    fn new(request: &Request) -> Self {
        Self {
            rest: request.head.clone().chain(request.body.clone()),
            begun: false,
            flushed: false,
            refused: false,
        }
    }

    /// Whether all of it is out.
    fn is_done(&self) -> bool {
        self.flushed && !self.rest.has_remaining()
    }

    /// Sends as much as the connection takes now.
    fn advance(&mut self, wire: &mut Wire, cx: &mut Context<'_>) -> io::Result<()> {
        while self.rest.has_remaining() && !self.refused {
            match poll_write_buf(Pin::new(&mut *wire), cx, &mut self.rest) {
                Poll::Ready(Ok(0)) => self.refused = true,
                Poll::Ready(Ok(_)) => self.begun = true,
                Poll::Ready(Err(error)) if !self.begun => return Err(error),
                Poll::Ready(Err(_)) => self.refused = true,
                Poll::Pending => return Ok(()),
            }
        }
        if !self.flushed && !self.refused {
            match Pin::new(wire).poll_flush(cx) {
                Poll::Ready(Ok(())) => self.flushed = true,
                Poll::Ready(Err(_)) => self.refused = true,
                Poll::Pending => {}
            }
        }
        Ok(())
    }
}

impl Link {
    pub(super) fn new(wire: Wire, gauge: Arc<Gauge>, peer: SocketAddr) -> Self {
        Self { wire, gauge, peer, unread: BytesMut::new(), may_rest: false }
    }

    /// Whether an idle connection still stands, as far as the kernel knows.
    pub(super) fn is_alive(&mut self) -> bool {
        self.gauge.probe(true);
        // Nobody waits for a connection at rest, so there is nobody to wake. Whatever
        // comes now answers nothing.
        let mut cx = Context::from_waker(Waker::noop());
        let mut one = [0];
        let polled = Pin::new(&mut self.wire).poll_read(&mut cx, &mut ReadBuf::new(&mut one));
        self.gauge.probe(false);
        polled.is_pending()
    }

    /// Whether it may be kept for another exchange.
    pub(super) fn may_rest(&self) -> bool {
        self.may_rest && self.unread.capacity() <= SLIM
    }

    /// Sends the request and reads its answer.
    pub(super) async fn exchange(
        &mut self,
        endpoint: &Endpoint,
        request: &Request,
        progress: &mut Progress<'_>,
    ) -> Result<Answer, Failure> {
        self.may_rest = false;
        self.gauge.reset();
        progress.peer = Some(self.peer);
        progress.gauge = Some(Arc::clone(&self.gauge));
        progress.enter(Stage::Exchange);
        let (mut sending, mut reader) = (Sending::new(request), Reader::default());
        let ended = std::future::poll_fn(|cx| self.advance(cx, &mut sending, &mut reader, progress)).await;
        if let Err(broken) = ended {
            let fault = explain::exchange(endpoint, &broken, progress);
            return Err(if sending.begun { Failure::Sent(fault) } else { Failure::Unsent(fault) });
        }
        let (answer, persists) = reader.finish();
        // An answer that came early leaves a request that is half sent; one with more
        // behind it would be taken for the next one's.
        self.may_rest = persists && sending.is_done() && self.unread.is_empty();
        Ok(answer)
    }

    /// Goes on until the answer is complete. A receiver may answer before it has read
    /// the request, or without ever reading it.
    fn advance(
        &mut self,
        cx: &mut Context<'_>,
        sending: &mut Sending,
        reader: &mut Reader,
        progress: &mut Progress<'_>,
    ) -> Poll<Result<(), Broken>> {
        if let Err(error) = sending.advance(&mut self.wire, cx) {
            return Poll::Ready(Err(Broken::Io(error)));
        }
        loop {
            self.unread.reserve(READ);
            let received = ready!(poll_read_buf(Pin::new(&mut self.wire), cx, &mut self.unread));
            let ended = match received {
                Ok(0) if reader.ends_with_connection() => Ok(true),
                Ok(0) => Err(Broken::Closed),
                Ok(_) => reader.read(&mut self.unread).map_err(Broken::Malformed),
                // Many TLS servers leave without the farewell that TLS asks for.
                Err(error)
                    if error.kind() == io::ErrorKind::UnexpectedEof && reader.ends_with_connection() =>
                {
                    Ok(true)
                }
                Err(error) => Err(Broken::Io(error)),
            };
            (progress.status, progress.body) = (reader.status(), reader.body());
            match ended {
                Ok(true) => return Poll::Ready(Ok(())),
                Ok(false) => {}
                Err(broken) => return Poll::Ready(Err(broken)),
            }
        }
    }
}
