//! Leases: which node has which waiting delivery in its hands. A lease is a
//! `due_at` that never comes, and ends with the node's.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use callboard_domain::clock::Timestamp;
use callboard_domain::delivery::StoredEvent;
use callboard_domain::id::{DeliveryKey, WebhookKey};
use callboard_domain::store::{ClaimRequest, Claimed, LaneClaim};

use super::attempts;
use super::failure::Failure;
use super::sql::{self, Connection, get};
use super::{chains, events, nodes};
use crate::rows::attempts::Ending;
use crate::rows::{LEASED, count, micros, timestamp, unleased};

/// What one caller wants to claim.
pub(super) struct Claiming {
    pub(super) lanes: Vec<ClaimRequest>,
    pub(super) now: Timestamp,
    pub(super) max_bytes: usize,
}

/// When a node asks again for a lane of which another one is the owner.
const ASKED_AGAIN: Duration = Duration::from_secs(1);

/// Every lane in turn, at the cost of one step of the index a lane. Rows of no
/// webhook have keys below 0.
macro_rules! lanes {
    () => {
        "WITH RECURSIVE lanes (webhook) AS (
             (SELECT webhook FROM pending WHERE webhook > 0 ORDER BY webhook LIMIT 1)
             UNION ALL
             SELECT (SELECT webhook FROM pending WHERE pending.webhook > lanes.webhook
                     ORDER BY webhook LIMIT 1)
             FROM lanes WHERE lanes.webhook IS NOT NULL
         )"
    };
}
pub(super) use lanes;

/// What is due in some lanes and nobody else is taking, longest due first. `size`
/// is that of the body, null where the event is gone; behind it stands when a late
/// delivery was made that was never attempted.
pub(super) const DUE: &str = "SELECT lane.place, due.delivery, due.event, due.attempts, due.tries, due.chain,
        due.collapses AND EXISTS (
            SELECT 1 FROM pending AS newer
            WHERE newer.chain = due.chain AND newer.delivery > due.delivery AND newer.collapses
        ),
        (SELECT octet_length(coalesce(origin.body, event.body))
         FROM events AS event LEFT JOIN events AS origin ON origin.key = event.origin
         WHERE event.key = due.event),
        CASE due.attempts WHEN 0 THEN (
            SELECT accepted_at FROM events WHERE key = due.event AND origin IS NOT NULL
        ) END
    FROM unnest($1::bigint[], $2::bigint[]) WITH ORDINALITY AS lane (webhook, most, place)
    CROSS JOIN LATERAL (
        SELECT * FROM pending WHERE pending.webhook = lane.webhook AND pending.due_at <= $3
        ORDER BY pending.due_at, pending.delivery LIMIT lane.most FOR UPDATE SKIP LOCKED
    ) AS due
    ORDER BY lane.place, due.due_at, due.delivery";

/// When the first of each of some lanes is due.
pub(super) const NEXT_DUE: &str = "SELECT (
        SELECT due_at FROM pending WHERE pending.webhook = lane.webhook ORDER BY due_at LIMIT 1
    )
    FROM unnest($1::bigint[]) WITH ORDINALITY AS lane (webhook, place) ORDER BY lane.place";

/// A delivery that may be claimed.
struct Due {
    lane: usize,
    delivery: i64,
    event: i64,
    attempts: u32,
    tries: u32,
    chain: i64,
    superseded: bool,
    size: Option<usize>,
    made_late_at: Option<i64>,
}

