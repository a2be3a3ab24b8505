//! The lease of this process, and what becomes of the claims of those whose lease
//! has passed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use callboard_domain::store::Signal;
use deadpool_postgres::Pool;
use parking_lot::Mutex;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

use super::failure::Failure;
use super::partitions::{self, Room};
use super::signals::Heard;
use super::sql::{self, Connection, get};
use super::transaction::Transaction;
use super::{claims, signals};

/// How long a lease runs, in microseconds of the database's time.
const LEASE_US: i64 = 15_000_000;

/// How often it is renewed. Four in a row may fail.
const RENEWED: Duration = Duration::from_secs(3);

/// This process among those that work on the database.
pub(super) struct Node {
    pool: Pool,
    key: AtomicI64,
    id: String,
    name: String,
    /// No other process is at work.
    alone: AtomicBool,
    heard: Heard,
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
            id: id.to_owned(),
            name: name.to_owned(),
            alone: AtomicBool::new(false),
            heard: heard.clone(),
            entering: tokio::sync::Mutex::new(()),
            task: Mutex::new(None),
        });
        node.enter().await?;
        remove_passed(pool).await?;
        let task = tokio::spawn(keep(Arc::downgrade(&node), Arc::clone(room)));
        *node.task.lock() = Some(task);
        Ok(node)
    }

    /// Which row it is.
    pub(super) fn key(&self) -> i64 {
        self.key.load(Ordering::Relaxed)
    }

    /// Whether no other process was at work when that was last looked at.
    pub(super) fn is_alone(&self) -> bool {
        self.alone.load(Ordering::Relaxed)
    }

    async fn enter(&self) -> Result<(), Failure> {
        let conn = self.pool.get().await?;
        let sql = "INSERT INTO nodes (id, name, version, started_at, lease_until)
            VALUES ($1, $2, $3, database_time(), database_time() + $4)
            ON CONFLICT (id) DO UPDATE SET lease_until = nodes.lease_until
            RETURNING key";
        let version = env!("CARGO_PKG_VERSION");
        let key = sql::value(&conn, sql, &[&self.id, &self.name, &version, &LEASE_US]).await?;
        self.key.store(key.unwrap_or_default(), Ordering::Relaxed);
        Ok(())
    }

    /// Enters anew as another node, because the lease of `lost` has passed: what
    /// that one held is not this process' any more.
    pub(super) async fn enter_anew(&self, lost: i64) -> Result<(), Failure> {
        let _entering = self.entering.lock().await;
        if self.key() != lost {
            return Ok(());
        }
        tracing::warn!("this process was not heard of for too long; what it had claimed is given to others");
        remove(&self.pool, lost).await?;
        self.enter().await?;
        self.heard.push(Signal::LeaseLost);
        Ok(())
    }

    /// Renews the lease, if it has not passed.
    async fn renew(&self) -> Result<(), Failure> {
        let key = self.key();
        let conn = self.pool.get().await?;
        let sql = "UPDATE nodes SET lease_until = database_time() + $2
            WHERE key = $1 AND lease_until >= database_time()
            RETURNING (SELECT count(*) FROM nodes) = 1";
        let alone = sql::value::<bool>(&conn, sql, &[&key, &LEASE_US]).await?;
        drop(conn);
        match alone {
            Some(alone) => {
                self.alone.store(alone, Ordering::Relaxed);
                Ok(())
            }
            None => self.enter_anew(key).await,
        }
    }

    /// Gives back what this process holds, and leaves.
    pub(super) async fn leave(&self) {
        if let Some(task) = self.task.lock().take() {
            task.abort();
        }
        if let Err(failure) = remove(&self.pool, self.key()).await {
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

/// Keeps the lease, gives back what others have left behind, and sees to it that
/// there is room.
async fn keep(node: std::sync::Weak<Node>, room: Arc<Room>) {
    let mut ticks = tokio::time::interval(RENEWED);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.tick().await;
    loop {
        ticks.tick().await;
        let Some(node) = node.upgrade() else { return };
        let kept = async {
            node.renew().await?;
            remove_passed(&node.pool).await?;
            partitions::make_ahead(&node.pool, &room, (0, 0)).await
        };
        if let Err(failure) = kept.await {
            tracing::warn!(%failure, "the lease of this process could not be looked after");
        }
    }
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

/// Removes the nodes whose lease has passed, and gives back what they held.
async fn remove_passed(pool: &Pool) -> Result<(), Failure> {
    let passed = {
        let conn = pool.get().await?;
        let sql = "SELECT key FROM nodes WHERE lease_until < database_time() ORDER BY key";
        sql::many(&conn, sql, &[], |row| get::<i64>(row, 0)).await?
    };
    for key in passed {
        remove(pool, key).await?;
    }
    Ok(())
}

/// Removes one node, and gives back what it held.
async fn remove(pool: &Pool, key: i64) -> Result<(), Failure> {
    let transaction = Transaction::begin(pool).await?;
    let removed = async {
        let conn = transaction.connection()?;
        // Waits for what the node is claiming, so that nothing of it is missed.
        let lock = "SELECT pg_advisory_xact_lock(lock_place('nodes'), ($1::bigint & 2147483647)::integer)";
        sql::run(conn, lock, &[&key]).await?;
        if sql::run(conn, "DELETE FROM nodes WHERE key = $1", &[&key]).await? > 0
            && claims::end_leases(conn, key).await? > 0
        {
            signals::work_due(conn).await?;
        }
        Ok(())
    };
    let removed = removed.await;
    transaction.end(removed).await
}
