//! How long an answer of the server is waited for. A connection can go silent
//! without breaking, when packets are dropped or whatever passes them on stands
//! still, and nothing but time tells that from an answer that is on its way.

use std::time::Duration;

use super::failure::Failure;
use super::sql::Connection;

/// Longest wait for what a transaction does, and once more for its commit. Longer
/// than locks are waited for (8 s) and than a node that stands still may keep
/// them (5 s), so what comes to an end by itself is not given up. Shorter than a
/// lease, so that a node knows of a commit in doubt while it still is one.
pub(super) const ANSWERED: Duration = Duration::from_secs(10);

/// The same for upkeep, which nobody waits for: longer than the server lets a
/// statement take.
pub(super) const UPKEEP: Duration = Duration::from_mins(1);

/// Longest wait for a connection, and for what every new one is told first.
pub(super) const CONNECTED: Duration = Duration::from_secs(5);

/// Does this, or gives it up with [`Failure::Silent`]. The connection can't be used
/// any more then: the answer may still come.
pub(super) async fn within<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    tokio::time::timeout(limit, work).await.unwrap_or(Err(Failure::Silent))
}

/// Runs statements that return nothing.
pub(super) async fn run_within(limit: Duration, conn: &Connection, statements: &str) -> Result<(), Failure> {
    within(limit, async { Ok(conn.batch_execute(statements).await?) }).await
}
