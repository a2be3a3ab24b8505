//! Why a database was not opened.

use std::path::PathBuf;

/// Why the database was not opened. The text says what to do about it, and never
/// shows a password.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The URL names no database that is known.
    #[error(
        "the database URL must be sqlite:PATH, such as sqlite:/var/lib/callboard/callboard.db, or postgres://USER:PASSWORD@HOST/DATABASE"
    )]
    Url,
    /// The URL of a PostgreSQL database can't be used.
    #[error("the database URL: {0}")]
    PostgresUrl(String),
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
    /// The server can't be reached, or does not let this program in.
    #[error("PostgreSQL{server} can't be used: {reason}{advice}")]
    Unreachable {
        /// ` at HOST:PORT`, once that is known.
        server: String,
        /// What it said, or why it said nothing.
        reason: String,
        /// What to do about it, after a semicolon; empty where nothing is known.
        advice: &'static str,
    },
    /// The server is too old.
    #[error("the server is PostgreSQL {found}; {wanted} or newer is needed")]
    OldServer {
        /// What the server says of itself.
        found: String,
        /// The oldest version that will do.
        wanted: u32,
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
    /// Something in it is sealed with a key that is not at hand.
    #[error(
        "the secrets in the database are sealed with the encryption key {missing}, which this program was not given; \
         put it into the key file, or into encryption.keys, behind the others"
    )]
    MissingKey {
        /// The ids of the keys that are missing.
        missing: String,
    },
    /// The new key can't be kept.
    #[error(transparent)]
    KeyFile(#[from] crate::sealing::KeyFileError),
    /// Another database is being moved into this one.
    #[error(
        "not everything has been moved into this database yet; run `callboard migrate-data` again until it succeeds"
    )]
    Unfinished,
    /// The database belongs to another program.
    #[error(
        "the database is one of another program; choose another path, or a database or schema of its own"
    )]
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
