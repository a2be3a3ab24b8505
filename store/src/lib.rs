//! The storage ports on a database: [`open`] chooses it by its URL.
//!
//! Read `callboard_domain::store` first, which says what is asked of a
//! database, then [`sqlite`] or [`postgres`], which say how it is done. What does
//! not depend on the database stands in `rows`.

use std::path::Path;
use std::sync::Arc;

use callboard_domain::store::Store;

mod open_error;
pub mod postgres;
mod rows;
pub mod sqlite;

pub use open_error::OpenError;

/// Opens the database that `url` names, and brings its schema up to date. A
/// database of SQLite is made if it does not exist.
///
/// The URL is `sqlite:` and a path, such as `sqlite:/var/lib/callboard/callboard.db`,
/// or one of PostgreSQL, such as `postgres://callboard:PASSWORD@db.internal/callboard`.
///
/// # Errors
/// See [`OpenError`], whose text says what to do.
pub async fn open(url: &str) -> Result<Arc<dyn Store>, OpenError> {
    if let Some(path) = url.strip_prefix("sqlite:").filter(|path| !path.is_empty()) {
        return Ok(Arc::new(sqlite::open(Path::new(path), sqlite::Options::default())?));
    }
    // What follows the colon may hold a password; an error may not show it.
    match url.split_once("://") {
        Some(("postgres" | "postgresql", _)) => {
            Ok(Arc::new(postgres::open(url, postgres::Options::default()).await?))
        }
        _ => Err(OpenError::Url),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn other_databases_are_refused_by_name_and_without_their_password() {
        for url in ["callboard.db", "sqlite:", "mysql://root:hunter2@db", "postgres:hunter2", ""] {
            let text = open(url).await.err().map(|error| error.to_string()).unwrap_or_default();
            assert!(text.contains("sqlite:PATH") && text.contains("postgres://"), "{text}");
            assert!(!text.contains("hunter2"), "{text}");
        }
    }
}
