//! Moves everything from a database of SQLite into one of PostgreSQL.
//!
//! Rows go over in batches, each a transaction that also counts them, so a run
//! that ended early is gone on with. At the end every table is summed on both
//! sides. What a table's rows are on either is in `tables`, their form in `rows`.

use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::mpsc;

use crate::postgres::{self, Found, Target};
use crate::sqlite::Source;
use crate::{Kind, OpenError};

pub(crate) mod rows;
pub(crate) mod tables;

use rows::Checksum;
use tables::{TABLES, Table};

/// How rows are moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransferOptions {
    /// Most rows of one transaction. It also ends at 4 MiB.
    pub batch_rows: u64,
    /// How the PostgreSQL database is used.
    pub postgres: postgres::Options,
}

impl Default for TransferOptions {
    fn default() -> Self {
        Self { batch_rows: 20_000, postgres: postgres::Options::default() }
    }
}

/// How far a transfer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransferProgress {
    /// Rows are there, counted over all tables.
    Moved {
        /// The table that is being moved.
        table: &'static str,
        /// Rows that are there.
        rows: u64,
        /// All of them.
        of: u64,
    },
    /// What is there is compared with the source, table by table.
    Comparing {
        /// The table.
        table: &'static str,
    },
}

/// What was moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transferred {
    /// Each table of the target.
    pub tables: Vec<TransferredTable>,
    /// Rows that were there when this run began.
    pub before: u64,
    /// Whether everything was there, and compared, already.
    pub already: bool,
}

/// A table that is the same on both sides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransferredTable {
    /// Its name in PostgreSQL.
    pub name: &'static str,
    /// Its rows.
    pub rows: u64,
    /// The sum over them: SHA-256 of each, added up. None where an earlier run has
    /// compared it.
    pub checksum: Option<String>,
}

/// Why not everything was moved. The source is as it was; what is in the target
/// stays there, so that the same transfer can go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransferError {
    /// A database can't be opened, or stopped answering.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The source is none of SQLite.
    #[error("--from must be sqlite:PATH, such as sqlite:/var/lib/callboard/callboard.db")]
    NotFromSqlite,
    /// The target is none of PostgreSQL.
    #[error("--to must be a PostgreSQL database: postgres://USER:PASSWORD@HOST/DATABASE")]
    NotToPostgres,
    /// There is no source.
    #[error("there is no database at {path}; name it with --from sqlite:PATH")]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// The source was made by an older version.
    #[error(
        "the database has schema version {found}, and {wanted} is what can be moved; back it up, \
         start `callboard serve` of this version on it once and stop it"
    )]
    OldSource {
        /// The version of the source.
        found: i64,
        /// The newest one.
        wanted: i64,
    },
    /// A server uses the target.
    #[error(
        "the PostgreSQL database is in use by the node {node}; stop it, and wait 15 seconds if it was killed"
    )]
    NodeAtWork {
        /// What the node is called.
        node: String,
    },
    /// The target is not empty.
    #[error(
        "the PostgreSQL database holds other data already, in {table}; give this one a database of its own"
    )]
    OtherData {
        /// A table with rows.
        table: &'static str,
    },
    /// The target has been begun with something else.
    #[error(
        "another database is being moved into this one, or the one that was has changed since; make the \
         PostgreSQL database anew and start over"
    )]
    AnotherSource,
    /// Another process is at it.
    #[error("another process is moving data into this PostgreSQL database; wait for its end")]
    Busy,
    /// PostgreSQL can't keep a row.
    #[error("row {number} of {table} can't be moved: {column} holds {what}")]
    Row {
        /// The table.
        table: &'static str,
        /// Which row, in the order of moving.
        number: u64,
        /// The column.
        column: &'static str,
        /// What is wrong with it.
        what: String,
    },
    /// PostgreSQL refused rows.
    #[error("{table} can't be written: {reason}; run the same command again to go on")]
    Write {
        /// The table.
        table: &'static str,
        /// What the server said.
        reason: String,
    },
    /// What came is not what was sent.
    #[error("what was moved differs from the source: {}; make the PostgreSQL database anew and start over", .0.join(", "))]
    Different(Vec<String>),
    /// A part of the work ended early.
    #[error("reading the source ended early: {0}")]
    Reading(String),
}

impl From<rusqlite::Error> for TransferError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Open(error.into())
    }
}

/// The keys of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Keys {
    pub(crate) first_event: i64,
    pub(crate) next_event: i64,
    pub(crate) first_delivery: i64,
    pub(crate) next_delivery: i64,
    /// When the last event was accepted.
    pub(crate) accepted_at: i64,
    /// The next key of each table that numbers its rows.
    pub(crate) numbered: Vec<(&'static str, i64)>,
}

