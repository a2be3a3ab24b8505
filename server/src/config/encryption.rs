//! With which keys secrets in the database are sealed.

use std::path::{Path, PathBuf};

use callboard_store::sealing::{EncryptionKey, KeyFileError, Keys};
use rand::Rng;
use serde::{Deserialize, Serialize};

use super::{DatabaseUrl, Hidden};

/// The file of keys where none is named.
const FILE: &str = "callboard.key";

/// With which keys secrets in the database are sealed.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Encryption {
    /// The keys, separated by commas or lines: the first seals, all open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys: Option<Hidden>,
    /// A file that holds them; made on the first start if it does not exist.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_file: Option<PathBuf>,
}

impl Encryption {
    pub(super) fn check(&self) -> Result<(), (&'static str, String)> {
        let Some(keys) = &self.keys else { return Ok(()) };
        if self.key_file.is_some() {
            let both = "can't be given beside encryption.keys: put all keys into one of them";
            return Err(("encryption.key_file", both.to_owned()));
        }
        EncryptionKey::read_list(&keys.0).map(drop).map_err(|fault| ("encryption.keys", fault.to_string()))
    }

    /// The keys for a database. `rng` draws nonces, and a key where there is none yet.
    ///
    /// # Errors
    /// When the file can't be read, or holds no keys.
    pub fn keys(&self, database: &DatabaseUrl, rng: Box<dyn Rng + Send>) -> Result<Keys, KeyFileError> {
        // What is given was checked with the other settings.
        match self.keys.as_ref().and_then(|keys| EncryptionKey::read_list(&keys.0).ok()) {
            Some(keys) => Ok(Keys::new(&keys, rng)),
            None => Keys::from_file(&self.file(database), rng),
        }
    }

    /// The file that holds the keys: the one that is named, or one beside the
    /// database, or where that is on a server, in the working directory.
    fn file(&self, database: &DatabaseUrl) -> PathBuf {
        let beside = || {
            let path = database.reveal().strip_prefix("sqlite:").map(Path::new);
            path.map_or_else(|| PathBuf::from(FILE), |path| path.with_file_name(FILE))
        };
        self.key_file.clone().unwrap_or_else(beside)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_of_keys_is_beside_the_database() {
        let file = |key_file: Option<&str>, database: &str| {
            let encryption = Encryption { keys: None, key_file: key_file.map(PathBuf::from) };
            encryption.file(&DatabaseUrl::from(database.to_owned()))
        };
        assert_eq!(file(None, "sqlite:callboard.db"), Path::new("callboard.key"));
        assert_eq!(
            file(None, "sqlite:/var/lib/callboard/a.db"),
            Path::new("/var/lib/callboard/callboard.key")
        );
        assert_eq!(file(None, "postgres://db/callboard"), Path::new("callboard.key"));
        assert_eq!(file(Some("/etc/keys"), "sqlite:a.db"), Path::new("/etc/keys"));
    }
}
