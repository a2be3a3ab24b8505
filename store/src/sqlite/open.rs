//! Opens the file: one process at a time, and connections that are all alike.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::sql::CACHED_STATEMENTS;
use crate::OpenError;
use crate::private::private;

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
/// what was published. SQLite gives the files beside it the same mode.
pub(super) fn make_file(path: &Path) -> Result<(), OpenError> {
    private(OpenOptions::new().read(true).write(true).create(true).truncate(false))
        .open(path)
        .map(drop)
        .map_err(|reason| OpenError::Unreadable { path: path.to_owned(), reason })
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

/// A connection that looks at a file that it never changes.
pub(super) fn looker(path: &Path) -> rusqlite::Result<Connection> {
    let conn = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    conn.busy_timeout(BUSY)?;
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
