//! Asks the system for as many file handles as it would give: each connection
//! needs one, and many systems start programs with no more than 1,024.

use rustix::process::{Resource, getrlimit, setrlimit};

/// Raises what this process may open to what the system allows. Where that is
/// refused the process goes on with what it has, and says so.
pub fn raise() {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current == limit.maximum {
        return;
    }
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!(%error, "the limit of open files stays as it was");
    }
}
