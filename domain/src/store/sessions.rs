//! The storage port of the operator's sessions in browsers, and of the links that
//! start one.

use async_trait::async_trait;

use super::Result;
use crate::audit::By;
use crate::clock::Timestamp;

/// A session to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewSession {
    /// SHA-256 of its token.
    pub digest: [u8; 32],
    /// When it ends.
    pub expires_at: Timestamp,
}

/// Sessions of the operator. Nothing of them is remembered elsewhere, so one that
/// is ended ends at once for all processes. Only the newest stay.
#[async_trait]
pub trait SessionStore: Send + Sync {
    /// Makes a session.
    async fn create_operator_session(&self, session: NewSession, by: By) -> Result<()>;

    /// When the session with this digest ends; `None` when there is none, or it has
    /// ended.
    async fn operator_session(&self, digest: [u8; 32], now: Timestamp) -> Result<Option<Timestamp>>;

    /// Ends a session.
    async fn end_operator_session(&self, digest: [u8; 32]) -> Result<()>;

    /// Makes a link that signs the operator in, once. `token_digest` is the SHA-256
    /// of its token.
    async fn create_sign_in_link(&self, token_digest: [u8; 32], expires_at: Timestamp, by: By) -> Result<()>;

    /// Spends the link whose token has this digest and makes the session, both or
    /// neither; false when there is no such link, it was spent, or has expired.
    async fn open_sign_in_link(&self, token_digest: [u8; 32], session: NewSession, by: By) -> Result<bool>;
}
