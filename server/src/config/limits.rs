//! What one client may take of the server: connections, sizes and times.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What is wrong with a setting: its name, and what would be right.
type Wrong = (&'static str, String);

/// What one client may take of the server.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Most connections of all clients.
    pub max_connections: usize,
    /// Most connections of one address; trusted proxies have as many as they like.
    pub max_connections_per_address: usize,
    /// Most KiB of the request line and the headers.
    pub header_kib: usize,
    /// Most headers of a request.
    pub max_headers: usize,
    /// Most MiB of a body.
    pub body_mib: usize,
    /// Seconds for a TLS handshake, and for the headers of a request.
    pub header_seconds: f64,
    /// Seconds for the body of a request.
    pub body_seconds: f64,
    /// Seconds that a connection is kept without a request.
    pub idle_seconds: f64,
    /// Seconds that an answer may stand still because its client reads nothing.
    pub stall_seconds: f64,
    /// Seconds that an answer may take that its client reads slowly; streams
    /// have no such end.
    pub answer_seconds: f64,
    /// Wrong secrets a minute of one client id from one address.
    pub client_failures_per_minute: u32,
    /// Wrong secrets and unknown clients a minute from one address.
    pub address_failures_per_minute: u32,
    /// Wrong bearer tokens a minute from one address.
    pub token_failures_per_minute: u32,
    /// Events a second that one tenant may publish; 0 for as many as it likes.
    pub publish_events_per_second: f64,
    /// Events that it may publish at once where that is limited.
    pub publish_burst_events: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections: 10_000,
            max_connections_per_address: 1_000,
            header_kib: 64,
            max_headers: 100,
            body_mib: 10,
            header_seconds: 10.0,
            body_seconds: 60.0,
            // Above the 60 seconds that proxies keep their connections for: who
            // closes first must not be the one that did not send the next request.
            idle_seconds: 75.0,
            stall_seconds: 20.0,
            answer_seconds: 300.0,
            client_failures_per_minute: 20,
            address_failures_per_minute: 100,
            token_failures_per_minute: 600,
            publish_events_per_second: 0.0,
            publish_burst_events: 1_000,
        }
    }
}

/// A number of seconds that [`Limits::check`] has seen.
pub(crate) fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

impl Limits {
    /// What the types can't say.
    pub(super) fn check(&self) -> Result<(), Wrong> {
        let counts = [
            ("limits.max_connections", self.max_connections, 1, 1_000_000),
            ("limits.max_connections_per_address", self.max_connections_per_address, 1, 1_000_000),
            // The reader's buffer is no smaller than that.
            ("limits.header_kib", self.header_kib, 8, 1_024),
            ("limits.max_headers", self.max_headers, 16, 1_000),
            ("limits.body_mib", self.body_mib, 1, 64),
        ];
        for (name, value, least, most) in counts {
            if !(least..=most).contains(&value) {
                return Err((name, format!("must be from {least} to {most}")));
            }
        }
        let rates = [
            ("limits.client_failures_per_minute", self.client_failures_per_minute),
            ("limits.address_failures_per_minute", self.address_failures_per_minute),
            ("limits.token_failures_per_minute", self.token_failures_per_minute),
            ("limits.publish_burst_events", self.publish_burst_events),
        ];
        for (name, value) in rates {
            if !(1..=1_000_000).contains(&value) {
                return Err((name, "must be from 1 to 1000000".to_owned()));
            }
        }
        if !(0.0..=1_000_000.0).contains(&self.publish_events_per_second) {
            let right = "must be a number of events from 0, which is no limit, to 1000000".to_owned();
            return Err(("limits.publish_events_per_second", right));
        }
        let times = [
            ("limits.header_seconds", self.header_seconds),
            ("limits.body_seconds", self.body_seconds),
            ("limits.idle_seconds", self.idle_seconds),
            ("limits.stall_seconds", self.stall_seconds),
            ("limits.answer_seconds", self.answer_seconds),
        ];
        for (name, value) in times {
            if !(value > 0.0 && value <= 3_600.0) {
                return Err((name, "must be a number of seconds above 0, and at most 3600".to_owned()));
            }
        }
        Ok(())
    }
}
