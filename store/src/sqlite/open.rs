//! Opens the file: one process at a time, and connections that are all alike.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::sql::CACHED_STATEMENTS;

/// Why the database was not opened. The text says what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The URL names no database that is known.
    #[error("the database URL must be sqlite:PATH, such as sqlite:/var/lib/callboard/callboard.db")]
    Url,
    /// The URL names a database that this version can't use.
    #[error("{0}: this version has no PostgreSQL store; use sqlite:PATH")]
    NotYet(String),
    /// Another process has it open.
    #[error("{path} is in use by another process{holder}; stop that one, or give this one a file of its own")]
    InUse {
        /// The file.
        path: PathBuf,
        /// ` (pid N)`, when the other process said who it is.
        holder: String,
    },
    /// The operating system refused.
    #[error("{path} can't be opened: {reason}; check that its directory exists and can be written")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        reason: std::io::Error,
    },
    /// A newer version of Callboard has changed the schema.
    #[error(
        "the database has schema version {found}, this program knows {known}; run the newer program, or restore a backup"
    )]
    NewerSchema {
        /// The version of the database.
        found: i64,
        /// The newest version that this program knows.
        known: i64,
    },
    /// The schema was made by statements that differ from this program's.
    #[error(
        "schema version {version} of the database was made by a different build; run the build that made it, or restore a backup"
    )]
    ChangedMigration {
        /// The version that differs.
        version: i64,
    },
    /// The database belongs to another program.
    #[error("the file is a database of another program; choose another path")]
    Foreign,
    /// The file is no database.
    #[error("the file is no SQLite database; choose another path, or restore a backup")]
    NotADatabase,
    /// A row can't be understood.
    #[error("the database is damaged: {0}; restore a backup")]
    Damaged(String),
    /// SQLite failed otherwise.
    #[error("SQLite: {0}")]
    Sql(rusqlite::Error),
}

impl From<rusqlite::Error> for OpenError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::NotADatabase) => Self::NotADatabase,
            Some(rusqlite::ErrorCode::DatabaseCorrupt) => Self::Damaged(error.to_string()),
            _ => Self::Sql(error),
        }
    }
}

/// Keeps other processes out for as long as it lives.
#[derive(Debug)]
pub(super) struct ProcessLock {
    _file: File,
}

impl ProcessLock {
    /// Locks the file beside the database. It stays when the process ends:
    /// removing it could remove the lock of the next process.
    pub(super) fn take(database: &Path) -> Result<Self, OpenError> {
        let mut path = database.as_os_str().to_owned();
        path.push("-lock");
        let path = PathBuf::from(path);
        let unreadable = |reason| OpenError::Unreadable { path: path.clone(), reason };
        let mut file = private(OpenOptions::new().read(true).write(true).create(true).truncate(false))
            .open(&path)
            .map_err(unreadable)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut pid = String::new();
                // Only a courtesy: some systems let nobody read a locked file.
                let _ = file.read_to_string(&mut pid);
                let known = !pid.is_empty() && pid.bytes().all(|b| b.is_ascii_digit());
                let holder = if known { format!(" (pid {pid})") } else { String::new() };
                return Err(OpenError::InUse { path: database.to_owned(), holder });
            }
            Err(TryLockError::Error(reason)) => return Err(unreadable(reason)),
        }
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| write!(file, "{}", std::process::id()))
            .map_err(unreadable)?;
        Ok(Self { _file: file })
    }
}

/// Makes the file if it does not exist, for its owner's eyes only: it holds
/// signing secrets. SQLite gives the files beside it the same mode.
pub(super) fn make_file(path: &Path) -> Result<(), OpenError> {
    private(OpenOptions::new().read(true).write(true).create(true).truncate(false))
        .open(path)
        .map(drop)
        .map_err(|reason| OpenError::Unreadable { path: path.to_owned(), reason })
}

#[cfg(unix)]
fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600)
}

#[cfg(not(unix))]
fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    options
}

/// How long a connection waits for one outside this process, such as a shell
/// that somebody has open on the file.
pub(super) const BUSY: Duration = Duration::from_secs(5);

fn connect(path: &Path, cache_kib: u32) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags)?;
    conn.busy_timeout(BUSY)?;
    conn.set_prepared_statement_cache_capacity(CACHED_STATEMENTS);
    conn.execute_batch(&format!(
        "PRAGMA cache_size = -{cache_kib}; PRAGMA mmap_size = 0; PRAGMA temp_store = MEMORY;
         PRAGMA foreign_keys = OFF; PRAGMA trusted_schema = OFF;"
    ))?;
    Ok(conn)
}

/// The connection that writes. On an empty file it also settles what can't be
/// settled later: the page size and that pages can be given back.
pub(super) fn writer(path: &Path, max_bytes: Option<u64>) -> rusqlite::Result<Connection> {
    let conn = connect(path, 16 * 1024)?;
    conn.execute_batch("PRAGMA page_size = 4096; PRAGMA auto_vacuum = INCREMENTAL;")?;
    conn.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
    conn.execute_batch("PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0;")?;
    limit_size(&conn, max_bytes)?;
    Ok(conn)
}

/// A connection that reads.
pub(super) fn reader(path: &Path) -> rusqlite::Result<Connection> {
    let conn = connect(path, 2 * 1024)?;
    conn.execute_batch("PRAGMA query_only = ON;")?;
    Ok(conn)
}

/// The connection that moves pages from the log into the file.
pub(super) fn checkpointer(path: &Path) -> rusqlite::Result<Connection> {
    let conn = connect(path, 256)?;
    conn.execute_batch("PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0;")?;
    Ok(conn)
}

/// Lets the file grow to at most `bytes` (but never below its present size).
pub(super) fn limit_size(conn: &Connection, bytes: Option<u64>) -> rusqlite::Result<()> {
    let pages = bytes.map_or(u64::from(u32::MAX) - 1, |bytes| (bytes / 4096).max(1));
    conn.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(()))
}
