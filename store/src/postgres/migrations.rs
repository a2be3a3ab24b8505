//! Brings the schema of a database up to date, one embedded file a version.

use sha2::{Digest as _, Sha256};
use tokio_postgres::error::SqlState;

use super::failure::Failure;
use super::open::refused;
use super::sql::Connection;
use super::transaction::Runs;
use crate::OpenError;

/// Every version's statements, oldest first. A file that was released is
/// never changed: databases remember its checksum.
pub(super) const MIGRATIONS: Migrations = &[
    (1, include_str!("migrations/0001_start.sql")),
    (2, include_str!("migrations/0002_audit.sql")),
    (3, include_str!("migrations/0003_sealed.sql")),
    (4, include_str!("migrations/0004_dashboard.sql")),
    (5, include_str!("migrations/0005_tenant_stats.sql")),
];

/// Versions, and their statements.
pub(super) type Migrations = &'static [(i64, &'static str)];

/// Applies what is missing. Of nodes that start together one does, and the
/// others wait for it. The connection has no limits of time afterwards.
pub(super) async fn migrate(conn: &Connection, known: Migrations) -> Result<(), OpenError> {
    let locked = "SET statement_timeout = 0; SET lock_timeout = 0;
        SELECT pg_advisory_lock(hashtext(current_schema() || '/migrations'), 0)";
    conn.batch_execute(locked).await.map_err(|error| refused(&error))?;
    let migrated = apply(conn, known).await;
    let unlocked = "ROLLBACK; SELECT pg_advisory_unlock_all()";
    conn.batch_execute(unlocked).await.map_err(|error| refused(&error))?;
    migrated
}

async fn apply(conn: &Connection, known: Migrations) -> Result<(), OpenError> {
    let applied = applied(conn).await?;
    let newest = known.last().map_or(0, |(version, _)| *version);
    if let Some((found, _)) = applied.iter().find(|(version, _)| *version > newest) {
        return Err(OpenError::NewerSchema { found: *found, known: newest });
    }
    for (version, statements) in known {
        let checksum = Sha256::digest(statements.as_bytes()).to_vec();
        match applied.iter().find(|(found, _)| found == version) {
            Some((_, found)) if *found == checksum => {}
            Some(_) => return Err(OpenError::ChangedMigration { version: *version }),
            None => run(conn, *version, statements, &checksum).await?,
        }
    }
    Ok(())
}

/// Makes one version, again where nodes at work got in its way: it takes tables for
/// itself that they have in another order.
async fn run(conn: &Connection, version: i64, statements: &str, checksum: &[u8]) -> Result<(), Failure> {
    let mut runs = Runs::default();
    loop {
        match try_to_run(conn, version, statements, checksum).await {
            Err(failure) if runs.again(&failure) => conn.batch_execute("ROLLBACK").await?,
            outcome => return outcome,
        }
    }
}

async fn try_to_run(
    conn: &Connection,
    version: i64,
    statements: &str,
    checksum: &[u8],
) -> Result<(), Failure> {
    conn.batch_execute("BEGIN").await?;
    conn.batch_execute(statements).await?;
    conn.execute("INSERT INTO migrations (version, checksum) VALUES ($1, $2)", &[&version, &checksum])
        .await?;
    Ok(conn.batch_execute("COMMIT").await?)
}

/// The version that a database has; `None` when nothing is in it. Nothing is changed.
pub(super) async fn version(conn: &Connection) -> Result<Option<i64>, OpenError> {
    let tables = "SELECT to_regclass('migrations') IS NOT NULL, EXISTS (
        SELECT FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p'))";
    let row = conn.query_one(tables, &[]).await.map_err(|error| refused(&error))?;
    match (row.get(0), row.get(1)) {
        (false, false) => Ok(None),
        (false, true) => Err(OpenError::Foreign),
        (true, _) => {
            let row = conn.query_one("SELECT max(version) FROM migrations", &[]).await;
            Ok(row.map_err(|_| OpenError::Foreign)?.get(0))
        }
    }
}

/// The versions that are applied, with their checksums.
async fn applied(conn: &Connection) -> Result<Vec<(i64, Vec<u8>)>, OpenError> {
    let tables = "SELECT count(*) FILTER (WHERE relname = 'migrations'), count(*) FROM pg_class
        WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p')";
    let row = conn.query_one(tables, &[]).await.map_err(|error| refused(&error))?;
    let (ours, all): (i64, i64) = (row.get(0), row.get(1));
    if ours == 0 {
        if all > 0 {
            return Err(OpenError::Foreign);
        }
        let table = "CREATE TABLE migrations (version bigint PRIMARY KEY, checksum bytea NOT NULL)";
        conn.batch_execute(table).await.map_err(|error| refused(&error))?;
        return Ok(Vec::new());
    }
    let rows = conn.query("SELECT version, checksum FROM migrations ORDER BY version", &[]).await;
    let rows = rows.map_err(|error| match error.code() {
        // A table of this name, but not ours.
        Some(&SqlState::UNDEFINED_COLUMN) => OpenError::Foreign,
        _ => refused(&error),
    })?;
    rows.iter()
        .map(|row| Ok((row.try_get(0)?, row.try_get(1)?)))
        .collect::<Result<_, tokio_postgres::Error>>()
        .map_err(|_| OpenError::Foreign)
}
