//! Chains: the waiting deliveries of one webhook about one subject, where they
//! go in order. At any time at most one of a chain may be attempted, and
//! whoever ends that one lets the next go.

use std::collections::HashSet;

use callboard_domain::clock::Timestamp;
use callboard_domain::id::WebhookKey;

use super::attempts::{self, read_waiting, waiting_columns};
use super::failure::Failure;
use super::sql::{self, Connection, get};
use crate::rows::attempts::{Ending, Waiting};
use crate::rows::packed::chain;
use crate::rows::{BEHIND, micros};

/// Most updates that are skipped at once; the next is let go then, and skipped
/// when it is claimed.
const SKIPPED: i64 = 256;

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

/// Those chains in which something waits, of some that are locked.
pub(super) async fn occupied(conn: &Connection, chains: &[i64]) -> Result<HashSet<i64>, Failure> {
    if chains.iter().all(|chain| *chain == 0) {
        return Ok(HashSet::new());
    }
    Ok(sql::many(conn, OCCUPIED, &[&chains], |row| get(row, 0)).await?.into_iter().collect())
}

/// Which of some chains are not empty.
pub(super) const OCCUPIED: &str = "SELECT chain FROM unnest($1::bigint[]) AS asked (chain)
    CROSS JOIN LATERAL (
        SELECT 1 FROM pending WHERE pending.chain = asked.chain AND pending.chain <> 0 LIMIT 1
    ) AS waiting";

/// The chains in which deliveries that were over would wait again, each told by its
/// webhook and event; 0 where its webhook does not ask for order.
pub(super) async fn of_ended(conn: &Connection, ended: &[(i64, i64)]) -> Result<Vec<i64>, Failure> {
    let (webhooks, events): (Vec<i64>, Vec<i64>) = ended.iter().copied().unzip();
    let sql = "SELECT ended.webhook,
            CASE WHEN (webhooks.settings::json -> 'ordering')::text = '\"subject\"' THEN events.subject END
        FROM unnest($1::bigint[], $2::bigint[]) WITH ORDINALITY AS ended (webhook, event, place)
        LEFT JOIN webhooks ON webhooks.key = ended.webhook LEFT JOIN events ON events.key = ended.event
        ORDER BY ended.place";
    sql::many(conn, sql, &[&webhooks, &events], |row| {
        let subject: Option<String> = get(row, 1)?;
        let webhook = WebhookKey(get(row, 0)?);
        Ok(subject.map_or(0, |subject| chain(webhook, &subject)))
    })
    .await
}

/// The first that waits behind in each of some chains in which nothing moves:
/// nothing is on its way, or will be at some time. With whether a newer update of
/// its chain makes it superfluous. `$2` stands for waiting behind.
pub(super) const FIRST: &str = "SELECT asked.chain, first.delivery, first.superseded
    FROM unnest($1::bigint[]) AS asked (chain) CROSS JOIN LATERAL (
        SELECT behind.delivery, behind.collapses AND EXISTS (
            SELECT 1 FROM pending AS newer
            WHERE newer.chain = behind.chain AND newer.delivery > behind.delivery AND newer.collapses
        ) AS superseded
        FROM pending AS behind
        WHERE behind.chain = asked.chain AND behind.chain <> 0 AND behind.due_at = $2
        ORDER BY behind.delivery LIMIT 1
    ) AS first
    WHERE NOT EXISTS (
        SELECT 1 FROM pending WHERE pending.chain = asked.chain AND pending.chain <> 0 AND pending.due_at < $2
    ) AND NOT EXISTS (
        SELECT 1 FROM pending WHERE pending.chain = asked.chain AND pending.chain <> 0 AND pending.due_at > $2
    )";

/// Lets the next of each chain go, of which one has ended. Returns the chains in
/// which something is due now that was not. The chains are locked.
pub(super) async fn let_next_go(
    conn: &Connection,
    chains: impl IntoIterator<Item = i64>,
    now: Timestamp,
) -> Result<HashSet<i64>, Failure> {
    let chains: HashSet<i64> = chains.into_iter().filter(|chain| *chain != 0).collect();
    let chains: Vec<i64> = chains.into_iter().collect();
    if chains.is_empty() {
        return Ok(HashSet::new());
    }
    let first = sql::many(conn, FIRST, &[&chains, &BEHIND], |row| {
        Ok((get::<i64>(row, 0)?, get::<i64>(row, 1)?, get::<bool>(row, 2)?))
    })
    .await?;
    let (mut gone, mut go) = (HashSet::new(), Vec::new());
    for (chain, delivery, superseded) in first {
        let next = if superseded { skip(conn, chain, now).await? } else { Some(delivery) };
        if let Some(next) = next {
            go.push(next);
            gone.insert(chain);
        }
    }
    go.sort_unstable();
    let due = "UPDATE pending SET due_at = $2 WHERE delivery = ANY($1)";
    sql::run(conn, due, &[&go, &micros(now)]).await?;
    Ok(gone)
}

/// Ends the updates at the head of a chain that a newer one makes superfluous, and
/// returns the first that is left.
async fn skip(conn: &Connection, chain: i64, now: Timestamp) -> Result<Option<i64>, Failure> {
    let head = concat!(
        "SELECT ",
        waiting_columns!(),
        ", collapses AND delivery < (SELECT max(delivery) FROM pending WHERE chain = $1 AND collapses)
         FROM pending WHERE chain = $1 AND chain <> 0 AND due_at = $2 ORDER BY delivery LIMIT $3"
    );
    let head = sql::many(conn, head, &[&chain, &BEHIND, &(SKIPPED + 1)], |row| {
        Ok((read_waiting(row)?, get::<Option<bool>>(row, 7)? == Some(true)))
    })
    .await?;
    let most = usize::try_from(SKIPPED).unwrap_or(usize::MAX);
    let skipped = head.iter().take(most).take_while(|(_, superseded)| *superseded).count();
    let superseded: Vec<Waiting> = head.iter().take(skipped).map(|(waiting, _)| *waiting).collect();
    attempts::end_unattempted(conn, &superseded, Ending::Superseded, now).await?;
    Ok(head.get(skipped).map(|(waiting, _)| waiting.delivery))
}

/// Locks one chain, unless somebody else has it.
pub(super) async fn try_lock(conn: &Connection, chain: i64) -> Result<bool, Failure> {
    let sql = "SELECT pg_try_advisory_xact_lock(lock_place('chains'), ($1::bigint & 1023)::integer)";
    Ok(sql::value(conn, sql, &[&chain]).await?.unwrap_or(false))
}
