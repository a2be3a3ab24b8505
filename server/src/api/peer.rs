//! Whom a request is from: the address and the scheme of whoever is behind the
//! proxies that are trusted.
//!
//! Anybody can send the headers by which proxies tell this. So they count only
//! where the connection itself comes from a trusted proxy, and are read from
//! the right: each proxy adds whom it heard from at the end. The first address
//! that is no trusted proxy is the peer's; what stands to the left of it is
//! what the peer says of itself.

use std::convert::Infallible;
use std::net::IpAddr;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap};
use ipnet::IpNet;

use super::state::State;
use crate::config::{ForwardedHeader, Http};

/// Whom a request is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// The address, of IPv4 where it is an IPv4 address in the form of IPv6.
    pub address: IpAddr,
    /// Whether it came by HTTPS, to here or to the proxy.
    pub https: bool,
}

/// The other end of a connection, which every request on it carries.
#[derive(Debug, Clone, Copy)]
pub(super) struct Near {
    pub(super) address: IpAddr,
    /// Whether the connection is encrypted.
    pub(super) tls: bool,
}

/// Proxies, and how they speak.
#[derive(Debug, Clone)]
pub struct Proxies {
    trusted: Vec<IpNet>,
    header: ForwardedHeader,
}

impl Proxies {
    /// As the settings say.
    #[must_use]
    pub fn new(settings: &Http) -> Self {
        Self { trusted: settings.trusted_proxies.clone(), header: settings.forwarded_header }
    }

    /// Whether the word of who has this address counts.
    pub(super) fn trusts(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.trusted.iter().any(|network| network.contains(&address))
    }

    fn peer(&self, near: Near, headers: &HeaderMap) -> Peer {
        let own = Peer { address: near.address.to_canonical(), https: near.tls };
        if !self.trusts(own.address) {
            return own;
        }
        match self.header {
            ForwardedHeader::XForwardedFor => self.by_x_forwarded_for(own, headers),
            ForwardedHeader::Forwarded => self.by_forwarded(own, headers),
        }
    }

    fn by_x_forwarded_for(&self, own: Peer, headers: &HeaderMap) -> Peer {
        let mut address = own.address;
        for hop in from_the_right(headers, "x-forwarded-for") {
            let Some(hop) = address_of(hop) else { break };
            address = hop;
            if !self.trusts(address) {
                break;
            }
        }
        // There is nothing to tell which proxy a scheme is of, so it is what the
        // nearest one says.
        let https = match from_the_right(headers, "x-forwarded-proto").next() {
            Some(scheme) => scheme.eq_ignore_ascii_case("https"),
            None => own.https && !headers.contains_key("x-forwarded-for"),
        };
        Peer { address, https }
    }

    fn by_forwarded(&self, own: Peer, headers: &HeaderMap) -> Peer {
        let mut peer = own;
        for line in headers.get_all("forwarded").iter().rev() {
            // In a line that is not well-formed nobody knows what a proxy added.
            let Some(hops) = line.to_str().ok().and_then(forwarded) else {
                return Peer { https: false, ..peer };
            };
            for hop in hops.iter().rev() {
                peer.https = hop.scheme.eq_ignore_ascii_case("https");
                let Some(address) = address_of(&hop.from) else { return peer };
                peer.address = address;
                if !self.trusts(address) {
                    return peer;
                }
            }
        }
        peer
    }
}

impl Peer {
    /// Whom a request with these parts is from.
    ///
    /// A request that came by no connection, which does not happen, is from
    /// nobody who is trusted.
    pub(crate) fn of(state: &State, extensions: &Extensions, headers: &HeaderMap) -> Self {
        let nobody = Near { address: IpAddr::from([0, 0, 0, 0]), tls: false };
        let near = extensions.get().copied().unwrap_or(nobody);
        state.inner.options.proxies.peer(near, headers)
    }
}

impl FromRequestParts<State> for Peer {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, Infallible> {
        Ok(Self::of(state, &parts.extensions, &parts.headers))
    }
}

