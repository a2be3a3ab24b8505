//! One simulated connection: bytes that arrive some time after they were sent,
//! or never.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use callboard_domain::clock::Clock as _;
use callboard_engine::http::Stream;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

use super::timeline::Timeline;
use super::weather::Weather;

/// The end that dialled.
const CALLER: usize = 0;

/// The end that was called.
const CALLED: usize = 1;

/// Most bytes under way; whoever writes more waits.
const WINDOW: usize = 64 * 1024;

/// Into so many pieces a slow link cuts what is written at once.
const PIECES: usize = 8;

/// Where a connection runs.
pub(crate) struct Route {
    pub(crate) timeline: Arc<Timeline>,
    pub(crate) weather: Arc<Weather>,
    pub(crate) receiver: usize,
    /// From one end to the other, in good weather.
    pub(crate) latency: Duration,
}

/// What is under way from one end to the other.
#[derive(Default)]
struct Way {
    arriving: VecDeque<(Duration, Vec<u8>)>,
    unread: usize,
    /// When the last of it arrives.
    last: Duration,
    /// When it ends.
    end: Option<Duration>,
    /// Bytes written so far.
    given: u64,
    /// Bytes read so far.
    taken: u64,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

#[derive(Default)]
struct State {
    /// From the caller, and from the called.
    ways: [Way; 2],
    reset: bool,
    gone: [bool; 2],
}

impl State {
    fn wake_all(&mut self) {
        for way in &mut self.ways {
            for waker in [way.reader.take(), way.writer.take()].into_iter().flatten() {
                waker.wake();
            }
        }
    }
}

/// What both ends share.
pub(crate) struct Wire {
    route: Route,
    state: Mutex<State>,
}

/// What a reader finds.
enum Look {
    Bytes(usize),
    Later(Duration),
    Nothing,
}

impl Wire {
    /// A connection: the caller's end, and the other.
    pub(crate) fn laid(route: Route) -> (WireEnd, WireEnd) {
        let wire = Arc::new(Self { route, state: Mutex::default() });
        let end = |side| WireEnd { wire: Arc::clone(&wire), side, alarm: None };
        (end(CALLER), end(CALLED))
    }

    /// Bytes that the called has written.
    pub(crate) fn given(&self) -> u64 {
        self.state.lock().ways[CALLED].given
    }

    /// Bytes that the caller has read.
    pub(crate) fn taken(&self) -> u64 {
        self.state.lock().ways[CALLED].taken
    }

    /// Whether the caller still waits for something.
    pub(crate) fn is_held(&self) -> bool {
        let state = self.state.lock();
        !state.reset && !state.gone[CALLER]
    }

    fn look(&self, side: usize, buf: &mut [u8]) -> io::Result<Look> {
        let mut state = self.state.lock();
        if state.reset {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        let now = self.route.timeline.elapsed();
        let way = &mut state.ways[1 - side];
        let Some((at, bytes)) = way.arriving.front_mut() else {
            return Ok(match way.end {
                Some(end) if end <= now => Look::Bytes(0),
                Some(end) => Look::Later(end),
                None => Look::Nothing,
            });
        };
        if *at > now {
            return Ok(Look::Later(*at));
        }
        let count = bytes.len().min(buf.len());
        buf[..count].copy_from_slice(&bytes[..count]);
        bytes.drain(..count);
        if bytes.is_empty() {
            way.arriving.pop_front();
        }
        way.unread -= count;
        way.taken += count as u64;
        if let Some(writer) = way.writer.take() {
            writer.wake();
        }
        Ok(Look::Bytes(count))
    }

    fn write(&self, side: usize, bytes: &[u8], cx: &Context<'_>) -> Poll<io::Result<usize>> {
        let mut state = self.state.lock();
        if state.reset {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        if state.gone[1 - side] {
            // Nobody is there any more, as the answer to this will say.
            state.reset = true;
            state.wake_all();
            return Poll::Ready(Ok(bytes.len()));
        }
        let way = &mut state.ways[side];
        let room = WINDOW.saturating_sub(way.unread);
        if room == 0 {
            way.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let bytes = bytes.get(..room).unwrap_or(bytes);
        let Route { timeline, weather, receiver, latency } = &self.route;
        let now = timeline.elapsed();
        let gap = weather.gap(*receiver, now);
        let pieces = if gap.is_zero() { 1 } else { PIECES };
        let mut sent = now + *latency;
        for piece in bytes.chunks(bytes.len().div_ceil(pieces).max(1)) {
            sent += gap;
            way.last = way.last.max(weather.arrival(*receiver, sent));
            way.arriving.push_back((way.last, piece.to_vec()));
        }
        way.unread += bytes.len();
        way.given += bytes.len() as u64;
        if let Some(reader) = way.reader.take() {
            reader.wake();
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn shut(&self, side: usize) {
        let mut state = self.state.lock();
        let Route { timeline, weather, receiver, latency } = &self.route;
        let at = weather.arrival(*receiver, timeline.elapsed() + *latency);
        let way = &mut state.ways[side];
        if way.end.is_none() {
            way.end = Some(way.last.max(at));
        }
        if let Some(reader) = way.reader.take() {
            reader.wake();
        }
    }

    fn reset(&self) {
        let mut state = self.state.lock();
        state.reset = true;
        state.wake_all();
    }
}

/// One end of a connection.
pub(crate) struct WireEnd {
    pub(crate) wire: Arc<Wire>,
    side: usize,
    alarm: Option<Pin<Box<Sleep>>>,
}

impl WireEnd {
    /// Breaks the connection off at once, with whatever is under way.
    pub(crate) fn reset(self) {
        self.wire.reset();
    }
}

impl Drop for WireEnd {
    fn drop(&mut self) {
        let mut state = self.wire.state.lock();
        state.gone[self.side] = true;
        let left = state.ways[1 - self.side].unread > 0;
        drop(state);
        // A caller that gives up takes back what has not arrived; and who leaves
        // with something unread breaks the connection off, as kernels do.
        if self.side == CALLER || left {
            self.wire.reset();
        } else {
            self.wire.shut(self.side);
        }
    }
}

impl AsyncRead for WireEnd {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            let look = this.wire.look(this.side, buf.initialize_unfilled())?;
            if let Look::Bytes(count) = look {
                buf.advance(count);
                this.alarm = None;
                return Poll::Ready(Ok(()));
            }
            // Also what is to come later may be overtaken by a reset.
            this.wire.state.lock().ways[1 - this.side].reader = Some(cx.waker().clone());
            let Look::Later(at) = look else { return Poll::Pending };
            let wait = at.saturating_sub(this.wire.route.timeline.elapsed());
            let mut alarm = Box::pin(tokio::time::sleep(wait));
            let polled = alarm.as_mut().poll(cx);
            this.alarm = Some(alarm);
            if polled.is_pending() {
                return Poll::Pending;
            }
        }
    }
}

impl AsyncWrite for WireEnd {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.wire.write(self.side, buf, cx)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.wire.shut(self.side);
        Poll::Ready(Ok(()))
    }
}

impl Stream for WireEnd {
    fn read_now(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self.wire.look(self.side, buf)? {
            Look::Bytes(count) => Ok(count),
            Look::Later(_) | Look::Nothing => Err(io::ErrorKind::WouldBlock.into()),
        }
    }
}
