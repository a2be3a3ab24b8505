//! How long a client may take: a connection whose client keeps it waiting for
//! too long is given up, because it would hold its place and memory for ever.
//!
//! What it is waited for is the connection's [`Course`]. Requests set it, and the
//! stream of bytes below goes by it.

use std::io::{Error, ErrorKind, IoSlice, Result};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use hyper::body::{Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// How long a client may take for what.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// Until the next request on a connection begins.
    pub idle: Duration,
    /// For the headers of a request, from their first byte on; for the first
    /// request, from the connection on.
    pub headers: Duration,
    /// For reading anything of an answer that is ready.
    pub stall: Duration,
    /// For an answer, from where it first had to wait for its client; one that
    /// goes on has no such end.
    pub answer: Duration,
}

/// What a connection is about.
#[derive(Debug)]
pub(super) struct Course {
    stage: AtomicU8,
    /// How many requests there were.
    requests: AtomicU32,
}

/// What a client is to do next.
const BEGIN: u8 = 0;
const SEND_HEADERS: u8 = 1;
const READ: u8 = 2;
const LISTEN: u8 = 3;

impl Course {
    /// A new connection, which is there for a request.
    pub(super) const fn new() -> Self {
        Self { stage: AtomicU8::new(SEND_HEADERS), requests: AtomicU32::new(0) }
    }

    /// A request has come.
    pub(super) fn begin(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.stage.store(READ, Ordering::Relaxed);
    }

    /// The answer goes on for as long as its client listens.
    pub(super) fn goes_on(&self) {
        self.stage.store(LISTEN, Ordering::Relaxed);
    }

    fn stage(&self) -> u8 {
        self.stage.load(Ordering::Relaxed)
    }
}

/// The body of an answer. When it is given up, the connection is there for the
/// next request.
pub(super) struct Answer {
    pub(super) body: Body,
    pub(super) course: Arc<Course>,
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<std::result::Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.course.stage.store(BEGIN, Ordering::Relaxed);
    }
}

type Timer = Pin<Box<Sleep>>;

fn timer(time: Duration) -> Timer {
    Box::pin(tokio::time::sleep(time))
}

fn too_late<T>(what: &str) -> Poll<Result<T>> {
    Poll::Ready(Err(Error::new(ErrorKind::TimedOut, what)))
}

/// A stream that fails when its client takes too long.
#[derive(Debug)]
pub(super) struct Patient<S> {
    stream: S,
    course: Arc<Course>,
    patience: Patience,
    /// Runs while a read can't get on, at this stage.
    reading: Option<(u8, Timer)>,
    /// Runs while a write can't get on.
    stall: Option<Timer>,
    /// Runs since a write of the answer to this request could not get on.
    answer: Option<(u32, Timer)>,
}

impl<S> Patient<S> {
    pub(super) const fn new(stream: S, course: Arc<Course>, patience: Patience) -> Self {
        Self { stream, course, patience, reading: None, stall: None, answer: None }
    }

    fn judge_read(&mut self, context: &mut Context<'_>) -> Poll<Result<()>> {
        let stage = self.course.stage();
        let time = match stage {
            BEGIN => self.patience.idle,
            SEND_HEADERS => self.patience.headers,
            // The body of a request has a time of its own.
            _ => {
                self.reading = None;
                return Poll::Pending;
            }
        };
        loop {
            match &mut self.reading {
                Some((of, running)) if *of == stage => {
                    ready!(running.as_mut().poll(context));
                    // The end of the last answer is not read yet.
                    if stage == SEND_HEADERS || self.stall.is_none() {
                        return too_late("the client sends no request");
                    }
                    self.reading = None;
                }
                other => *other = Some((stage, timer(time))),
            }
        }
    }

