//! Links that sign the operator in by a browser, once.

use std::time::Duration;

use callboard_domain::access::{digest, random_token};
use callboard_domain::audit::By;
use callboard_domain::clock::Timestamp;
use callboard_domain::store::Result;

use super::state::State;

/// How long a link waits to be opened. It is for whoever reads the terminal now.
const LIFETIME: Duration = Duration::from_hours(1);

/// A link that was just made.
#[derive(Debug)]
pub struct SignInLink {
    /// What stands behind `/dashboard/sign-in/`. Whoever has it gets in, once.
    token: String,
    /// When it opens nothing any more.
    pub expires_at: Timestamp,
}

impl SignInLink {
    /// Where it leads, below `base`, which has no slash at its end.
    pub fn url(&self, base: &str) -> String {
        format!("{base}/dashboard/sign-in/{}", self.token)
    }
}

/// Makes a link.
///
/// # Errors
/// When the database can't be used.
pub async fn make(state: &State, by: By) -> Result<SignInLink> {
    let inner = &state.inner;
    let token = random_token("cbl_", &mut **inner.rng.lock());
    let expires_at = by.at.saturating_add(LIFETIME).unwrap_or(Timestamp::MAX);
    inner.store.create_sign_in_link(digest(&token), expires_at, by).await?;
    Ok(SignInLink { token, expires_at })
}
