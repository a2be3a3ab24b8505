//! Each request's id, by which it is found in the logs, and what is counted of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use axum::response::Response;
use callboard_domain::clock::Clock;
use rand::RngExt as _;

use super::peer::Proxies;
use super::state::State;
use crate::metrics::Measures;

/// The header that names a request, and its answer.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Longest id that is taken from a proxy.
const LONGEST_ID: usize = 128;

/// Longest part of a path that is logged: what is longer may be a token.
const LONGEST_PART: usize = 40;

/// What all requests share.
pub(super) struct Requests {
    measures: Arc<Measures>,
    clock: Arc<dyn Clock>,
    proxies: Proxies,
}

/// The requests of one connection, which have ids that follow each other: chance is
/// asked for once a connection.
pub(super) struct Series {
    prefix: u64,
    next: AtomicU64,
}

/// One request under way.
pub(super) struct Request {
    id: HeaderValue,
    method: Method,
    uri: Uri,
    began: Duration,
}

impl Requests {
    pub(super) fn new(state: &State) -> Self {
        let inner = &state.inner;
        let proxies = inner.options.proxies.clone();
        Self { measures: Arc::clone(&inner.measures), clock: Arc::clone(&inner.clock), proxies }
    }

    /// A request begins that came over a connection from `address`.
    pub(super) fn begin(
        &self,
        address: std::net::IpAddr,
        series: &Series,
        (method, uri, headers): (&Method, &Uri, &HeaderMap),
    ) -> Request {
        let given = headers.get(REQUEST_ID).filter(|id| is_id(id) && self.proxies.trusts(address));
        let id = given.cloned().unwrap_or_else(|| series.next());
        Request { id, method: method.clone(), uri: uri.clone(), began: self.clock.elapsed() }
    }

    /// It is answered: that is counted, and the answer gets its id.
    pub(super) fn end(&self, request: Request, response: &mut Response) {
        let took = self.clock.elapsed().saturating_sub(request.began);
        let status = response.status().as_u16();
        self.measures.api.answered(status, took);
        let Request { id, method, uri, .. } = request;
        let request_id = id.to_str().unwrap_or_default();
        let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        if status >= 500 {
            tracing::info!(request_id, %method, path = shown(uri.path()), status, took_us, "a request failed");
        } else {
            tracing::debug!(request_id, %method, path = shown(uri.path()), status, took_us, "answered");
        }
        response.headers_mut().insert(REQUEST_ID, id);
    }
}

impl Request {
    /// What lines of the log that are written meanwhile say of it, where they are
    /// detailed. It has the target of the lines of recorded events, so that whoever
    /// asks for those gets the request's id in each.
    pub(super) fn span(&self) -> tracing::Span {
        tracing::debug_span!(
            target: "callboard::event",
            "request",
            id = self.id.to_str().unwrap_or_default()
        )
    }
}

impl Series {
    /// That of a new connection.
    pub(super) fn new(state: &State) -> Self {
        Self { prefix: state.inner.rng.lock().random(), next: AtomicU64::new(1) }
    }

    fn next(&self) -> HeaderValue {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let id = format!("{:016x}-{number}", self.prefix);
        // Digits and a hyphen are a header's value.
        HeaderValue::try_from(id).unwrap_or(HeaderValue::from_static("-"))
    }
}

/// Whether a proxy's id can be passed on: visible, and not long.
fn is_id(id: &HeaderValue) -> bool {
    (1..=LONGEST_ID).contains(&id.len()) && id.as_bytes().iter().all(u8::is_ascii_graphic)
}

/// A path without what may be a token; what follows the question mark is never shown.
fn shown(path: &str) -> String {
    let parts = path.split('/').map(|part| if part.len() > LONGEST_PART { "..." } else { part });
    parts.collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_in_paths_are_not_shown() {
        assert_eq!(
            shown("/v1/webhooks/whk_01kagx0000000000000000000a"),
            "/v1/webhooks/whk_01kagx0000000000000000000a"
        );
        let token = "x".repeat(43);
        assert_eq!(shown(&format!("/portal/{token}/open")), "/portal/.../open");
    }

    #[test]
    fn ids_of_proxies_are_visible_and_not_long() {
        let is = |text: &str| HeaderValue::from_str(text).is_ok_and(|id| is_id(&id));
        assert!(is("4bf92f35-77b3") && is(&"a".repeat(128)));
        assert!(!is("") && !is("a b") && !is(&"a".repeat(129)));
    }
}
