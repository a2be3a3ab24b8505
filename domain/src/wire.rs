//! What receivers get: the headers and the body of a delivery, by dialect.
//!
//! A dialect translates shapes and nothing else: who hears an event, how it
//! is signed and when it is retried is decided once, elsewhere. What is the
//! same for every webhook is rendered once an event and dialect; `template`
//! keeps it, and only what differs is spliced in for each delivery.

use std::str::FromStr;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::delivery::StoredEvent;
use crate::id::{DeliveryKey, TenantId};
use crate::webhook::{Subscription, Webhook};

mod fact;
pub mod ingresse;
pub mod openticket;
mod shape;
mod template;
pub mod viagogo;

pub use template::Renderings;

/// One platform's shape of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dialect {
    /// Callboard's own: Standard Webhooks 1.0.0.
    Native,
    /// Ingresse's hooks.
    Ingresse,
    /// viagogo's topics, as HAL.
    Viagogo,
    /// OpenTicket's resources and triggers.
    OpenTicket,
}

/// The text names no dialect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be \"native\", \"ingresse\", \"viagogo\" or \"openticket\"")]
pub struct UnknownDialect;

impl FromStr for Dialect {
    type Err = UnknownDialect;

    fn from_str(text: &str) -> Result<Self, UnknownDialect> {
        Self::ALL.into_iter().find(|dialect| dialect.as_str() == text).ok_or(UnknownDialect)
    }
}

impl Dialect {
    /// Every dialect, in the order of the documentation.
    pub const ALL: [Self; 4] = [Self::Native, Self::Ingresse, Self::Viagogo, Self::OpenTicket];

    /// The name used in JSON, SQL, logs and pages.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Ingresse => "ingresse",
            Self::Viagogo => "viagogo",
            Self::OpenTicket => "openticket",
        }
    }

    /// The `user-agent` of a delivery.
    #[must_use]
    pub const fn user_agent(self) -> &'static str {
        match self {
            Self::Native | Self::Ingresse | Self::Viagogo => {
                concat!("Callboard/", env!("CARGO_PKG_VERSION"))
            }
            Self::OpenTicket => "OpenTicket/Webhook",
        }
    }
}

/// The event can't be told in the dialect; the text says why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unrenderable(pub(crate) String);

/// What is sent: the body, and the dialect's own headers in lower case. What
/// every delivery carries besides is the engine's to add.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The body, as it is signed and sent.
    pub body: Bytes,
    /// Names and values; every value is visible ASCII.
    pub headers: Vec<(&'static str, String)>,
}

impl Message {
    const fn plain(body: Bytes) -> Self {
        Self { body, headers: Vec::new() }
    }
}

/// What the dialects have to know of a webhook, made ready once and not once a
/// delivery.
#[derive(Debug)]
pub struct Recipient(Kind);

#[derive(Debug)]
enum Kind {
    Native,
    Ingresse(ingresse::Recipient),
    Viagogo(viagogo::Recipient),
    OpenTicket(openticket::Recipient),
}

impl Recipient {
    /// Makes a webhook of `tenant` ready. Links lead to `public_url`, which
    /// ends without a slash.
    #[must_use]
    pub fn new(webhook: &Webhook, tenant: &TenantId, public_url: &str) -> Self {
        Self(match &webhook.settings.subscription {
            Subscription::Native { .. } => Kind::Native,
            Subscription::Ingresse { hooks } => Kind::Ingresse(ingresse::Recipient::new(hooks)),
            Subscription::Viagogo { .. } => Kind::Viagogo(viagogo::Recipient::new(webhook, public_url)),
            Subscription::OpenTicket { resource, .. } => {
                Kind::OpenTicket(openticket::Recipient::new(webhook, *resource, tenant))
            }
        })
    }

    /// Tells `event` as it is posted at `at`.
    ///
    /// # Errors
    /// When the dialect has no words for it, or what is stored is not what was
    /// accepted.
    pub fn tell(
        &self,
        event: &StoredEvent,
        delivery: DeliveryKey,
        at: Timestamp,
    ) -> Result<Message, Unrenderable> {
        match &self.0 {
            // Stored, signed and sent are the same bytes.
            Kind::Native => Ok(Message::plain(event.body.clone())),
            Kind::Ingresse(recipient) => recipient.tell(event, at),
            Kind::Viagogo(recipient) => recipient.tell(event, delivery),
            Kind::OpenTicket(recipient) => recipient.tell(event),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
