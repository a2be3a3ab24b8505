//! Statements, prepared once a connection and kept ready.

use rusqlite::{CachedStatement, Connection, Params, Row};

use super::failure::Failure;

/// Statements a connection keeps prepared; there are fewer than this.
pub(super) const CACHED_STATEMENTS: usize = 128;

/// Runs a statement that returns no rows, and counts the rows that it changed.
pub(super) fn run(conn: &Connection, sql: &str, params: impl Params) -> Result<usize, Failure> {
    Ok(conn.prepare_cached(sql)?.execute(params)?)
}

/// A statement that is run many times, looked up the first time: to look one up costs as
/// much as to run it.
pub(super) fn once<'a, 'conn>(
    statement: &'a mut Option<CachedStatement<'conn>>,
    conn: &'conn Connection,
    sql: &str,
) -> Result<&'a mut CachedStatement<'conn>, Failure> {
    Ok(match statement {
        Some(statement) => statement,
        none => none.insert(conn.prepare_cached(sql)?),
    })
}

/// The first row, if there is one.
pub(super) fn one<T>(
    conn: &Connection,
    sql: &str,
    params: impl Params,
    read: impl FnOnce(&Row<'_>) -> Result<T, Failure>,
) -> Result<Option<T>, Failure> {
    let mut statement = conn.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    rows.next()?.map(read).transpose()
}

/// Every row.
pub(super) fn many<T>(
    conn: &Connection,
    sql: &str,
    params: impl Params,
    read: impl FnMut(&Row<'_>) -> Result<T, Failure>,
) -> Result<Vec<T>, Failure> {
    conn.prepare_cached(sql)?.query_and_then(params, read)?.collect()
}

/// The only value of the first row, if there is one.
pub(super) fn value<T: rusqlite::types::FromSql>(
    conn: &Connection,
    sql: &str,
    params: impl Params,
) -> Result<Option<T>, Failure> {
    one(conn, sql, params, |row| Ok(row.get(0)?))
}
