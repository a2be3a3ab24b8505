//! Chains: the waiting deliveries of one webhook about one subject, where they
//! go in order. At any time at most one of a chain may be attempted, and
//! whoever ends that one lets the next go.

use super::failure::Failure;
use super::sql::{self, Connection};

/// Locks chains until the transaction ends: nobody else adds to them or lets
/// their next go. Comes before everything else in a transaction, once, with all
/// that it will need; places are locked in one order, so that nobody waits in a
/// circle. 0 stands for no chain.
///
/// A server has room for a few thousand locks, so chains share places.
pub(super) async fn lock(conn: &Connection, chains: &[i64]) -> Result<(), Failure> {
    if chains.iter().all(|chain| *chain == 0) {
        return Ok(());
    }
    let sql = "SELECT pg_advisory_xact_lock(lock_place('chains'), place) FROM (
            SELECT DISTINCT (chain & 1023)::integer AS place FROM unnest($1::bigint[]) AS chain
            WHERE chain <> 0 ORDER BY 1
        ) AS places";
    sql::run(conn, sql, &[&chains]).await.map(drop)
}
