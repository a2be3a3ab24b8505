//! A simulated receiver: reads requests byte by byte, notes what it saw, and
//! answers as its weather has it.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{Rng as _, RngExt as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{sleep, timeout};

use super::record::Record;
use super::weather::{Trouble, Weather};
use super::wire::{Wire, WireEnd};

/// What is done about one request.
#[derive(Debug, Clone)]
enum Conduct {
    Answer {
        status: u16,
        after: Duration,
        retry_after: Option<&'static str>,
        body: usize,
        /// Sent in pieces with such pauses.
        trickle: Duration,
        /// Says that the connection ends with it.
        close: bool,
    },
    /// Breaks off while the request comes in.
    ResetDuring,
    /// Breaks off when the request is there.
    ResetAfter(Duration),
    /// Hangs up when the request is there.
    HangUp,
    /// Answers in part, and then breaks off or hangs up.
    Cut { reset: bool },
    /// Says nothing.
    Silence,
    /// Answers with something that is not HTTP, or with too much of it.
    Nonsense(&'static str, usize),
}

/// A receiver.
pub(crate) struct Receiver {
    pub(crate) number: usize,
    pub(crate) record: Arc<Record>,
    pub(crate) weather: Arc<Weather>,
    pub(crate) rng: Mutex<StdRng>,
    /// Most requests that may come at a time.
    pub(crate) most: usize,
    /// Connections whose caller waits for an answer.
    pub(crate) busy: Mutex<Vec<Arc<Wire>>>,
}

impl Receiver {
    /// Serves one connection; how that ends is judged from the other side.
    pub(crate) async fn serve(self: Arc<Self>, end: WireEnd) {
        let _ = self.serve_all(end).await;
    }

    async fn serve_all(&self, mut end: WireEnd) -> io::Result<()> {
        let patience = Duration::from_millis(self.rng.lock().random_range(500..60_000));
        if self.trouble() == Some(Trouble::Fickle) && self.rng.lock().random_ratio(1, 12) {
            end.reset();
            return Ok(());
        }
        loop {
            let mut seen = Vec::with_capacity(2_048);
            // A connection that rests is closed some time.
            let Ok(first) = timeout(patience, end.read_buf(&mut seen)).await else { return Ok(()) };
            if first? == 0 {
                return Ok(());
            }
            let conduct = self.conduct();
            if matches!(conduct, Conduct::ResetDuring) {
                end.reset();
                return Ok(());
            }
            let event = read_request(&mut end, seen).await?;
            let sight = self.record.saw(self.number, event, Arc::clone(&end.wire));
            self.note_busy(&end.wire);
            self.record.note(|| format!("receiver {}: {conduct:?}", self.number));
            let close = match conduct {
                Conduct::Answer { status, after, retry_after, body, trickle, close } => {
                    sleep(after).await;
                    let answer = answer(status, retry_after, body, close);
                    self.record.answers(sight, status, answer.len());
                    self.busy.lock().retain(|wire| !Arc::ptr_eq(wire, &end.wire));
                    write(&mut end, &answer, trickle).await?;
                    close
                }
                Conduct::ResetAfter(after) => {
                    sleep(after).await;
                    end.reset();
                    return Ok(());
                }
                Conduct::Cut { reset } => {
                    let whole = answer(200, None, 100, false);
                    end.write_all(&whole[..whole.len() - 50]).await?;
                    if reset {
                        end.reset();
                        return Ok(());
                    }
                    true
                }
                Conduct::Silence => {
                    let mut rest = Vec::new();
                    end.read_to_end(&mut rest).await?;
                    true
                }
                Conduct::Nonsense(text, times) => {
                    end.write_all(text.repeat(times).as_bytes()).await?;
                    true
                }
                Conduct::HangUp | Conduct::ResetDuring => true,
            };
            if close {
                return end.shutdown().await;
            }
        }
    }

    fn trouble(&self) -> Option<Trouble> {
        self.weather.trouble(self.number, self.record.elapsed())
    }

    /// Notes that a caller waits, and that not too many do.
    fn note_busy(&self, wire: &Arc<Wire>) {
        let mut busy = self.busy.lock();
        busy.retain(|other| other.is_held());
        busy.push(Arc::clone(wire));
        let (number, count, most) = (self.number, busy.len(), self.most);
        if count > most {
            self.record.fail(|| format!("receiver {number} has {count} requests at a time, {most} allowed"));
        }
    }

