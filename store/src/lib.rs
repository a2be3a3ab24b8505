//! The storage ports on a database: [`open`] chooses it by its URL.
//!
//! Read `callboard_domain::store` first, which says what is asked of a
//! database, then [`sqlite`] or [`postgres`], which say how it is done. What does
//! not depend on the database stands in `rows`. [`sealing`] encrypts what is secret
//! before any database gets it. [`backup`] copies a database of SQLite, and
//! [`transfer`] moves one to PostgreSQL.

use std::path::Path;
use std::sync::Arc;

use callboard_domain::clock::SystemClock;
use callboard_domain::measures::StoreMeasures;
use callboard_domain::store::Store;

pub mod backup;
mod open_error;
pub mod postgres;
mod private;
mod rows;
pub mod sealing;
pub mod sqlite;
pub mod transfer;

pub use open_error::OpenError;
pub use private::private;

use sealing::Keys;

/// Opens the database that `url` names, and brings its schema up to date. A
/// database of SQLite is made if it does not exist. Secrets in it are sealed with
/// the first of `keys`.
///
/// The URL is `sqlite:` and a path, such as `sqlite:/var/lib/callboard/callboard.db`,
/// or one of PostgreSQL, such as `postgres://callboard:PASSWORD@db.internal/callboard`.
///
/// # Errors
/// See [`OpenError`], whose text says what to do.
pub async fn open(url: &str, keys: Keys) -> Result<Arc<dyn Store>, OpenError> {
    open_with(url, keys, postgres::Options::default()).await
}

/// Like [`open`], with other options where the database is one of PostgreSQL.
///
/// # Errors
/// See [`OpenError`].
pub async fn open_with(
    url: &str,
    keys: Keys,
    options: postgres::Options,
) -> Result<Arc<dyn Store>, OpenError> {
    open_measured(url, keys, options, unwatched()).await
}

/// Like [`open_with`], and counts what it commits.
///
/// # Errors
/// See [`OpenError`].
pub async fn open_measured(
    url: &str,
    keys: Keys,
    options: postgres::Options,
    measures: Arc<StoreMeasures>,
) -> Result<Arc<dyn Store>, OpenError> {
    match Kind::of(url)? {
        Kind::Sqlite(path) => {
            Ok(Arc::new(sqlite::open_measured(path, &keys, sqlite::Options::default(), measures)?))
        }
        Kind::Postgres => Ok(Arc::new(postgres::open_measured(url, &keys, options, measures).await?)),
    }
}

/// Counts that nobody looks at.
fn unwatched() -> Arc<StoreMeasures> {
    Arc::new(StoreMeasures::new(Arc::new(SystemClock::new())))
}

/// Which version of the schema a database has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schema {
    /// Its version; `None` when nothing is in it yet, or there is no such file.
    pub found: Option<i64>,
    /// The newest version that this program knows, which opening brings it to.
    pub newest: i64,
}

/// The version of the schema in the database that `url` names, of which nothing is
/// changed. A server may be using it.
///
/// # Errors
/// See [`OpenError`].
pub async fn schema(url: &str) -> Result<Schema, OpenError> {
    match Kind::of(url)? {
        Kind::Sqlite(path) => sqlite::schema(path),
        Kind::Postgres => postgres::schema(url).await,
    }
}

/// Judges the form of a URL, and touches nothing.
///
/// # Errors
/// [`OpenError::Url`] and [`OpenError::PostgresUrl`].
pub fn check_url(url: &str) -> Result<(), OpenError> {
    match Kind::of(url)? {
        Kind::Sqlite(_) => Ok(()),
        Kind::Postgres => postgres::check_url(url),
    }
}

/// Which database a URL is about.
enum Kind<'a> {
    Sqlite(&'a Path),
    Postgres,
}

impl<'a> Kind<'a> {
    fn of(url: &'a str) -> Result<Self, OpenError> {
        // What follows the colon may hold a password; an error may not show it.
        match url.split_once(':') {
            Some(("sqlite", path)) if !path.is_empty() => Ok(Self::Sqlite(Path::new(path))),
            Some(("postgres" | "postgresql", rest)) if rest.starts_with("//") => Ok(Self::Postgres),
            _ => Err(OpenError::Url),
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;

    use super::*;

    #[tokio::test]
    async fn other_databases_are_refused_by_name_and_without_their_password() {
        for url in ["callboard.db", "sqlite:", "mysql://root:hunter2@db", "postgres:hunter2", ""] {
            let rng = Box::new(rand::rngs::StdRng::seed_from_u64(1));
            let keys = Keys::new(&[sealing::EncryptionKey::from_bytes([1; 32])], rng);
            let text = open(url, keys).await.err().map(|error| error.to_string()).unwrap_or_default();
            assert!(text.contains("sqlite:PATH") && text.contains("postgres://"), "{text}");
            assert!(!text.contains("hunter2"), "{text}");
        }
    }
}