    fn judge_write<T>(&mut self, context: &mut Context<'_>, written: Poll<Result<T>>) -> Poll<Result<T>> {
        if written.is_ready() {
            self.stall = None;
            return written;
        }
        let stall = self.stall.get_or_insert_with(|| timer(self.patience.stall));
        if stall.as_mut().poll(context).is_ready() {
            return too_late("the client reads nothing");
        }
        if self.course.stage() == LISTEN {
            return Poll::Pending;
        }
        let request = self.course.requests.load(Ordering::Relaxed);
        if self.answer.as_ref().is_none_or(|(of, _)| *of != request) {
            self.answer = Some((request, timer(self.patience.answer)));
        }
        if let Some((_, answer)) = &mut self.answer {
            ready!(answer.as_mut().poll(context));
        }
        too_late("the client reads too slowly")
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        let before = buffer.filled().len();
        match Pin::new(&mut self.stream).poll_read(context, buffer) {
            Poll::Pending => self.judge_read(context),
            read @ Poll::Ready(_) => {
                if buffer.filled().len() > before && self.course.stage() == BEGIN {
                    self.course.stage.store(SEND_HEADERS, Ordering::Relaxed);
                    self.reading = None;
                }
                read
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.judge_write(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, parts);
        self.judge_write(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        self.judge_write(context, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        let shut = Pin::new(&mut self.stream).poll_shutdown(context);
        self.judge_write(context, shut)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

    use super::*;

    const PATIENCE: Patience = Patience {
        idle: Duration::from_secs(75),
        headers: Duration::from_secs(10),
        stall: Duration::from_secs(20),
        answer: Duration::from_mins(5),
    };

    fn connect() -> (DuplexStream, Patient<DuplexStream>, Arc<Course>) {
        let (client, server) = duplex(10);
        let course = Arc::new(Course::new());
        (client, Patient::new(server, Arc::clone(&course), PATIENCE), course)
    }

    /// Seconds of the paused clock that `work` takes.
    async fn seconds<T>(work: impl Future<Output = T>) -> (u64, T) {
        #[expect(clippy::disallowed_methods, reason = "the clock is paused")]
        let began = tokio::time::Instant::now();
        let done = work.await;
        (began.elapsed().as_secs(), done)
    }

    #[tokio::test(start_paused = true)]
    async fn who_reads_nothing_is_given_up_and_who_reads_slowly_is_not() {
        let (mut client, mut server, course) = connect();
        course.begin();
        let writing = tokio::spawn(async move { server.write_all(&[7; 100]).await });
        let mut read = [0; 10];
        for _ in 0..5 {
            tokio::time::sleep(PATIENCE.stall.mul_f64(0.9)).await;
            client.read_exact(&mut read).await.expect("ten more bytes");
        }
        let (took, ended) = seconds(writing).await;
        let error = ended.expect("no panic").expect_err("given up");
        assert_eq!((error.kind(), took), (ErrorKind::TimedOut, 20));
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_is_read_slowly_ends_unless_it_goes_on() {
        for goes_on in [false, true] {
            let (mut client, mut server, course) = connect();
            course.begin();
            if goes_on {
                course.goes_on();
            }
            let writing = tokio::spawn(async move { server.write_all(&[7; 1_000]).await });
            let reading = async {
                let mut read = [0; 10];
                while client.read_exact(&mut read).await.is_ok() {
                    tokio::time::sleep(Duration::from_secs(10)).await;
                }
            };
            let (took, ()) = seconds(reading).await;
            assert_eq!(writing.await.expect("no panic").is_ok(), goes_on);
            assert!(if goes_on { took > 900 } else { took < 330 }, "{took}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_sends_nothing_is_given_up_by_what_is_waited_for() {
        let (mut client, mut server, course) = connect();
        let mut read = [0; 10];
        // A new connection.
        let (took, ended) = seconds(server.read(&mut read)).await;
        assert_eq!((took, ended.is_err()), (10, true));
        // The headers begin after a while, and do not end.
        course.begin();
        drop(Answer { body: Body::empty(), course: Arc::clone(&course) });
        let dripping = tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(70)).await;
            while client.write_all(b"x").await.is_ok() {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        });
        let reading = async { while server.read(&mut read).await.is_ok() {} };
        assert_eq!(seconds(reading).await.0, 80);
        drop(server);
        dripping.await.expect("no panic");
        // No second request begins.
        let (_client, mut server, course) = connect();
        course.begin();
        drop(Answer { body: Body::empty(), course });
        assert_eq!(seconds(server.read(&mut read)).await.0, 75);
    }

    #[tokio::test(start_paused = true)]
    async fn while_it_is_answered_nobody_has_to_send_anything() {
        let (mut client, mut server, course) = connect();
        course.begin();
        let reading = tokio::spawn(async move { server.read(&mut [0; 10]).await });
        tokio::time::sleep(Duration::from_secs(1_000)).await;
        client.write_all(b"x").await.expect("it is there");
        assert_eq!(reading.await.expect("no panic").expect("a byte"), 1);
    }
}
