//! Makes the partitions of events and attempts, well before they are needed.

use std::sync::atomic::{AtomicI64, Ordering};

use deadpool_postgres::Pool;

use super::Options;
use super::failure::Failure;
use super::patience::{UPKEEP, within};
use super::sql::{self, Connection, get};
use super::transaction::Transaction;

/// Partitions kept ready, beside the one that is filled.
const AHEAD: i64 = 2;

/// The keys for which there are partitions, as far as this process knows.
pub(super) struct Room {
    events: Table,
    deliveries: Table,
}

/// A table that is partitioned by a key.
struct Table {
    name: &'static str,
    keys: &'static str,
    /// Columns by which rows of one owner among many are looked up.
    lookups: &'static [&'static str],
    /// Keys of a new partition.
    size: i64,
    /// The first key that there may be a row of.
    first: i64,
    /// The first key without a partition.
    beyond: AtomicI64,
}

impl Room {
    pub(super) fn new(options: &Options) -> Self {
        let table = |name, keys, lookups, size: i64| Table {
            name,
            keys,
            lookups,
            size: size.max(1),
            first: 0,
            beyond: AtomicI64::new(0),
        };
        Self {
            events: table("events", "event_keys", &["tenant", "type", "subject"], options.events_a_partition),
            deliveries: table("attempts", "delivery_keys", &["webhook"], options.deliveries_a_partition),
        }
    }

    /// The same for tables that have no rows before these keys, and need no partition
    /// there.
    pub(super) fn beginning_at(mut self, event: i64, delivery: i64) -> Self {
        self.events.first = event;
        self.deliveries.first = delivery;
        self
    }

    /// Whether there are partitions for all keys before these.
    pub(super) fn holds(&self, event: i64, delivery: i64) -> bool {
        event <= self.events.beyond.load(Ordering::Relaxed)
            && delivery <= self.deliveries.beyond.load(Ordering::Relaxed)
    }
}

/// Makes what is needed soon: for so many more events and deliveries, and some
/// partitions in reserve.
pub(super) async fn make_ahead(
    pool: &Pool,
    room: &Room,
    (events, deliveries): (i64, i64),
) -> Result<(), Failure> {
    for (table, more) in [(&room.events, events), (&room.deliveries, deliveries)] {
        let transaction = Transaction::begin(pool).await?;
        let made = within(UPKEEP, table.make_ahead(transaction.connection()?, more)).await;
        let beyond = transaction.end(made).await?;
        table.beyond.store(beyond, Ordering::Relaxed);
    }
    Ok(())
}

impl Table {
    /// Makes what is missing and returns the first key without a partition.
    async fn make_ahead(&self, conn: &Connection, more: i64) -> Result<i64, Failure> {
        let (mut beyond, needed) = self.measure(conn, more).await?;
        if beyond >= needed {
            return Ok(beyond);
        }
        sql::run(conn, "SELECT pg_advisory_xact_lock(lock_place('upkeep'), 1)", &[]).await?;
        // Another node may just have made them.
        beyond = self.measure(conn, more).await?.0.max(self.first - self.first.rem_euclid(self.size));
        while beyond < needed {
            let next = beyond.saturating_add(self.size);
            let (name, parent) = (format!("{}_{beyond}", self.name), self.name);
            // Made first and attached then, it keeps nobody from writing.
            let made = format!(
                "CREATE TABLE {name} (LIKE {parent} INCLUDING ALL);
                 ALTER TABLE {parent} ATTACH PARTITION {name} FOR VALUES FROM ({beyond}) TO ({next})"
            );
            conn.batch_execute(&made).await?;
            for column in self.lookups {
                // Where one owner has nearly all rows, the planner would else read
                // all of them for another one that has none.
                let many = format!("ALTER TABLE {name} ALTER COLUMN {column} SET (n_distinct = 100000)");
                conn.batch_execute(&many).await?;
            }
            let known = "INSERT INTO partitions (name, parent, first, beyond) VALUES ($1, $2, $3, $4)";
            sql::run(conn, known, &[&name, &parent, &beyond, &next]).await?;
            beyond = next;
        }
        Ok(beyond)
    }

    /// The first key without a partition, and the one that should be it at least.
    async fn measure(&self, conn: &Connection, more: i64) -> Result<(i64, i64), Failure> {
        let beyond = "SELECT coalesce(max(beyond), 0) FROM partitions WHERE parent = $1";
        let beyond = sql::value(conn, beyond, &[&self.name]).await?.unwrap_or(0);
        let next = format!("SELECT last_value FROM {}", self.keys);
        let next: i64 = sql::value(conn, &next, &[]).await?.unwrap_or(0);
        Ok((beyond, next.saturating_add(more).saturating_add(AHEAD * self.size)))
    }
}

/// A partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Partition {
    pub(super) name: String,
    pub(super) beyond: i64,
}

/// The oldest partition of a table that is filled: no new row will go there.
pub(super) async fn oldest_filled(conn: &Connection, parent: &str) -> Result<Option<Partition>, Failure> {
    let keys = if parent == "events" { "event_keys" } else { "delivery_keys" };
    let oldest = format!(
        "SELECT name, beyond FROM partitions WHERE parent = $1 AND beyond <= (SELECT last_value FROM {keys})
         ORDER BY first LIMIT 1"
    );
    sql::one(conn, &oldest, &[&parent], |row| Ok(Partition { name: get(row, 0)?, beyond: get(row, 1)? }))
        .await
}

/// Drops a partition. That needs its table and the parent for itself for a moment;
/// rather than have everybody wait behind it, it is given up when that takes long.
pub(super) async fn drop_one(pool: &Pool, partition: &Partition) -> Result<(), Failure> {
    let transaction = Transaction::begin(pool).await?;
    let dropped = async {
        let conn = transaction.connection()?;
        conn.batch_execute("SET LOCAL lock_timeout = '500ms'").await?;
        conn.batch_execute(&format!("DROP TABLE IF EXISTS {}", partition.name)).await?;
        sql::run(conn, "DELETE FROM partitions WHERE name = $1", &[&partition.name]).await.map(drop)
    };
    let dropped = within(UPKEEP, dropped).await;
    transaction.end(dropped).await
}
