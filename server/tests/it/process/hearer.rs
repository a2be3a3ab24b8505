//! A receiver that outlives the processes which call it, and counts for each
//! path and event how often it answered 200.

#![expect(clippy::expect_used, reason = "a test that can't go on has failed")]

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use callboard_domain::clock::{Clock, SystemClock};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::timeout;

use super::PATIENCE;

/// What it does with the requests of one path.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Manner {
    /// Answers 200 at once.
    Prompt,
    /// Answers 200 after a while.
    Slow(Duration),
    /// Answers 500 to one request in so many of its path, 200 to the others.
    Failing(u64),
    /// Answers 200 once [`Hearer::let_go`] was called.
    Held,
}

/// How often, and first when, 200 was answered.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Taken {
    pub(crate) times: u32,
    pub(crate) first_at: Duration,
}

/// By event id.
type Book = HashMap<String, Taken>;

/// What changes while it listens.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Counts {
    /// Requests that came.
    pub(crate) heard: u64,
    /// Requests that were answered 200.
    pub(crate) taken: u64,
    /// Requests that wait to be let go.
    pub(crate) held: u64,
    /// Connections that are open.
    pub(crate) open: u64,
}

struct Inner {
    manners: Vec<(&'static str, Manner)>,
    books: Mutex<HashMap<&'static str, Book>>,
    /// Requests that came, by path.
    numbers: Mutex<HashMap<&'static str, u64>>,
    counts: watch::Sender<Counts>,
    free: watch::Sender<bool>,
    clock: SystemClock,
}

/// A listening receiver; takes no more connections when dropped.
pub(crate) struct Hearer {
    address: SocketAddr,
    inner: Arc<Inner>,
    accepting: AbortHandle,
}

impl Hearer {
    pub(crate) async fn start(manners: &[(&'static str, Manner)]) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port to listen on");
        let address = listener.local_addr().expect("an address");
        let inner = Arc::new(Inner {
            manners: manners.to_vec(),
            books: Mutex::default(),
            numbers: Mutex::default(),
            counts: watch::Sender::default(),
            free: watch::Sender::default(),
            clock: SystemClock::new(),
        });
        let accepting = tokio::spawn(accept(listener, Arc::clone(&inner))).abort_handle();
        Self { address, inner, accepting }
    }

    /// Where it is called under this path.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Time on the clock that [`Taken::first_at`] is read from.
    pub(crate) fn elapsed(&self) -> Duration {
        self.inner.clock.elapsed()
    }

    pub(crate) fn counts(&self) -> Counts {
        *self.inner.counts.borrow()
    }

    /// Waits until the counts are as wanted.
    pub(crate) async fn until(&self, what: &str, wanted: impl Fn(&Counts) -> bool) -> Counts {
        let mut counts = self.inner.counts.subscribe();
        let reached = timeout(PATIENCE, counts.wait_for(|counts| wanted(counts))).await;
        let reached = reached.map(|counts| *counts.expect("the sender is ours"));
        reached.unwrap_or_else(|_| panic!("did not come to pass: {what}; {:?}", self.counts()))
    }

    /// Lets what is held go, and holds nothing more.
    pub(crate) fn let_go(&self) {
        self.inner.free.send_replace(true);
    }

    /// What was taken under this path.
    pub(crate) fn taken(&self, path: &str) -> Book {
        self.inner.books.lock().get(path).cloned().unwrap_or_default()
    }

    /// When an event was first taken.
    pub(crate) fn first_at(&self, path: &str, id: &str) -> Option<Duration> {
        Some(self.inner.books.lock().get(path)?.get(id)?.first_at)
    }

    /// How many different events were taken under this path, and how many
    /// times they were taken once more.
    pub(crate) fn tally(&self, path: &str) -> (usize, usize) {
        let books = self.inner.books.lock();
        let again = |book: &Book| book.values().map(|taken| taken.times as usize - 1).sum();
        books.get(path).map_or((0, 0), |book| (book.len(), again(book)))
    }
}

impl Drop for Hearer {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, inner: Arc<Inner>) {
    while let Ok((stream, _)) = listener.accept().await {
        // An answer must not wait for its packet to fill.
        let _ = stream.set_nodelay(true);
        inner.counts.send_modify(|counts| counts.open += 1);
        let inner = Arc::clone(&inner);
        tokio::spawn(async move {
            let service = service_fn(|request| inner.answer(request));
            // A sender that goes away is its own affair.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
            inner.counts.send_modify(|counts| counts.open -= 1);
        });
    }
}

impl Inner {
    async fn answer(&self, request: Request<Incoming>) -> Result<Response<Empty<Bytes>>, hyper::Error> {
        let (parts, body) = request.into_parts();
        body.collect().await?;
        let (path, manner) =
            *self.manners.iter().find(|(path, _)| *path == parts.uri.path()).expect("a path");
        let id = parts.headers["webhook-id"].to_str().expect("a text").to_owned();
        self.counts.send_modify(|counts| counts.heard += 1);
        // Of this path alone: in which order others are called is chance.
        let number = {
            let mut numbers = self.numbers.lock();
            let number = numbers.entry(path).or_insert(0);
            *number += 1;
            *number
        };
        match manner {
            Manner::Slow(time) => tokio::time::sleep(time).await,
            Manner::Held => self.hold().await,
            Manner::Failing(every) if number % every == 0 => {
                let mut answer = Response::new(Empty::new());
                *answer.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
                return Ok(answer);
            }
            Manner::Prompt | Manner::Failing(_) => {}
        }
        let first_at = self.clock.elapsed();
        let mut books = self.books.lock();
        books.entry(path).or_default().entry(id).or_insert(Taken { times: 0, first_at }).times += 1;
        drop(books);
        self.counts.send_modify(|counts| counts.taken += 1);
        Ok(Response::new(Empty::new()))
    }

    async fn hold(&self) {
        self.counts.send_modify(|counts| counts.held += 1);
        // The sender is ours, so it can't be gone.
        let _ = self.free.subscribe().wait_for(|free| *free).await;
        self.counts.send_modify(|counts| counts.held -= 1);
    }
}
