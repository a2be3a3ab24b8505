//! Backups: what is asked for, what came of it, and why there is none.

use std::path::{Path, PathBuf};

use crate::{Kind, OpenError, sqlite};

/// How a copy is made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BackupOptions {
    /// Whether a file that is there already is replaced.
    pub force: bool,
    /// How the copy is looked at before it gets its name.
    pub check: Check,
}

/// How much of a copy is looked at. Its rows are counted always.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Check {
    /// The form of every page and row: `PRAGMA quick_check`.
    #[default]
    Quick,
    /// Also whether every index agrees with its table: `PRAGMA integrity_check`.
    Full,
}

/// How far a copy is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BackupProgress {
    /// So many pages of those there are have been copied.
    Copying {
        /// Pages copied.
        pages: u64,
        /// All of them.
        of: u64,
    },
    /// The rows that were copied are counted.
    Counting,
    /// The copy is looked at.
    Checking,
}

/// A copy that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackedUp {
    /// The size of the copy.
    pub bytes: u64,
    /// Each table with how many rows it has, by name.
    pub rows: Vec<(String, u64)>,
}

/// Why there is no copy. What was there before is as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// The database can't be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// It is one of PostgreSQL.
    #[error(
        "this copies databases of SQLite only; PostgreSQL has pg_dump, which also works while servers run: \
         pg_dump --format=custom --file=callboard.dump 'postgres://USER@HOST/DATABASE', and pg_restore to restore it"
    )]
    Postgres,
    /// There is no database.
    #[error("there is no database at {path}; name it with --database sqlite:PATH")]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// The target is no file's name.
    #[error("{path} is a folder; name the file that is to be made")]
    Folder {
        /// What was named.
        path: PathBuf,
    },
    /// The target is the database itself.
    #[error("{path} is the database itself; choose another file")]
    Itself {
        /// What was named.
        path: PathBuf,
    },
    /// Something is there already.
    #[error("{path} exists already; choose another file, or replace it with --force")]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// A log of SQLite lies beside the target.
    #[error(
        "{path}-wal exists, so {path} is a database in use or one that was not closed; choose another file, or remove it"
    )]
    TargetInUse {
        /// The file.
        path: PathBuf,
    },
    /// Another process is making the same copy.
    #[error("{path} is being written by another backup; wait for its end")]
    Busy {
        /// The unfinished copy.
        path: PathBuf,
    },
    /// The operating system refused.
    #[error("{path} can't be written: {reason}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        reason: std::io::Error,
    },
    /// The copy is no good database, and so most likely neither is what was copied.
    #[error("the copy is damaged: {0}; check the disk, and the database with PRAGMA integrity_check")]
    Damaged(String),
    /// The copy lacks rows.
    #[error("the copy has {found} rows in {table} instead of {wanted}; check the disk")]
    Rows {
        /// The table.
        table: String,
        /// Rows that were there to copy.
        wanted: u64,
        /// Rows that the copy has.
        found: u64,
    },
}

impl From<rusqlite::Error> for BackupError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Open(error.into())
    }
}

/// Copies the SQLite database that `url` names to the file `target`, complete as of
/// one moment, while others may use it. It is written under another name, checked,
/// put on disk, and only then gets its name. Blocks meanwhile.
///
/// # Errors
/// See [`BackupError`], whose text says what to do.
pub fn back_up(
    url: &str,
    target: &Path,
    options: BackupOptions,
    progress: &mut dyn FnMut(BackupProgress),
) -> Result<BackedUp, BackupError> {
    match Kind::of(url)? {
        Kind::Sqlite(path) => sqlite::back_up(path, target, options, progress),
        Kind::Postgres => Err(BackupError::Postgres),
    }
}
