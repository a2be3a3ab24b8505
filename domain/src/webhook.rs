//! A webhook: where to send, what to hear, in which dialect, how to retry.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::event_type::TypePattern;
use crate::id::{TenantKey, WebhookId, WebhookKey};
use crate::retry::Schedule;
use crate::signing::{Scheme, Secret};
use crate::wire::Dialect;

mod read;

pub use read::read_settings;

/// What stands where a stored secret is not shown; given back in an edit, it
/// means "as it was".
pub const MASK: &str = "********";

/// A subscription of a tenant.
#[derive(Debug, Clone, PartialEq)]
pub struct Webhook {
    /// Its row.
    pub key: WebhookKey,
    /// Its public id.
    pub id: WebhookId,
    /// Whose it is.
    pub tenant: TenantKey,
    /// Counts the edits; an edit of an old revision is refused.
    pub revision: i64,
    /// What its owner chose.
    pub settings: Settings,
    /// Whether it hears and is called.
    pub status: Status,
    /// Why it was disabled, if not by hand.
    pub disabled_reason: Option<String>,
    /// Since when it has done nothing but fail.
    pub failing_since: Option<Timestamp>,
    /// Its signing secrets, the newest first.
    pub secrets: Vec<StoredSecret>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last edited.
    pub updated_at: Timestamp,
}

impl Webhook {
    /// The secrets that sign at `now`.
    pub fn valid_secrets(&self, now: Timestamp) -> impl Iterator<Item = &Secret> {
        self.secrets
            .iter()
            .filter(move |stored| stored.expires_at.is_none_or(|expiry| expiry > now))
            .map(|stored| &stored.secret)
    }
}

/// Whether a webhook hears new events, and whether it is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It hears and is called.
    Active,
    /// It hears, and its deliveries wait.
    Paused,
    /// It hears nothing new, and what waits is kept.
    Disabled,
}

impl Status {
    /// The name used in JSON, SQL and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Paused => "paused",
            Self::Disabled => "disabled",
        }
    }
}

/// A signing secret and until when it signs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredSecret {
    /// The secret.
    pub secret: Secret,
    /// When it came into use.
    pub created_at: Timestamp,
    /// When a newer one has replaced it wholly; `None` for the newest.
    pub expires_at: Option<Timestamp>,
}

/// What the owner of a webhook chooses.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// What people call it.
    pub name: String,
    /// Where deliveries are posted.
    pub url: String,
    /// What it hears, and in which dialect.
    pub subscription: Subscription,
    /// Hears only what names this id.
    pub identifier: Option<String>,
    /// Hears what propagates from related resources too.
    pub triggered_by_related: bool,
    /// When failed deliveries are tried again.
    pub retry: Schedule,
    /// Most requests at a time.
    pub max_in_flight: u32,
    /// Longest time for one attempt, connection and answer included.
    pub timeout: Duration,
    /// Further headers of each delivery, in lower case.
    pub headers: Vec<(String, String)>,
    /// The `Authorization` header of each delivery.
    pub authorization_header: Option<Confidential>,
    /// How deliveries are signed.
    pub signature: Scheme,
}

/// What a webhook subscribes to; the variant is its dialect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subscription {
    /// Types and patterns of types.
    Native {
        /// At least one.
        events: Vec<TypePattern>,
    },
}

impl Subscription {
    /// The dialect that deliveries are told in.
    #[must_use]
    pub const fn dialect(&self) -> Dialect {
        match self {
            Self::Native { .. } => Dialect::Native,
        }
    }
}

/// A text that no log, error or debug output may show.
#[derive(Clone, PartialEq, Eq)]
pub struct Confidential(String);

impl Confidential {
    /// Keeps `text` from being shown by accident.
    #[must_use]
    pub const fn new(text: String) -> Self {
        Self(text)
    }

    /// The text, for the one place that sends it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Confidential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

/// Settings as JSON, in the shape of the native API, secrets in clear.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SettingsDocument<'a> {
    name: &'a str,
    url: &'a str,
    dialect: Dialect,
    #[serde(skip_serializing_if = "Option::is_none")]
    events: Option<&'a [TypePattern]>,
    identifier: Option<&'a str>,
    triggered_by_related: bool,
    retry: RetryDocument,
    max_in_flight: u32,
    timeout_seconds: f64,
    headers: serde_json::Map<String, serde_json::Value>,
    authorization_header: Option<&'a str>,
    signature: Scheme,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct RetryDocument {
    schedule_seconds: Vec<f64>,
}

impl Settings {
    /// The settings as they are stored, secrets in clear;
    /// [`read_settings`] reads them back.
    #[must_use]
    pub fn revealed(&self) -> SettingsDocument<'_> {
        let Subscription::Native { events } = &self.subscription;
        SettingsDocument {
            name: &self.name,
            url: &self.url,
            dialect: self.subscription.dialect(),
            events: Some(events),
            identifier: self.identifier.as_deref(),
            triggered_by_related: self.triggered_by_related,
            retry: RetryDocument { schedule_seconds: self.retry.seconds().collect() },
            max_in_flight: self.max_in_flight,
            timeout_seconds: self.timeout.as_secs_f64(),
            headers: self.headers.iter().map(|(name, value)| (name.clone(), value.clone().into())).collect(),
            authorization_header: self.authorization_header.as_ref().map(Confidential::reveal),
            signature: self.signature,
        }
    }
}
