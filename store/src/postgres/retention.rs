//! Deletes what has been kept long enough.

use callboard_domain::clock::Timestamp;
use callboard_domain::store::{Cleared, StoreError};
use deadpool_postgres::Pool;

use super::Options;
use super::failure::Failure;
use super::sql::{self, Connection};

/// What upkeep remembers from one step to the next.
pub(super) struct Upkeep {
    pub(super) options: Options,
}

impl Upkeep {
    pub(super) fn new(options: &Options) -> Self {
        Self { options: options.clone() }
    }
}

/// Lets every pointer start from the first event, because a tenant's
/// retention has changed: pointers may have passed events that they would
/// have to delete now.
pub(super) async fn start_over(conn: &Connection) -> Result<(), Failure> {
    sql::run(conn, "DELETE FROM retention", &[]).await.map(drop)
}

/// Deletes at most `limit` events.
pub(super) async fn prune(
    pool: &Pool,
    upkeep: &Upkeep,
    now: Timestamp,
    default_seconds: u32,
    limit: usize,
) -> Result<Cleared, StoreError> {
    let _ = (pool, &upkeep.options, now, default_seconds, limit);
    Err(StoreError::Unavailable("not written yet".to_owned()))
}
