//! Typed identifiers: small integer keys inside, stable public ids outside.
//!
//! Keys are row numbers: they order rows by creation and keep every index
//! small. Public ids are what clients, receivers and logs see. A key never
//! leaves the process except inside an opaque cursor or a derived public id.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::Rng;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::access::digest;
use crate::clock::Timestamp;

/// Why a text is no identifier of the wanted kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct InvalidId {
    reason: &'static str,
}

macro_rules! keys {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(pub i64);
    )+};
}

keys! {
    /// Row number of a tenant.
    TenantKey,
    /// Row number of a webhook.
    WebhookKey,
    /// Row number of an event; grows in the order of acceptance.
    EventKey,
    /// Row number of a delivery; grows in the order of acceptance, and the
    /// deliveries of one event are consecutive.
    DeliveryKey,
    /// Row number of a job.
    JobKey,
    /// Row number of an entry of the audit log; grows in the order of writing.
    AuditKey,
    /// Row number of a portal link.
    PortalLinkKey,
}

macro_rules! numbered_ids {
    ($($key:ident => $prefix:literal),+ $(,)?) => {$(
        impl fmt::Display for $key {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{}"), self.0)
            }
        }

        impl FromStr for $key {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                text.strip_prefix($prefix)
                    .filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()))
                    .and_then(|digits| digits.parse().ok())
                    .map(Self)
                    .ok_or(InvalidId { reason: concat!("must be \"", $prefix, "\" and a number") })
            }
        }
    )+};
}

numbered_ids! {
    DeliveryKey => "dlv_",
    JobKey => "job_",
    AuditKey => "aud_",
    PortalLinkKey => "ptl_",
}

macro_rules! text_ids {
    ($($(#[$doc:meta])* $name:ident: $check:expr, $reason:literal;)+) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(transparent)]
        pub struct $name(Box<str>);

        impl $name {
            /// The identifier as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                let check: fn(&str) -> bool = $check;
                if check(text) { Ok(Self(text.into())) } else { Err(InvalidId { reason: $reason }) }
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )+};
}

text_ids! {
    /// A tenant's id: 1 to 63 of `a-z`, `0-9`, `_`, `-`, starting with a letter or digit.
    TenantId: is_slug, "must be 1 to 63 of a-z, 0-9, '_' and '-', starting with a letter or a digit";
    /// A publisher's or our own event id. It becomes `webhook-id`, which
    /// Standard Webhooks forbids to hold a full stop.
    EventId: is_event_id, "must be 1 to 64 of letters, digits, '_' and '-'";
    /// An OAuth2 client's id.
    ClientId: is_event_id, "must be 1 to 64 of letters, digits, '_' and '-'";
}

fn is_slug(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-';
    (1..=63).contains(&text.len())
        && text.bytes().all(allowed)
        && text.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric)
}

fn is_event_id(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    (1..=64).contains(&text.len()) && text.bytes().all(allowed)
}

impl EventId {
    /// A fresh time-ordered id (UUID version 7, RFC 9562).
    pub fn generate(now: Timestamp, rng: &mut dyn Rng) -> Self {
        Self(uuid_v7(now, rng).to_string().into())
    }

    /// The id that follows from an id of somebody else's: the same text, or
    /// where an id may not be like that, its SHA-256.
    #[must_use]
    pub fn derived(text: &str) -> Self {
        text.parse().unwrap_or_else(|_| Self(URL_SAFE_NO_PAD.encode(digest(text)).into()))
    }
}

impl ClientId {
    /// A fresh client id.
    pub fn generate(now: Timestamp, rng: &mut dyn Rng) -> Self {
        Self(uuid_v7(now, rng).to_string().into())
    }
}

/// A webhook's public id (UUID version 7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WebhookId(Uuid);

impl WebhookId {
    /// A fresh time-ordered id.
    pub fn generate(now: Timestamp, rng: &mut dyn Rng) -> Self {
        Self(uuid_v7(now, rng))
    }

    /// The sixteen bytes that databases keep.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }

    /// The id that [`Self::as_bytes`] came from.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(bytes))
    }
}

impl fmt::Display for WebhookId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

impl FromStr for WebhookId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        Uuid::try_parse(text).map(Self).map_err(|_| InvalidId { reason: "must be a UUID" })
    }
}

fn uuid_v7(now: Timestamp, rng: &mut dyn Rng) -> Uuid {
    let mut chance = [0; 10];
    rng.fill_bytes(&mut chance);
    // A clock before 1970 is broken; ids only have to stay unique then.
    let millis = u64::try_from(now.as_millisecond()).unwrap_or(0);
    uuid::Builder::from_unix_timestamp_millis(millis, &chance).into_uuid()
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    #[test]
    fn event_ids_hold_what_a_webhook_id_may_hold() {
        assert!("order-9917-paid".parse::<EventId>().is_ok());
        for bad in ["", "a.b", "a b", "é", &"x".repeat(65)] {
            assert!(bad.parse::<EventId>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn an_id_follows_from_any_text() {
        assert_eq!(EventId::derived("order-9917-paid").as_str(), "order-9917-paid");
        for text in ["", "a.b", "a b", "é", &"x".repeat(65)] {
            let derived = EventId::derived(text);
            assert_eq!(derived, EventId::derived(text));
            assert_eq!(derived.as_str().parse(), Ok(derived), "{text:?}");
        }
        assert_ne!(EventId::derived("a.b"), EventId::derived("a.c"));
    }

    #[test]
    fn tenant_ids_are_slugs() {
        assert!("acme-2".parse::<TenantId>().is_ok());
        for bad in ["", "-a", "A", "a/b", &"x".repeat(64)] {
            assert!(bad.parse::<TenantId>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn numbered_ids_survive_the_round_trip() {
        let key = DeliveryKey(184_467);
        assert_eq!(key.to_string(), "dlv_184467");
        assert_eq!("dlv_184467".parse(), Ok(key));
        for bad in ["184467", "dlv_", "dlv_-1", "dlv_99999999999999999999", "job_1"] {
            assert!(bad.parse::<DeliveryKey>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn ids_of_our_own_are_uuids_that_tell_when_and_differ() {
        let mut rng = StdRng::seed_from_u64(1);
        let at = |text: &str| text.parse::<Timestamp>().expect("a time");
        let mut ids = Vec::new();
        for time in ["1969-12-31T23:59:59Z", "2026-11-21T19:00:00Z", "2026-11-21T19:00:00.001Z"] {
            ids.extend([(); 2].map(|()| WebhookId::generate(at(time), &mut rng).to_string()));
        }
        assert!(ids[2].starts_with("01a1ff7a-cb80-7") && ids[4].starts_with("01a1ff7a-cb81-7"), "{ids:?}");
        assert!(ids.iter().all(|id| id.len() == 36 && id.as_bytes()[14] == b'7'), "{ids:?}");
        assert!(ids[0] != ids[1] && ids[2] != ids[3], "{ids:?}");
        assert!(ids[1] < ids[2] && ids[3] < ids[4], "{ids:?}");
    }
}