    fn conduct(&self) -> Conduct {
        let trouble = self.trouble();
        let rng = &mut *self.rng.lock();
        let after = Duration::from_millis(rng.random_range(0..60));
        let good = Conduct::Answer {
            status: 200 + u16::from(rng.random_ratio(1, 4)) * 4,
            after,
            retry_after: None,
            body: 0,
            trickle: Duration::ZERO,
            close: rng.random_ratio(1, 20),
        };
        match trouble {
            Some(Trouble::Status(status)) => refuse(status, after, rng),
            Some(Trouble::Fickle) => fickle(good, after, rng),
            _ => good,
        }
    }
}

fn refuse(status: u16, after: Duration, rng: &mut StdRng) -> Conduct {
    const RETRY_AFTER: [Option<&str>; 6] =
        [None, Some("3"), Some("20"), Some("-5"), Some("soon"), Some("Sun, 06 Nov 1994 08:49:37 GMT")];
    let retry_after = RETRY_AFTER[rng.random_range(0..RETRY_AFTER.len())];
    Conduct::Answer { status, after, retry_after, body: 10, trickle: Duration::ZERO, close: false }
}

fn fickle(good: Conduct, after: Duration, rng: &mut StdRng) -> Conduct {
    let body = if rng.random_ratio(1, 2) { 30_000 } else { 500 };
    let trickle = Duration::from_millis(rng.random_range(0..700));
    let slow = Duration::from_millis(rng.random_range(500..6_000));
    match rng.next_u32() % 16 {
        0 => Conduct::ResetDuring,
        1 => Conduct::ResetAfter(after),
        2 => Conduct::HangUp,
        3 => Conduct::Cut { reset: rng.random_ratio(1, 2) },
        4 => Conduct::Silence,
        5 => Conduct::Nonsense("220 mail.example ESMTP\r\n", 1),
        6 => Conduct::Nonsense("HTTP/1.1 200 OK\r\ncontent-length: many\r\n\r\n", 1),
        7 => Conduct::Nonsense("HTTP/1.1 100 Continue\r\n\r\n", 20_000),
        8 => refuse(500, after, rng),
        9 => refuse(503, slow, rng),
        10 => Conduct::Answer { status: 200, after, retry_after: None, body, trickle, close: false },
        11 => Conduct::Answer {
            status: 200,
            after: slow,
            retry_after: None,
            body: 0,
            trickle: Duration::ZERO,
            close: false,
        },
        _ => good,
    }
}

fn answer(status: u16, retry_after: Option<&str>, body: usize, close: bool) -> Vec<u8> {
    let retry_after = retry_after.map(|text| format!("retry-after: {text}\r\n")).unwrap_or_default();
    let close = if close { "connection: close\r\n" } else { "" };
    // This status has no body, nor a length of one.
    let (length, body) =
        if status == 204 { (String::new(), 0) } else { (format!("content-length: {body}\r\n"), body) };
    format!("HTTP/1.1 {status} X\r\n{retry_after}{close}{length}\r\n{}", "x".repeat(body)).into_bytes()
}

async fn write(end: &mut WireEnd, answer: &[u8], trickle: Duration) -> io::Result<()> {
    if trickle.is_zero() {
        return end.write_all(answer).await;
    }
    for piece in answer.chunks(answer.len().div_ceil(6)) {
        end.write_all(piece).await?;
        sleep(trickle).await;
    }
    Ok(())
}

/// Reads the rest of a request, and tells which event it is about.
async fn read_request(end: &mut WireEnd, mut seen: Vec<u8>) -> io::Result<String> {
    loop {
        if let Some(head) = seen.windows(4).position(|window| window == b"\r\n\r\n") {
            let text = String::from_utf8_lossy(&seen[..head]).into_owned();
            let header = |name: &str| text.lines().find_map(|line| line.strip_prefix(name));
            let length: usize = header("content-length: ").and_then(|text| text.parse().ok()).unwrap();
            if seen.len() >= head + 4 + length {
                return Ok(header("webhook-id: ").unwrap().to_owned());
            }
        }
        if end.read_buf(&mut seen).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}
