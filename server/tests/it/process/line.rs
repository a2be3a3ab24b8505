//! The line to a server, which a test can cut and mend.

#![expect(clippy::expect_used, reason = "a test that can't go on has failed")]

use std::net::{Ipv4Addr, SocketAddr};

use tokio::io::copy_bidirectional;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use url::Url;

use super::connection::dial;

/// Passes on what comes to a port of its own, while it is whole.
pub(crate) struct Line {
    url: String,
    whole: watch::Sender<bool>,
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
        let whole = watch::Sender::new(true);
        let passing = tokio::spawn(pass(listener, server, whole.subscribe())).abort_handle();
        Self { url: url.into(), whole, passing }
    }

    /// Leads through the line to the database.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Breaks every connection, and lets none come about.
    pub(crate) fn cut(&self) {
        self.whole.send_replace(false);
    }

    /// Lets connections come about again.
    pub(crate) fn mend(&self) {
        self.whole.send_replace(true);
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.passing.abort();
    }
}

async fn pass(listener: TcpListener, server: SocketAddr, whole: watch::Receiver<bool>) {
    while let Ok((mut near, _)) = listener.accept().await {
        let mut whole = whole.clone();
        tokio::spawn(async move {
            let passing = async {
                let mut far = dial(server).await?;
                copy_bidirectional(&mut near, &mut far).await
            };
            tokio::select! {
                _ = whole.wait_for(|whole| !whole) => (),
                _ = passing => (),
            }
        });
    }
}