/// What counts as one customer where somebody is limited: an address of IPv4, or
/// a network of IPv6 as customers are given one.
pub(crate) fn origin(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
        address @ IpAddr::V4(_) => address,
    }
}

/// The items of a list, the last one first, over all lines of the header.
fn from_the_right<'a>(headers: &'a HeaderMap, name: &'static str) -> impl Iterator<Item = &'a str> {
    let lines = headers.get_all(name).iter().rev();
    lines.flat_map(|line| line.to_str().unwrap_or_default().rsplit(',').map(str::trim))
}

/// The address in `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1` and `[2001:db8::1]:80`.
fn address_of(text: &str) -> Option<IpAddr> {
    let bare = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok().map(IpAddr::V6);
    let with_port = || text.parse().ok().map(|address: std::net::SocketAddr| address.ip());
    text.parse().ok().or_else(bare).or_else(with_port).map(|address: IpAddr| address.to_canonical())
}

/// What one proxy says in `Forwarded`.
#[derive(Debug, Default, PartialEq, Eq)]
struct Hop {
    from: String,
    scheme: String,
}

/// Reads a line of `Forwarded` (RFC 7239 section 4); `None` when it is not
/// well-formed.
fn forwarded(line: &str) -> Option<Vec<Hop>> {
    let mut hops = Vec::new();
    let mut hop = Hop::default();
    let mut rest = line.trim();
    loop {
        let (name, after) = rest.split_once('=')?;
        let (value, after) = value(after)?;
        match name.trim() {
            name if name.eq_ignore_ascii_case("for") => hop.from = value,
            name if name.eq_ignore_ascii_case("proto") => hop.scheme = value,
            name if !name.is_empty() && name.bytes().all(is_token) => {}
            _ => return None,
        }
        let after = after.trim_start();
        match after.bytes().next() {
            None => {
                hops.push(hop);
                return Some(hops);
            }
            Some(b',') => hops.push(std::mem::take(&mut hop)),
            Some(b';') => {}
            Some(_) => return None,
        }
        rest = after[1..].trim_start();
    }
}

/// A token or a quoted text, and what comes behind it.
fn value(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.bytes().position(|byte| !is_token(byte)).unwrap_or(text.len());
        return (end > 0).then(|| (text[..end].to_owned(), &text[end..]));
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, &quoted[at + 1..])),
            '\\' => value.push(characters.next()?.1),
            character => value.push(character),
        }
    }
    None
}

