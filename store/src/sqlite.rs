//! The storage ports on SQLite: one thread writes, a few connections read.
//!
//! `writer` collects what is asked for at the same time into one
//! transaction, so that one fsync makes all of it durable. What a transaction
//! does is in one file a subject: `events`, `echoes`, `claims`, `attempts`,
//! `by_hand`, `webhooks`, `access`, `sealing`, `jobs`, `retention`, `audit`, `portal`, `sessions`; what only reads, in
//! `event_list`, `deliveries`, `delivery_list`, `failed`, `replay`, `missing`, `stats` and `overview`.
//! `log_index` keeps two indexes behind the events, because keeping them within
//! the transaction would cost half the rate. `ports` and `job_port` are where all
//! of it meets the traits. `backup` and `source` read the file
//! beside all of this.

mod access;
mod attempts;
mod audit;
mod backup;
mod by_hand;
mod chains;
mod checkpoint;
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
mod ledger;
mod log_index;
mod migrations;
mod missing;
mod open;
mod overview;
#[cfg(test)]
mod plans;
mod portal;
mod ports;
mod quantities;
mod readers;
mod replay;
mod retention;
mod sealing;
mod sessions;
mod source;
mod sql;
mod stats;
mod stream;
mod timeline;
mod unwritten;
mod webhooks;
mod writer;

use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use callboard_domain::measures::StoreMeasures;
use callboard_domain::store::StoreError;
use parking_lot::Mutex;

#[cfg(test)]
pub(crate) use self::attempts::NUMBERS;
pub(crate) use self::backup::back_up;
use self::checkpoint::WakeCheckpoints;
use self::failure::Failure;
use self::ledger::{Ledger, Write};
use self::open::ProcessLock;
use self::readers::Readers;
pub(crate) use self::source::Source;
use self::unwritten::Unwritten;
use self::writer::{DatabaseFile, Writer};
use crate::sealing::{KeyRing, Keys};
use crate::{OpenError, Schema};

/// How the database is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Most bytes that the file may take; a write that needs more fails as
    /// unavailable. `None` for as many as the disk has.
    pub max_bytes: Option<u64>,
    /// Events that the logs may be behind before the writer takes time for
    /// them under load. Fewer make lists cheaper to read, more keep commits
    /// free of that work.
    pub max_unindexed_events: i64,
}

impl Default for Options {
    fn default() -> Self {
        Self { max_bytes: None, max_unindexed_events: 4_000 }
    }
}

/// A database that is open.
pub struct SqliteStore {
    writer: Writer,
    ring: Arc<KeyRing>,
    readers: Readers,
    checkpoints: WakeCheckpoints,
    checkpoint_thread: Mutex<Option<JoinHandle<()>>>,
}

impl std::fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqliteStore").finish_non_exhaustive()
    }
}

/// The version of the schema at `path`, of which nothing is changed.
///
/// # Errors
/// See [`OpenError`].
pub fn schema(path: &Path) -> Result<Schema, OpenError> {
    let newest = migrations::newest();
    if !path.exists() {
        return Ok(Schema { found: None, newest });
    }
    let found = migrations::version(&open::looker(path)?)?;
    Ok(Schema { found, newest })
}

/// Opens the database at `path`, makes it if it does not exist, and brings its
/// schema up to date. Secrets in it are sealed with the first of `keys`. Blocks while it does. What another run of the process
/// had in its hands when it ended is due again.
///
/// # Errors
/// See [`OpenError`].
pub fn open(path: &Path, keys: &Keys, options: Options) -> Result<SqliteStore, OpenError> {
    open_measured(path, keys, options, crate::unwatched())
}

/// Like [`open`], and counts its commits.
///
/// # Errors
/// See [`OpenError`].
pub fn open_measured(
    path: &Path,
    keys: &Keys,
    options: Options,
    measures: Arc<StoreMeasures>,
) -> Result<SqliteStore, OpenError> {
    let path = path.to_owned();
    let lock = Arc::new(ProcessLock::take(&path)?);
    open::make_file(&path)?;
    let mut conn = open::writer(&path, options.max_bytes)?;
    migrations::migrate(&mut conn)?;
    sealing::begin(&mut conn, keys)?;
    let ledger = prepare(&conn, options)?;
    let checkpoints = WakeCheckpoints::default();
    let system = |reason| OpenError::Unreadable { path: path.clone(), reason };
    let thread = checkpoint::start(path.clone(), Arc::clone(&lock), checkpoints.clone()).map_err(system)?;
    let file = DatabaseFile { path: path.clone(), options, _lock: lock };
    let writer = Writer::start(conn, ledger, file, (checkpoints.clone(), measures)).map_err(system)?;
    Ok(SqliteStore {
        writer,
        ring: Arc::clone(keys.ring()),
        readers: Readers::new(path),
        checkpoints,
        checkpoint_thread: Mutex::new(Some(thread)),
    })
}

fn prepare(conn: &rusqlite::Connection, options: Options) -> Result<Ledger, OpenError> {
    let prepared = || {
        let transaction = conn.unchecked_transaction()?;
        unwritten::recover(&transaction, &Unwritten::default())?;
        claims::end_leases(&transaction)?;
        transaction.commit()?;
        Ledger::load(conn, options.max_bytes)
    };
    Ok(prepared()?)
}

impl SqliteStore {
    /// Changes how many bytes the file may take; see [`Options::max_bytes`].
    /// It never falls below what the file takes already.
    ///
    /// # Errors
    /// When the database is closed or does not answer.
    pub async fn limit_size(&self, max_bytes: Option<u64>) -> Result<(), StoreError> {
        let limit = move |write: &mut Write<'_>| {
            write.ledger.max_bytes = max_bytes;
            Ok(open::limit_size(write.conn, max_bytes)?)
        };
        self.writer.run(1, limit).await
    }

    /// Reads what pending rows tell, all of which are written before. Where nothing
    /// can be written, what is under way since a moment may be missing.
    async fn read_pending<T: Send + 'static>(
        &self,
        read: impl FnOnce(&rusqlite::Connection) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, StoreError> {
        if self.writer.has_unwritten()
            && let Err(error) = self.writer.run(1, |_: &mut Write<'_>| Ok(())).await
        {
            tracing::debug!(%error, "a list is read without what is under way");
        }
        self.readers.run(read).await
    }

    /// The keys that seal and open.
    fn ring(&self) -> Arc<KeyRing> {
        Arc::clone(&self.ring)
    }

    /// Closes connections and ends threads, after what is under way.
    async fn shut(&self) {
        self.readers.close().await;
        self.checkpoints.stop();
        let threads = [self.checkpoint_thread.lock().take(), self.writer.stop()];
        let joined = tokio::task::spawn_blocking(move || {
            threads.into_iter().flatten().all(|thread| thread.join().is_ok())
        });
        if !joined.await.unwrap_or(false) {
            tracing::error!("a thread of the database has panicked");
        }
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        // The writer ends by itself when nobody can ask it for anything.
        self.checkpoints.stop();
    }
}
