//! Where a webhook is posted to: its URL, taken apart once.

use std::fmt;
use std::hash::BuildHasher;
use std::sync::Arc;

use bytes::Bytes;
use foldhash::fast::FixedState;
use http::header::{HeaderName, HeaderValue};
use http::uri::PathAndQuery;
use rustls::pki_types::ServerName;
use url::{Host, Url};

use super::identity::Identity;
use super::request::{self, Headers, Request};

/// Where to post to. Prepared once per webhook; a clone only counts.
#[derive(Clone)]
pub struct Endpoint {
    parts: Arc<Parts>,
}

struct Parts {
    tls: bool,
    host: Host<String>,
    port: u16,
    /// As whom it is called. Belongs to the origin: a connection that was made
    /// as one client must not carry what another sends.
    identity: Option<Identity>,
    /// Of scheme, host, port and identity, so that the pool need not hash again.
    origin: u64,
    target: PathAndQuery,
    host_header: HeaderValue,
    server_name: Option<ServerName<'static>>,
}

impl Endpoint {
    /// Takes `url` apart. Unusual spellings of IP addresses (`127.1`,
    /// `0x7f000001`, `2130706433`) come out as the address they mean.
    ///
    /// # Errors
    ///
    /// When it is no absolute http or https URL that can be called, with the
    /// reason in a person's words.
    pub fn parse(url: &str) -> Result<Self, BadUrl> {
        Self::new(url, None)
    }

    /// As [`Self::parse`], called as `identity` where there is one.
    ///
    /// # Errors
    ///
    /// The same.
    pub fn new(url: &str, identity: Option<Identity>) -> Result<Self, BadUrl> {
        let parsed = Url::parse(url).map_err(|error| BadUrl(format!("is no absolute URL: {error}")))?;
        let tls = match parsed.scheme() {
            "https" => true,
            "http" => false,
            other => return Err(BadUrl(format!("must start with https:// or http://, not {other}:"))),
        };
        if !parsed.username().is_empty() || parsed.password().is_some() {
            return Err(BadUrl("must not contain a user name or password".to_owned()));
        }
        let host = parsed.host().ok_or_else(|| BadUrl("names no host".to_owned()))?.to_owned();
        let port = parsed.port_or_known_default().ok_or_else(|| BadUrl("names no port".to_owned()))?;
        let authority = match parsed.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_string(),
        };
        let host_header =
            HeaderValue::from_str(&authority).map_err(|_| BadUrl(format!("has an unusable host: {host}")))?;
        let target = match parsed.query() {
            Some(query) => format!("{}?{query}", parsed.path()),
            None => parsed.path().to_owned(),
        };
        let target = PathAndQuery::try_from(target)
            .map_err(|error| BadUrl(format!("has an unusable path or query: {error}")))?;
        let server_name = if tls { Some(server_name(&host)?) } else { None };
        let shown = identity.as_ref().and_then(Identity::own);
        let origin = FixedState::default().hash_one((tls, &host, port, shown));
        let parts = Parts { tls, host, port, identity, origin, target, host_header, server_name };
        Ok(Self { parts: Arc::new(parts) })
    }

    /// The host and port as the `Host` header spells them.
    #[must_use]
    pub fn authority(&self) -> &str {
        self.parts.host_header.to_str().unwrap_or_default()
    }

    pub(crate) fn host(&self) -> &Host<String> {
        &self.parts.host
    }

    pub(super) fn port(&self) -> u16 {
        self.parts.port
    }

    /// The name to verify, when the scheme is https.
    pub(crate) fn server_name(&self) -> Option<&ServerName<'static>> {
        self.parts.server_name.as_ref()
    }

    /// As whom it is called.
    pub(crate) fn identity(&self) -> Option<&Identity> {
        self.parts.identity.as_ref()
    }

    /// Equal for equal origins, and rarely for others.
    pub(super) fn origin_hash(&self) -> u64 {
        self.parts.origin
    }

    /// Whether a connection to `other` can serve this endpoint too.
    pub(super) fn same_origin(&self, other: &Self) -> bool {
        let (one, two) = (&self.parts, &other.parts);
        Arc::ptr_eq(one, two)
            || (one.origin == two.origin
                && one.tls == two.tls
                && one.port == two.port
                && one.host == two.host
                && one.identity == two.identity)
    }

    /// Where requests go, in full. The path may hold a secret of the receiver's.
    pub(crate) fn url(&self) -> String {
        format!("{}://{}{}", self.scheme(), self.authority(), self.parts.target)
    }

    fn scheme(&self) -> &'static str {
        if self.parts.tls { "https" } else { "http" }
    }

    /// The request to send.
    pub(super) fn request(&self, headers: &Headers, body: Bytes) -> Request {
        Request::post(&self.parts.target, &self.parts.host_header, headers, body)
    }

    /// The headers of a request with a body of `length` bytes, in the order of the wire.
    pub(crate) fn lines(&self, headers: &Headers, length: usize) -> Vec<(HeaderName, HeaderValue)> {
        request::lines(&self.parts.host_header, headers, length)
    }
}

