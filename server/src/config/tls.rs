//! The certificate of the HTTP interface.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// The certificate of the HTTP interface.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// A file with the certificate and those between it and its root, as PEM.
    /// Without, plain HTTP is spoken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_file: Option<PathBuf>,
    /// A file with its private key, as PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub private_key_file: Option<PathBuf>,
    /// How often the files are looked at for changes, in seconds.
    pub reload_seconds: f64,
}

impl Default for Tls {
    fn default() -> Self {
        Self { certificate_file: None, private_key_file: None, reload_seconds: 5.0 }
    }
}

impl Tls {
    /// The files of the certificate and its key, where TLS is spoken.
    #[must_use]
    pub fn files(&self) -> Option<(&Path, &Path)> {
        self.certificate_file.as_deref().zip(self.private_key_file.as_deref())
    }

    /// What the types can't say.
    pub(super) fn check(&self) -> Result<(), (&'static str, String)> {
        if self.certificate_file.is_some() != self.private_key_file.is_some() {
            let right = "must be given together with tls.certificate_file".to_owned();
            return Err(("tls.private_key_file", right));
        }
        if !(self.reload_seconds > 0.0 && self.reload_seconds <= 86_400.0) {
            let right = "must be a number of seconds above 0, and at most 86400".to_owned();
            return Err(("tls.reload_seconds", right));
        }
        Ok(())
    }
}
