//! What is wrong with the way to each receiver, and when: drawn before a seed
//! begins, so that it does not depend on what the engine does.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng as _, RngExt as _};

/// What can be wrong for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// Nobody listens.
    Refused,
    /// Nothing arrives: neither connections nor bytes.
    Partition,
    /// Bytes trickle.
    Slow,
    /// The name can't be looked up.
    NoName,
    /// Every request is answered with this status.
    Status(u16),
    /// Requests are treated in every way there is.
    Fickle,
}

/// A trouble and when it prevails.
#[derive(Debug, Clone, Copy)]
struct Spell {
    from: Duration,
    to: Duration,
    trouble: Trouble,
}

/// All troubles, by receiver.
#[derive(Debug)]
pub(crate) struct Weather {
    spells: Vec<Vec<Spell>>,
    /// From when on everything works.
    pub(crate) heals: Duration,
}

impl Weather {
    /// Draws the weather of so many receivers.
    pub(crate) fn draw(receivers: usize, heals: Duration, rng: &mut StdRng) -> Self {
        let spells = (0..receivers).map(|_| Self::spells(heals, rng)).collect();
        Self { spells, heals }
    }

    fn spells(heals: Duration, rng: &mut StdRng) -> Vec<Spell> {
        let mut spells = Vec::new();
        let mut from = Duration::ZERO;
        // Now and then a receiver has nothing but good weather.
        let troubled = rng.random_ratio(9, 10);
        while troubled && from < heals {
            from += Duration::from_millis(rng.random_range(0..15_000));
            let longest = if rng.random_ratio(1, 5) { 60_000 } else { 12_000 };
            let to = (from + Duration::from_millis(rng.random_range(100..longest))).min(heals);
            if from < to {
                spells.push(Spell { from, to, trouble: Trouble::draw(rng) });
            }
            from = to;
        }
        spells
    }

    /// What is wrong with a receiver at this time.
    pub(crate) fn trouble(&self, receiver: usize, at: Duration) -> Option<Trouble> {
        self.spell(receiver, at).map(|spell| spell.trouble)
    }

    fn spell(&self, receiver: usize, at: Duration) -> Option<&Spell> {
        self.spells[receiver].iter().find(|spell| spell.from <= at && at < spell.to)
    }

    /// When something arrives that would arrive at `at`: once a partition is
    /// over.
    pub(crate) fn arrival(&self, receiver: usize, at: Duration) -> Duration {
        match self.spell(receiver, at) {
            Some(Spell { to, trouble: Trouble::Partition, .. }) => *to,
            _ => at,
        }
    }

    /// How long one piece keeps the next waiting.
    pub(crate) fn gap(&self, receiver: usize, at: Duration) -> Duration {
        match self.trouble(receiver, at) {
            Some(Trouble::Slow) => Duration::from_millis(137),
            _ => Duration::ZERO,
        }
    }
}

impl Trouble {
    fn draw(rng: &mut StdRng) -> Self {
        const STATUSES: [u16; 8] = [500, 500, 503, 503, 429, 404, 302, 410];
        match rng.next_u32() % 12 {
            0 | 1 => Self::Refused,
            2 | 3 => Self::Partition,
            4 => Self::Slow,
            5 => Self::NoName,
            6 | 7 => Self::Status(STATUSES[rng.random_range(0..STATUSES.len())]),
            _ => Self::Fickle,
        }
    }
}
