//! A database that is moved into: no node works on it before all is there.
//!
//! How far it is stands in a table of its own, which is written in the transaction
//! of the rows that it counts. Only a database that something is moved into has
//! that table, and nodes refuse to start while it says that something is missing.

use std::sync::Arc;

use bytes::Bytes;
use deadpool_postgres::{Object, Pool};
use futures_util::{SinkExt as _, TryStreamExt as _};

use super::failure::Failure;
use super::partitions::Room;
use super::sql::{self, Connection, get};
use super::{Options, migrations, open, partitions};
use crate::OpenError;
use crate::transfer::rows::{Batch, Checksum, HEADER, Rows, TRAILER};
use crate::transfer::tables::{TABLES, Table};
use crate::transfer::{Keys, TransferError};

/// How the one connection differs from those of a store. Of what is lost with the
/// server's power, the table that counts knows nothing either; the last commit of
/// all is one that is on disk.
const SETTINGS: &str = "SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0;
    SET synchronous_commit = off; RESET enable_seqscan";

const PROGRESS: &str = "CREATE TABLE IF NOT EXISTS transfer_progress (
    name text PRIMARY KEY,
    source bytea NOT NULL,
    rows bigint NOT NULL,
    done boolean NOT NULL
) WITH (fillfactor = 50)";

/// The database.
pub(crate) struct Target {
    pool: Pool,
    conn: Object,
    options: Options,
}

/// What a transfer finds.
pub(crate) enum Found {
    /// So many rows of each table.
    Rows(Vec<u64>),
    /// All of it, moved and compared.
    Everything,
}

impl Target {
    /// Opens the database, brings its schema up to date, and keeps other transfers
    /// out.
    pub(crate) async fn open(url: &str, options: Options) -> Result<Self, TransferError> {
        let target = open::target(url, options.schema.as_deref())?;
        let process = open::Process::default();
        let pool = open::pool(&target, &options, Arc::clone(&process))?;
        let conn = pool.get().await.map_err(|error| target.name(Failure::from(error).into()))?;
        let (schema, known) = (options.schema.as_deref(), migrations::MIGRATIONS);
        open::prepare(&conn, schema, &process).await.map_err(|error| target.name(error))?;
        migrations::migrate(&conn, known).await.map_err(|error| target.name(error))?;
        conn.batch_execute(SETTINGS).await.map_err(Failure::from)?;
        let lock = "SELECT pg_try_advisory_lock(lock_place('transfer'), 0)";
        if sql::value(&conn, lock, &[]).await? != Some(true) {
            return Err(TransferError::Busy);
        }
        Ok(Self { pool, conn, options })
    }

    /// Begins to move a source, or goes on with it.
    pub(crate) async fn begin(&self, source: &[u8]) -> Result<Found, TransferError> {
        let found = self.found(source).await;
        if found.is_err() {
            // Nodes may go on, where nothing was moved yet.
            let idle = "SELECT coalesce(sum(rows), 0) = 0 FROM transfer_progress";
            if sql::value(&self.conn, idle, &[]).await? == Some(true) {
                self.conn.batch_execute("DROP TABLE transfer_progress").await.map_err(Failure::from)?;
            }
        }
        found
    }

    async fn found(&self, source: &[u8]) -> Result<Found, TransferError> {
        let conn: &Connection = &self.conn;
        conn.batch_execute(PROGRESS).await.map_err(Failure::from)?;
        let names: Vec<&str> = TABLES.iter().map(|table| table.name).collect();
        let begin = "INSERT INTO transfer_progress (name, source, rows, done)
            SELECT name, $2, 0, FALSE FROM unnest($1::text[]) AS name
            WHERE NOT EXISTS (SELECT FROM transfer_progress)";
        sql::run(conn, begin, &[&names, &source]).await?;
        let known =
            "SELECT source = $2, rows, done FROM unnest($1::text[]) WITH ORDINALITY AS wanted (name, place)
            JOIN transfer_progress USING (name) ORDER BY place";
        let known: Vec<(bool, i64, bool)> =
            sql::many(conn, known, &[&names, &source], |row| Ok((get(row, 0)?, get(row, 1)?, get(row, 2)?)))
                .await?;
        if known.len() != TABLES.len() || known.iter().any(|(same, ..)| !same) {
            return Err(TransferError::AnotherSource);
        }
        if known.iter().all(|(_, _, done)| *done) {
            return Ok(Found::Everything);
        }
        // A node that starts now finds the table, which is committed; one that has
        // started is found here.
        let node =
            "SELECT coalesce(nullif(name, ''), id) FROM nodes WHERE lease_until >= database_time() LIMIT 1";
        if let Some(node) = sql::value::<String>(conn, node, &[]).await? {
            return Err(TransferError::NodeAtWork { node });
        }
        for (table, _) in TABLES.iter().zip(&known).filter(|(_, (_, rows, _))| *rows == 0) {
            let any = format!("SELECT EXISTS (SELECT FROM {} WHERE {})", table.name, table.only);
            if sql::value(conn, &any, &[]).await? == Some(true) {
                return Err(TransferError::OtherData { table: table.name });
            }
        }
        Ok(Found::Rows(known.iter().map(|(_, rows, _)| rows.unsigned_abs()).collect()))
    }