/// Whether a token can hold this byte (RFC 9110 section 5.6.2).
///
/// A colon can't stand in one, but proxies write `for=192.0.2.1:80` all the same.
const fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^'..=b'`' | b'|' | b'~' | b':')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(header: ForwardedHeader) -> Proxies {
        let trusted = ["10.0.0.0/8", "fd00::/8"].map(|network| network.parse().expect("a network"));
        Proxies { trusted: trusted.to_vec(), header }
    }

    /// Who sends these headers over a connection from `near`: the address, and
    /// whether by HTTPS.
    fn peer(header: ForwardedHeader, near: &str, headers: &[(&'static str, &str)]) -> (String, bool) {
        let (near, tls) = near.strip_prefix("tls ").map_or((near, false), |near| (near, true));
        let near = Near { address: near.parse().expect("an address"), tls };
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().expect("a value"));
        }
        let peer = proxies(header).peer(near, &map);
        (peer.address.to_string(), peer.https)
    }

    #[test]
    fn the_first_address_from_the_right_that_is_no_trusted_proxy_counts() {
        const FOR: &str = "x-forwarded-for";
        const PROTO: &str = "x-forwarded-proto";
        for (near, headers, address, https) in [
            // Nobody is believed who is no proxy.
            ("192.0.2.1", &[(FOR, "198.51.100.1"), (PROTO, "https")][..], "192.0.2.1", false),
            ("tls 192.0.2.1", &[(PROTO, "http")], "192.0.2.1", true),
            ("::ffff:192.0.2.1", &[], "192.0.2.1", false),
            // One proxy.
            ("10.0.0.1", &[(FOR, "198.51.100.1"), (PROTO, "https")], "198.51.100.1", true),
            ("::ffff:10.0.0.1", &[(FOR, "198.51.100.1"), (PROTO, "HTTPS")], "198.51.100.1", true),
            ("10.0.0.1", &[(FOR, "198.51.100.1:5000")], "198.51.100.1", false),
            ("10.0.0.1", &[(FOR, "2001:db8::1")], "2001:db8::1", false),
            ("10.0.0.1", &[(FOR, "[2001:db8::1]:443")], "2001:db8::1", false),
            // The peer put something before it.
            ("10.0.0.1", &[(FOR, "127.0.0.1, 198.51.100.1"), (PROTO, "https, http")], "198.51.100.1", false),
            ("10.0.0.1", &[(FOR, "10.0.0.9"), (FOR, "198.51.100.1")], "198.51.100.1", false),
            // Two proxies, and one that says nothing.
            ("10.0.0.1", &[(FOR, "1.1.1.1, 198.51.100.1, fd00::2")], "198.51.100.1", false),
            ("10.0.0.1", &[(FOR, "10.0.0.3, 10.0.0.2")], "10.0.0.3", false),
            ("tls 10.0.0.1", &[(FOR, "198.51.100.1")], "198.51.100.1", false),
            ("tls 10.0.0.1", &[], "10.0.0.1", true),
            // What is no address ends the search: who is behind it is not known.
            ("10.0.0.1", &[(FOR, "198.51.100.1, unknown")], "10.0.0.1", false),
            ("10.0.0.1", &[(FOR, "198.51.100.1, ")], "10.0.0.1", false),
            ("10.0.0.1", &[(FOR, "198.51.100.1, nonsense, 10.0.0.2")], "10.0.0.2", false),
            // The other header is anybody's.
            ("10.0.0.1", &[("forwarded", "for=198.51.100.1;proto=https")], "10.0.0.1", false),
        ] {
            let found = peer(ForwardedHeader::XForwardedFor, near, headers);
            assert_eq!(found, (address.to_owned(), https), "{near} {headers:?}");
        }
    }

    #[test]
    fn forwarded_is_read_as_the_rfc_says() {
        for (near, lines, address, https) in [
            ("192.0.2.1", &["for=198.51.100.1;proto=https"][..], "192.0.2.1", false),
            ("10.0.0.1", &["for=198.51.100.1;proto=https"], "198.51.100.1", true),
            ("10.0.0.1", &["For=\"[2001:db8::1]:4711\"; Proto=\"https\" ;by=_x"], "2001:db8::1", true),
            ("10.0.0.1", &["for=1.1.1.1;proto=https, for=198.51.100.1;proto=http"], "198.51.100.1", false),
            // The scheme is that of the proxy which names the peer.
            ("10.0.0.1", &["for=198.51.100.1;proto=https, for=10.0.0.2;proto=http"], "198.51.100.1", true),
            ("10.0.0.1", &["for=1.1.1.1;proto=https", "for=198.51.100.1"], "198.51.100.1", false),
            ("10.0.0.1", &["for=198.51.100.1;proto=https", "for=_hidden"], "10.0.0.1", false),
            ("10.0.0.1", &["for=unknown;proto=https"], "10.0.0.1", true),
            ("tls 10.0.0.1", &[], "10.0.0.1", true),
            // A quote that the peer opened does not swallow what the proxy added.
            ("10.0.0.1", &["for=\"", "for=198.51.100.1;proto=https"], "198.51.100.1", true),
            ("10.0.0.1", &["for=1.1.1.1;x=\", for=198.51.100.1;proto=https"], "10.0.0.1", false),
            ("tls 10.0.0.1", &["for=\"1.1.1.1, for=\"[2001:db8::1]\""], "10.0.0.1", false),
            ("10.0.0.1", &["nonsense"], "10.0.0.1", false),
            ("10.0.0.1", &["for=;proto=https"], "10.0.0.1", false),
        ] {
            let headers: Vec<_> = lines.iter().map(|line| ("forwarded", *line)).collect();
            let found = peer(ForwardedHeader::Forwarded, near, &headers);
            assert_eq!(found, (address.to_owned(), https), "{near} {lines:?}");
        }
    }
}
