//! Copies a database that may be in use: all of it, as of one moment.
//!
//! One read transaction stands for the whole copy, so it never starts over and
//! sees no half of anything. Whoever writes goes on meanwhile; only the
//! write-ahead log can't start anew until the copy is done.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};

use super::open;
use crate::backup::{BackedUp, BackupError, BackupOptions, BackupProgress, Check};
use crate::private::private;

/// Pages copied at a time: 1 MiB.
const STEP: i32 = 256;

/// Steps after which what was copied is put on disk. All of it at the end would
/// keep the disk from those who publish for too long.
const STEPS_A_SYNC: u32 = 8;

/// Copies the database at `source` to `target`. Blocks while it does.
pub(crate) fn back_up(
    source: &Path,
    target: &Path,
    options: BackupOptions,
    progress: &mut dyn FnMut(BackupProgress),
) -> Result<BackedUp, BackupError> {
    judge(source, target, options)?;
    let partial = Partial::make(target)?;
    let conn = open::reader(source)?;
    let rows = copy(&conn, &partial, progress)?;
    drop(conn);
    progress(BackupProgress::Checking);
    check(&partial.path, &rows, options.check)?;
    partial.sync()?;
    let bytes = partial.file.metadata().map_err(|reason| failed(&partial.path, reason))?.len();
    partial.put(target, options.force)?;
    Ok(BackedUp { bytes, rows })
}

/// Refuses what can't come to a good end before anything is written.
fn judge(source: &Path, target: &Path, options: BackupOptions) -> Result<(), BackupError> {
    if !source.is_file() {
        return Err(BackupError::Missing { path: source.to_owned() });
    }
    if target.is_dir() || target.file_name().is_none() {
        return Err(BackupError::Folder { path: target.to_owned() });
    }
    let same =
        |one: io::Result<PathBuf>| one.is_ok_and(|one| source.canonicalize().is_ok_and(|two| one == two));
    if same(target.canonicalize()) {
        return Err(BackupError::Itself { path: target.to_owned() });
    }
    // SQLite would take a log that lies there for that of the copy.
    if beside(target, "-wal").exists() {
        return Err(BackupError::TargetInUse { path: target.to_owned() });
    }
    if target.exists() && !options.force {
        return Err(BackupError::Exists { path: target.to_owned() });
    }
    Ok(())
}

fn failed(path: &Path, reason: io::Error) -> BackupError {
    BackupError::File { path: path.to_owned(), reason }
}

/// The file of a name with this ending.
fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

/// The copy while it is made. What is left of it when it fails is removed.
struct Partial {
    path: PathBuf,
    file: File,
}

impl Partial {
    /// Makes the file, or empties one that a backup has left that was killed.
    fn make(target: &Path) -> Result<Self, BackupError> {
        let path = beside(target, ".partial");
        let file = private(OpenOptions::new().read(true).write(true).create(true).truncate(false))
            .open(&path)
            .map_err(|reason| failed(&path, reason))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(BackupError::Busy { path }),
            Err(TryLockError::Error(reason)) => return Err(failed(&path, reason)),
        }
        let partial = Self { path, file };
        partial.file.set_len(0).map_err(|reason| failed(&partial.path, reason))?;
        partial.remove_logs();
        Ok(partial)
    }

    fn remove_logs(&self) {
        for ending in ["-journal", "-wal", "-shm"] {
            // Mostly there is none.
            let _ = std::fs::remove_file(beside(&self.path, ending));
        }
    }

    fn sync(&self) -> Result<(), BackupError> {
        self.file.sync_all().map_err(|reason| failed(&self.path, reason))
    }

    /// Gives the copy its name, durably.
    fn put(&self, target: &Path, force: bool) -> Result<(), BackupError> {
        if force || !self.link(target)? {
            std::fs::rename(&self.path, target).map_err(|reason| failed(target, reason))?;
        }
        let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty());
        sync_folder(folder.unwrap_or(Path::new("."))).map_err(|reason| failed(target, reason))
    }

    /// Gives the copy its name unless something has that: a rename would replace
    /// what came there meanwhile. False where the file system knows no links.
    fn link(&self, target: &Path) -> Result<bool, BackupError> {
        match std::fs::hard_link(&self.path, target) {
            Ok(()) => Ok(true),
            Err(_) if target.exists() => Err(BackupError::Exists { path: target.to_owned() }),
            Err(_) => Ok(false),
        }
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        // Gone already where it was renamed.
        let _ = std::fs::remove_file(&self.path);
        self.remove_logs();
    }
}

