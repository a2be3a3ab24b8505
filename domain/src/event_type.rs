//! Names of happenings (`ticket.updated`) and the patterns that pick them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::resource::Resource;
use crate::trigger::Trigger;

/// Longest event type or pattern, in bytes.
pub const MAX_LENGTH: usize = 128;

/// First words that only Callboard itself publishes under.
const RESERVED: [&str; 3] = ["callboard", "delivery", "webhook"];

/// The name of a happening.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum EventType {
    /// Something happened to a resource; dialects know it.
    Known(Resource, Trigger),
    /// The publisher's own type; it goes out natively only.
    Custom(Box<str>),
    /// Callboard's own happenings, such as `webhook.ping`.
    Operational(Operational),
}

/// What Callboard itself has to say about a tenant's webhooks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operational {
    /// Somebody asked to try a webhook out.
    WebhookPing,
    /// A webhook was disabled because its receiver failed or asked for it.
    WebhookDisabled,
    /// Several attempts in a row failed.
    WebhookFailing,
    /// A webhook that was told to fail works again.
    WebhookRecovered,
    /// A delivery was given up.
    DeliveryExhausted,
}

impl Operational {
    /// Every one.
    pub const ALL: [Self; 5] = [
        Self::WebhookPing,
        Self::WebhookDisabled,
        Self::WebhookFailing,
        Self::WebhookRecovered,
        Self::DeliveryExhausted,
    ];

    /// The event type as text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::WebhookPing => "webhook.ping",
            Self::WebhookDisabled => "webhook.disabled",
            Self::WebhookFailing => "webhook.failing",
            Self::WebhookRecovered => "webhook.recovered",
            Self::DeliveryExhausted => "delivery.exhausted",
        }
    }
}

/// Why a text is no event type that may be published.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidEventType {
    /// The grammar is not met.
    #[error(
        "must be words of a-z, 0-9 and '_' joined by full stops, such as \"ticket.updated\", at most 128 long"
    )]
    Malformed,
    /// The resource is known, but this can't happen to it.
    #[error("{participle:?} can't happen to {resource}; it can be {}", participles(*.resource))]
    UnknownParticiple {
        /// The resource named by the first word.
        resource: Resource,
        /// What follows it.
        participle: Box<str>,
    },
    /// Only Callboard itself publishes under this first word.
    #[error("types starting with {0:?} are Callboard's own; use another first word")]
    Reserved(&'static str),
}

fn participles(resource: Resource) -> String {
    let words: Vec<_> = resource.triggers().iter().map(|trigger| trigger.participle()).collect();
    words.join(", ")
}

impl EventType {
    /// Every type of a known resource, in the order of the documentation.
    pub fn known() -> impl Iterator<Item = (Resource, Trigger)> {
        Resource::ALL
            .into_iter()
            .flat_map(|resource| resource.triggers().iter().map(move |trigger| (resource, *trigger)))
    }

    /// Reads a type that Callboard itself stored, its own ones included.
    ///
    /// # Errors
    /// When the text was never an event type.
    pub fn from_stored(text: &str) -> Result<Self, InvalidEventType> {
        match Operational::ALL.into_iter().find(|own| own.as_str() == text) {
            Some(own) => Ok(Self::Operational(own)),
            None => text.parse(),
        }
    }
}

impl fmt::Display for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known(resource, trigger) => {
                f.write_str(resource.as_str())?;
                f.write_str(".")?;
                f.write_str(trigger.participle())
            }
            Self::Custom(name) => f.write_str(name),
            Self::Operational(operational) => f.write_str(operational.as_str()),
        }
    }
}

impl FromStr for EventType {
    type Err = InvalidEventType;

    fn from_str(text: &str) -> Result<Self, InvalidEventType> {
        let (first, rest) = text.split_once('.').ok_or(InvalidEventType::Malformed)?;
        if text.len() > MAX_LENGTH || !is_word(first) || !rest.split('.').all(is_word) {
            return Err(InvalidEventType::Malformed);
        }
        if let Some(word) = RESERVED.into_iter().find(|word| *word == first) {
            return Err(InvalidEventType::Reserved(word));
        }
        let Ok(resource) = first.parse::<Resource>() else {
            return Ok(Self::Custom(text.into()));
        };
        match Trigger::from_participle(rest).filter(|trigger| resource.triggers().contains(trigger)) {
            Some(trigger) => Ok(Self::Known(resource, trigger)),
            None => Err(InvalidEventType::UnknownParticiple { resource, participle: rest.into() }),
        }
    }
}

fn is_word(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

/// What a native webhook asks for: one type, all types below a prefix
/// (`ticket.*`), or everything (`*`).
///
/// `*` does not pick Callboard's own types: those are heard only by webhooks
/// that name them.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct TypePattern(Box<str>);

/// Why a text is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTypePattern {
    /// Neither a type nor a prefix nor `*`.
    #[error("must be an event type such as \"order.paid\", a prefix such as \"ticket.*\", or \"*\"")]
    Malformed,
    /// It names a type that can never be published.
    #[error(transparent)]
    NeverPublished(InvalidEventType),
}

