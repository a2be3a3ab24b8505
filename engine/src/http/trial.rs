//! A post that is made to see how far it comes: by a connection of its own, of which
//! more is told.

use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use rustls::ProtocolVersion;
use tokio::time::timeout;

use super::progress::{Progress, Stage};
use super::{Client, Endpoint, Exchange, Headers, Proxy, explain};
use crate::guard::Refusal;

/// What came of it.
#[derive(Debug)]
pub(crate) struct Trial {
    /// As of any post.
    pub(crate) exchange: Exchange,
    /// What it was busy with last.
    pub(crate) stage: Stage,
    /// Every address of the host that was found, and why it may not be called.
    pub(crate) judged: Vec<(IpAddr, Option<Refusal>)>,
    /// The version of TLS, once that is spoken.
    pub(crate) protocol: Option<ProtocolVersion>,
}

impl Client {
    /// As [`Client::post`], but no connection is used that was kept, and none is kept.
    /// Calls nothing that a post would not call.
    pub(crate) async fn try_out(
        &self,
        endpoint: &Endpoint,
        headers: &Headers,
        body: Bytes,
        deadline: Duration,
    ) -> Trial {
        let mut progress = Progress::new(&*self.inner.clock);
        let request = endpoint.request(headers, body);
        let ended = timeout(deadline, self.inner.anew(endpoint, &request, &mut progress)).await;
        let result = match ended {
            Ok(answered) => answered.map(|(_, answer)| answer),
            Err(_) => Err(explain::timed_out(endpoint, deadline, &progress)),
        };
        progress.enter(progress.stage);
        let Progress { stage, timings, peer, judged, protocol, .. } = progress;
        Trial { exchange: Exchange { result, timings, peer, reused: false }, stage, judged, protocol }
    }

    /// Through whom connections are made, if not at once.
    pub(crate) fn proxy(&self) -> Option<&Proxy> {
        self.inner.dialler.proxy.as_ref()
    }
}