    /// Lets new keys go on behind those of the source, and makes the partitions for
    /// those that it has.
    pub(crate) async fn make_room(&self, keys: &Keys) -> Result<(), TransferError> {
        let next = "SELECT setval('event_keys', $1, FALSE), setval('delivery_keys', $2, FALSE),
            setval('acceptance', $3)";
        let values: sql::Values<'_> = &[&keys.next_event, &keys.next_delivery, &keys.accepted_at];
        sql::run(&self.conn, next, values).await?;
        for (table, next) in &keys.numbered {
            let sql = "SELECT setval(pg_get_serial_sequence($1, 'key'), $2, FALSE)";
            sql::run(&self.conn, sql, &[table, next]).await?;
        }
        let room = Room::new(&self.options).beginning_at(keys.first_event, keys.first_delivery);
        Ok(partitions::make_ahead(&self.pool, &room, (0, 0)).await?)
    }

    /// Adds rows to a table.
    pub(crate) async fn write(&self, table: &Table, batch: Batch) -> Result<(), TransferError> {
        let written = self.try_write(table, batch).await;
        written.map_err(|failure| TransferError::Write { table: table.name, reason: failure.to_string() })
    }

    async fn try_write(&self, table: &Table, batch: Batch) -> Result<(), Failure> {
        let conn: &Connection = &self.conn;
        conn.batch_execute("BEGIN").await?;
        let copy = format!("COPY {} ({}) FROM STDIN (FORMAT binary)", table.name, columns(table));
        let mut copy = std::pin::pin!(conn.copy_in::<_, Bytes>(&copy).await?);
        copy.feed(Bytes::from_static(HEADER)).await?;
        copy.feed(batch.bytes.into()).await?;
        copy.feed(Bytes::copy_from_slice(&TRAILER)).await?;
        copy.finish().await?;
        let moved = "UPDATE transfer_progress SET rows = rows + $2 WHERE name = $1";
        sql::run(conn, moved, &[&table.name, &batch.rows.cast_signed()]).await?;
        Ok(conn.batch_execute("COMMIT").await?)
    }

    /// Sums the rows of a table.
    pub(crate) async fn checksum(&self, table: &Table) -> Result<Checksum, TransferError> {
        let copy = format!(
            "COPY (SELECT {} FROM {} WHERE {}) TO STDOUT (FORMAT binary)",
            columns(table),
            table.name,
            table.only
        );
        let mut copy = std::pin::pin!(self.conn.copy_out(&copy).await.map_err(Failure::from)?);
        let (mut rows, mut sum) = (Rows::default(), Checksum::default());
        while let Some(piece) = copy.try_next().await.map_err(Failure::from)? {
            rows.push(&piece, |row| sum.add(row));
        }
        if rows.is_whole() {
            Ok(sum)
        } else {
            Err(open::unusable(format!("the copy of {} ended early", table.name)).into())
        }
    }

    /// Notes that everything is there: from now on nodes may work on it.
    pub(crate) async fn finish(&self) -> Result<(), TransferError> {
        let names: Vec<&str> = TABLES.iter().map(|table| table.name).collect();
        let finish = format!(
            "ANALYZE {}; SET synchronous_commit = on; UPDATE transfer_progress SET done = TRUE",
            names.join(", ")
        );
        Ok(self.conn.batch_execute(&finish).await.map_err(Failure::from)?)
    }
}

fn columns(table: &Table) -> String {
    table.columns.iter().map(|column| column.name).collect::<Vec<_>>().join(", ")
}

/// Refuses a database into which something is being moved. To be asked by a node
/// that has registered: a transfer looks for those once it has begun.
pub(super) async fn refuse_unfinished(pool: &Pool) -> Result<(), OpenError> {
    let conn = pool.get().await.map_err(Failure::from)?;
    let there = "SELECT to_regclass(quote_ident(current_schema()) || '.transfer_progress') IS NOT NULL";
    if sql::value(&conn, there, &[]).await? != Some(true) {
        return Ok(());
    }
    let missing = "SELECT EXISTS (SELECT FROM transfer_progress WHERE NOT done)";
    if sql::value(&conn, missing, &[]).await? == Some(true) { Err(OpenError::Unfinished) } else { Ok(()) }
}

impl From<Failure> for TransferError {
    fn from(failure: Failure) -> Self {
        Self::Open(failure.into())
    }
}
