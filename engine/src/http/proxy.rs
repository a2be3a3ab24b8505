//! A forward proxy: how a connection is made through it.
//!
//! It is asked for a tunnel (`CONNECT`, RFC 9110 section 9.3.6) to an address
//! that was judged, never to a name: what it would make of the name nobody
//! here has judged. That holds for receivers by plain http too.

use std::fmt;
use std::io;
use std::net::SocketAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use url::{Host, Url};

use super::BadUrl;
use super::network::Stream;

/// Most bytes of the proxy's answer.
const ANSWER_LIMIT: usize = 16 * 1024;

/// Most characters of its reason that are quoted.
const QUOTED: usize = 80;

/// The operator's forward proxy. It is not judged: the operator chose it.
#[derive(Clone)]
pub struct Proxy {
    pub(super) host: Host<String>,
    pub(super) port: u16,
    /// The value of `Proxy-Authorization`.
    authorization: Option<String>,
}

impl Proxy {
    /// The proxy at `url`, such as `http://proxy.internal:3128`, with the user
    /// and the password that it asks for.
    ///
    /// # Errors
    /// When the URL is not that of a proxy; reads well after "the url".
    pub fn new(url: &str, credentials: Option<(&str, &str)>) -> Result<Self, BadUrl> {
        let parsed = Url::parse(url).map_err(|error| BadUrl(format!("is no absolute URL: {error}")))?;
        if parsed.scheme() != "http" {
            return Err(BadUrl(format!("must start with http://, not {}:", parsed.scheme())));
        }
        if !parsed.username().is_empty() || parsed.password().is_some() {
            return Err(BadUrl("must not contain a user name or password".to_owned()));
        }
        if parsed.path() != "/" || parsed.query().is_some() || parsed.fragment().is_some() {
            return Err(BadUrl("must end behind the port".to_owned()));
        }
        let host = parsed.host().ok_or_else(|| BadUrl("names no host".to_owned()))?.to_owned();
        let port = parsed.port_or_known_default().ok_or_else(|| BadUrl("names no port".to_owned()))?;
        let authorization = credentials
            .map(|(user, password)| format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))));
        Ok(Self { host, port, authorization })
    }

    /// Has the proxy at the other end of `stream` connect it to `address`.
    pub(super) async fn open(&self, stream: &mut dyn Stream, address: SocketAddr) -> Result<(), Refused> {
        let authorization = self.authorization.as_ref();
        let authorization = authorization.map(|value| format!("Proxy-Authorization: {value}\r\n"));
        let authorization = authorization.unwrap_or_default();
        let request = format!("CONNECT {address} HTTP/1.1\r\nHost: {address}\r\n{authorization}\r\n");
        stream.write_all(request.as_bytes()).await?;
        stream.flush().await?;
        let mut answer = Vec::new();
        let mut piece = [0; 512];
        let end = loop {
            let count = stream.read(&mut piece).await?;
            if count == 0 {
                return Err(Refused::Closed);
            }
            answer.extend_from_slice(&piece[..count]);
            if let Some(end) = answer.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
            if answer.len() > ANSWER_LIMIT {
                return Err(Refused::NotHttp);
            }
        };
        let (status, reason) = status_line(&answer).ok_or(Refused::NotHttp)?;
        match status {
            // What comes behind it would be the receiver's, who has not been
            // spoken to yet.
            200..=299 if answer.len() > end => Err(Refused::NotHttp),
            200..=299 => Ok(()),
            status => Err(Refused::Status(status, reason)),
        }
    }
}

/// The status and the reason with which an answer begins.
fn status_line(answer: &[u8]) -> Option<(u16, String)> {
    let line = answer.split(|byte| *byte == b'\r').next()?;
    let line = std::str::from_utf8(line).ok()?;
    let (status, reason) = line.strip_prefix("HTTP/1.")?.get(2..)?.split_at_checked(3)?;
    let printable = reason.trim().chars().filter(|c| !c.is_control()).take(QUOTED).collect();
    Some((status.parse().ok()?, printable))
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({self})")
    }
}

/// Why a proxy made no connection.
pub(super) enum Refused {
    /// It answered with this status and reason.
    Status(u16, String),
    /// It answered something else, or more.
    NotHttp,
    /// It closed the connection.
    Closed,
    /// The connection to it broke.
    Broken(io::Error),
}

impl From<io::Error> for Refused {
    fn from(error: io::Error) -> Self {
        Self::Broken(error)
    }
}

impl Refused {
    /// Whether it would say the same about any other address.
    pub(super) const fn is_final(&self) -> bool {
        matches!(self, Self::Status(407, _) | Self::NotHttp)
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(407, _) => f.write_str(
                "it asks for a user and a password, or for others; \
                 check egress.proxy_user and egress.proxy_password",
            ),
            Self::Status(status, reason) if reason.is_empty() => write!(f, "it answered {status}"),
            Self::Status(status, reason) => write!(f, "it answered {status} {reason}"),
            Self::NotHttp => f.write_str("what it answered is not the answer of a proxy"),
            Self::Closed => f.write_str("it closed the connection"),
            Self::Broken(error) => write!(f, "{error}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_url_of_a_proxy_is_checked_and_its_password_hidden() {
        let proxy = Proxy::new("http://proxy.internal:3128", Some(("callboard", "sesame"))).unwrap();
        assert_eq!(format!("{proxy} {proxy:?}"), "proxy.internal:3128 Proxy(proxy.internal:3128)");
        assert_eq!(proxy.authorization.as_deref(), Some("Basic Y2FsbGJvYXJkOnNlc2FtZQ=="));
        for (url, why) in [
            ("proxy:3128", "must start with http://, not proxy:"),
            ("https://proxy/", "must start with http://, not https:"),
            ("http://u:p@proxy/", "must not contain a user name or password"),
            ("http://proxy/path", "must end behind the port"),
        ] {
            assert_eq!(Proxy::new(url, None).unwrap_err().to_string(), why, "{url}");
        }
    }

    #[test]
    fn a_status_line_is_read_or_is_none() {
        let read = |text: &str| status_line(text.as_bytes());
        assert_eq!(
            read("HTTP/1.1 200 Connection established\r\n"),
            Some((200, "Connection established".into()))
        );
        assert_eq!(read("HTTP/1.0 403\r\n"), Some((403, String::new())));
        for text in ["HTTP/2 200 X\r\n", "HTTP/1.1\r\n", "HTTP/1.1 2\r\n", "HTTP/1.1 x00 y\r\n", "\r\n", "é"]
        {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
