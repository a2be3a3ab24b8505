//! Files that only their owner can read.

use std::fs::OpenOptions;

/// A file that is made with these options is for its owner's eyes only.
#[cfg(unix)]
pub fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600)
}

/// A file that is made with these options is for whom its folder is.
#[cfg(not(unix))]
pub fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    options
}
