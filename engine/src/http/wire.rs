//! The bytes under a connection: plain or TLS, measured, and probed when idle.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::client::TlsStream;

use super::network::Stream;

/// Most bytes that one answer may take up on the wire, whatever they are:
/// interim answers, headers, chunk framing. What is worth keeping is far less.
const ANSWER_LIMIT: usize = 256 * 1024;

/// How much of an answer's start is remembered, to quote it.
const OPENING: usize = 48;

/// What is known of the bytes of the present exchange. Shared between the wire
/// and the connection's user; nothing here is contended.
#[derive(Default)]
pub(super) struct Gauge {
    probe: AtomicBool,
    read: AtomicUsize,
    opening: Mutex<Vec<u8>>,
}

impl Gauge {
    /// A new exchange begins.
    pub(super) fn reset(&self) {
        if self.read.swap(0, Ordering::Relaxed) > 0 {
            self.opening.lock().clear();
        }
    }

    /// Makes the next read ask the kernel, even if no wake-up came yet.
    pub(super) fn probe(&self, on: bool) {
        self.probe.store(on, Ordering::Relaxed);
    }

    /// Bytes of the answer so far.
    pub(super) fn read(&self) -> usize {
        self.read.load(Ordering::Relaxed)
    }

    /// Whether the answer was longer than any answer may be.
    pub(super) fn overrun(&self) -> bool {
        self.read() > ANSWER_LIMIT
    }

    /// How the answer begins, printable.
    pub(super) fn opening(&self) -> String {
        let bytes = self.opening.lock();
        let line = bytes.split(|byte| matches!(byte, b'\r' | b'\n')).find(|line| !line.is_empty());
        String::from_utf8_lossy(line.unwrap_or_default()).chars().filter(|c| !c.is_control()).collect()
    }

    fn record(&self, bytes: &[u8]) -> io::Result<()> {
        let before = self.read.fetch_add(bytes.len(), Ordering::Relaxed);
        if before == 0 {
            let start = bytes.get(..OPENING).unwrap_or(bytes);
            self.opening.lock().extend_from_slice(start);
        }
        if before + bytes.len() > ANSWER_LIMIT {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the answer is too long"));
        }
        Ok(())
    }
}

/// A connection that can be asked for news without waiting for a wake-up.
///
/// The runtime learns that a peer hung up some time after the kernel does. On
/// checking out an idle connection that gap would cost a delivery, so a probe
/// reads past the runtime's notion of readiness.
pub(super) struct Socket {
    stream: Box<dyn Stream>,
    gauge: Arc<Gauge>,
}

impl Socket {
    pub(super) fn new(stream: Box<dyn Stream>, gauge: Arc<Gauge>) -> Self {
        Self { stream, gauge }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.gauge.probe.swap(false, Ordering::Relaxed) {
            match self.stream.read_now(buf.initialize_unfilled()) {
                Ok(count) => {
                    buf.advance(count);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// What an exchange reads from and writes to.
pub(super) struct Wire {
    carrier: Carrier,
    gauge: Arc<Gauge>,
}

enum Carrier {
    Plain(Socket),
    Tls(Box<TlsStream<Socket>>),
}

impl Wire {
    pub(super) fn plain(socket: Socket) -> Self {
        Self { gauge: Arc::clone(&socket.gauge), carrier: Carrier::Plain(socket) }
    }

    pub(super) fn tls(stream: TlsStream<Socket>) -> Self {
        Self { gauge: Arc::clone(&stream.get_ref().0.gauge), carrier: Carrier::Tls(Box::new(stream)) }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = match &mut self.carrier {
            Carrier::Plain(socket) => Pin::new(socket).poll_read(cx, buf),
            Carrier::Tls(stream) => Pin::new(stream.as_mut()).poll_read(cx, buf),
        };
        match polled {
            Poll::Ready(Ok(())) if buf.filled().len() > before => {
                Poll::Ready(self.gauge.record(&buf.filled()[before..]))
            }
            other => other,
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.carrier {
            Carrier::Plain(socket) => Pin::new(socket).poll_write(cx, buf),
            Carrier::Tls(stream) => Pin::new(stream.as_mut()).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.carrier {
            Carrier::Plain(socket) => Pin::new(socket).poll_write_vectored(cx, bufs),
            Carrier::Tls(stream) => Pin::new(stream.as_mut()).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.carrier {
            Carrier::Plain(socket) => socket.is_write_vectored(),
            Carrier::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.carrier {
            Carrier::Plain(socket) => Pin::new(socket).poll_flush(cx),
            Carrier::Tls(stream) => Pin::new(stream.as_mut()).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.carrier {
            Carrier::Plain(socket) => Pin::new(socket).poll_shutdown(cx),
            Carrier::Tls(stream) => Pin::new(stream.as_mut()).poll_shutdown(cx),
        }
    }
}
