//! One kept-alive connection that posts, with nothing around it.

use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{AUTHORIZATION, HOST};
use hyper::{HeaderMap, Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::cli::Failure;

/// Where requests go, and whom they come from.
#[derive(Debug, Clone)]
pub(super) struct Entrance {
    /// Who listens.
    pub(super) address: SocketAddr,
    /// Where events are posted.
    pub(super) path: &'static str,
    /// The operator's token.
    pub(super) token: Option<&'static str>,
    /// The tenant that the operator acts for; `None` for the usual one.
    pub(super) tenant: Option<String>,
}

impl Entrance {
    /// Somebody who asks for nothing.
    pub(super) const fn open(address: SocketAddr) -> Self {
        Self { address, path: "/", token: None, tenant: None }
    }

    /// The same for this tenant.
    pub(super) fn of_tenant(self, tenant: &str) -> Self {
        Self { tenant: Some(tenant.to_owned()), ..self }
    }
}

/// A connection.
pub(super) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    entrance: Entrance,
    host: String,
    authorization: Option<String>,
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// When nobody answers there.
    #[expect(clippy::disallowed_methods, reason = "the generator dials only its own processes on loopback")]
    pub(super) async fn open(entrance: &Entrance) -> Result<Self, Failure> {
        let stream = TcpStream::connect(entrance.address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(async move {
            // Ends with the process that it leads to.
            let _ = connection.await;
        });
        let authorization = entrance.token.map(|token| format!("Bearer {token}"));
        Ok(Self { sender, entrance: entrance.clone(), host: entrance.address.to_string(), authorization })
    }

    /// Posts events and waits for the whole answer.
    ///
    /// # Errors
    /// When the connection ends.
    pub(super) async fn post(&mut self, body: Bytes) -> Result<StatusCode, Failure> {
        Ok(self.send(Method::POST, self.entrance.path, body).await?.0)
    }

    /// Sends any request and waits for the whole answer.
    ///
    /// # Errors
    /// When the connection ends.
    pub(super) async fn send(
        &mut self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<(StatusCode, Bytes), Failure> {
        let (status, _, body) =
            self.send_with(method, path, &[("content-type", "application/json")], body).await?;
        Ok((status, body))
    }

    /// The same with other headers, and the headers of the answer.
    ///
    /// # Errors
    /// When the connection ends.
    pub(super) async fn send_with(
        &mut self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> Result<(StatusCode, HeaderMap, Bytes), Failure> {
        let mut request = Request::builder().method(method).uri(path).header(HOST, &self.host);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        if let Some(tenant) = &self.entrance.tenant {
            request = request.header("callboard-tenant", tenant);
        }
        self.sender.ready().await?;
        let answer = self.sender.send_request(request.body(Full::new(body))?).await?;
        let (parts, body) = answer.into_parts();
        Ok((parts.status, parts.headers, body.collect().await?.to_bytes()))
    }
}
