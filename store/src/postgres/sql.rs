//! Statements, prepared once a connection and kept ready.

use deadpool_postgres::ClientWrapper;
use tokio_postgres::Row;
use tokio_postgres::types::{FromSqlOwned, ToSql};

use super::failure::Failure;

/// A connection, or the transaction that is open on it.
pub(super) type Connection = ClientWrapper;

/// The values of a statement's parameters.
pub(super) type Values<'a> = &'a [&'a (dyn ToSql + Sync)];

/// Runs a statement that returns no rows, and counts the rows that it changed.
pub(super) async fn run(conn: &Connection, sql: &str, values: Values<'_>) -> Result<u64, Failure> {
    let statement = conn.prepare_cached(sql).await?;
    Ok(conn.execute(&statement, values).await?)
}

/// The first row, if there is one.
pub(super) async fn one<T>(
    conn: &Connection,
    sql: &str,
    values: Values<'_>,
    read: impl FnOnce(&Row) -> Result<T, Failure>,
) -> Result<Option<T>, Failure> {
    let statement = conn.prepare_cached(sql).await?;
    let rows = conn.query(&statement, values).await?;
    rows.first().map(read).transpose()
}

/// Every row.
pub(super) async fn many<T>(
    conn: &Connection,
    sql: &str,
    values: Values<'_>,
    read: impl FnMut(&Row) -> Result<T, Failure>,
) -> Result<Vec<T>, Failure> {
    let statement = conn.prepare_cached(sql).await?;
    let rows = conn.query(&statement, values).await?;
    rows.iter().map(read).collect()
}

/// The only value of the first row, if there is one.
pub(super) async fn value<T: FromSqlOwned>(
    conn: &Connection,
    sql: &str,
    values: Values<'_>,
) -> Result<Option<T>, Failure> {
    one(conn, sql, values, |row| get(row, 0)).await
}

/// A column of a row.
pub(super) fn get<T: FromSqlOwned>(row: &Row, index: usize) -> Result<T, Failure> {
    Ok(row.try_get(index)?)
}
