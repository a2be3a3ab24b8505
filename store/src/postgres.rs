//! The storage ports on PostgreSQL, for any number of processes ("nodes") that
//! do the same work.
//!
//! `batches` collects what the busiest callers ask for at the same time into one
//! transaction of a few round trips; everything else has a transaction of its own
//! (`transaction`), and `patience` bounds how long either waits. What a transaction does is in
//! one file a subject: `events`, `echoes`, `claims`, `attempts`, `chains`, `by_hand`, `webhooks`, `access`,
//! `sealing`, `jobs`, `retention`, `audit`, `portal`, `sessions`; what only reads, in `event_list`, `deliveries`,
//! `delivery_list`, `failed`, `replay`, `missing`, `stream`, `stats` and `overview`. `nodes` keeps the lease of this
//! process, `signals` hears of the others, and `partitions` makes room. `ports` and
//! `job_port` are where all of it meets the traits. `target` is a database that
//! another one is moved into.

mod access;
mod attempts;
mod audit;
mod batches;
mod by_hand;
mod chains;
mod claims;
mod deliveries;
mod delivery_list;
mod echoes;
mod event_list;
mod events;
mod failed;
mod failure;
mod job_port;
mod jobs;
mod migrations;
mod missing;
mod nodes;
mod open;
mod overview;
mod partitions;
mod patience;
#[cfg(test)]
mod plans;
mod portal;
mod ports;
mod quantities;
mod replay;
mod retention;
mod sealing;
mod sessions;
mod signals;
mod sql;
mod stats;
mod stream;
mod target;
mod timeline;
mod transaction;
#[cfg(test)]
mod upgrade;
mod webhooks;

use std::sync::Arc;

use callboard_domain::measures::StoreMeasures;
use deadpool_postgres::{Object, Pool};

use self::batches::{Batches, Ground};
use self::failure::Failure;
use self::nodes::Node;
use self::partitions::Room;
use self::retention::Upkeep;
use self::signals::{Ears, Signals};
pub(crate) use self::target::{Found, Target};
use crate::sealing::{KeyRing, Keys};
use crate::{OpenError, Schema};

/// How the database is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Most connections, beside one that listens. At least two.
    pub max_connections: usize,
    /// The schema that holds the tables; it is made if it does not exist. `None`
    /// for the one that `search_path` names first.
    pub schema: Option<String>,
    /// Batches of a kind (publishing, delivering) under way at the same time, each on
    /// a connection of its own.
    pub batches: usize,
    /// Keys of events that one partition holds; it matters for the partitions to
    /// come.
    pub events_a_partition: i64,
    /// Keys of deliveries that one partition of attempts holds.
    pub deliveries_a_partition: i64,
    /// What this process is called in the table of nodes, such as its host's name.
    pub node_name: String,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            max_connections: 10,
            schema: None,
            batches: 2,
            events_a_partition: 1 << 20,
            deliveries_a_partition: 1 << 22,
            node_name: String::new(),
        }
    }
}

/// A database that is open.
pub struct PostgresStore {
    pool: Pool,
    ring: Arc<KeyRing>,
    batches: Batches,
    node: Arc<Node>,
    signals: Signals,
    upkeep: Upkeep,
}

impl std::fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PostgresStore").finish_non_exhaustive()
    }
}

/// Judges the form of a URL, and connects to nothing.
///
/// # Errors
/// [`OpenError::PostgresUrl`].
pub fn check_url(url: &str) -> Result<(), OpenError> {
    open::target(url, None).map(|_| ())
}

/// The version of the schema in the database that `url` names, of which nothing is
/// changed.
///
/// # Errors
/// See [`OpenError`].
pub async fn schema(url: &str) -> Result<Schema, OpenError> {
    let options = Options::default();
    let address = open::target(url, None)?;
    let look = async {
        let pool = open::pool(&address, &options, open::Process::default())?;
        let conn = pool.get().await.map_err(Failure::from)?;
        migrations::version(&conn).await
    };
    let found = look.await.map_err(|error| address.name(error))?;
    let newest = migrations::MIGRATIONS.last().map_or(0, |(version, _)| *version);
    Ok(Schema { found, newest })
}

/// Opens the database that `url` names, and brings its schema up to date. Secrets in
/// it are sealed with the first of `keys`. What a node that is gone had in its hands
/// is due again.
///
/// # Errors
/// See [`OpenError`].
pub async fn open(url: &str, keys: &Keys, options: Options) -> Result<PostgresStore, OpenError> {
    open_measured(url, keys, options, crate::unwatched()).await
}

/// Like [`open`], and counts its commits.
///
/// # Errors
/// See [`OpenError`].
pub async fn open_measured(
    url: &str,
    keys: &Keys,
    options: Options,
    measures: Arc<StoreMeasures>,
) -> Result<PostgresStore, OpenError> {
    let address = open::target(url, options.schema.as_deref())?;
    let started = start(&address, keys, options, (migrations::MIGRATIONS, measures)).await;
    started.map_err(|error| address.name(error))
}

/// Starts a node that knows these versions of the schema, and counts its commits.
async fn start(
    address: &open::Target,
    keys: &Keys,
    options: Options,
    (known, measures): (migrations::Migrations, Arc<StoreMeasures>),
) -> Result<PostgresStore, OpenError> {
    let process = open::Process::default();
    let pool = open::pool(address, &options, Arc::clone(&process))?;
    let schema = {
        let conn = pool.get().await.map_err(Failure::from)?;
        let schema = open::prepare(&conn, options.schema.as_deref(), &process).await?;
        migrations::migrate(&conn, known).await?;
        drop(Object::take(conn));
        schema
    };
    let process = process.get().cloned().unwrap_or_default();
    // Heard from here on, so that nothing is missed of what is read later.
    let signals = Signals::start(address.clone(), Ears { process: process.clone(), schema }).await?;
    let room = Arc::new(Room::new(&options));
    partitions::make_ahead(&pool, &room, (0, 0)).await?;
    let node = Node::register(&pool, &room, (&process, &options.node_name), signals.heard()).await?;
    if let Err(refused) = begin(&pool, keys).await {
        signals.stop();
        node.leave().await;
        return Err(refused);
    }
    signals.tell_of_events(&pool, &node);
    let ground = Ground {
        pool: pool.clone(),
        node: Arc::clone(&node),
        room: Arc::clone(&room),
        recorded: Arc::clone(signals.recorded()),
        measures,
    };
    let batches = Batches::start(&ground, options.batches);
    let ring = Arc::clone(keys.ring());
    Ok(PostgresStore { pool, ring, batches, node, signals, upkeep: Upkeep::new(room) })
}

/// What a node that has registered asks of the database before it works on it.
async fn begin(pool: &Pool, keys: &Keys) -> Result<(), OpenError> {
    target::refuse_unfinished(pool).await?;
    sealing::begin(pool, keys).await
}

impl PostgresStore {
    /// Ends what is under way, gives back what this process holds, and closes the
    /// connections.
    async fn shut(&self) {
        self.batches.stop().await;
        self.signals.stop();
        self.node.leave().await;
        self.pool.close();
    }
}
