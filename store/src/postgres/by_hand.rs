//! Retrying and calling off single deliveries, as people ask for it.

use callboard_domain::audit::{By, Change};
use callboard_domain::clock::Timestamp;
use callboard_domain::delivery::{MAX_ATTEMPTS, State};
use callboard_domain::id::{DeliveryKey, TenantKey};
use callboard_domain::store::ByHand;

use super::attempts::{self, read_waiting, waiting_columns};
use super::claims::lanes;
use super::deliveries::standing;
use super::failure::Failure;
use super::sql::{self, Connection, get};
use super::{audit, chains};
use crate::rows::attempts::{DISCARDED, Ending, Waiting};
use crate::rows::{BEHIND, LEASED, RETRIED, count, micros, state_code};

/// Makes one delivery due at once.
pub(super) async fn retry(
    conn: &Connection,
    tenant: TenantKey,
    delivery: DeliveryKey,
    by: &By,
) -> Result<Option<ByHand>, Failure> {
    let Some(owned) = standing(conn, tenant, delivery).await? else { return Ok(None) };
    let standing = owned.standing;
    if standing.leased() {
        return Ok(Some(ByHand::OnItsWay));
    }
    if standing.state == State::Pending {
        return Ok(Some(ByHand::NotInState(State::Pending)));
    }
    if standing.attempts >= MAX_ATTEMPTS {
        return Ok(Some(ByHand::Exhausted));
    }
    let moved = if standing.state == State::Waiting {
        let sql = "UPDATE pending SET due_at = $2, tries = 0 WHERE delivery = $1 AND due_at <> $3";
        sql::run(conn, sql, &[&delivery.0, &micros(by.at), &LEASED]).await? > 0
    } else {
        revive(conn, &[(delivery.0, standing.attempts)], by.at).await? > 0
    };
    if !moved {
        // Somebody else was first.
        return Ok(Some(ByHand::OnItsWay));
    }
    audit::write(conn, Some(tenant), by, &Change::delivery_retried(delivery, standing.state)).await?;
    Ok(Some(ByHand::Done(standing.webhook)))
}

/// Lets deliveries that are over wait again, due at once: each with how many
/// attempts it had. Tells how many do. Locks their chains, so nothing else may have
/// been locked before but a job.
pub(super) async fn revive(
    conn: &Connection,
    ended: &[(i64, u32)],
    now: Timestamp,
) -> Result<usize, Failure> {
    let mut ended = ended.to_vec();
    ended.sort_unstable();
    let deliveries: Vec<i64> = ended.iter().map(|(delivery, _)| *delivery).collect();
    let numbers: Vec<i32> = ended.iter().map(|(_, number)| number.cast_signed()).collect();
    let last = "SELECT attempts.delivery, attempts.number, attempts.event, attempts.webhook
        FROM unnest($1::bigint[], $2::integer[]) AS ended (delivery, number)
        JOIN attempts ON attempts.delivery = ended.delivery AND attempts.number = ended.number
        ORDER BY attempts.delivery";
    let last = sql::many(conn, last, &[&deliveries, &numbers], |row| {
        Ok((get::<i64>(row, 0)?, get::<i32>(row, 1)?, get::<i64>(row, 2)?, get::<i64>(row, 3)?))
    })
    .await?;
    let of: Vec<(i64, i64)> = last.iter().map(|(_, _, event, webhook)| (*webhook, *event)).collect();
    let chains = chains::of_ended(conn, &of).await?;
    chains::lock(conn, &chains).await?;
    hold(conn, &deliveries, &numbers).await?;
    // Each joins its chain at its old place: the next to go, but not beside the one
    // that is going.
    let mut occupied = chains::occupied(conn, &chains).await?;
    let due_at: Vec<i64> = chains
        .iter()
        .map(|chain| if *chain != 0 && !occupied.insert(*chain) { BEHIND } else { micros(now) })
        .collect();
    let deliveries: Vec<i64> = last.iter().map(|row| row.0).collect();
    let numbers: Vec<i32> = last.iter().map(|row| row.1).collect();
    let events: Vec<i64> = last.iter().map(|row| row.2).collect();
    let webhooks: Vec<i64> = last.iter().map(|row| row.3).collect();
    let again =
        sql::many(conn, REVIVE, &[&deliveries, &events, &webhooks, &due_at, &numbers, &chains], |row| {
            get::<i64>(row, 0)
        })
        .await?;
    // They leave the index of what is failed now.
    let failed = "UPDATE attempts SET state = $3
        FROM unnest($1::bigint[], $2::integer[]) AS ended (delivery, number)
        WHERE attempts.delivery = ended.delivery AND attempts.number = ended.number AND attempts.state = $4
          AND ended.delivery = ANY($5)";
    let (retried, code) = (code(RETRIED), code(state_code(State::Failed)));
    sql::run(conn, failed, &[&deliveries, &numbers, &retried, &code, &again]).await?;
    Ok(again.len())
}

/// Holds attempts, so that of several who move their deliveries on one comes after
/// the other, and sees what that one did.
async fn hold(conn: &Connection, deliveries: &[i64], numbers: &[i32]) -> Result<(), Failure> {
    sql::run(conn, HOLD, &[&deliveries, &numbers]).await.map(drop)
}

/// In the order given, which is that of their keys, so that nobody waits in a circle.
pub(super) const HOLD: &str = "SELECT held.number
    FROM unnest($1::bigint[], $2::integer[]) AS ended (delivery, number)
    CROSS JOIN LATERAL (
        SELECT number FROM attempts
        WHERE attempts.delivery = ended.delivery AND attempts.number = ended.number
        LIMIT 1 FOR NO KEY UPDATE
    ) AS held";

