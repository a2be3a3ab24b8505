//! Brings the schema of a database up to date, one embedded file a version.

use rusqlite::Connection;
use sha2::{Digest as _, Sha256};

use crate::OpenError;
use crate::transfer::TransferError;

/// Every version's statements, oldest first. A file that was released is
/// never changed: databases remember its checksum.
const MIGRATIONS: &[(i64, &str)] = &[
    (1, include_str!("migrations/0001_initial.sql")),
    (2, include_str!("migrations/0002_dialects.sql")),
    (3, include_str!("migrations/0003_ordering.sql")),
    (4, include_str!("migrations/0004_replay.sql")),
    (5, include_str!("migrations/0005_late_deliveries.sql")),
    (6, include_str!("migrations/0006_event_log_spans.sql")),
    (7, include_str!("migrations/0007_unwritten_leases.sql")),
    (8, include_str!("migrations/0008_audit.sql")),
    (9, include_str!("migrations/0009_sealed.sql")),
    (10, include_str!("migrations/0010_dashboard.sql")),
    (11, include_str!("migrations/0011_tenant_stats.sql")),
];

/// Applies what is missing, in one transaction.
pub(super) fn migrate(conn: &mut Connection) -> Result<(), OpenError> {
    let transaction = conn.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let applied = applied(&transaction)?;
    let newest = newest();
    if let Some((found, _)) = applied.iter().find(|(version, _)| *version > newest) {
        return Err(OpenError::NewerSchema { found: *found, known: newest });
    }
    for (version, statements) in MIGRATIONS {
        let checksum = Sha256::digest(statements.as_bytes()).to_vec();
        match applied.iter().find(|(found, _)| found == version) {
            Some((_, found)) if *found == checksum => {}
            Some(_) => return Err(OpenError::ChangedMigration { version: *version }),
            None => {
                transaction.execute_batch(statements)?;
                transaction.execute("INSERT INTO migrations VALUES (?1, ?2)", (version, checksum))?;
            }
        }
    }
    Ok(transaction.commit()?)
}

/// The newest version that this program knows.
pub(super) fn newest() -> i64 {
    MIGRATIONS.last().map_or(0, |(version, _)| *version)
}

/// The version that a database has; `None` when nothing is in it.
pub(super) fn version(conn: &Connection) -> Result<Option<i64>, OpenError> {
    let tables = "SELECT count(*), count(*) FILTER (WHERE name = 'migrations') FROM sqlite_schema";
    match conn.query_row(tables, [], |row| Ok((row.get(0)?, row.get(1)?)))? {
        (0_i64, _) => Ok(None),
        (_, 0_i64) => Err(OpenError::Foreign),
        _ => Ok(conn.query_row("SELECT max(version) FROM migrations", [], |row| row.get(0))?),
    }
}

/// Refuses a database that another version would have to change first.
pub(super) fn judge(conn: &Connection) -> Result<(), TransferError> {
    let known = "SELECT count(*) FROM sqlite_schema WHERE name = 'migrations'";
    if conn.query_row(known, [], |row| row.get::<_, i64>(0))? == 0 {
        return Err(OpenError::Foreign.into());
    }
    let applied = applied(conn)?;
    let newest = newest();
    let found = applied.last().map_or(0, |(version, _)| *version);
    if found > newest {
        return Err(OpenError::NewerSchema { found, known: newest }.into());
    }
    for ((version, statements), (_, found)) in MIGRATIONS.iter().zip(&applied) {
        if Sha256::digest(statements.as_bytes())[..] != found[..] {
            return Err(OpenError::ChangedMigration { version: *version }.into());
        }
    }
    if found < newest { Err(TransferError::OldSource { found, wanted: newest }) } else { Ok(()) }
}

