//! A database that is moved somewhere else: nobody else uses it meanwhile, and what
//! it says stays as it is.

use std::path::Path;

use rusqlite::Connection;
use sha2::{Digest as _, Sha256};

use super::failure::Failure;
use super::ledger::Ledger;
use super::open::{self, ProcessLock};
use super::unwritten::{self, Unwritten};
use super::{migrations, sql};
use crate::transfer::rows::{Batch, Checksum, append};
use crate::transfer::tables::{TABLES, Table};
use crate::transfer::{Keys, TransferError};

/// Bytes after which a batch takes no further row.
const BATCH_BYTES: usize = 4 << 20;

/// The database, in one read transaction.
pub(crate) struct Source {
    conn: Connection,
    _lock: ProcessLock,
}

impl Source {
    /// Opens the database and keeps servers out.
    pub(crate) fn open(path: &Path) -> Result<Self, TransferError> {
        // Before the lock makes a file beside it.
        if !path.is_file() {
            return Err(TransferError::Missing { path: path.to_owned() });
        }
        let lock = ProcessLock::take(path)?;
        let conn = open::reader(path)?;
        migrations::judge(&conn)?;
        if unwritten::needs_recovery(&conn)? {
            write_leases(path)?;
        }
        conn.execute_batch("BEGIN")?;
        Ok(Self { conn, _lock: lock })
    }

    /// How many rows of a table there are.
    pub(crate) fn count(&self, table: &Table) -> Result<u64, TransferError> {
        let rows: i64 =
            self.conn.query_row(&format!("SELECT count(*) FROM {}", table.from), [], |row| row.get(0))?;
        Ok(rows.unsigned_abs())
    }

    /// Which keys are taken, and which are next.
    pub(crate) fn keys(&self) -> Result<Keys, TransferError> {
        let marks = Ledger::load(&self.conn, None)?.marks;
        let first = |sql: &str, otherwise: i64| {
            Ok::<_, Failure>(sql::value::<Option<i64>>(&self.conn, sql, [])?.flatten().unwrap_or(otherwise))
        };
        let delivery = first("SELECT first_delivery FROM events ORDER BY key LIMIT 1", marks.next_delivery)?;
        let numbered = TABLES.iter().filter(|table| table.numbered).map(|table| {
            let largest = format!("SELECT max(key) FROM {}", table.name);
            // One of a row that is deleted may not come again either.
            let given = format!("SELECT seq FROM sqlite_sequence WHERE name = '{}'", table.name);
            Ok((table.name, 1 + first(&largest, 0)?.max(first(&given, 0)?)))
        });
        Ok(Keys {
            first_event: first("SELECT min(key) FROM events", marks.next_event)?,
            next_event: marks.next_event,
            first_delivery: first("SELECT min(key) >> 10 FROM attempts", delivery)?.min(delivery),
            next_delivery: marks.next_delivery,
            accepted_at: marks.accepted_at,
            numbered: numbered.collect::<Result<_, Failure>>()?,
        })
    }

    /// What tells this database, as it is, from others.
    pub(crate) fn fingerprint(&self, keys: &Keys, counts: &[u64]) -> Result<Vec<u8>, TransferError> {
        let mut digest = Sha256::new();
        let mut bytes = Vec::new();
        for table in TABLES.iter().filter(|table| table.name == "deployment") {
            self.each(table, 0, &mut bytes, |bytes| {
                digest.update(&*bytes);
                bytes.clear();
                true
            })?;
        }
        for number in [keys.next_event, keys.next_delivery, keys.accepted_at] {
            digest.update(number.to_be_bytes());
        }
        for count in counts {
            digest.update(count.to_be_bytes());
        }
        Ok(digest.finalize().to_vec())
    }

    /// Reads the rows of a table behind the first `skip`, in batches, until `take`
    /// wants no more.
    pub(crate) fn read(
        &self,
        table: &Table,
        skip: u64,
        batch_rows: u64,
        mut take: impl FnMut(Batch) -> bool,
    ) -> Result<(), TransferError> {
        let (mut bytes, mut rows, mut wanted) = (Vec::new(), 0, true);
        self.each(table, skip, &mut bytes, |bytes| {
            rows += 1;
            if rows >= batch_rows || bytes.len() >= BATCH_BYTES {
                wanted = take(Batch { bytes: std::mem::take(bytes), rows });
                rows = 0;
            }
            wanted
        })?;
        if wanted && rows > 0 {
            take(Batch { bytes, rows });
        }
        Ok(())
    }

    /// Sums the rows of a table.
    pub(crate) fn checksum(&self, table: &Table) -> Result<Checksum, TransferError> {
        let mut sum = Checksum::default();
        self.each(table, 0, &mut Vec::new(), |bytes| {
            sum.add(bytes);
            bytes.clear();
            true
        })?;
        Ok(sum)
    }

    /// Adds one row after the other to `bytes`, and calls `then` after each until
    /// that wants no more.
    fn each(
        &self,
        table: &Table,
        skip: u64,
        bytes: &mut Vec<u8>,
        mut then: impl FnMut(&mut Vec<u8>) -> bool,
    ) -> Result<(), TransferError> {
        let values: Vec<&str> = table.columns.iter().map(|column| column.value).collect();
        let sql = format!(
            "SELECT {} FROM {} ORDER BY {} LIMIT -1 OFFSET ?1",
            values.join(", "),
            table.from,
            table.order
        );
        let mut statement = self.conn.prepare(&sql)?;
        let mut rows = statement.query([skip.cast_signed()])?;
        let mut number = skip;
        while let Some(row) = rows.next()? {
            number += 1;
            append(bytes, row, table.columns).map_err(|(column, what)| TransferError::Row {
                table: table.name,
                number,
                column,
                what,
            })?;
            if !then(bytes) {
                break;
            }
        }
        Ok(())
    }
}

/// Writes the rows that a server which was killed had not written: they are moved too.
fn write_leases(path: &Path) -> Result<(), Failure> {
    let conn = open::writer(path, None)?;
    let transaction = conn.unchecked_transaction()?;
    unwritten::recover(&transaction, &Unwritten::default())?;
    Ok(transaction.commit()?)
}

impl From<Failure> for TransferError {
    fn from(failure: Failure) -> Self {
        Self::Open(failure.into())
    }
}
