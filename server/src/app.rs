//! Puts the program together: the only place that names a concrete database.

use std::fs::File;
use std::io::Read as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use callboard_domain::audit::By;
use callboard_domain::clock::{Clock, SystemClock};
use callboard_domain::measures::StoreMeasures;
use callboard_domain::store::{Store, StoreError};
use callboard_engine::Engine;
use callboard_engine::guard::Guard;
use callboard_engine::http::{BadUrl, Client, ClientOptions};
use callboard_store::postgres;
use callboard_store::sealing::{EncryptionKey, KeyFileError};
use rand::rngs::{StdRng, SysRng};
use rand::{Rng, SeedableRng, TryRng as _};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::api::{self, AdminToken, Certificate, Deployment, State, sign_in_links};
use crate::config::{self, Loaded, Settings, ShownSetting};
use crate::metrics::Measures;
use crate::source::nats::NatsSource;
use crate::time;
use crate::traces::{self, Exporter};

/// The program can't start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The database can't be opened.
    #[error(transparent)]
    Open(#[from] callboard_store::OpenError),
    /// The keys that seal its secrets can't be read.
    #[error(transparent)]
    Keys(#[from] KeyFileError),
    /// The database was opened and can't be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The address can't be listened on.
    #[error("can't listen on {address}: {source}; choose another with --listen")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
    /// The certificates of the settings can't be used.
    #[error("egress.ca_file: {0}")]
    Roots(String),
    /// The proxy of the settings is none.
    #[error("egress.proxy: {0}")]
    Proxy(BadUrl),
    /// The certificate can't be used.
    #[error("{0}")]
    Certificate(String),
    /// The machine gives no random numbers.
    #[error("the machine gives no random numbers: {0}")]
    Chance(String),
}

/// The program, ready to run.
pub struct App {
    state: State,
    engine: Arc<Engine>,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    listener: TcpListener,
    nats: Option<NatsSource>,
    exporter: Option<Exporter>,
    /// The operator's token, when it was made by this start.
    pub new_admin_token: Option<String>,
}

/// Opens the database and the listener, and puts everything together.
///
/// # Errors
/// See [`StartError`].
pub async fn build(settings: &Settings, clock: Arc<dyn Clock>) -> Result<App, StartError> {
    assemble(settings, config::shown(settings), clock).await
}

/// The same by settings of which it is known where they came from.
///
/// # Errors
/// See [`StartError`].
pub async fn build_loaded(loaded: &Loaded, clock: Arc<dyn Clock>) -> Result<App, StartError> {
    assemble(&loaded.settings, loaded.shown(), clock).await
}

async fn assemble(
    settings: &Settings,
    shown: Vec<ShownSetting>,
    clock: Arc<dyn Clock>,
) -> Result<App, StartError> {
    let certificate = settings.tls.files().map(|(certificate, key)| Certificate::load(certificate, key));
    let certificate = certificate.transpose().map_err(StartError::Certificate)?;
    let listener = TcpListener::bind(settings.listen)
        .await
        .map_err(|source| StartError::Listen { address: settings.listen, source })?;
    let own_url = own_url(&listener, settings);
    let measures = Measures::new(Arc::new(StoreMeasures::new(Arc::clone(&clock))), clock.elapsed());
    let opening = Box::pin(open_measured(settings, Arc::clone(&measures.store)));
    let store = while_answering(&listener, certificate.is_none(), opening).await?;
    time::follow_once(&*store, &*clock).await?;
    let guard = Guard::with_rules(settings.egress.rules());
    let proxy = settings.egress.proxy().map_err(StartError::Proxy)?;
    let extra_roots = settings.egress.roots().map_err(StartError::Roots)?;
    let client = ClientOptions { proxy, extra_roots, ..ClientOptions::default() };
    let client = Client::new(guard, client, Arc::clone(&clock));
    let name = node_name(settings);
    let (collecting, exporter) =
        traces::begin(&settings.telemetry, &name, seeded()?, &measures.spans).unzip();
    let options = callboard_engine::Options {
        lane_capacity: settings.delivery.lane_capacity,
        queue_memory: settings.delivery.queue_memory_mib * 1024 * 1024,
        max_in_flight: settings.delivery.max_in_flight,
        retention_seconds: settings.retention_seconds(),
        audit_retention_seconds: settings.audit_retention_seconds(),
        disable_after: settings.disable_after(),
        openticket_retry_base: settings.retry_base(),
        public_url: settings.public_url().unwrap_or_else(|| own_url.clone()),
        tracer: collecting,
        pass_traces_on: settings.telemetry.pass_on,
    };
    let engine = Engine::new(Arc::clone(&store), Arc::clone(&clock), seeded()?, client, options);
    let nats = NatsSource::new(&settings.source.nats, &engine, &store, &clock);
    let mut rng = seeded()?;
    let configured = settings.admin_token.as_ref().map(|token| token.0.as_str());
    let (admin, new_admin_token) = AdminToken::find(&*store, configured, &mut *rng).await?;
    let options = api::Options {
        token_seconds: settings.oauth.token_seconds,
        retry_base: settings.retry_base(),
        public_url: settings.public_url(),
        own_url,
        proxies: api::Proxies::new(&settings.http),
        drain: config::seconds(settings.http.drain_seconds),
        oidc: settings.oidc.clone(),
        limits: settings.limits.clone(),
        certificate,
        certificate_looked_at: config::seconds(settings.tls.reload_seconds),
        viagogo_requires_https: settings.viagogo.require_https,
        viagogo_requires_user_agent: settings.viagogo.require_user_agent,
        nats: nats.as_ref().map(NatsSource::watch),
        deployment: Deployment {
            database: database_kind(settings),
            retention: Duration::from_secs(settings.retention_seconds().into()),
            audit_retention: Duration::from_secs(settings.audit_retention_seconds().into()),
            settings: shown,
        },
        metrics: settings.metrics.clone(),
        measures,
    };
    let state =
        State::new(Arc::clone(&store), Arc::clone(&engine), Arc::clone(&clock), rng, admin, options).await?;
    Ok(App { state, engine, store, clock, listener, nats, exporter, new_admin_token })
}

/// Opens the database of the settings alone, as [`build`] does.
///
/// # Errors
/// See [`StartError`].
pub async fn open(settings: &Settings) -> Result<Arc<dyn Store>, StartError> {
    open_measured(settings, Arc::new(StoreMeasures::new(Arc::new(SystemClock::new())))).await
}

async fn open_measured(
    settings: &Settings,
    measures: Arc<StoreMeasures>,
) -> Result<Arc<dyn Store>, StartError> {
    let max_connections = settings.postgres.max_connections;
    let node_name = node_name(settings);
    let options = postgres::Options { max_connections, node_name, ..postgres::Options::default() };
    let keys = || Ok::<_, StartError>(settings.encryption.keys(&settings.database, seeded()?)?);
    let open = |keys| {
        let (options, measures) = (options.clone(), Arc::clone(&measures));
        callboard_store::open_measured(settings.database.reveal(), keys, options, measures)
    };
    let first = keys()?;
    let is_new = first.is_new();
    match open(first).await {
        // Another node in this folder may have been first, and have made the file.
        Err(error) if is_new => {
            let again = keys()?;
            if again.is_new() { Err(error.into()) } else { Ok(open(again).await?) }
        }
        outcome => Ok(outcome?),
    }
}

/// A new key that seals secrets: its id, and its text.
///
/// # Errors
/// See [`StartError`].
pub fn new_key() -> Result<(String, String), StartError> {
    let key = EncryptionKey::generate(&mut *seeded()?);
    Ok((key.id().to_string(), key.to_text()))
}

/// What the database of the settings is.
fn database_kind(settings: &Settings) -> &'static str {
    if settings.database.reveal().starts_with("sqlite:") { "SQLite" } else { "PostgreSQL" }
}

