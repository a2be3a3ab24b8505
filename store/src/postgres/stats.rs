//! Counts of attempts by webhook and hour, and what is told of them.

use callboard_domain::clock::Timestamp;
use callboard_domain::id::WebhookKey;
use callboard_domain::stats::{LATENCY_CLASSES, QUEUED_COUNTED, StatsBucket, WebhookStats};
use tokio_postgres::Row;

use super::failure::Failure;
use super::sql::{self, Connection, get};
use crate::rows::counts::{Counted, Counts, bucket};
use crate::rows::{micros, natural, timestamp};

/// Adds what a batch has counted to its shard. The last thing that a transaction
/// does: the rows stay locked until it is over.
pub(super) async fn add(conn: &Connection, shard: i32, counted: &Counted) -> Result<(), Failure> {
    if counted.is_empty() {
        return Ok(());
    }
    let mut rows: Vec<_> = counted.iter().collect();
    rows.sort_unstable_by_key(|(key, _)| **key);
    let column =
        |value: &dyn Fn(&Counts) -> i64| rows.iter().map(|(_, counts)| value(counts)).collect::<Vec<_>>();
    let webhooks: Vec<i64> = rows.iter().map(|((webhook, _), _)| *webhook).collect();
    let buckets: Vec<i64> = rows.iter().map(|((_, bucket), _)| *bucket).collect();
    let delivered = column(&|counts| counts.delivered);
    let failed_attempts = column(&|counts| counts.failed_attempts);
    let given_up = column(&|counts| counts.given_up);
    let classes: Vec<Vec<i64>> =
        (0..LATENCY_CLASSES).map(|class| column(&|counts| counts.latencies[class])).collect();
    let mut values: Vec<&(dyn tokio_postgres::types::ToSql + Sync)> =
        vec![&webhooks, &buckets, &shard, &delivered, &failed_attempts, &given_up];
    values.extend(classes.iter().map(|class| class as &(dyn tokio_postgres::types::ToSql + Sync)));
    sql::run(conn, ADD, &values).await.map(drop)
}

const ADD: &str = "INSERT INTO stats AS s
    SELECT webhook, bucket, $3, delivered, failed_attempts, given_up,
        l0, l1, l2, l3, l4, l5, l6, l7, l8, l9, l10, l11, l12, l13, l14, l15
    FROM unnest($1::bigint[], $2::bigint[], $4::bigint[], $5::bigint[], $6::bigint[],
        $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[],
        $14::bigint[], $15::bigint[], $16::bigint[], $17::bigint[], $18::bigint[], $19::bigint[],
        $20::bigint[], $21::bigint[], $22::bigint[])
        AS counted (webhook, bucket, delivered, failed_attempts, given_up,
            l0, l1, l2, l3, l4, l5, l6, l7, l8, l9, l10, l11, l12, l13, l14, l15)
    ON CONFLICT (webhook, bucket, shard) DO UPDATE SET
        delivered = s.delivered + excluded.delivered,
        failed_attempts = s.failed_attempts + excluded.failed_attempts,
        given_up = s.given_up + excluded.given_up,
        l0 = s.l0 + excluded.l0, l1 = s.l1 + excluded.l1, l2 = s.l2 + excluded.l2, l3 = s.l3 + excluded.l3,
        l4 = s.l4 + excluded.l4, l5 = s.l5 + excluded.l5, l6 = s.l6 + excluded.l6, l7 = s.l7 + excluded.l7,
        l8 = s.l8 + excluded.l8, l9 = s.l9 + excluded.l9, l10 = s.l10 + excluded.l10,
        l11 = s.l11 + excluded.l11, l12 = s.l12 + excluded.l12, l13 = s.l13 + excluded.l13,
        l14 = s.l14 + excluded.l14, l15 = s.l15 + excluded.l15";

/// How much waits for a webhook, told by the index alone.
pub(super) const QUEUED: &str = "SELECT count(*), min(delivery)
    FROM (SELECT delivery FROM pending WHERE webhook = $1 ORDER BY delivery LIMIT $2) AS queued";

/// Sums of all that is counted, which [`read_bucket`] reads behind the hour.
macro_rules! sums {
    () => {
        "sum(delivered)::bigint, sum(failed_attempts)::bigint, sum(given_up)::bigint,
         sum(l0)::bigint, sum(l1)::bigint, sum(l2)::bigint, sum(l3)::bigint, sum(l4)::bigint, sum(l5)::bigint,
         sum(l6)::bigint, sum(l7)::bigint, sum(l8)::bigint, sum(l9)::bigint, sum(l10)::bigint, sum(l11)::bigint,
         sum(l12)::bigint, sum(l13)::bigint, sum(l14)::bigint, sum(l15)::bigint"
    };
}
pub(super) use sums;

/// Columns that [`read_bucket`] reads.
pub(super) const COLUMNS: usize = 4 + LATENCY_CLASSES;

const BUCKETS: &str = concat!(
    "SELECT bucket, ",
    sums!(),
    " FROM stats WHERE webhook = $1 AND bucket >= $2 GROUP BY bucket ORDER BY bucket"
);

/// What happened to a webhook's deliveries since the hour of `since`, and
/// what waits.
pub(super) async fn of_webhook(
    conn: &Connection,
    webhook: WebhookKey,
    since: Timestamp,
) -> Result<WebhookStats, Failure> {
    let buckets = sql::many(conn, BUCKETS, &[&webhook.0, &bucket(micros(since))], read_bucket).await?;
    let queued = sql::one(conn, QUEUED, &[&webhook.0, &QUEUED_COUNTED.cast_signed()], read_queued).await?;
    let (queued, oldest) = queued.unwrap_or_default();
    Ok(WebhookStats { buckets, queued, oldest_queued_at: accepted_at(conn, oldest).await? })
}

/// Reads a count, and a delivery.
pub(super) fn read_queued(row: &Row) -> Result<(u64, Option<i64>), Failure> {
    Ok((natural(get(row, 0)?)?, get(row, 1)?))
}

/// When a delivery that waits was accepted.
pub(super) async fn accepted_at(
    conn: &Connection,
    delivery: Option<i64>,
) -> Result<Option<Timestamp>, Failure> {
    let accepted = "SELECT accepted_at FROM events
         WHERE key = (SELECT event FROM pending WHERE delivery = $1)";
    let accepted = sql::value::<i64>(conn, accepted, &[&delivery]).await?;
    Ok(accepted.map(timestamp).transpose()?)
}

/// Reads an hour and its sums.
pub(super) fn read_bucket(row: &Row) -> Result<StatsBucket, Failure> {
    let count = |column| Ok::<_, Failure>(natural(get(row, column)?)?);
    let mut latencies = [0; LATENCY_CLASSES];
    for (class, latency) in latencies.iter_mut().enumerate() {
        *latency = count(4 + class)?;
    }
    Ok(StatsBucket {
        start: timestamp(get(row, 0)?)?,
        delivered: count(1)?,
        failed_attempts: count(2)?,
        given_up: count(3)?,
        latencies,
    })
}
