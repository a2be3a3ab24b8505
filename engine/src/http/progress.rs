//! How far one post has come: for its timings, and to explain where it stopped.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use callboard_domain::clock::Clock;
use callboard_domain::delivery::Timings;
use rustls::ProtocolVersion;

use super::wire::Gauge;
use crate::guard::Refusal;

/// What a post is busy with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    Start,
    Lookup,
    Connect,
    /// As [`Stage::Connect`], through the operator's proxy.
    Proxy,
    Tls,
    Exchange,
}

/// The course of one post. Lives outside the future that a deadline cuts off.
pub(super) struct Progress<'a> {
    clock: &'a dyn Clock,
    since: Duration,
    pub(super) stage: Stage,
    pub(super) timings: Timings,
    pub(super) peer: Option<SocketAddr>,
    /// Every address of the host that was found, and why it may not be called.
    pub(super) judged: Vec<(IpAddr, Option<Refusal>)>,
    /// The version of TLS, once that is spoken over a new connection.
    pub(super) protocol: Option<ProtocolVersion>,
    pub(super) reused: bool,
    /// The bytes of the answer, once a connection is in use.
    pub(super) gauge: Option<Arc<Gauge>>,
    /// The answer's status, once its headers are complete.
    pub(super) status: Option<u16>,
    /// Bytes of the answer's body so far.
    pub(super) body: usize,
}

impl<'a> Progress<'a> {
    pub(super) fn new(clock: &'a dyn Clock) -> Self {
        Self {
            clock,
            since: Duration::ZERO,
            stage: Stage::Start,
            timings: Timings::default(),
            peer: None,
            judged: Vec::new(),
            protocol: None,
            reused: false,
            gauge: None,
            status: None,
            body: 0,
        }
    }

    /// Ends the present stage and begins `stage`.
    pub(super) fn enter(&mut self, stage: Stage) {
        let now = self.clock.elapsed();
        let spent = u64::try_from(now.saturating_sub(self.since).as_micros()).unwrap_or(u64::MAX);
        match self.stage {
            Stage::Start => {}
            Stage::Lookup => self.timings.dns_us += spent,
            Stage::Connect | Stage::Proxy => self.timings.connect_us += spent,
            Stage::Tls => self.timings.tls_us += spent,
            Stage::Exchange => self.timings.exchange_us += spent,
        }
        self.stage = stage;
        self.since = now;
    }

    /// Bytes of the answer so far.
    pub(super) fn answered(&self) -> usize {
        self.gauge.as_ref().map_or(0, |gauge| gauge.read())
    }
}