/// The certificate's name for `host`: certificates know no final dot.
fn server_name(host: &Host<String>) -> Result<ServerName<'static>, BadUrl> {
    match host {
        Host::Ipv4(address) => Ok(ServerName::from(*address)),
        Host::Ipv6(address) => Ok(ServerName::from(*address)),
        Host::Domain(name) => {
            let name = name.strip_suffix('.').unwrap_or(name).to_owned();
            let unusable = format!("has a host that no certificate can name: {name}");
            ServerName::try_from(name).map_err(|_| BadUrl(unusable))
        }
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The path may hold a secret of the receiver's, so it stays out of logs.
        write!(f, "Endpoint({}://{})", self.scheme(), self.authority())
    }
}

/// Why a URL can't be posted to; reads well after "the url".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadUrl(pub(super) String);

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;

    #[test]
    fn an_endpoint_knows_its_parts() {
        let endpoint = Endpoint::parse("https://Shop.Example:8443/hook/ü?a=b|c#x").unwrap();
        assert_eq!(endpoint.authority(), "shop.example:8443");
        assert_eq!(endpoint.port(), 8443);
        assert_eq!(endpoint.url(), "https://shop.example:8443/hook/%C3%BC?a=b|c");
        assert_eq!(format!("{endpoint:?}"), "Endpoint(https://shop.example:8443)");
        let request = endpoint.request(&HeaderMap::new().into(), Bytes::from_static(b"{}"));
        let head = "POST /hook/%C3%BC?a=b|c HTTP/1.1\r\nhost: shop.example:8443\r\ncontent-length: 2\r\n\r\n";
        assert_eq!(request.head, head);
        assert_eq!(Endpoint::parse("http://shop.example").unwrap().port(), 80);
    }

    #[test]
    fn spellings_of_an_address_are_one_host() {
        let plain = Endpoint::parse("http://127.0.0.1/").unwrap();
        for url in ["http://127.1/a", "http://0x7f000001/", "http://2130706433/", "http://0177.0.0.1:80/"] {
            assert!(Endpoint::parse(url).unwrap().same_origin(&plain), "{url}");
        }
        for url in ["https://127.0.0.1/", "http://127.0.0.1:81/", "http://127.0.0.2/"] {
            assert!(!Endpoint::parse(url).unwrap().same_origin(&plain), "{url}");
        }
        assert_eq!(Endpoint::parse("http://[::1]:9/").unwrap().authority(), "[::1]:9");
    }

    #[test]
    fn unusable_urls_say_why() {
        for (url, why) in [
            ("hook", "is no absolute URL: relative URL without a base"),
            ("ftp://x/", "must start with https:// or http://, not ftp:"),
            ("http://u:p@x/", "must not contain a user name or password"),
            ("https://a_b..c/", "has a host that no certificate can name: a_b..c"),
        ] {
            assert_eq!(Endpoint::parse(url).unwrap_err().to_string(), why, "{url}");
        }
    }
}