/// What this process is called.
fn node_name(settings: &Settings) -> String {
    settings.postgres.node_name.clone().unwrap_or_else(machine_name)
}

/// What the machine calls itself; empty where it does not say.
fn machine_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim().chars().take(64).collect()
}

/// Opens a database alone, with the options that are usual: for who fills it
/// before a server runs on it.
///
/// # Errors
/// See [`StartError`].
pub async fn open_store(database: &str) -> Result<Arc<dyn Store>, StartError> {
    open(&Settings { database: database.to_owned().into(), ..Settings::default() }).await
}

/// What a database takes on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// All of its files, in bytes.
    pub bytes: u64,
    /// How much of that holds nothing, as of the last time that the log was
    /// written back.
    pub free_bytes: u64,
}

/// Reads what a database takes on disk, beside whoever has it open.
///
/// # Errors
/// When its file can't be read.
pub fn space(database: &str) -> std::io::Result<Space> {
    let path = database.strip_prefix("sqlite:").unwrap_or(database);
    let mut header = [0; 40];
    File::open(path)?.read_exact(&mut header)?;
    // https://www.sqlite.org/fileformat.html: the size of a page, where 1
    // stands for 65,536, and the number of free ones, big-endian.
    let page = match u16::from_be_bytes([header[16], header[17]]) {
        1 => 65_536,
        bytes => u64::from(bytes),
    };
    let free = u64::from(u32::from_be_bytes([header[36], header[37], header[38], header[39]]));
    let log = std::fs::metadata(format!("{path}-wal")).map_or(0, |file| file.len());
    Ok(Space { bytes: std::fs::metadata(path)?.len() + log, free_bytes: free * page })
}

