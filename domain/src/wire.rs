//! What receivers get: the headers and the body of a delivery, by dialect.
//!
//! A dialect translates shapes and nothing else: who hears an event, how it
//! is signed and when it is retried is decided once, elsewhere.

use std::str::FromStr;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::delivery::StoredEvent;

/// One platform's shape of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dialect {
    /// Callboard's own: Standard Webhooks 1.0.0.
    Native,
}

/// The text names no dialect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be \"native\"")]
pub struct UnknownDialect;

impl FromStr for Dialect {
    type Err = UnknownDialect;

    fn from_str(text: &str) -> Result<Self, UnknownDialect> {
        match text {
            "native" => Ok(Self::Native),
            _ => Err(UnknownDialect),
        }
    }
}

impl Dialect {
    /// The name used in JSON, SQL, logs and pages.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Native => "native",
        }
    }

    /// The body of every delivery of `event` in this dialect, before what
    /// differs from webhook to webhook is put in.
    #[must_use]
    pub fn render(self, event: &StoredEvent) -> Bytes {
        match self {
            // Stored, signed and sent are the same bytes.
            Self::Native => event.body.clone(),
        }
    }

    /// The `user-agent` of a delivery.
    #[must_use]
    pub const fn user_agent(self) -> &'static str {
        match self {
            Self::Native => concat!("Callboard/", env!("CARGO_PKG_VERSION")),
        }
    }
}