/// Claims for one caller. `max_bytes` is shared by its lanes, but each gets its
/// first delivery, or the last in line would never get one.
pub(super) async fn claim(conn: &Connection, node: i64, asked: &Claiming) -> Result<Vec<LaneClaim>, Failure> {
    nodes::hold(conn, node).await?;
    let webhooks: Vec<i64> = asked.lanes.iter().map(|lane| lane.webhook.0).collect();
    let others = owned_by_others(conn, node, &asked.lanes).await?;
    let most = |lane: &ClaimRequest| if others.contains(&lane.webhook.0) { 0 } else { count(lane.limit) };
    let most: Vec<i64> = asked.lanes.iter().map(most).collect();
    let due = due(conn, &webhooks, &most, asked.now).await?;
    let choice = choose(&due, asked.max_bytes);
    for one in due.iter().filter(|one| choice.ended.contains(&one.delivery)) {
        end(conn, one, asked.now).await?;
    }
    let mut taken: Vec<i64> = choice.taken.iter().map(|index| due[*index].delivery).collect();
    taken.sort_unstable();
    let lease = "UPDATE pending SET due_at = $2, node = $3 WHERE delivery = ANY($1)";
    sql::run(conn, lease, &[&taken, &LEASED, &node]).await?;
    let keys: HashSet<i64> = choice.taken.iter().map(|index| due[*index].event).collect();
    let keys: Vec<i64> = keys.into_iter().collect();
    let events = if keys.is_empty() { HashMap::new() } else { events::by_keys(conn, &keys).await? };
    let next = sql::many(conn, NEXT_DUE, &[&webhooks], |row| Ok(unleased(get(row, 0)?)?)).await?;
    // By then its owner may be gone.
    let later = asked.now.saturating_add(ASKED_AGAIN).unwrap_or(asked.now);
    let claims = asked.lanes.iter().zip(next);
    let mut claims: Vec<LaneClaim> = claims
        .map(|(lane, next_due)| {
            let others = others.contains(&lane.webhook.0);
            let next_due = next_due.map(|due| if others { due.max(later) } else { due });
            LaneClaim { webhook: lane.webhook, deliveries: Vec::new(), late: Vec::new(), next_due }
        })
        .collect();
    for index in choice.taken {
        let (one, claim) = (&due[index], &mut claims[due[index].lane]);
        claim.deliveries.push(claimed(one, &events)?);
        if let Some(made_at) = one.made_late_at {
            claim.late.push((DeliveryKey(one.delivery), timestamp(made_at)?));
        }
    }
    Ok(claims)
}

/// The webhooks for which another node alone may claim. Those that nobody owns, or
/// whose owner is gone, are this node's from now on.
async fn owned_by_others(
    conn: &Connection,
    node: i64,
    lanes: &[ClaimRequest],
) -> Result<HashSet<i64>, Failure> {
    let mut alone: Vec<i64> = lanes.iter().filter(|lane| lane.alone).map(|lane| lane.webhook.0).collect();
    if alone.is_empty() {
        return Ok(HashSet::new());
    }
    let owned = "SELECT webhook FROM lane_owners WHERE webhook = ANY($1) AND node = $2";
    let mut own = sql::many(conn, owned, &[&alone, &node], |row| get::<i64>(row, 0)).await?;
    alone.retain(|webhook| !own.contains(webhook));
    if !alone.is_empty() {
        let take = "INSERT INTO lane_owners AS owner (webhook, node)
            SELECT webhook, $2 FROM unnest($1::bigint[]) AS webhook ORDER BY webhook
            ON CONFLICT (webhook) DO UPDATE SET node = excluded.node
            WHERE NOT EXISTS (SELECT 1 FROM nodes WHERE nodes.key = owner.node)
            RETURNING webhook";
        own = sql::many(conn, take, &[&alone, &node], |row| get::<i64>(row, 0)).await?;
        alone.retain(|webhook| !own.contains(webhook));
    }
    Ok(alone.into_iter().collect())
}

fn claimed(due: &Due, events: &HashMap<i64, Arc<StoredEvent>>) -> Result<Claimed, Failure> {
    let event = events.get(&due.event).cloned();
    let event = event.ok_or_else(|| Failure::Corrupt(format!("event {} is gone", due.event)))?;
    Ok(Claimed { delivery: DeliveryKey(due.delivery), attempts: due.attempts, tries: due.tries, event })
}

async fn due(conn: &Connection, webhooks: &[i64], most: &[i64], now: Timestamp) -> Result<Vec<Due>, Failure> {
    sql::many(conn, DUE, &[&webhooks, &most, &micros(now)], |row| {
        let place: i64 = get(row, 0)?;
        let size: Option<i32> = get(row, 7)?;
        Ok(Due {
            lane: usize::try_from(place - 1).unwrap_or_default(),
            delivery: get(row, 1)?,
            event: get(row, 2)?,
            attempts: get::<i32>(row, 3)?.unsigned_abs(),
            tries: get::<i32>(row, 4)?.unsigned_abs(),
            chain: get(row, 5)?,
            superseded: get(row, 6)?,
            size: size.map(|size| usize::try_from(size).unwrap_or_default()),
            made_late_at: get(row, 8)?,
        })
    })
    .await
}

/// What becomes of what is due.
#[derive(Default)]
struct Choice {
    /// What is claimed: indexes.
    taken: Vec<usize>,
    /// Deliveries that end instead.
    ended: HashSet<i64>,
}

