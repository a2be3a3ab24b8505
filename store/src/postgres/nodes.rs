//! The lease of this process, and what becomes of the claims of those whose lease
//! has passed.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use callboard_domain::clock::{Clock as _, SystemClock, Timestamp};
use callboard_domain::store::{self, Signal};
use deadpool_postgres::Pool;
use parking_lot::Mutex;
use tokio::task::JoinHandle;
use tokio::time::{Interval, MissedTickBehavior};
use tokio_postgres::Row;

use super::failure::Failure;
use super::partitions::{self, Room};
use super::patience::{ANSWERED, UPKEEP, within};
use super::signals::Heard;
use super::sql::{self, Connection, get};
use super::transaction::{Transaction, telling};
use super::{claims, signals};
use crate::rows::{LEASED, timestamp};

/// How long a lease runs, in microseconds of the database's time. Others look every
/// [`RENEWED`], so that what a lost node held is taken over within 15 seconds.
const LEASE_US: i64 = 11_000_000;

/// How often it is renewed, and how long that may take. Three in a row may fail.
const RENEWED: Duration = Duration::from_secs(3);

/// How long before the end of its lease a process stops to rely on it.
const MARGIN: Duration = Duration::from_secs(1);

/// How long a lease may stay unrenewed, whatever time the database has. Were its
/// clock set back by an hour, the leases of lost nodes would else run an hour longer.
const UNRENEWED: Duration = Duration::from_secs(14);

/// A node, until when its lease runs, and whether that has passed.
type Lease = (i64, i64, bool);

/// Of each node, until when its lease ran when that was last changed, and when that
/// was seen.
type Watched = HashMap<i64, (i64, Duration)>;

/// The nodes that are lost.
fn passed(leases: &[Lease], watched: &mut Watched, now: Duration) -> Vec<i64> {
    watched.retain(|node, _| leases.iter().any(|(key, ..)| key == node));
    let is_lost = |(key, until, passed): &&Lease| {
        let seen = watched.entry(*key).or_insert((*until, now));
        if seen.0 != *until {
            *seen = (*until, now);
        }
        *passed || now.saturating_sub(seen.1) > UNRENEWED
    };
    leases.iter().filter(is_lost).map(|(key, ..)| *key).collect()
}

