//! The file that keeps keys where no setting holds them.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use super::key::{EncryptionKey, InvalidKeys};
use crate::private::private;

/// Why a file of keys can't be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The operating system refused.
    #[error("the file of encryption keys {path} can't be {done}: {reason}")]
    File {
        /// The file.
        path: PathBuf,
        /// What was to be done.
        done: &'static str,
        /// What the system said.
        reason: std::io::Error,
    },
    /// It holds something else than keys.
    #[error("the file of encryption keys {path} {fault}")]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        fault: InvalidKeys,
    },
}

/// Reads the keys of a file; `None` where there is no file.
pub(super) fn read(path: &Path) -> Result<Option<Vec<EncryptionKey>>, KeyFileError> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(reason) => return Err(KeyFileError::File { path: path.to_owned(), done: "read", reason }),
    };
    let keys = EncryptionKey::read_list(&text);
    keys.map(Some).map_err(|fault| KeyFileError::Content { path: path.to_owned(), fault })
}

/// A file that is to be made, and the key that it will hold.
#[derive(Debug)]
pub(super) struct KeyFile {
    path: PathBuf,
    key: EncryptionKey,
}

impl KeyFile {
    pub(super) fn new(path: &Path, key: EncryptionKey) -> Self {
        Self { path: path.to_owned(), key }
    }

    /// Makes the file, for its owner's eyes only, and puts it on disk. One that is
    /// there by now is not replaced: another process may have sealed with its key.
    pub(super) fn save(&self) -> Result<(), KeyFileError> {
        self.write().map_err(|reason| KeyFileError::File {
            path: self.path.clone(),
            done: "made",
            reason,
        })?;
        tracing::warn!(
            path = %self.path.display(), key = %self.key.id(),
            "made a key that seals the secrets in the database; keep a copy of this file, without it they can't be read"
        );
        Ok(())
    }

    fn write(&self) -> std::io::Result<()> {
        let mut file = private(OpenOptions::new().write(true).create_new(true)).open(&self.path)?;
        let text = format!(
            "# Seals the secrets in the database of Callboard. Keep a copy apart from those of the database.\n{}\n",
            self.key.to_text()
        );
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        // The name too.
        if let Some(folder) = self.path.parent() {
            let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
            File::open(folder)?.sync_all()?;
        }
        Ok(())
    }
}
