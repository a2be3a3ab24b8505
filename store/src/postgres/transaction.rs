//! Transactions: begun on a connection of the pool, and ended one way or the
//! other. Who leaves one half done gives its connection up, and so does who gets no
//! answer.

use deadpool_postgres::{Object, Pool};

use super::failure::Failure;
use super::patience::{ANSWERED, run_within};
use super::sql::Connection;

/// How often a transaction is run that others keep getting in the way of.
const RUNS: u32 = 5;

/// A transaction that is open.
pub(super) struct Transaction {
    /// Taken out when it has ended well.
    conn: Option<Object>,
}

impl Transaction {
    /// Starts one that writes.
    pub(super) async fn begin(pool: &Pool) -> Result<Self, Failure> {
        Self::start(pool, "BEGIN").await
    }

    /// Starts one that reads one snapshot of the database.
    pub(super) async fn begin_reading(pool: &Pool) -> Result<Self, Failure> {
        Self::start(pool, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await
    }

    async fn start(pool: &Pool, begin: &str) -> Result<Self, Failure> {
        let started = Self { conn: Some(pool.get().await?) };
        run_within(ANSWERED, started.connection()?, begin).await?;
        Ok(started)
    }

    /// Where its statements go.
    pub(super) fn connection(&self) -> Result<&Connection, Failure> {
        self.conn.as_deref().ok_or_else(super::failure::closed)
    }

    /// Commits what went well, and takes back what did not.
    pub(super) async fn end<T>(mut self, outcome: Result<T, Failure>) -> Result<T, Failure> {
        let conn = self.connection()?;
        match outcome {
            Ok(value) => {
                // Whether it is committed is not known when this fails; the
                // connection is given up then.
                run_within(ANSWERED, conn, "COMMIT").await.map_err(Failure::of_commit)?;
                self.conn = None;
                Ok(value)
            }
            // It was never told to commit, so it does not happen.
            Err(Failure::Silent) => Err(Failure::Silent),
            Err(failure) => {
                // The lock of the keys is one that outlives the transaction.
                let back = "ROLLBACK; SELECT pg_advisory_unlock_all()";
                if run_within(ANSWERED, conn, back).await.is_ok() {
                    self.conn = None;
                }
                Err(failure)
            }
        }
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        // The server takes back what a lost connection has left.
        drop(self.conn.take().map(Object::take));
    }
}

/// Counts how often a transaction was run.
#[derive(Default)]
pub(super) struct Runs(u32);

impl Runs {
    /// Whether to run it again after this failure.
    pub(super) fn again(&mut self, failure: &Failure) -> bool {
        self.0 += 1;
        self.0 < RUNS && failure.is_passing()
    }
}

/// Gives a connection back to the pool, or up where no answer came.
pub(super) fn give_back(conn: Object, silent: bool) {
    if silent {
        drop(Object::take(conn));
    }
}

/// Runs a transaction that writes, again where others got in its way. It may take
/// as long as requests wait, or so long.
macro_rules! writing {
    ($pool:expr, |$conn:ident| $work:expr) => {
        crate::postgres::transaction::writing!($pool, crate::postgres::patience::ANSWERED, |$conn| $work)
    };
    ($pool:expr, $limit:expr, |$conn:ident| $work:expr) => {{
        let mut runs = crate::postgres::transaction::Runs::default();
        loop {
            let transaction = crate::postgres::transaction::Transaction::begin($pool).await?;
            let outcome = {
                let $conn = transaction.connection()?;
                crate::postgres::patience::within($limit, $work).await
            };
            match transaction.end(outcome).await {
                Err(failure) if runs.again(&failure) => {}
                outcome => break outcome.map_err(callboard_domain::store::StoreError::from),
            }
        }
    }};
}

/// Runs several reads on one snapshot, again where others got in their way, as a
/// change of the schema does.
macro_rules! reading {
    ($pool:expr, |$conn:ident| $work:expr) => {{
        let mut runs = crate::postgres::transaction::Runs::default();
        loop {
            let transaction = crate::postgres::transaction::Transaction::begin_reading($pool).await?;
            let outcome = {
                let $conn = transaction.connection()?;
                crate::postgres::patience::within(crate::postgres::patience::ANSWERED, $work).await
            };
            match transaction.end(outcome).await {
                Err(failure) if runs.again(&failure) => {}
                outcome => break outcome.map_err(callboard_domain::store::StoreError::from),
            }
        }
    }};
}

/// Runs a read of one statement, which is a snapshot of its own, likewise.
macro_rules! asking {
    ($pool:expr, |$conn:ident| $work:expr) => {{
        let mut runs = crate::postgres::transaction::Runs::default();
        loop {
            let limit = crate::postgres::patience::ANSWERED;
            match crate::postgres::transaction::telling!($pool, limit, |$conn| $work) {
                Err(failure) if runs.again(&failure) => {}
                outcome => break outcome.map_err(callboard_domain::store::StoreError::from),
            }
        }
    }};
}

/// Runs one statement, which is a transaction of its own.
macro_rules! telling {
    ($pool:expr, $limit:expr, |$conn:ident| $work:expr) => {
        match $pool.get().await {
            Ok(object) => {
                let outcome = {
                    let $conn: &crate::postgres::sql::Connection = &object;
                    crate::postgres::patience::within($limit, $work).await
                };
                let silent = matches!(outcome, Err(crate::postgres::failure::Failure::Silent));
                crate::postgres::transaction::give_back(object, silent);
                outcome
            }
            Err(error) => Err(crate::postgres::failure::Failure::from(error)),
        }
    };
}

pub(super) use {asking, reading, telling, writing};