/// The versions that are applied, with their checksums.
fn applied(conn: &Connection) -> Result<Vec<(i64, Vec<u8>)>, OpenError> {
    let tables = |filter: &str| {
        conn.query_row(&format!("SELECT count(*) FROM sqlite_schema WHERE {filter}"), [], |row| {
            row.get::<_, i64>(0)
        })
    };
    if tables("name = 'migrations'")? == 0 {
        if tables("true")? > 0 {
            return Err(OpenError::Foreign);
        }
        conn.execute_batch(
            "CREATE TABLE migrations (version INTEGER PRIMARY KEY, checksum BLOB NOT NULL) STRICT",
        )?;
        return Ok(Vec::new());
    }
    let mut statement = conn.prepare("SELECT version, checksum FROM migrations ORDER BY version")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_numbered_without_gaps_and_apply_once() {
        assert!(MIGRATIONS.iter().map(|(version, _)| *version).eq((1..).take(MIGRATIONS.len())));
        let mut conn = Connection::open_in_memory().expect("a database");
        migrate(&mut conn).expect("the schema");
        migrate(&mut conn).expect("the same schema");
    }

    #[test]
    fn a_database_of_the_first_version_is_brought_up_to_date() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("callboard.db");
        let schema = || crate::sqlite::schema(&path).expect("a schema").found;
        assert_eq!(schema(), None, "there is no file");
        let mut conn = Connection::open(&path).expect("a database");
        assert_eq!(schema(), None, "nothing is in it");
        applied(&conn).expect("the table of versions");
        let (version, statements) = MIGRATIONS[0];
        conn.execute_batch(statements).expect("the first schema");
        let checksum = Sha256::digest(statements.as_bytes()).to_vec();
        conn.execute("INSERT INTO migrations VALUES (?1, ?2)", (version, checksum)).expect("a version");
        conn.execute_batch(
            "INSERT INTO webhooks (id, tenant, revision, settings, status, created_at, updated_at)
             VALUES (x'01', 1, 1, '{}', 'active', 1, 1);
             INSERT INTO events VALUES (40000, 1, 1, 1, 1, 'a', 'ticket.updated', 'T', x'', x'7b7d');
             INSERT INTO event_log VALUES (1, 0, 40000);
             INSERT INTO webhooks (id, tenant, revision, settings, status, created_at, updated_at)
             VALUES (x'02', 1, 1, '{}', 'active', 1, 1);
             INSERT INTO stats VALUES (1, 7, 1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5),
                 (2, 7, 10, 20, 30, 40, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 50);",
        )
        .expect("rows of the first version");
        assert_eq!(schema(), Some(1));
        migrate(&mut conn).expect("the newest schema");
        assert_eq!(schema(), Some(newest()));
        let webhook = "SELECT dialect, nonce FROM webhooks LIMIT 1";
        let webhook = conn.query_row(webhook, [], |row| Ok((row.get(0)?, row.get(1)?)));
        assert_eq!(webhook.expect("a row"), ("native".to_owned(), None::<String>));
        let diff = conn.query_row("SELECT quantity_diff FROM events", [], |row| row.get::<_, Option<i64>>(0));
        assert_eq!(diff.expect("a row"), None);
        let logged = "SELECT span, tenant, facet, event FROM event_log";
        let logged =
            conn.query_row(logged, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)));
        assert_eq!(logged.expect("a row"), (1, 1, 0, 40_000));
        let sums = "SELECT tenant, bucket, delivered, failed_attempts, given_up, l0, l15 FROM tenant_stats";
        let sums = conn.query_row(sums, [], |row| {
            let sum = |column| row.get::<_, i64>(column);
            Ok([sum(0)?, sum(1)?, sum(2)?, sum(3)?, sum(4)?, sum(5)?, sum(6)?])
        });
        assert_eq!(sums.expect("a row"), [1, 7, 11, 22, 33, 44, 55]);
    }

    #[test]
    fn what_another_version_made_is_refused() {
        let mut conn = Connection::open_in_memory().expect("a database");
        migrate(&mut conn).expect("the schema");
        conn.execute("UPDATE migrations SET checksum = x'00' WHERE version = 1", []).expect("an update");
        assert!(matches!(migrate(&mut conn), Err(OpenError::ChangedMigration { version: 1 })));
        conn.execute("INSERT INTO migrations VALUES (99, x'00')", []).expect("a row");
        assert!(matches!(migrate(&mut conn), Err(OpenError::NewerSchema { found: 99, .. })));
    }

    #[test]
    fn a_database_of_another_program_is_left_alone() {
        let mut conn = Connection::open_in_memory().expect("a database");
        conn.execute_batch("CREATE TABLE bookmarks (url TEXT)").expect("a table");
        assert!(matches!(migrate(&mut conn), Err(OpenError::Foreign)));
    }
}
