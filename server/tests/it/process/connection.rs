//! A kept-alive connection to a running server, for the operator.

use std::error::Error;
use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::http::request::Builder;
use hyper::{HeaderMap, Request};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{PATIENCE, TOKEN};

/// Why there is no answer.
pub(crate) type NoAnswer = Box<dyn Error + Send + Sync>;

/// What the server answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    /// Null when the body is no JSON.
    pub(crate) json: Value,
}

impl Answer {
    /// The body of an answer that has to have this status.
    pub(crate) fn is(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.json);
        self.json
    }

    /// It has to say that the database can't be used, and when to try again.
    pub(crate) fn assert_unavailable(&self) {
        assert_eq!(self.status, 503, "{}", self.json);
        assert_eq!(self.headers["content-type"], "application/problem+json");
        let after = self.headers["retry-after"].to_str().expect("a text");
        assert!(after.parse::<u32>().is_ok_and(|seconds| seconds > 0), "{after:?}");
        assert_eq!(self.json["type"], "urn:callboard:problem:unavailable");
    }
}

/// A connection.
pub(crate) struct Connection {
    sender: SendRequest<Full<Bytes>>,
}

impl Connection {
    /// Connects.
    pub(crate) async fn open(to: SocketAddr) -> Result<Self, NoAnswer> {
        let stream = dial(to).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // Ends with the process that it leads to.
        tokio::spawn(connection);
        Ok(Self { sender })
    }

    /// Sends a request with a JSON body and waits for the whole answer.
    pub(crate) async fn send(&mut self, method: &str, path: &str, body: Bytes) -> Result<Answer, NoAnswer> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("content-type", "application/json")
            .header("authorization", format!("Bearer {TOKEN}"));
        self.exchange(request, body).await
    }

    /// Asks for `path` with another token than the operator's.
    pub(crate) async fn get_as(&mut self, token: &str, path: &str) -> Result<Answer, NoAnswer> {
        let request = Request::builder().method("GET").uri(path);
        self.exchange(request.header("authorization", format!("Bearer {token}")), Bytes::new()).await
    }

    async fn exchange(&mut self, request: Builder, body: Bytes) -> Result<Answer, NoAnswer> {
        let request = request.header("host", "callboard").body(Full::new(body))?;
        let exchange = async {
            self.sender.ready().await?;
            let (parts, body) = self.sender.send_request(request).await?.into_parts();
            Ok::<_, hyper::Error>((parts, body.collect().await?.to_bytes()))
        };
        let (parts, body) = timeout(PATIENCE, exchange).await??;
        let json = serde_json::from_slice(&body).unwrap_or_default();
        Ok(Answer { status: parts.status.as_u16(), headers: parts.headers, json })
    }

    /// Publishes one event or several.
    pub(crate) async fn publish(&mut self, events: &Value) -> Result<Answer, NoAnswer> {
        self.send("POST", "/v1/events", events.to_string().into()).await
    }
}

/// A bare connection.
#[expect(clippy::disallowed_methods, reason = "a test calls the program as its clients do")]
pub(crate) async fn dial(to: SocketAddr) -> std::io::Result<TcpStream> {
    TcpStream::connect(to).await
}

/// Asks for an access token with this form.
pub(crate) async fn token(to: SocketAddr, form: String) -> Result<Answer, NoAnswer> {
    let request = Request::builder()
        .method("POST")
        .uri("/oauth2/token")
        .header("content-type", "application/x-www-form-urlencoded");
    Connection::open(to).await?.exchange(request, form.into()).await
}

/// One request on a connection of its own.
pub(crate) async fn get(to: SocketAddr, path: &str) -> Result<Answer, NoAnswer> {
    Connection::open(to).await?.send("GET", path, Bytes::new()).await
}

/// One request with a JSON body on a connection of its own.
pub(crate) async fn post(to: SocketAddr, path: &str, body: &Value) -> Result<Answer, NoAnswer> {
    Connection::open(to).await?.send("POST", path, body.to_string().into()).await
}
