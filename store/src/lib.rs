//! The storage ports on a database: [`open`] chooses it by its URL.
//!
//! Read `callboard_domain::store` first, which says what is asked of a
//! database, then [`sqlite`], which says how it is done.

use std::path::Path;
use std::sync::Arc;

use callboard_domain::store::Store;

pub mod sqlite;

pub use sqlite::OpenError;

/// Opens the database that `url` names, makes it if it does not exist, and
/// brings its schema up to date. Blocks while it does.
///
/// The URL is `sqlite:` and a path, such as `sqlite:/var/lib/callboard/callboard.db`.
///
/// # Errors
/// See [`OpenError`], whose text says what to do.
pub fn open(url: &str) -> Result<Arc<dyn Store>, OpenError> {
    if let Some(path) = url.strip_prefix("sqlite:").filter(|path| !path.is_empty()) {
        return Ok(Arc::new(sqlite::open(Path::new(path), sqlite::Options::default())?));
    }
    // What follows the colon may hold a password; an error may not show it.
    match url.split_once(':') {
        Some((scheme @ ("postgres" | "postgresql"), _)) => Err(OpenError::NotYet(scheme.to_owned())),
        _ => Err(OpenError::Url),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_databases_are_refused_by_name_and_without_their_password() {
        let refusal = |url| open(url).err().map(|error| error.to_string()).unwrap_or_default();
        let text = refusal("postgres://callboard:hunter2@db/callboard");
        assert!(text.contains("PostgreSQL") && !text.contains("hunter2"), "{text}");
        for url in ["callboard.db", "sqlite:", "mysql://root:hunter2@db", ""] {
            let text = refusal(url);
            assert!(text.contains("sqlite:PATH") && !text.contains("hunter2"), "{text}");
        }
    }
}