impl TypePattern {
    /// The pattern as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the pattern picks `event_type`.
    #[must_use]
    pub fn picks(&self, event_type: &str) -> bool {
        Self::picking(event_type).any(|candidate| *candidate == *self.0)
    }

    /// Every pattern text that picks `event_type`, the exact one first: what
    /// an index looks up.
    pub fn picking(event_type: &str) -> impl Iterator<Item = std::borrow::Cow<'_, str>> {
        let own = event_type.split('.').next().is_some_and(|first| RESERVED.contains(&first));
        let prefixes = event_type
            .match_indices('.')
            .map(|(at, _)| std::borrow::Cow::Owned(format!("{}.*", &event_type[..at])));
        std::iter::once(std::borrow::Cow::Borrowed(event_type))
            .chain(prefixes)
            .chain((!own).then_some(std::borrow::Cow::Borrowed("*")))
    }
}

impl fmt::Display for TypePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for TypePattern {
    type Err = InvalidTypePattern;

    fn from_str(text: &str) -> Result<Self, InvalidTypePattern> {
        if text == "*" {
            return Ok(Self("*".into()));
        }
        if let Some(prefix) = text.strip_suffix(".*") {
            let fits = text.len() <= MAX_LENGTH && prefix.split('.').all(is_word);
            return if fits { Ok(Self(text.into())) } else { Err(InvalidTypePattern::Malformed) };
        }
        match EventType::from_stored(text) {
            Ok(_) => Ok(Self(text.into())),
            Err(InvalidEventType::Malformed) => Err(InvalidTypePattern::Malformed),
            Err(never) => Err(InvalidTypePattern::NeverPublished(never)),
        }
    }
}

impl<'de> Deserialize<'de> for TypePattern {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_known_type_survives_the_round_trip() {
        let all: Vec<_> = EventType::known().collect();
        assert_eq!(all.len(), 6 * 7 + 5 + 2 + 3);
        for (resource, trigger) in all {
            let event_type = EventType::Known(resource, trigger);
            assert_eq!(event_type.to_string().parse(), Ok(event_type));
        }
    }

    #[test]
    fn faults_say_what_would_be_right() {
        let fault = "sale.paid".parse::<EventType>().map_err(|fault| fault.to_string());
        assert_eq!(
            fault,
            Err("\"paid\" can't happen to sale; it can be created, updated, deleted, cancelled, retransfer_requested"
                .into())
        );
        assert!("ticket.updated.twice".parse::<EventType>().is_err());
        assert!("ticket".parse::<EventType>().is_err());
        assert!("Ticket.updated".parse::<EventType>().is_err());
        assert!("webhook.disabled".parse::<EventType>().is_err());
        assert!("loyalty.points_added".parse::<EventType>().is_ok());
    }

    #[test]
    fn patterns_pick_by_type_prefix_and_star() {
        let picks = |pattern: &str, event_type: &str| {
            pattern.parse::<TypePattern>().is_ok_and(|pattern| pattern.picks(event_type))
        };
        assert!(picks("*", "ticket.updated"));
        assert!(picks("ticket.*", "ticket.updated"));
        assert!(picks("a.b.*", "a.b.c.d"));
        assert!(!picks("ticket.*", "tickets.updated"));
        assert!(!picks("a.b.*", "a.b"));
        assert!(!picks("*", "webhook.ping"));
        assert!(picks("webhook.*", "webhook.ping"));
        for bad in ["", "**", "*.paid", "ticket.*.x", "ticket.sold", ".*", "ticket"] {
            assert!(bad.parse::<TypePattern>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn types_and_prefixes_are_at_most_128_long() {
        let read = |text: &str| text.parse::<EventType>();
        let kind = |length: usize| format!("a.{}", "b".repeat(length - 2));
        assert_eq!(read(&kind(128)), Ok(EventType::Custom(kind(128).into())));
        let prefix = |length: usize| format!("{}.*", "a".repeat(length - 2));
        assert!(prefix(128).parse::<TypePattern>().is_ok_and(|pattern| pattern.to_string() == prefix(128)));
        for length in [129, 1_000] {
            assert_eq!(read(&kind(length)), Err(InvalidEventType::Malformed));
            assert_eq!(prefix(length).parse::<TypePattern>(), Err(InvalidTypePattern::Malformed));
        }
    }

    proptest! {
        #[test]
        fn parsing_never_panics_and_keeps_the_text(text in ".{0,40}") {
            if let Ok(event_type) = text.parse::<EventType>() {
                prop_assert_eq!(event_type.to_string(), text.clone());
            }
            if let Ok(pattern) = text.parse::<TypePattern>() {
                prop_assert_eq!(pattern.as_str(), text);
            }
        }

        #[test]
        fn custom_types_survive_the_round_trip(text in "[a-z0-9_]{1,8}(\\.[a-z0-9_]{1,8}){1,3}") {
            if let Ok(event_type) = text.parse::<EventType>() {
                prop_assert_eq!(event_type.to_string(), text.clone());
                prop_assert!(text.parse::<TypePattern>().is_ok_and(|pattern| pattern.picks(&text)));
            }
        }
    }
}
