//! One kept-alive connection that posts, with nothing around it.

use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::cli::Failure;

/// A connection.
pub(super) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    host: String,
    authorization: Option<String>,
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// When nobody answers there.
    #[expect(clippy::disallowed_methods, reason = "the generator dials only its own processes on loopback")]
    pub(super) async fn open(to: SocketAddr, token: Option<&str>) -> Result<Self, Failure> {
        let stream = TcpStream::connect(to).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(async move {
            // Ends with the process that it leads to.
            let _ = connection.await;
        });
        Ok(Self { sender, host: to.to_string(), authorization: token.map(|token| format!("Bearer {token}")) })
    }

    /// Posts a body and waits for the whole answer.
    ///
    /// # Errors
    /// When the connection ends.
    pub(super) async fn post(&mut self, path: &str, body: Bytes) -> Result<StatusCode, Failure> {
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(path)
            .header(HOST, &self.host)
            .header(CONTENT_TYPE, "application/json");
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        self.sender.ready().await?;
        let answer = self.sender.send_request(request.body(Full::new(body))?).await?;
        let status = answer.status();
        answer.into_body().collect().await?;
        Ok(status)
    }
}