/// This process among those that work on the database.
pub(super) struct Node {
    pool: Pool,
    key: AtomicI64,
    /// The key under which something may have been leased that nobody here holds.
    doubted: AtomicI64,
    name: String,
    /// No other process is at work.
    alone: AtomicBool,
    /// Leases run in real time, which no test can move.
    clock: SystemClock,
    /// Until when the lease surely runs, as microseconds of `clock`.
    sure_until: AtomicU64,
    heard: Heard,
    watched: Mutex<Watched>,
    /// Held by who enters the process anew.
    entering: tokio::sync::Mutex<()>,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl Node {
    /// Enters this process into the table of nodes, and keeps its lease from then on.
    pub(super) async fn register(
        pool: &Pool,
        room: &Arc<Room>,
        (id, name): (&str, &str),
        heard: &Heard,
    ) -> Result<Arc<Self>, Failure> {
        let node = Arc::new(Self {
            pool: pool.clone(),
            key: AtomicI64::new(0),
            doubted: AtomicI64::new(0),
            name: name.to_owned(),
            alone: AtomicBool::new(false),
            clock: SystemClock::new(),
            sure_until: AtomicU64::new(0),
            heard: heard.clone(),
            watched: Mutex::default(),
            entering: tokio::sync::Mutex::new(()),
            task: Mutex::new(None),
        });
        node.enter(id).await?;
        node.remove_passed().await?;
        let task = tokio::spawn(keep(Arc::downgrade(&node), Arc::clone(room)));
        *node.task.lock() = Some(task);
        Ok(node)
    }

    /// Which row it is.
    pub(super) fn key(&self) -> i64 {
        self.key.load(Ordering::Relaxed)
    }

    /// Which row it is, while its lease surely runs. A process that was stopped for a
    /// while learns here, before it can have asked, that others may have its claims.
    pub(super) fn lease(&self) -> Option<i64> {
        let key = self.key();
        let now = self.clock.elapsed();
        (now < Duration::from_micros(self.sure_until.load(Ordering::Acquire))).then_some(key)
    }

    /// The lease was good at `asked`, when the database was asked to renew it.
    fn renewed(&self, asked: Duration) {
        let until = asked + Duration::from_micros(LEASE_US.unsigned_abs()).saturating_sub(MARGIN);
        let until = u64::try_from(until.as_micros()).unwrap_or(u64::MAX);
        self.sure_until.store(until, Ordering::Release);
    }

    /// Whether no other process was at work when that was last looked at.
    pub(super) fn is_alone(&self) -> bool {
        self.alone.load(Ordering::Relaxed)
    }

    /// Notes that a transaction of this node may have been committed or not: it gives
    /// back what it holds soon, because some of that it does not know of.
    pub(super) fn doubt(&self, key: i64) {
        self.doubted.store(key, Ordering::Relaxed);
    }

    /// Enters it under this id.
    async fn enter(&self, id: &str) -> Result<(), Failure> {
        let asked = self.clock.elapsed();
        let sql = "INSERT INTO nodes (id, name, version, started_at, lease_until)
            VALUES ($1, $2, $3, database_time(), database_time() + $4)
            ON CONFLICT (id) DO UPDATE SET lease_until = nodes.lease_until
            RETURNING key";
        let version = env!("CARGO_PKG_VERSION");
        let values: sql::Values<'_> = &[&id, &self.name, &version, &LEASE_US];
        let key = telling!(self.pool, RENEWED, |conn| sql::value(conn, sql, values))?;
        self.key.store(key.unwrap_or_default(), Ordering::Relaxed);
        self.renewed(asked);
        Ok(())
    }

    /// Enters anew as another node, because the lease of `lost` has passed, or it is
    /// not known what that one held: none of it is this process' any more.
    pub(super) async fn enter_anew(&self, lost: i64) -> Result<(), Failure> {
        let _entering = self.entering.lock().await;
        if self.key() != lost {
            return Ok(());
        }
        remove(&self.pool, lost, ANSWERED).await?;
        let sql = "SELECT gen_random_uuid()::text";
        let id = telling!(self.pool, RENEWED, |conn| sql::value::<String>(conn, sql, &[]))?;
        self.enter(&id.unwrap_or_default()).await?;
        tracing::warn!(
            "this process was not heard of for too long, or lost its connection amid a commit; what it had \
             claimed is given to whoever claims it next"
        );
        self.heard.push(Signal::LeaseLost);
        Ok(())
    }

    /// Renews the lease, if it has not passed.
    async fn renew(&self) -> Result<(), Failure> {
        let key = self.key();
        if self.doubted.load(Ordering::Relaxed) == key {
            return self.enter_anew(key).await;
        }
        let asked = self.clock.elapsed();
        let sql = "UPDATE nodes SET lease_until = database_time() + $2
            WHERE key = $1 AND lease_until >= database_time()
            RETURNING (SELECT count(*) FROM nodes) = 1";
        let alone = telling!(self.pool, RENEWED, |conn| sql::value::<bool>(conn, sql, &[&key, &LEASE_US]))?;
        match alone {
            Some(alone) => {
                self.alone.store(alone, Ordering::Relaxed);
                self.renewed(asked);
                Ok(())
            }
            None => self.enter_anew(key).await,
        }
    }

    /// Removes the nodes whose lease has passed, and gives back what they held.
    async fn remove_passed(&self) -> Result<(), Failure> {
        let sql = "SELECT key, lease_until, lease_until < database_time() FROM nodes ORDER BY key";
        let read = |row: &Row| Ok((get(row, 0)?, get(row, 1)?, get(row, 2)?));
        let leases: Vec<Lease> = telling!(self.pool, ANSWERED, |conn| sql::many(conn, sql, &[], read))?;
        let passed = passed(&leases, &mut self.watched.lock(), self.clock.elapsed());
        for key in passed {
            if remove(&self.pool, key, UPKEEP).await? {
                // Nobody hears what he said himself, and there may be no other.
                self.heard.push(Signal::WorkDue);
            }
        }
        Ok(())
    }

    /// Gives back what this process holds, and leaves.
    pub(super) async fn leave(&self) {
        if let Some(task) = self.task.lock().take() {
            task.abort();
        }
        if let Err(failure) = remove(&self.pool, self.key(), ANSWERED).await {
            tracing::warn!(%failure, "what this process held is given back when its lease has passed");
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(task) = self.task.lock().take() {
            task.abort();
        }
    }
}

/// Keeps the lease, and beside that, because it may take longer, gives back what
/// others have left behind and sees to it that there is room.
async fn keep(node: Weak<Node>, room: Arc<Room>) {
    let renewing = async {
        let mut ticks = ticks().await;
        while let Some(node) = next(&mut ticks, &node).await {
            if let Err(failure) = node.renew().await {
                tracing::warn!(%failure, "the lease of this process could not be renewed");
            }
        }
    };
    let looking_after = async {
        let mut ticks = ticks().await;
        while let Some(node) = next(&mut ticks, &node).await {
            let done = async {
                node.remove_passed().await?;
                partitions::make_ahead(&node.pool, &room, (0, 0)).await
            };
            if let Err(failure) = done.await {
                tracing::warn!(%failure, "what all processes need could not be looked after");
            }
        }
    };
    tokio::join!(renewing, looking_after);
}

async fn ticks() -> Interval {
    let mut ticks = tokio::time::interval(RENEWED);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.tick().await;
    ticks
}

async fn next(ticks: &mut Interval, node: &Weak<Node>) -> Option<Arc<Node>> {
    ticks.tick().await;
    node.upgrade()
}

/// Makes sure that a node is one until the transaction is over: what it claims now
/// is given back when its lease passes. Comes before rows are locked.
pub(super) async fn hold(conn: &Connection, node: i64) -> Result<(), Failure> {
    let lock = conn
        .prepare_cached(
            "SELECT pg_advisory_xact_lock_shared(lock_place('nodes'), ($1::bigint & 2147483647)::integer)",
        )
        .await?;
    let there = conn.prepare_cached("SELECT 1 FROM nodes WHERE key = $1").await?;
    // Prepared before, they go out in this order.
    let values: [&(dyn tokio_postgres::types::ToSql + Sync); 1] = [&node];
    let (_, found) = tokio::try_join!(biased; conn.query(&lock, &values), conn.query(&there, &values))?;
    if found.is_empty() { Err(Failure::LeaseLost) } else { Ok(()) }
}

/// Removes one node, and gives back what it held; whether it held anything.
async fn remove(pool: &Pool, key: i64, limit: Duration) -> Result<bool, Failure> {
    let transaction = Transaction::begin(pool).await?;
    let removed = async {
        let conn = transaction.connection()?;
        // Waits for what the node is claiming, so that nothing of it is missed.
        let lock = "SELECT pg_advisory_xact_lock(lock_place('nodes'), ($1::bigint & 2147483647)::integer)";
        sql::run(conn, lock, &[&key]).await?;
        if sql::run(conn, "DELETE FROM nodes WHERE key = $1", &[&key]).await? == 0 {
            return Ok(false);
        }
        let lanes = sql::run(conn, "DELETE FROM lane_owners WHERE node = $1", &[&key]).await?;
        let held = claims::end_leases(conn, key).await? + lanes > 0;
        if held {
            signals::work_due(conn).await?;
        }
        Ok(held)
    };
    let removed = within(limit, removed).await;
    transaction.end(removed).await
}

/// How many deliveries each node holds.
const LEASED_BY: &str = concat!(
    claims::lanes!(),
    ", leased AS (
         SELECT pending.node, count(*) AS deliveries FROM lanes CROSS JOIN pending
         WHERE pending.webhook = lanes.webhook AND pending.due_at = $1 GROUP BY pending.node
     )
     SELECT nodes.key, id, name, version, started_at, lease_until, coalesce(leased.deliveries, 0)
     FROM nodes LEFT JOIN leased ON leased.node = nodes.key ORDER BY started_at, nodes.key"
);

/// The nodes at work; `this` is that of this process.
pub(super) async fn list(conn: &Connection, this: i64) -> Result<Vec<store::Node>, Failure> {
    sql::many(conn, LEASED_BY, &[&LEASED], |row| {
        Ok(store::Node {
            id: get(row, 1)?,
            name: get(row, 2)?,
            version: get(row, 3)?,
            started_at: timestamp(get(row, 4)?)?,
            lease_until: timestamp(get(row, 5)?)?,
            leased: get::<i64>(row, 6)?.unsigned_abs(),
            is_this: get::<i64>(row, 0)? == this,
        })
    })
    .await
}

/// The time of the database.
pub(super) async fn database_time(conn: &Connection) -> Result<Timestamp, Failure> {
    let time = sql::value::<i64>(conn, "SELECT database_time()", &[]).await?;
    Ok(timestamp(time.unwrap_or_default())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_that_nobody_renews_passes_whatever_time_it_is() {
        let (mut watched, second) = (Watched::new(), Duration::from_secs(1));
        let hour = 3_600_000_000;
        assert_eq!(passed(&[(1, 5, false), (2, 5, true)], &mut watched, second), [2]);
        // The database's clock is set back: one goes on to renew its lease, one does not.
        assert!(passed(&[(1, 5 - hour, false), (3, 5, false)], &mut watched, second * 10).is_empty());
        assert!(passed(&[(1, 6 - hour, false), (3, 5, false)], &mut watched, second * 24).is_empty());
        assert_eq!(passed(&[(1, 6 - hour, false), (3, 5, false)], &mut watched, second * 25), [3]);
        assert_eq!(passed(&[(1, 6 - hour, false)], &mut watched, second * 39), [1]);
        assert_eq!(watched.len(), 1, "those that are gone are forgotten");
    }
}
