//! A folder for what a command needs only while it runs.

use std::path::{Path, PathBuf};

/// A folder that is removed with everything in it when this is dropped.
pub(super) struct TemporaryFolder(PathBuf);

impl TemporaryFolder {
    /// Makes a folder within `place`. Two that exist at the same time in one
    /// process need different names.
    ///
    /// # Errors
    /// When it can't be made.
    pub(super) fn make(place: &Path, name: &str) -> std::io::Result<Self> {
        let path = place.join(format!("callboard-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path)?;
        Ok(Self(path))
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TemporaryFolder {
    fn drop(&mut self) {
        // A folder that stays behind in the temporary one harms nobody.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
