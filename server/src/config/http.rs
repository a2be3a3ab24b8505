//! What stands before the HTTP interface: the settings of proxies.

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::egress::list;

/// What stands before the HTTP interface.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Http {
    /// Networks of proxies, whose word counts for whom a request is from.
    #[serde(deserialize_with = "list")]
    pub trusted_proxies: Vec<IpNet>,
    /// How they say it.
    pub forwarded_header: ForwardedHeader,
    /// Seconds after a stop was asked for in which connections are still accepted,
    /// while `/readyz` says that others should get them.
    pub drain_seconds: f64,
}

impl Http {
    /// What the types can't say.
    pub(super) fn check(&self) -> Result<(), (&'static str, String)> {
        if !(0.0..=3_600.0).contains(&self.drain_seconds) {
            return Err(("http.drain_seconds", "must be a number of seconds from 0 to 3600".to_owned()));
        }
        Ok(())
    }
}

/// The headers by which proxies say whom a request is from. Only one kind is
/// read: a proxy passes on what it does not know of, so the other could be
/// anybody's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ForwardedHeader {
    /// `X-Forwarded-For` and `X-Forwarded-Proto`.
    #[serde(rename = "x-forwarded-for")]
    XForwardedFor,
    /// `Forwarded` (RFC 7239).
    #[serde(rename = "forwarded")]
    Forwarded,
}

impl Default for Http {
    fn default() -> Self {
        Self {
            trusted_proxies: Vec::new(),
            forwarded_header: ForwardedHeader::XForwardedFor,
            drain_seconds: 0.0,
        }
    }
}
