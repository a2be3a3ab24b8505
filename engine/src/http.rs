//! The delivery client: posts a body to an address somebody else chose, within
//! a deadline, and tells what came of it.
//!
//! What is tried again, and when, is not decided here. Redirects are never
//! followed, bodies never decompressed, and nothing is ever sent twice unless
//! not one byte of it went out the first time.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use callboard_domain::clock::Clock;
use callboard_domain::delivery::{Cause, Timings};
use rustls::pki_types::CertificateDer;
use tokio::time::timeout;

mod answer;
mod dial;
mod endpoint;
mod explain;
mod framing;
mod identity;
mod link;
mod network;
mod pool;
mod progress;
mod proxy;
mod request;
mod resolve;
mod tls;
mod trial;
mod wire;

pub(crate) use answer::is_success;
pub use answer::{Answer, BODY_LIMIT};
pub use endpoint::{BadUrl, Endpoint};
pub(crate) use explain::spoken;
pub use identity::Identity;
pub use network::{Network, Stream};
pub(crate) use progress::Stage;
pub use proxy::Proxy;
pub use request::Headers;
pub use resolve::{LookupFailure, Resolve, Resolver};
pub use tls::read_roots;
pub(crate) use trial::Trial;

use crate::guard::Guard;
use dial::Dialler;
use link::{Failure, Link};
use pool::{Limits, Pool};
use progress::Progress;
use request::Request;

/// What can be set.
#[derive(Clone)]
pub struct ClientOptions {
    /// How long a connection is kept without use.
    pub idle_timeout: Duration,
    /// Most idle connections kept to one scheme, host and port, as one client.
    pub max_idle_per_origin: usize,
    /// Most idle connections kept in all.
    pub max_idle_total: usize,
    /// Longest that lookup, connection and TLS handshake may take together.
    pub connect_timeout: Duration,
    /// Who looks host names up.
    pub resolver: Resolver,
    /// What connections are made of.
    pub network: Arc<dyn Network>,
    /// Through whom connections are made, if not at once.
    pub proxy: Option<Proxy>,
    /// Whether the system's root certificates are trusted.
    pub system_roots: bool,
    /// Further root certificates to trust.
    pub extra_roots: Vec<CertificateDer<'static>>,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            // Under the 60 seconds after which many servers and balancers hang up.
            idle_timeout: Duration::from_secs(50),
            max_idle_per_origin: 128,
            max_idle_total: 4_096,
            connect_timeout: Duration::from_secs(10),
            resolver: Resolver::default(),
            network: Arc::new(network::Tcp),
            proxy: None,
            system_roots: true,
            extra_roots: Vec::new(),
        }
    }
}

/// What came of one post.
#[derive(Debug)]
pub struct Exchange {
    /// The answer, whatever its status, or why there is none.
    pub result: Result<Answer, Fault>,
    /// Where the time went, also of a post that failed.
    pub timings: Timings,
    /// The address that was called, or the last one tried.
    pub peer: Option<SocketAddr>,
    /// Whether it went over a connection kept from an earlier post.
    pub reused: bool,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// In one word, for programs.
    pub cause: Cause,
    /// In a sentence, for people.
    pub message: String,
}

impl Fault {
    const fn new(cause: Cause, message: String) -> Self {
        Self { cause, message }
    }
}

/// Posts to endpoints and keeps their connections. Clones share everything.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    dialler: Dialler,
    pool: Pool,
    clock: Arc<dyn Clock>,
    connect_timeout: Duration,
}

impl Client {
    /// A client without connections. Reads the system's root certificates and
    /// name servers; if there are none, posts that need them fail and say so.
    #[must_use]
    pub fn new(guard: Guard, options: ClientOptions, clock: Arc<dyn Clock>) -> Self {
        let ClientOptions {
            idle_timeout,
            max_idle_per_origin,
            max_idle_total,
            connect_timeout,
            resolver,
            network,
            proxy,
            system_roots,
            extra_roots,
        } = options;
        let limits = Limits { idle_timeout, per_origin: max_idle_per_origin, total: max_idle_total };
        let system_roots = system_roots.then(tls::system_roots).into_iter().flatten();
        let tls = tls::Tls::new(system_roots.chain(extra_roots), Arc::clone(&clock));
        let dialler = Dialler { guard, resolver: resolver.start(), network, proxy, tls };
        Self { inner: Arc::new(Inner { dialler, pool: Pool::new(limits), clock, connect_timeout }) }
    }

