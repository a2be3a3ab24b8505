//! Where events come from beside the API, and how that goes.

use tokio::sync::watch;

pub mod nats;

/// How a source is, as everybody may know it. Why it is so is in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// It has not been reached since the start.
    Connecting,
    /// What is published there is taken in.
    Consuming,
    /// It can't be reached, or does not give what is asked for.
    Away,
    /// It is there, and what it gave can't be recorded yet.
    Held,
}

impl Condition {
    /// Every condition.
    pub const ALL: [Self; 4] = [Self::Connecting, Self::Consuming, Self::Away, Self::Held];

    /// The condition in one word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::Consuming => "consuming",
            Self::Away => "away",
            Self::Held => "held",
        }
    }
}

/// Tells how a source is.
#[derive(Debug, Clone)]
pub struct Watch(watch::Receiver<Condition>);

impl Watch {
    /// How it is now. One that has ended is away, whatever it said last.
    #[must_use]
    pub fn condition(&self) -> Condition {
        if self.0.has_changed().is_err() { Condition::Away } else { *self.0.borrow() }
    }
}
