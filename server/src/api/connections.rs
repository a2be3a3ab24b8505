//! How many connections there may be, of all clients and of each.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;

use super::peer::{Proxies, origin};

/// The connections that there are.
pub(super) struct Connections {
    most: usize,
    most_per_address: usize,
    proxies: Proxies,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    all: usize,
    /// Of who is limited.
    by_origin: HashMap<IpAddr, usize>,
}

/// Why there is no place for a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Full {
    /// There are as many as there may be.
    All,
    /// Its address has as many as it may have.
    Address,
}

/// The place of one connection, until it is dropped.
pub(super) struct Place {
    connections: Arc<Connections>,
    /// `None` for a trusted proxy.
    origin: Option<IpAddr>,
}

impl Connections {
    pub(super) fn new(most: usize, most_per_address: usize, proxies: Proxies) -> Arc<Self> {
        Arc::new(Self { most, most_per_address, proxies, open: Mutex::default() })
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.open.lock().all
    }

    /// A place for a connection from `address`.
    pub(super) fn admit(self: &Arc<Self>, address: IpAddr) -> Result<Place, Full> {
        let origin = (!self.proxies.trusts(address)).then(|| origin(address));
        let mut open = self.open.lock();
        if open.all >= self.most {
            return Err(Full::All);
        }
        if let Some(origin) = origin {
            let own = open.by_origin.entry(origin).or_default();
            if *own >= self.most_per_address {
                return Err(Full::Address);
            }
            *own += 1;
        }
        open.all += 1;
        Ok(Place { connections: Arc::clone(self), origin })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.connections.open.lock();
        open.all -= 1;
        if let Some(origin) = self.origin
            && let Some(own) = open.by_origin.get_mut(&origin)
        {
            *own -= 1;
            if *own == 0 {
                open.by_origin.remove(&origin);
            }
        }
    }
}

impl Full {
    /// What is answered instead of anything else.
    pub(super) const fn answer(self) -> &'static [u8] {
        match self {
            Self::All => {
                b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 2\r\nconnection: close\r\n\
                  content-type: application/problem+json\r\ncontent-length: 140\r\n\r\n\
                  {\"type\":\"urn:callboard:problem:unavailable\",\"title\":\"Service Unavailable\",\"status\":503,\
                  \"detail\":\"there are too many connections; try again\"}"
            }
            Self::Address => {
                b"HTTP/1.1 429 Too Many Requests\r\nretry-after: 2\r\nconnection: close\r\n\
                  content-type: application/problem+json\r\ncontent-length: 143\r\n\r\n\
                  {\"type\":\"urn:callboard:problem:too-many\",\"title\":\"Too Many Requests\",\"status\":429,\
                  \"detail\":\"your address has too many connections; close some\"}"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Http;

    #[test]
    fn places_are_limited_and_come_back() {
        let proxies =
            Http { trusted_proxies: vec!["10.0.0.0/8".parse().expect("a network")], ..Http::default() };
        let connections = Connections::new(4, 2, Proxies::new(&proxies));
        let admit = |address: &str| connections.admit(address.parse().expect("an address"));
        let (one, two) = (admit("2001:db8::1").ok(), admit("2001:db8::2").ok());
        assert!(one.is_some() && two.is_some());
        // The same network of a customer.
        assert_eq!(admit("2001:db8::ffff").err(), Some(Full::Address));
        let of_proxy = [admit("10.0.0.1"), admit("::ffff:10.0.0.1")];
        assert!(of_proxy.iter().all(Result::is_ok));
        assert_eq!(admit("10.0.0.1").err(), Some(Full::All));
        drop(one);
        assert!(admit("2001:db8::3").is_ok(), "given back at once");
        drop((two, of_proxy));
        assert!(connections.open.lock().by_origin.is_empty());
        assert_eq!(connections.open.lock().all, 0);
    }

    #[test]
    fn answers_say_how_long_they_are() {
        for full in [Full::All, Full::Address] {
            let answer = std::str::from_utf8(full.answer()).expect("a text");
            let (head, body) = answer.split_once("\r\n\r\n").expect("a body");
            assert!(head.ends_with(&format!("content-length: {}", body.len())), "{}", body.len());
            serde_json::from_str::<serde_json::Value>(body).expect("JSON");
        }
    }
}
