//! What can happen to a resource.

use serde::{Deserialize, Serialize};

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trigger {
    /// It came into being.
    Create,
    /// Some of its fields changed.
    Update,
    /// It is gone.
    Delete,
    /// It was paid for.
    Paid,
    /// A code was scanned at the door.
    Scan,
    /// It was tied to, or loosened from, another resource.
    Relation,
    /// Its place in a list changed.
    Reorder,
    /// It was called off.
    Cancel,
    /// Its tickets have to be transferred again.
    Retransfer,
}

impl Trigger {
    /// Every trigger, in the order of the documentation.
    pub const ALL: [Self; 9] = [
        Self::Create,
        Self::Update,
        Self::Delete,
        Self::Paid,
        Self::Scan,
        Self::Relation,
        Self::Reorder,
        Self::Cancel,
        Self::Retransfer,
    ];

    /// The name used where a trigger stands alone.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Paid => "paid",
            Self::Scan => "scan",
            Self::Relation => "relation",
            Self::Reorder => "reorder",
            Self::Cancel => "cancel",
            Self::Retransfer => "retransfer",
        }
    }

    /// The second word of an event type.
    #[must_use]
    pub const fn participle(self) -> &'static str {
        match self {
            Self::Create => "created",
            Self::Update => "updated",
            Self::Delete => "deleted",
            Self::Paid => "paid",
            Self::Scan => "scanned",
            Self::Relation => "relation_changed",
            Self::Reorder => "reordered",
            Self::Cancel => "cancelled",
            Self::Retransfer => "retransfer_requested",
        }
    }

    /// The trigger whose [`Self::as_str`] is `word`.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|trigger| trigger.as_str() == word)
    }

    /// The trigger whose [`Self::participle`] is `word`.
    #[must_use]
    pub fn from_participle(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|trigger| trigger.participle() == word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_participles_survive_the_round_trip_and_differ() {
        for trigger in Trigger::ALL {
            assert_eq!(serde_json::json!(trigger), trigger.as_str());
            assert_eq!(Trigger::from_word(trigger.as_str()), Some(trigger));
            assert_eq!(Trigger::from_participle(trigger.participle()), Some(trigger));
        }
        assert_eq!((Trigger::from_word("created"), Trigger::from_participle("create")), (None, None));
    }
}