/// Takes deliveries out of what is failed now. Each has one failed attempt.
pub(super) const LEAVE_FAILED: &str = "UPDATE attempts SET state = $2
    WHERE delivery = ANY($1) AND state = $3 RETURNING delivery, number, event, webhook";

/// Calls off deliveries that are failed: each with how many attempts it had. Tells how
/// many were still failed. They waited for nothing, so nothing waits behind them.
pub(super) async fn discard(
    conn: &Connection,
    failed: &[(i64, u32)],
    now: Timestamp,
) -> Result<usize, Failure> {
    let deliveries: Vec<i64> = failed.iter().map(|(delivery, _)| *delivery).collect();
    let numbers: Vec<i32> = failed.iter().map(|(_, number)| number.cast_signed()).collect();
    hold(conn, &deliveries, &numbers).await?;
    let (left, code) = (code(RETRIED), code(state_code(State::Failed)));
    let ended = sql::many(conn, LEAVE_FAILED, &[&deliveries, &left, &code], |row| {
        Ok(Waiting {
            delivery: get(row, 0)?,
            event: get(row, 2)?,
            webhook: get(row, 3)?,
            due_at: LEASED,
            attempts: get::<i32>(row, 1)?.unsigned_abs(),
            tries: 0,
            chain: 0,
        })
    })
    .await?;
    attempts::write_unattempted(conn, &ended, Ending::CalledOff(DISCARDED), now).await?;
    Ok(ended.len())
}

/// Lets deliveries wait again, but for those that do already, or were attempted
/// since.
pub(super) const REVIVE: &str =
    "INSERT INTO pending (delivery, event, webhook, due_at, attempts, tries, chain)
    SELECT delivery, event, webhook, due_at, number, 0, chain
    FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::integer[], $6::bigint[])
        AS ended (delivery, event, webhook, due_at, number, chain)
    WHERE (
        SELECT attempts.number FROM attempts WHERE attempts.delivery = ended.delivery
          AND attempts.number > ended.number LIMIT 1
    ) IS NULL
    ON CONFLICT DO NOTHING RETURNING delivery";

fn code(state: i64) -> i16 {
    i16::try_from(state).unwrap_or(i16::MAX)
}

/// Calls one delivery off.
pub(super) async fn cancel(
    conn: &Connection,
    tenant: TenantKey,
    delivery: DeliveryKey,
    by: &By,
) -> Result<Option<ByHand>, Failure> {
    let Some(owned) = standing(conn, tenant, delivery).await? else { return Ok(None) };
    let standing = owned.standing;
    let Some(waiting) = attempts::waiting(conn, delivery.0).await? else {
        return Ok(Some(ByHand::NotInState(standing.state)));
    };
    chains::lock(conn, &[waiting.chain]).await?;
    // One that is on its way may still be delivered, and then it has to be
    // before the next: its chain can't do without it now.
    let off = concat!(
        "DELETE FROM pending WHERE delivery = $1 AND (chain = 0 OR due_at <> $2) RETURNING ",
        waiting_columns!()
    );
    let Some(ended) = sql::one(conn, off, &[&delivery.0, &LEASED], read_waiting).await? else {
        return Ok(Some(ByHand::OnItsWay));
    };
    let why = Ending::CalledOff("it was called off by hand");
    attempts::write_unattempted(conn, &[ended], why, by.at).await?;
    chains::let_next_go(conn, [ended.chain], by.at).await?;
    audit::write(conn, Some(tenant), by, &Change::delivery_cancelled(delivery, standing.state)).await?;
    Ok(Some(ByHand::Done(standing.webhook)))
}

/// Calls off what waits for some webhooks, at most so many.
pub(super) const ORPHANS: &str = concat!(
    "DELETE FROM pending WHERE delivery = ANY(ARRAY(
         SELECT orphan.delivery FROM unnest($1::bigint[]) AS deleted (webhook)
         CROSS JOIN LATERAL (
             SELECT delivery FROM pending WHERE pending.webhook = deleted.webhook
             ORDER BY delivery LIMIT $2 FOR UPDATE SKIP LOCKED
         ) AS orphan LIMIT $2
     )) RETURNING ",
    waiting_columns!()
);

/// Calls off what waits for deleted webhooks, at most `limit` deliveries. Nobody is
/// let go: all of a chain goes.
pub(super) async fn cancel_orphans(
    conn: &Connection,
    webhooks: &[i64],
    limit: usize,
    now: Timestamp,
) -> Result<usize, Failure> {
    let orphans = sql::many(conn, ORPHANS, &[&webhooks, &count(limit)], read_waiting).await?;
    let why = Ending::CalledOff("its webhook was deleted");
    attempts::write_unattempted(conn, &orphans, why, now).await?;
    Ok(orphans.len())
}

/// Finds deleted webhooks among the lanes. Asking the lanes, and not the
/// webhooks, finds also what was recorded while a webhook was being deleted.
pub(super) const ORPHANED_LANES: &str = concat!(
    lanes!(),
    " SELECT lanes.webhook FROM lanes
      WHERE (SELECT deleted_at FROM webhooks WHERE webhooks.key = lanes.webhook) IS NOT NULL"
);

/// Deleted webhooks for which something waits.
pub(super) async fn orphaned_lanes(conn: &Connection) -> Result<Vec<i64>, Failure> {
    sql::many(conn, ORPHANED_LANES, &[], |row| get(row, 0)).await
}