#[cfg(unix)]
fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

/// The rows of each table.
type Rows = Vec<(String, u64)>;

/// Copies every page, and counts the rows that were copied.
fn copy(
    source: &Connection,
    partial: &Partial,
    progress: &mut dyn FnMut(BackupProgress),
) -> Result<Rows, BackupError> {
    let snapshot = source.unchecked_transaction()?;
    // The transaction begins with its first read.
    let ours = "SELECT count(*) FROM sqlite_schema WHERE name = 'migrations'";
    if snapshot.query_row(ours, [], |row| row.get::<_, i64>(0))? == 0 {
        return Err(BackupError::Open(crate::OpenError::Foreign));
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut copy = Connection::open_with_flags(&partial.path, flags)?;
    // It is put on disk here, and thrown away as a whole when anything fails.
    copy.execute_batch("PRAGMA cache_size = -2048; PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;")?;
    {
        let backup = Backup::new(&snapshot, &mut copy)?;
        for step in 1u32.. {
            let done = backup.step(STEP)?;
            let pages = backup.progress();
            let all = u64::try_from(pages.pagecount).unwrap_or_default();
            let left = u64::try_from(pages.remaining).unwrap_or_default();
            progress(BackupProgress::Copying { pages: all.saturating_sub(left), of: all });
            match done {
                StepResult::Done => break,
                StepResult::More => {}
                // Nobody else knows the copy, and the snapshot is held.
                _ => return Err(BackupError::Busy { path: partial.path.clone() }),
            }
            if step % STEPS_A_SYNC == 0 {
                partial.sync()?;
            }
        }
    }
    copy.close().map_err(|(_, error)| error)?;
    progress(BackupProgress::Counting);
    let rows = count(&snapshot)?;
    snapshot.finish()?;
    Ok(rows)
}

fn count(conn: &Connection) -> Result<Rows, BackupError> {
    let tables =
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite~_%' ESCAPE '~'
        ORDER BY name";
    let mut statement = conn.prepare(tables)?;
    let tables = statement.query_map([], |row| row.get(0))?.collect::<Result<Vec<String>, _>>()?;
    let count = |table: String| {
        let sql = format!("SELECT count(*) FROM \"{}\"", table.replace('"', "\"\""));
        let rows: i64 = conn.query_row(&sql, [], |row| row.get(0))?;
        Ok((table, rows.unsigned_abs()))
    };
    tables.into_iter().map(count).collect()
}

/// Reads the copy as whoever opens it would.
fn check(path: &Path, wanted: &Rows, check: Check) -> Result<(), BackupError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags)?;
    // Alone, it needs no file for what processes share.
    conn.execute_batch("PRAGMA locking_mode = EXCLUSIVE; PRAGMA query_only = ON;")?;
    let pragma = match check {
        Check::Quick => "PRAGMA quick_check(1)",
        Check::Full => "PRAGMA integrity_check(1)",
    };
    let found: String = conn.query_row(pragma, [], |row| row.get(0))?;
    if found != "ok" {
        return Err(BackupError::Damaged(found));
    }
    for ((table, wanted), (_, found)) in wanted.iter().zip(count(&conn)?) {
        if *wanted != found {
            return Err(BackupError::Rows { table: table.clone(), wanted: *wanted, found });
        }
    }
    conn.close().map_err(|(_, error)| error.into())
}