fn choose(due: &[Due], max_bytes: usize) -> Choice {
    let mut choice = Choice::default();
    let (mut room, mut read, mut full, mut begun) =
        (max_bytes, HashSet::new(), HashSet::new(), HashSet::new());
    for (index, one) in due.iter().enumerate() {
        let Some(size) = one.size.filter(|_| !one.superseded) else {
            if !full.contains(&one.lane) {
                choice.ended.insert(one.delivery);
            }
            continue;
        };
        // A body that is read for one lane costs the others nothing.
        let costs = if read.contains(&one.event) { 0 } else { size };
        if full.contains(&one.lane) || (costs > room && begun.contains(&one.lane)) {
            full.insert(one.lane);
            continue;
        }
        room = room.saturating_sub(costs);
        read.insert(one.event);
        begun.insert(one.lane);
        choice.taken.push(index);
    }
    choice
}

/// Ends what is due without an attempt: a newer update waits behind it, or its
/// event is gone. The lock of the chain would have come first of all; now it is
/// only taken where that needs no waiting, and the lane is asked for again soon.
async fn end(conn: &Connection, due: &Due, now: Timestamp) -> Result<(), Failure> {
    if due.chain != 0 && !chains::try_lock(conn, due.chain).await? {
        return Ok(());
    }
    if due.superseded {
        let waiting = attempts::waiting(conn, due.delivery).await?;
        attempts::end_unattempted(conn, waiting.as_slice(), Ending::Superseded, now).await?;
    } else {
        tracing::error!(due.delivery, due.event, "a waiting delivery has no event; it is dropped");
        sql::run(conn, "DELETE FROM pending WHERE delivery = $1", &[&due.delivery]).await?;
    }
    // It is due now, so the lane will be asked for again at once.
    chains::let_next_go(conn, [due.chain], now).await.map(drop)
}

/// What one caller gives back.
pub(super) struct Releasing {
    pub(super) deliveries: Vec<DeliveryKey>,
    pub(super) now: Timestamp,
}

/// Ends leases of this node; the deliveries are due at once.
pub(super) async fn release(conn: &Connection, node: i64, asked: &[&Releasing]) -> Result<(), Failure> {
    let each =
        asked.iter().flat_map(|one| one.deliveries.iter().map(|delivery| (delivery.0, micros(one.now))));
    let mut each: Vec<(i64, i64)> = each.collect();
    if each.is_empty() {
        return Ok(());
    }
    each.sort_unstable();
    let (deliveries, times): (Vec<i64>, Vec<i64>) = each.into_iter().unzip();
    let sql = "UPDATE pending SET due_at = given.now, node = NULL
        FROM unnest($1::bigint[], $2::bigint[]) AS given (delivery, now)
        WHERE pending.delivery = given.delivery AND pending.due_at = $3 AND pending.node = $4";
    sql::run(conn, sql, &[&deliveries, &times, &LEASED, &node]).await.map(drop)
}

/// Every lane with the time when its first delivery is due.
pub(super) const WAITING: &str = concat!(
    lanes!(),
    " SELECT webhook, (
          SELECT due_at FROM pending WHERE pending.webhook = lanes.webhook ORDER BY due_at LIMIT 1
      )
      FROM lanes WHERE webhook IS NOT NULL"
);

/// Every lane in which something waits unleased.
pub(super) async fn waiting(conn: &Connection) -> Result<Vec<(WebhookKey, Timestamp)>, Failure> {
    let lanes =
        sql::many(conn, WAITING, &[], |row| Ok((WebhookKey(get(row, 0)?), unleased(get(row, 1)?)?))).await?;
    Ok(lanes.into_iter().filter_map(|(webhook, due_at)| Some((webhook, due_at?))).collect())
}

/// Makes what a node has leased due since its event was accepted.
pub(super) const END_LEASES: &str = concat!(
    lanes!(),
    " UPDATE pending SET node = NULL,
          due_at = coalesce((SELECT accepted_at FROM events WHERE events.key = pending.event), 0)
      WHERE delivery IN (
          SELECT leased.delivery FROM lanes CROSS JOIN pending AS leased
          WHERE leased.webhook = lanes.webhook AND leased.due_at = $1 AND leased.node = $2
      )"
);

/// Ends the leases of a node that is gone, and counts them.
pub(super) async fn end_leases(conn: &Connection, node: i64) -> Result<u64, Failure> {
    sql::run(conn, END_LEASES, &[&LEASED, &node]).await
}
