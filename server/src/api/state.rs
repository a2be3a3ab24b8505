//! What requests are answered with. Its parts are reached only through the
//! extractors of `auth`, which check the scope first.

use std::sync::Arc;

use callboard_domain::clock::Clock;
use callboard_domain::store::{Result, Store};
use callboard_engine::Engine;
use parking_lot::Mutex;
use rand::Rng;

use super::admin::AdminToken;
use super::directory::Directory;
use super::token::Tokens;

/// Shared by all requests.
#[derive(Clone)]
pub struct State {
    pub(super) inner: Arc<Inner>,
}

/// The parts.
pub(super) struct Inner {
    pub(super) store: Arc<dyn Store>,
    pub(super) engine: Arc<Engine>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) rng: Mutex<Box<dyn Rng + Send>>,
    pub(super) admin: AdminToken,
    pub(super) tokens: Tokens,
    pub(super) directory: Directory,
}

impl State {
    /// Puts the parts together. Tokens are valid for `token_seconds`.
    ///
    /// # Errors
    /// When the key of the tokens can't be read or kept.
    pub async fn new(
        store: Arc<dyn Store>,
        engine: Arc<Engine>,
        clock: Arc<dyn Clock>,
        mut rng: Box<dyn Rng + Send>,
        admin: AdminToken,
        token_seconds: u32,
    ) -> Result<Self> {
        let mut fresh = vec![0; 32];
        rng.fill_bytes(&mut fresh);
        let (key, _) = store.deployment_value("token_key", fresh).await?;
        let directory = Directory::new(Arc::clone(&store), Arc::clone(&clock));
        let tokens = Tokens::new(&key, token_seconds);
        let rng = Mutex::new(rng);
        Ok(Self { inner: Arc::new(Inner { store, engine, clock, rng, admin, tokens, directory }) })
    }
}
