//! The storage port of the keys that secrets are sealed with.

use async_trait::async_trait;

use super::{Cleared, Result};

/// A key that seals secrets in the database, or that could.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealingKey {
    /// What sealed values name it by; it tells nothing of the key.
    pub id: String,
    /// Whether this process has it.
    pub at_hand: bool,
    /// Whether this process seals with it.
    pub seals: bool,
    /// How many rows are sealed with it.
    pub rows: u64,
}

/// Keys that secrets are sealed with. Whatever the other ports return was opened,
/// and whatever they are given is sealed; only here keys are spoken of.
#[async_trait]
pub trait KeyStore: Send + Sync {
    /// Every key that is at hand, the one that seals first, and every other by which
    /// something is sealed.
    async fn sealing_keys(&self) -> Result<Vec<SealingKey>>;

    /// Seals anew, with the key that seals, at most `limit` rows that another one has
    /// sealed. A row that is edited at the same time is left to the next call.
    async fn seal_anew(&self, limit: usize) -> Result<Cleared>;
}
