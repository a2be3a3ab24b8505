//! Writes attempts down and moves their deliveries on.

use callboard_domain::delivery::LoggedAttempt;
use tokio_postgres::Row;

use super::failure::Failure;
use super::sql::{self, Connection, get};
use crate::rows::attempts::{Columns, Waiting, logged};

/// The columns of attempts that [`read`] reads.
macro_rules! attempt_columns {
    () => {
        "number, started_at, duration_us, state, status, cause, detail"
    };
}
pub(super) use attempt_columns;

/// Reads [`attempt_columns`] of a row, from the column `first` on.
pub(super) fn read(row: &Row, first: usize) -> Result<LoggedAttempt, Failure> {
    let status: Option<i32> = get(row, first + 4)?;
    Ok(logged(Columns {
        number: get::<i32>(row, first)?.into(),
        started_at: get(row, first + 1)?,
        duration_us: get(row, first + 2)?,
        state: get::<i16>(row, first + 3)?.into(),
        status: status.and_then(|status| u16::try_from(status).ok()),
        cause: get(row, first + 5)?,
        detail: get(row, first + 6)?,
    })?)
}

/// The columns of pending that [`read_waiting`] reads.
macro_rules! waiting_columns {
    () => {
        "delivery, event, webhook, due_at, attempts, tries, chain"
    };
}
pub(super) use waiting_columns;

/// Reads [`waiting_columns`] of a row.
pub(super) fn read_waiting(row: &Row) -> Result<Waiting, Failure> {
    Ok(Waiting {
        delivery: get(row, 0)?,
        event: get(row, 1)?,
        webhook: get(row, 2)?,
        due_at: get(row, 3)?,
        attempts: get::<i32>(row, 4)?.unsigned_abs(),
        tries: get::<i32>(row, 5)?.unsigned_abs(),
        chain: get(row, 6)?,
    })
}

/// The delivery, if it waits.
pub(super) async fn waiting(conn: &Connection, delivery: i64) -> Result<Option<Waiting>, Failure> {
    let sql = concat!("SELECT ", waiting_columns!(), " FROM pending WHERE delivery = $1");
    sql::one(conn, sql, &[&delivery], read_waiting).await
}
