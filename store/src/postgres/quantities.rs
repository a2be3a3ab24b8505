//! The quantity that was last published of each ticket, so that a receiver can
//! be told by how much it changed.

use std::collections::{BTreeMap, HashMap};

use callboard_domain::store::NewEvent;

use super::events::Recording;
use super::failure::Failure;
use super::sql::{self, Connection, get};
use crate::rows::micros;

/// How long a quantity is remembered that nothing was published for: longer
/// than the longest time between two notices of a ticket that is still sold.
const REMEMBERED: i64 = 366 * 24 * 60 * 60 * 1_000_000;

/// Quantities looked at in one step of upkeep.
const LOOKED_AT: i64 = 64;

/// Remembers the quantities that events tell, in their order, and returns for each
/// event by how much it differs from the one before.
pub(super) async fn note(
    conn: &Connection,
    new: &[(&Recording, &NewEvent)],
) -> Result<Vec<Option<i64>>, Failure> {
    let mut diffs = vec![None; new.len()];
    // The last of each ticket is what is remembered, in the order of the key.
    let mut last: BTreeMap<(i64, &str), (i64, i64)> = BTreeMap::new();
    for (recording, event) in new {
        if let Some(quantity) = event.event.quantity {
            let ticket = (recording.tenant.0, event.event.subject.id.as_str());
            last.insert(ticket, (quantity, micros(recording.now)));
        }
    }
    if last.is_empty() {
        return Ok(diffs);
    }
    let mut before = remembered(conn, &last).await?;
    for ((recording, event), diff) in new.iter().zip(&mut diffs) {
        if let Some(quantity) = event.event.quantity {
            let ticket = (recording.tenant.0, event.event.subject.id.clone());
            *diff = before.insert(ticket, quantity).and_then(|before| quantity.checked_sub(before));
        }
    }
    Ok(diffs)
}

/// What was remembered of tickets before; locks them, and remembers what is
/// new. A row that is made here is told from one that was there by `xmax`.
async fn remembered(
    conn: &Connection,
    last: &BTreeMap<(i64, &str), (i64, i64)>,
) -> Result<HashMap<(i64, String), i64>, Failure> {
    let (tenants, tickets): (Vec<i64>, Vec<&str>) = last.keys().copied().unzip();
    let (quantities, times): (Vec<i64>, Vec<i64>) = last.values().copied().unzip();
    let lock = "INSERT INTO quantities (tenant, ticket, quantity, published_at)
        SELECT * FROM unnest($1::bigint[], $2::text[], $3::bigint[], $4::bigint[])
        ON CONFLICT (tenant, ticket) DO UPDATE SET published_at = excluded.published_at
        RETURNING tenant, ticket, quantity, xmax = 0";
    let before = sql::many(conn, lock, &[&tenants, &tickets, &quantities, &times], |row| {
        Ok((get::<i64>(row, 0)?, get::<String>(row, 1)?, get::<i64>(row, 2)?, get::<bool>(row, 3)?))
    })
    .await?;
    let update = "UPDATE quantities SET quantity = last.quantity
        FROM unnest($1::bigint[], $2::text[], $3::bigint[]) AS last (tenant, ticket, quantity)
        WHERE quantities.tenant = last.tenant AND quantities.ticket = last.ticket
          AND quantities.quantity <> last.quantity";
    sql::run(conn, update, &[&tenants, &tickets, &quantities]).await?;
    let known = before.into_iter().filter(|(_, _, _, made)| !made);
    Ok(known.map(|(tenant, ticket, quantity, _)| ((tenant, ticket), quantity)).collect())
}

/// Forgets quantities that nothing was published for in a year, a few each step:
/// those behind a tenant and ticket. Returns where the next step starts.
pub(super) async fn forget(
    conn: &Connection,
    (tenant, ticket): (i64, String),
    now: i64,
) -> Result<(i64, String), Failure> {
    let next = "SELECT tenant, ticket FROM quantities
        WHERE (tenant, ticket) > ($1, $2) ORDER BY tenant, ticket LIMIT $3";
    let rows = sql::many(conn, next, &[&tenant, &ticket, &LOOKED_AT], |row| {
        Ok((get::<i64>(row, 0)?, get::<String>(row, 1)?))
    })
    .await?;
    let (tenants, tickets): (Vec<i64>, Vec<&String>) =
        rows.iter().map(|(tenant, ticket)| (*tenant, ticket)).unzip();
    let old = "DELETE FROM quantities USING unnest($1::bigint[], $2::text[]) AS seen (tenant, ticket)
        WHERE quantities.tenant = seen.tenant AND quantities.ticket = seen.ticket
          AND quantities.published_at < $3";
    sql::run(conn, old, &[&tenants, &tickets, &(now - REMEMBERED)]).await?;
    Ok(rows.into_iter().next_back().unwrap_or_default())
}