/// Waits for `opening`, and meanwhile tells clients that the program starts, where
/// they speak plain HTTP; others wait for the answer.
async fn while_answering<T>(listener: &TcpListener, plainly: bool, opening: impl Future<Output = T>) -> T {
    if !plainly {
        return opening.await;
    }
    tokio::select! {
        biased;
        opened = opening => opened,
        never = api::starting::answer(listener, api::starting::SOON) => match never {},
    }
}

/// Where the listener can be reached from this machine.
fn own_url(listener: &TcpListener, settings: &Settings) -> String {
    let scheme = if settings.tls.files().is_some() { "https" } else { "http" };
    format!("{scheme}://{}", listener.local_addr().unwrap_or(settings.listen))
}

/// A generator whose start comes from the machine.
fn seeded() -> Result<Box<dyn Rng + Send>, StartError> {
    let mut seed = [0; 32];
    SysRng.try_fill_bytes(&mut seed).map_err(|error| StartError::Chance(error.to_string()))?;
    Ok(Box::new(StdRng::from_seed(seed)))
}

impl App {
    /// Where it listens.
    ///
    /// # Errors
    /// When the listener does not know.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// A new link by which the operator signs in to the dashboard, once, within an
    /// hour.
    ///
    /// # Errors
    /// When the database can't be used.
    pub async fn sign_in_link(&self) -> Result<String, StoreError> {
        let link = sign_in_links::make(&self.state, By::system(self.clock.now())).await?;
        let options = &self.state.inner.options;
        Ok(link.url(options.public_url.as_ref().unwrap_or(&options.own_url)))
    }

    /// The engine, for those who move its clock by hand and step it.
    #[must_use]
    pub fn engine(&self) -> Arc<Engine> {
        Arc::clone(&self.engine)
    }

    /// The database, for those who watch over the process.
    #[must_use]
    pub fn store(&self) -> Arc<dyn Store> {
        Arc::clone(&self.store)
    }

    /// Serves until `stop` is cancelled: then takes no more requests, answers
    /// those it has, lets deliveries under way end, and closes the database.
    ///
    /// # Errors
    /// When the listener fails.
    pub async fn run(self, stop: CancellationToken) -> std::io::Result<()> {
        let engine_stop = CancellationToken::new();
        let engine = tokio::spawn(Arc::clone(&self.engine).run(engine_stop.clone()));
        let time = tokio::spawn(time::follow(Arc::clone(&self.store), self.clock, engine_stop.clone()));
        let traces_stop = CancellationToken::new();
        let collecting = self.exporter.map(|exporter| tokio::spawn(exporter.run(traces_stop.clone())));
        let source_stop = stop.child_token();
        let source = self.nats.map(|nats| tokio::spawn(nats.run(source_stop.clone())));
        let served = api::serve(self.listener, self.state, stop).await;
        source_stop.cancel();
        if let Some(Err(error)) = futures_util::future::OptionFuture::from(source).await {
            tracing::error!(%error, "the source in NATS failed");
        }
        // Only now: what was accepted meanwhile still reaches its lanes.
        engine_stop.cancel();
        if let Err(error) = engine.await {
            tracing::error!(%error, "the engine failed");
        }
        time.abort();
        traces_stop.cancel();
        if let Some(Err(error)) = futures_util::future::OptionFuture::from(collecting).await {
            tracing::error!(%error, "the exporter of traces failed");
        }
        self.store.close().await;
        served
    }
}
