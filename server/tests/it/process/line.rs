//! The line to a server, which a test can cut, silence and mend.

#![expect(clippy::expect_used, reason = "a test that can't go on has failed")]

use std::net::{Ipv4Addr, SocketAddr};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use url::Url;

use super::connection::dial;

/// What becomes of what is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Condition {
    Whole,
    /// It is kept, and so are the connections.
    Silent,
    Cut,
}

/// Passes on what comes to a port of its own, while it is whole.
pub(crate) struct Line {
    url: String,
    condition: watch::Sender<Condition>,
    passing: AbortHandle,
}

impl Line {
    /// A line to the database that `url` names.
    pub(crate) async fn to(url: &str) -> Self {
        let mut url = Url::parse(url).expect("a URL");
        let host = url.host_str().expect("a host").parse().expect("an address");
        let server = SocketAddr::new(host, url.port().expect("a port"));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port to listen on");
        url.set_port(Some(listener.local_addr().expect("an address").port())).expect("a port");
        let condition = watch::Sender::new(Condition::Whole);
        let passing = tokio::spawn(pass(listener, server, condition.subscribe())).abort_handle();
        Self { url: url.into(), condition, passing }
    }

    /// Leads through the line to the database.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Breaks every connection, and lets none come about.
    pub(crate) fn cut(&self) {
        self.condition.send_replace(Condition::Cut);
    }

    /// Passes nothing on, and breaks nothing: also new connections come about, and
    /// hear nothing.
    pub(crate) fn silence(&self) {
        self.condition.send_replace(Condition::Silent);
    }

    /// Passes everything on, also what was kept.
    pub(crate) fn mend(&self) {
        self.condition.send_replace(Condition::Whole);
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.passing.abort();
    }
}

async fn pass(listener: TcpListener, server: SocketAddr, condition: watch::Receiver<Condition>) {
    while let Ok((near, _)) = listener.accept().await {
        let mut condition = condition.clone();
        tokio::spawn(async move {
            let (there, back) = (condition.clone(), condition.clone());
            let passing = async {
                let Ok(far) = dial(server).await else { return };
                let ((from_near, to_near), (from_far, to_far)) = (near.into_split(), far.into_split());
                tokio::join!(copy(from_near, to_far, there), copy(from_far, to_near, back));
            };
            tokio::select! {
                _ = condition.wait_for(|condition| *condition == Condition::Cut) => (),
                () = passing => (),
            }
        });
    }
}

/// Passes on in one direction, while the line is whole.
async fn copy(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut condition: watch::Receiver<Condition>,
) {
    let mut piece = vec![0; 65_536];
    while let Ok(length @ 1..) = from.read(&mut piece).await {
        if condition.wait_for(|condition| *condition == Condition::Whole).await.is_err()
            || to.write_all(&piece[..length]).await.is_err()
        {
            break;
        }
    }
    // The other side has to know that nothing more comes.
    let _ = to.shutdown().await;
}
