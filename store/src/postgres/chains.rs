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

/// The chains in which deliveries that were over would wait again, each told by its
/// webhook and event; 0 where its webhook does not ask for order.
pub(super) async fn of_ended(conn: &Connection, ended: &[(i64, i64)]) -> Result<Vec<i64>, Failure> {
    let (webhooks, events): (Vec<i64>, Vec<i64>) = ended.iter().copied().unzip();
    let sql = "SELECT ended.webhook, CASE WHEN webhooks.settings::jsonb ->> 'ordering' = 'subject' THEN events.subject END
         FROM unnest($1::bigint[], $2::bigint[]) WITH ORDINALITY AS ended (webhook, event, place)
         LEFT JOIN webhooks ON webhooks.key = ended.webhook LEFT JOIN events ON events.key = ended.event
         ORDER BY ended.place";
    sql::many(conn, sql, &[&webhooks, &events], |row| {
        let subject: Option<String> = sql::get(row, 1)?;
        let webhook = callboard_domain::id::WebhookKey(sql::get(row, 0)?);
        Ok(subject.map_or(0, |subject| crate::rows::packed::chain(webhook, &subject)))
    })
    .await
}
