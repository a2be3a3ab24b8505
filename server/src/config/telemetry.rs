//! Traces: where they go, how many, and whether receivers hear of them.

use serde::{Deserialize, Serialize};
use url::Url;

/// What is wrong with a setting: its name, and what would be right.
type Wrong = (&'static str, String);

/// Traces.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Telemetry {
    /// The URL of a collector that speaks OTLP over HTTP, up to `/v1/traces`; nothing is
    /// collected without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub otlp_endpoint: Option<String>,
    /// Which part of the traces that begin here is kept, 0 to 1.
    pub sample_ratio: f64,
    /// Whether receivers get `traceparent` and `tracestate`.
    pub pass_on: bool,
}

impl Default for Telemetry {
    fn default() -> Self {
        Self { otlp_endpoint: None, sample_ratio: 0.1, pass_on: true }
    }
}

impl Telemetry {
    /// What the types can't say.
    pub(super) fn check(&self) -> Result<(), Wrong> {
        if self.otlp_endpoint.as_deref().is_some_and(|url| !is_endpoint(url)) {
            let right = "must be where a collector listens, such as http://collector.internal:4318, without a user, a password or a query";
            return Err(("telemetry.otlp_endpoint", right.to_owned()));
        }
        if !(0.0..=1.0).contains(&self.sample_ratio) {
            return Err(("telemetry.sample_ratio", "must be a number from 0 to 1".to_owned()));
        }
        Ok(())
    }
}

fn is_endpoint(text: &str) -> bool {
    Url::parse(text).is_ok_and(|url| {
        matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none()
    })
}