    /// Posts `body` and waits for the answer, for `deadline` in all: lookup,
    /// connection, TLS, sending, headers and the answer's whole body.
    ///
    /// Dropping the future closes the connection; the request may have been
    /// received then.
    pub async fn post(
        &self,
        endpoint: &Endpoint,
        headers: impl Into<Headers>,
        body: Bytes,
        deadline: Duration,
    ) -> Exchange {
        let mut progress = Progress::new(&*self.inner.clock);
        let request = endpoint.request(&headers.into(), body);
        let ended = timeout(deadline, self.inner.run(endpoint, &request, &mut progress)).await;
        let result = ended.unwrap_or_else(|_| Err(explain::timed_out(endpoint, deadline, &progress)));
        progress.enter(progress.stage);
        Exchange { result, timings: progress.timings, peer: progress.peer, reused: progress.reused }
    }

    /// Judges what of an endpoint can be judged before it is called: the
    /// scheme, the port, and the host where it is an address or this machine.
    /// The text says what is refused, and how to allow it.
    ///
    /// # Errors
    /// When it could not be called.
    pub fn judge(&self, endpoint: &Endpoint) -> Result<(), String> {
        let guard = &self.inner.dialler.guard;
        let way = guard.judge_way(endpoint.server_name().is_some(), endpoint.port());
        let judged = way.and_then(|()| guard.judge_host(endpoint.host()));
        judged.map_err(|refusal| explain::blocked(endpoint, refusal).message)
    }

    /// Closes connections that were idle too long at `now`, which is
    /// [`Clock::elapsed`].
    pub fn reap(&self, now: Duration) {
        self.inner.pool.reap(now);
    }

    /// How many idle connections are kept.
    #[must_use]
    pub fn idle(&self) -> usize {
        self.inner.pool.idle()
    }
}

impl Inner {
    async fn run(
        &self,
        endpoint: &Endpoint,
        request: &Request,
        progress: &mut Progress<'_>,
    ) -> Result<Answer, Fault> {
        if let Some(mut link) = self.checkout(endpoint) {
            progress.reused = true;
            match link.exchange(endpoint, request, progress).await {
                Ok(answer) => return Ok(self.checkin(endpoint, link, answer)),
                Err(Failure::Sent(fault)) => return Err(fault),
                Err(Failure::Unsent(_)) => progress.reused = false,
            }
        }
        let (link, answer) = self.anew(endpoint, request, progress).await?;
        Ok(self.checkin(endpoint, link, answer))
    }

    /// The answer by a new connection, and that connection.
    async fn anew(
        &self,
        endpoint: &Endpoint,
        request: &Request,
        progress: &mut Progress<'_>,
    ) -> Result<(Box<Link>, Answer), Fault> {
        // Rare beside the exchange by one that is kept, and its state is large:
        // boxed, it does not weigh on the future of every post.
        let dialled = timeout(self.connect_timeout, Box::pin(self.dialler.dial(endpoint, progress))).await;
        let mut link = match dialled {
            Ok(dialled) => dialled?,
            Err(_) => return Err(explain::timed_out(endpoint, self.connect_timeout, progress)),
        };
        match link.exchange(endpoint, request, progress).await {
            Ok(answer) => Ok((link, answer)),
            Err(Failure::Sent(fault) | Failure::Unsent(fault)) => Err(fault),
        }
    }

    /// An idle connection that still stands. Those found dead are closed.
    fn checkout(&self, endpoint: &Endpoint) -> Option<Box<Link>> {
        let now = self.clock.elapsed();
        loop {
            let mut link = self.pool.take(endpoint, now)?;
            if link.is_alive() {
                return Some(link);
            }
        }
    }

    /// Keeps the connection, if the answer was read to its end and nothing but it.
    fn checkin(&self, endpoint: &Endpoint, link: Box<Link>, answer: Answer) -> Answer {
        if link.may_rest() {
            self.pool.put(endpoint, link, self.clock.elapsed());
        }
        answer
    }
}