/// Moves everything from the SQLite database `from` into the empty PostgreSQL
/// database `to`, and compares both. No server may use either. The source stays as
/// it is. When a run has ended early, the next one goes on where it was.
///
/// # Errors
/// See [`TransferError`], whose text says what to do.
pub async fn transfer(
    from: &str,
    to: &str,
    options: TransferOptions,
    progress: &mut dyn FnMut(TransferProgress),
) -> Result<Transferred, TransferError> {
    let Kind::Sqlite(path) = Kind::of(from)? else { return Err(TransferError::NotFromSqlite) };
    let Kind::Postgres = Kind::of(to)? else { return Err(TransferError::NotToPostgres) };
    postgres::check_url(to)?;
    let path = path.to_owned();
    let batch_rows = options.batch_rows.max(1);
    let (source, keys, counts, fingerprint) = reading(move || {
        let source = Source::open(&path)?;
        let keys = source.keys()?;
        let counts = TABLES.iter().map(|table| source.count(table)).collect::<Result<Vec<_>, _>>()?;
        let fingerprint = source.fingerprint(&keys, &counts)?;
        Ok((Arc::new(Mutex::new(source)), keys, counts, fingerprint))
    })
    .await?;
    let target = Target::open(to, options.postgres).await?;
    let there = match target.begin(&fingerprint).await? {
        Found::Everything => return Ok(already(&counts)),
        Found::Rows(there) => there,
    };
    target.make_room(&keys).await?;
    let before: u64 = there.iter().sum();
    let mut moved = Moved { rows: before, of: counts.iter().sum(), progress };
    for (table, there) in TABLES.iter().zip(there) {
        move_table(&source, &target, (table, there), batch_rows, &mut moved).await?;
    }
    let tables = compare(&source, &target, moved.progress).await?;
    target.finish().await?;
    Ok(Transferred { tables, before, already: false })
}

/// What there is to say where there is nothing to do.
fn already(counts: &[u64]) -> Transferred {
    let table =
        |(table, rows): (&Table, &u64)| TransferredTable { name: table.name, rows: *rows, checksum: None };
    let tables = TABLES.iter().zip(counts).map(table).collect();
    Transferred { tables, before: counts.iter().sum(), already: true }
}

/// Runs what blocks on a thread where that is allowed.
async fn reading<T: Send + 'static>(
    read: impl FnOnce() -> Result<T, TransferError> + Send + 'static,
) -> Result<T, TransferError> {
    tokio::task::spawn_blocking(read).await.map_err(|error| TransferError::Reading(error.to_string()))?
}

/// Counts what is moved.
struct Moved<'a> {
    rows: u64,
    of: u64,
    progress: &'a mut dyn FnMut(TransferProgress),
}

async fn move_table(
    source: &Arc<Mutex<Source>>,
    target: &Target,
    (table, there): (&'static Table, u64),
    batch_rows: u64,
    moved: &mut Moved<'_>,
) -> Result<(), TransferError> {
    // One batch is written, one waits, and one is read: what bounds the memory.
    let (sender, mut batches) = mpsc::channel(1);
    let source = Arc::clone(source);
    let read = tokio::spawn(reading(move || {
        source.lock().read(table, there, batch_rows, |batch| sender.blocking_send(batch).is_ok())
    }));
    while let Some(batch) = batches.recv().await {
        let rows = batch.rows;
        target.write(table, batch).await?;
        moved.rows += rows;
        (moved.progress)(TransferProgress::Moved { table: table.name, rows: moved.rows, of: moved.of });
    }
    read.await.map_err(|error| TransferError::Reading(error.to_string()))?
}

/// Sums every table on both sides.
async fn compare(
    source: &Arc<Mutex<Source>>,
    target: &Target,
    progress: &mut dyn FnMut(TransferProgress),
) -> Result<Vec<TransferredTable>, TransferError> {
    let (mut tables, mut different) = (Vec::new(), Vec::new());
    for table in TABLES {
        progress(TransferProgress::Comparing { table: table.name });
        let source = Arc::clone(source);
        let wanted = reading(move || source.lock().checksum(table));
        let (wanted, found): (Checksum, Checksum) = tokio::try_join!(wanted, target.checksum(table))?;
        if wanted != found {
            let rows = format!("{} with {} rows instead of {}", table.name, found.rows, wanted.rows);
            let values = format!("{} with the same number of rows", table.name);
            different.push(if wanted.rows == found.rows { values } else { rows });
        }
        let checksum = Some(wanted.to_string());
        tables.push(TransferredTable { name: table.name, rows: wanted.rows, checksum });
    }
    if different.is_empty() { Ok(tables) } else { Err(TransferError::Different(different)) }
}
