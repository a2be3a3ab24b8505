//! The operator's token.

use callboard_domain::access::{digest, random_token};
use callboard_domain::store::{Result, Store};
use rand::Rng;
use subtle::ConstantTimeEq as _;

/// What is kept of the operator's token.
#[derive(Debug)]
pub struct AdminToken {
    digest: [u8; 32],
    /// Whether guessing might find it, if it could go on for long enough.
    pub(crate) guessable: bool,
}

/// A token that somebody chose and that is no longer than this might be one of
/// words. Those that are made here can't be guessed.
const SHORT: usize = 31;

impl AdminToken {
    /// The configured token; without one, that of the first start, whose text
    /// is returned by that start only.
    ///
    /// # Errors
    /// When the store can't be read or written.
    pub async fn find(
        store: &dyn Store,
        configured: Option<&str>,
        rng: &mut dyn Rng,
    ) -> Result<(Self, Option<String>)> {
        if let Some(token) = configured {
            return Ok((Self { digest: digest(token), guessable: token.len() <= SHORT }, None));
        }
        let fresh = random_token("cba_", rng);
        let (kept, is_new) = store.deployment_value("admin_token_digest", digest(&fresh).to_vec()).await?;
        // A value of another length could only come from a hand in the
        // database; it then opens to nobody.
        let digest = kept.try_into().unwrap_or([0; 32]);
        Ok((Self { digest, guessable: false }, is_new.then_some(fresh)))
    }

    /// SHA-256 of it.
    pub(crate) const fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    /// Whether `token` is the operator's, compared in constant time.
    pub(crate) fn is(&self, token: &str) -> bool {
        digest(token).ct_eq(&self.digest).into()
    }
}
