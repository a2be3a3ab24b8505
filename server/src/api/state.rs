//! What requests are answered with. Its parts are reached only through the
//! extractors of `auth`, which check the scope first.

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use callboard_domain::clock::{Clock, Timestamp};
use callboard_domain::id::ClientId;
use callboard_domain::store::{Result, Store};
use callboard_engine::Engine;
use parking_lot::Mutex;
use rand::Rng;
use tokio_util::sync::CancellationToken;

use super::admin::AdminToken;
use super::connections::Connections;
use super::directory::Directory;
use super::failures::Failures;
use super::oidc::Issuer;
use super::peer::Proxies;
use super::quota::Quota;
use super::tls::Certificate;
use super::token::Tokens;
use crate::config::{Limits, Metrics, Oidc, ShownSetting};
use crate::metrics::Measures;
use crate::source::Watch;

/// Shared by all requests.
#[derive(Clone)]
pub struct State {
    pub(crate) inner: Arc<Inner>,
}

/// The parts.
pub(crate) struct Inner {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) engine: Arc<Engine>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) rng: Mutex<Box<dyn Rng + Send>>,
    pub(crate) admin: AdminToken,
    pub(super) tokens: Tokens,
    pub(crate) directory: Directory,
    /// Whose tokens are taken beside our own.
    pub(super) issuer: Option<Issuer>,
    pub(crate) guesses: Guesses,
    /// `None` where tenants may publish as fast as they like.
    pub(super) quota: Option<Quota>,
    pub(crate) measures: Arc<Measures>,
    pub(crate) options: Options,
    pub(super) connections: Arc<Connections>,
    /// When the process has started.
    pub(crate) started_at: Timestamp,
    /// Cancelled when the program is asked to stop, from where on others should get
    /// its requests; set once it serves.
    pub(super) stopping: OnceLock<CancellationToken>,
    /// Tells answers that would go on for ever that they end.
    pub(crate) closing: CancellationToken,
}

/// Who has failed to show who they are.
pub(crate) struct Guesses {
    /// Wrong secrets of a client, by where they came from.
    pub(crate) clients: Failures<(ClientId, IpAddr)>,
    /// Wrong secrets of anybody.
    pub(crate) secrets: Failures<IpAddr>,
    /// Wrong bearer tokens.
    pub(crate) tokens: Failures<IpAddr>,
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
    /// Whose word counts for whom a request is from.
    pub proxies: Proxies,
    /// Whose tokens are taken beside our own.
    pub oidc: Oidc,
    /// What one client may take.
    pub limits: Limits,
    /// How long connections are still accepted after a stop was asked for.
    pub drain: Duration,
    /// What is shown to clients, where TLS is spoken.
    pub certificate: Option<Arc<Certificate>>,
    /// How often it is looked at for changes.
    pub certificate_looked_at: Duration,
    /// Whether viagogo-style clients must come by HTTPS.
    pub viagogo_requires_https: bool,
    /// Whether viagogo-style clients must say who they are.
    pub viagogo_requires_user_agent: bool,
    /// How the source of events in NATS is, where there is one.
    pub nats: Option<Watch>,
    /// What is told of the deployment to its operator.
    pub deployment: Deployment,
    /// Who may read the metrics.
    pub metrics: Metrics,
    /// What counts beside the engine.
    pub measures: Arc<Measures>,
}

/// What is told of the deployment to its operator.
#[derive(Debug, Clone)]
pub struct Deployment {
    /// What the database is.
    pub database: &'static str,
    /// How long events are kept where their tenant does not say.
    pub retention: Duration,
    /// How long entries of the audit log are kept.
    pub audit_retention: Duration,
    /// Every setting.
    pub settings: Vec<ShownSetting>,
}

impl Options {
    /// The largest body of a request, in bytes.
    pub(crate) const fn body_limit(&self) -> usize {
        self.limits.body_mib * 1024 * 1024
    }
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
        let limits = &options.limits;
        let guesses = Guesses {
            clients: Failures::new(limits.client_failures_per_minute, Arc::clone(&clock)),
            secrets: Failures::new(limits.address_failures_per_minute, Arc::clone(&clock)),
            tokens: Failures::new(limits.token_failures_per_minute, Arc::clone(&clock)),
        };
        let (rate, burst) = (limits.publish_events_per_second, limits.publish_burst_events);
        let quota = Quota::new(rate, burst, Arc::clone(&clock));
        let issuer = Issuer::new(&options.oidc, Arc::clone(&clock));
        let (most, most_per_address) = (limits.max_connections, limits.max_connections_per_address);
        let connections = Connections::new(most, most_per_address, options.proxies.clone());
        let measures = Arc::clone(&options.measures);
        let inner = Inner {
            started_at: clock.now(),
            stopping: OnceLock::new(),
            closing: CancellationToken::new(),
            rng: Mutex::new(rng),
            store,
            engine,
            clock,
            admin,
            tokens,
            directory,
            issuer,
            guesses,
            quota,
            connections,
            measures,
            options,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// How many connections of clients there are.
    pub(crate) fn open_connections(&self) -> usize {
        self.inner.connections.count()
    }
}
