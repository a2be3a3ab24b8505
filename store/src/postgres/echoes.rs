//! Late deliveries: each is an echo of its event, a row of its own that stands
//! where it was made, and takes everything but its delivery from the origin.

use std::collections::HashSet;

use callboard_domain::clock::Timestamp;
use callboard_domain::id::{EventKey, TenantKey, WebhookKey};

use super::failure::Failure;
use super::sql::{self, Connection, get};
use super::{chains, events};
use crate::rows::packed::pack_one;
use crate::rows::{BEHIND, micros};

/// Whether a webhook, told as it stands among those of an event and by its key, has
/// a delivery of a row of events: one that was made with it, or an echo. EXISTS
/// would leave it to the planner to read every echo of the webhook first.
macro_rules! heard {
    ($packed:literal, $webhook:literal) => {
        concat!(
            "(
                (position(",
            $packed,
            " IN events.webhooks) > 0 AND EXISTS (
                    SELECT FROM generate_series(1, length(events.webhooks), 4) AS place
                    WHERE substring(events.webhooks FROM place FOR 4) = ",
            $packed,
            "
                ))
                OR (
                    SELECT TRUE FROM late_deliveries AS late
                    WHERE late.origin = events.key AND late.webhook = ",
            $webhook,
            "
                ) IS NOT NULL
            )"
        )
    };
}
pub(super) use heard;

/// Those of some events that a webhook has no delivery of.
pub(super) const UNHEARD: &str = concat!(
    "SELECT events.key FROM unnest($1::bigint[]) WITH ORDINALITY AS wanted (event, place)
         CROSS JOIN LATERAL (SELECT * FROM events WHERE key = wanted.event LIMIT 1) AS events
     WHERE events.tenant = $2 AND events.origin IS NULL AND NOT ",
    heard!("$3::bytea", "$4"),
    " ORDER BY wanted.place"
);

/// Makes late deliveries. Their events are held until the transaction ends, so that
/// retention does not take one that an echo is made of. None makes what waits
/// before it superfluous: it tells what is older.
pub(super) const ADD: &str = "WITH held AS MATERIALIZED (
        SELECT events.*, missed.place
        FROM unnest($1::bigint[]) WITH ORDINALITY AS missed (event, place)
            CROSS JOIN LATERAL (
                SELECT * FROM events WHERE key = missed.event LIMIT 1 FOR KEY SHARE
            ) AS events
    ), added AS (
        INSERT INTO late_deliveries (origin, webhook, event, delivery)
        SELECT key, $3::bigint, $4::bigint + place - 1, $5::bigint + place - 1 FROM held
        ON CONFLICT (origin, webhook) DO NOTHING
        RETURNING origin, event, delivery, ($2::bigint[])[delivery - $5 + 1] AS chain
    ), echoes AS (
        INSERT INTO events (key, tenant, accepted_at, first_delivery, id, type, subject, webhooks, body, origin)
        SELECT event, tenant, $6::bigint, delivery, id, type, subject, $7::bytea, '', added.origin
        FROM added JOIN held ON held.place = delivery - $5 + 1
    )
    INSERT INTO pending (delivery, event, webhook, due_at, attempts, tries, chain)
    SELECT delivery, event, $3::bigint, CASE
            WHEN chain = 0 THEN $8::bigint
            WHEN waits OR row_number() OVER (PARTITION BY chain ORDER BY delivery) > 1 THEN $9::bigint
            ELSE $8
        END, 0, 0, chain
    FROM added LEFT JOIN LATERAL (
        SELECT TRUE AS waits FROM pending WHERE pending.chain = added.chain AND pending.chain <> 0 LIMIT 1
    ) AS others ON TRUE
    ORDER BY delivery";

/// Makes late deliveries, due at once, of those events that the webhook has none
/// of. Tells how many. Nothing may have been locked before but a job.
pub(super) async fn add(
    conn: &Connection,
    (tenant, webhook): (TenantKey, WebhookKey),
    events: &[EventKey],
    now: Timestamp,
) -> Result<usize, Failure> {
    let packed = pack_one(webhook)?;
    let packed = packed.as_slice();
    let mut seen = HashSet::new();
    let wanted: Vec<i64> = events.iter().map(|event| event.0).filter(|event| seen.insert(*event)).collect();
    let missed: Vec<i64> =
        sql::many(conn, UNHEARD, &[&wanted, &tenant.0, &packed, &webhook.0], |row| get(row, 0)).await?;
    if missed.is_empty() {
        return Ok(0);
    }
    let pairs: Vec<_> = missed.iter().map(|event| (webhook.0, *event)).collect();
    let chains = chains::of_ended(conn, &pairs).await?;
    chains::lock(conn, &chains).await?;
    let keys = events::next_keys(conn, missed.len(), missed.len(), now).await?;
    let added = sql::run(
        conn,
        ADD,
        &[
            &missed,
            &chains,
            &webhook.0,
            &keys.first_event,
            &keys.first_delivery,
            &keys.accepted_at,
            &packed,
            &micros(now),
            &BEHIND,
        ],
    )
    .await?;
    Ok(usize::try_from(added).unwrap_or(usize::MAX))
}

/// The late deliveries of an event, from a key on.
pub(super) const DELIVERIES: &str = "SELECT delivery FROM late_deliveries
    WHERE origin = $1 AND delivery >= $2 ORDER BY delivery LIMIT $3";

/// The late deliveries of an event, from `from` on, at most `limit`.
pub(super) async fn deliveries(
    conn: &Connection,
    event: EventKey,
    from: i64,
    limit: i64,
) -> Result<Vec<i64>, Failure> {
    sql::many(conn, DELIVERIES, &[&event.0, &from, &limit], |row| get(row, 0)).await
}
