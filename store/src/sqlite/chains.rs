//! Chains: the waiting deliveries of one webhook about one subject, where they
//! go in order. At any time at most one of a chain may be attempted, and
//! whoever ends that one lets the next go.

use callboard_domain::clock::Timestamp;
use callboard_domain::id::WebhookKey;
use rusqlite::Connection;

use super::attempts;
use super::failure::Failure;
use super::sql;
use crate::rows::attempts::Ending;
use crate::rows::packed::chain;
use crate::rows::{BEHIND, micros};

/// Most updates that are skipped at once; the next is let go then, and skipped
/// when it is claimed.
const SKIPPED: usize = 256;

/// The chain in which a delivery that was over would wait again; 0 when its
/// webhook does not ask for order.
pub(super) fn of_ended(conn: &Connection, webhook: i64, event: i64) -> Result<i64, Failure> {
    let ordered = "SELECT json_extract(settings, '$.ordering') = 'subject' FROM webhooks WHERE key = ?1";
    let ordered = sql::value::<Option<bool>>(conn, ordered, [webhook])?.flatten();
    if ordered != Some(true) {
        return Ok(0);
    }
    let subject = sql::value::<String>(conn, "SELECT subject FROM events WHERE key = ?1", [event])?;
    Ok(subject.map_or(0, |subject| chain(WebhookKey(webhook), &subject)))
}

/// When a delivery that joins a chain is due: `due_at`, or never while another
/// one of it waits.
pub(super) fn due_at(conn: &Connection, chain: i64, due_at: i64) -> Result<i64, Failure> {
    if chain == 0 {
        return Ok(due_at);
    }
    let waits = sql::value::<bool>(conn, WAITS, [chain])?;
    Ok(if waits == Some(true) { BEHIND } else { due_at })
}

/// Whether anything of a chain waits.
pub(super) const WAITS: &str = "SELECT EXISTS (SELECT 1 FROM pending WHERE chain = ?1 AND chain <> 0)";

/// Whether one of a chain is on its way, or will be at some time: `?2` stands
/// for waiting behind.
pub(super) const MOVES: &str = "SELECT
    EXISTS (SELECT 1 FROM pending WHERE chain = ?1 AND chain <> 0 AND due_at < ?2)
    OR EXISTS (SELECT 1 FROM pending WHERE chain = ?1 AND chain <> 0 AND due_at > ?2)";

/// The first of a chain that waits behind.
pub(super) const FIRST: &str = "SELECT delivery, collapses FROM pending
    WHERE chain = ?1 AND chain <> 0 AND due_at = ?2 ORDER BY delivery LIMIT 1";

/// Whether a newer update of a chain waits.
pub(super) const NEWER: &str =
    "SELECT EXISTS (SELECT 1 FROM pending WHERE chain = ?1 AND delivery > ?2 AND collapses = 1)";

/// Lets the next of a chain go, of which one has ended. True when something is
/// due now that was not.
pub(super) fn let_next_go(conn: &Connection, chain: i64, now: Timestamp) -> Result<bool, Failure> {
    // The one that ended may not have been the one that was going.
    if chain == 0 || sql::value(conn, MOVES, (chain, BEHIND))? == Some(true) {
        return Ok(false);
    }
    let mut skipped = 0;
    loop {
        let first = sql::one(conn, FIRST, (chain, BEHIND), |row| Ok((row.get(0)?, row.get(1)?)))?;
        let Some((delivery, collapses)) = first else { return Ok(false) };
        let (delivery, collapses): (i64, bool) = (delivery, collapses);
        if skipped < SKIPPED && collapses && is_superseded(conn, chain, delivery)? {
            supersede(conn, delivery, now)?;
            skipped += 1;
            continue;
        }
        let go = "UPDATE pending SET due_at = ?2 WHERE delivery = ?1";
        sql::run(conn, go, (delivery, micros(now)))?;
        return Ok(true);
    }
}

/// Whether a newer update waits behind this one.
pub(super) fn is_superseded(conn: &Connection, chain: i64, delivery: i64) -> Result<bool, Failure> {
    Ok(sql::value(conn, NEWER, (chain, delivery))?.unwrap_or(false))
}

/// Ends an update without an attempt, because a newer one waits behind it.
pub(super) fn supersede(conn: &Connection, delivery: i64, now: Timestamp) -> Result<(), Failure> {
    match attempts::waiting(conn, delivery)? {
        Some(waiting) => attempts::end_unattempted(conn, &waiting, Ending::Superseded, now),
        None => Ok(()),
    }
}
