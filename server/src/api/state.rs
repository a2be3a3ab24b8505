//! What requests are answered with. Its parts are reached only through the
//! extractors of `auth`, which check the scope first.

use std::sync::Arc;
use std::time::Duration;

use callboard_domain::clock::Clock;
use callboard_domain::store::{Result, Store};
use callboard_engine::Engine;
use parking_lot::Mutex;
use rand::Rng;

use super::admin::AdminToken;
use super::directory::Directory;
use super::token::Tokens;
use crate::source::Watch;

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
    pub(super) options: Options,
}

/// What can be set.
#[derive(Debug, Clone)]
pub struct Options {
    /// Seconds that an access token is valid.
    pub token_seconds: u32,
    /// The first wait of retries that double.
    pub retry_base: Duration,
    /// Where links lead, without a slash at the end; `None` for wherever the
    /// request was sent to.
    pub public_url: Option<String>,
    /// Where the program itself listens, as a URL: for a request that does not
    /// say where it was sent to.
    pub own_url: String,
    /// Whether viagogo-style clients must come by HTTPS.
    pub viagogo_requires_https: bool,
    /// Whether viagogo-style clients must say who they are.
    pub viagogo_requires_user_agent: bool,
    /// How the source of events in NATS is, where there is one.
    pub nats: Option<Watch>,
}

impl State {
    /// Puts the parts together.
    ///
    /// # Errors
    /// When the key of the tokens can't be read or kept.
    pub async fn new(
        store: Arc<dyn Store>,
        engine: Arc<Engine>,
        clock: Arc<dyn Clock>,
        mut rng: Box<dyn Rng + Send>,
        admin: AdminToken,
        options: Options,
    ) -> Result<Self> {
        let mut fresh = vec![0; 32];
        rng.fill_bytes(&mut fresh);
        let (key, _) = store.deployment_value("token_key", fresh).await?;
        let directory = Directory::new(Arc::clone(&store), Arc::clone(&clock));
        let tokens = Tokens::new(&key, options.token_seconds);
        let rng = Mutex::new(rng);
        Ok(Self { inner: Arc::new(Inner { store, engine, clock, rng, admin, tokens, directory, options }) })
    }
}
