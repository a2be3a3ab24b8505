//! Which keys seal what is in the database, and sealing it anew.

use std::collections::BTreeMap;

use callboard_domain::store::Cleared;
use rusqlite::Connection;

use super::failure::Failure;
use super::ledger::Write;
use super::sql;
use crate::OpenError;
use crate::rows::count;
use crate::rows::webhooks::{StoredSettings, sealed_secret};
use crate::sealing::{BATCH, CHECK, CHECKED, KeyId, KeyRing, Keys, Place, Used};

/// Makes sure that everything in the database opens with these keys, and that
/// everything secret in it is sealed. Where nothing is sealed yet, a new key is put
/// on disk first.
pub(super) fn begin(conn: &mut Connection, keys: &Keys) -> Result<(), OpenError> {
    let ring = keys.ring();
    let transaction = conn.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let place = Place::Deployment { name: CHECK };
    let sealed = ring.seal(place, CHECKED).map_err(Failure::from)?;
    let note =
        "INSERT INTO deployment (name, value, sealed) VALUES (?1, x'', ?2) ON CONFLICT (name) DO NOTHING";
    let is_first = sql::run(&transaction, note, (CHECK, sealed))? > 0;
    ring.knows_all(ids(&transaction)?)?;
    if is_first {
        keys.save()?;
    }
    transaction.commit()?;
    let check = sql::value::<Vec<u8>>(conn, "SELECT sealed FROM deployment WHERE name = ?1", [CHECK])?;
    ring.open(place, &check.unwrap_or_default()).map_err(Failure::from)?;
    Ok(seal_plain(conn, ring)?)
}

/// Seals what a version has left that did not, and leaves nothing of it in the file.
fn seal_plain(conn: &Connection, ring: &KeyRing) -> Result<(), Failure> {
    // What is overwritten and deleted is gone then, instead of standing in free space.
    conn.execute_batch("PRAGMA secure_delete = ON")?;
    let mut sealed = 0;
    loop {
        conn.execute_batch("BEGIN IMMEDIATE")?;
        let rows = plain_settings(conn, ring)
            .and_then(|rows| Ok(rows + plain_secrets(conn, ring)? + plain_values(conn, ring)?));
        conn.execute_batch(if rows.is_ok() { "COMMIT" } else { "ROLLBACK" })?;
        match rows? {
            0 => break,
            rows => sealed += rows,
        }
    }
    conn.execute_batch("PRAGMA secure_delete = OFF")?;
    let mark = "SELECT value FROM marks WHERE name = 'plain_secrets'";
    if sql::value::<i64>(conn, mark, [])?.is_some_and(|mark| mark > 0) || sealed > 0 {
        tracing::info!(rows = sealed, "secrets were sealed that an older version had left in plain");
        clear(conn);
    }
    Ok(())
}

/// Writes the whole file anew, because pages that were given up long ago may hold
/// secrets as well, and so may the log.
fn clear(conn: &Connection) {
    let cleared = conn
        // Never in memory, however large the database is.
        .execute_batch("PRAGMA temp_store = FILE; VACUUM; PRAGMA temp_store = MEMORY;")
        .and_then(|()| conn.execute_batch("UPDATE marks SET value = 0 WHERE name = 'plain_secrets'"))
        .and_then(|()| conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())));
    if let Err(error) = cleared {
        tracing::warn!(
            %error,
            "free space of the database may still hold secrets in plain, because it could not be written anew; \
             the next start tries again"
        );
    }
}

fn plain_settings(conn: &Connection, ring: &KeyRing) -> Result<usize, Failure> {
    let sql = "SELECT key, id, settings FROM webhooks WHERE substr(sealed, 2, 8) IS NULL LIMIT ?1";
    let rows: Vec<(i64, [u8; 16], String)> =
        sql::many(conn, sql, [count(BATCH)], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    for (key, id, settings) in &rows {
        let stored = StoredSettings::of_plain(settings, id, ring)?;
        let sql = "UPDATE webhooks SET settings = ?2, sealed = ?3 WHERE key = ?1";
        sql::run(conn, sql, (key, stored.settings, stored.sealed))?;
    }
    Ok(rows.len())
}

fn plain_secrets(conn: &Connection, ring: &KeyRing) -> Result<usize, Failure> {
    let sql = "SELECT secrets.key, id, value FROM secrets JOIN webhooks ON webhooks.key = secrets.webhook
               WHERE substr(secrets.sealed, 2, 8) IS NULL LIMIT ?1";
    let rows: Vec<(i64, [u8; 16], String)> =
        sql::many(conn, sql, [count(BATCH)], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    for (key, id, text) in &rows {
        let sealed = sealed_secret(text, id, *key, ring)?;
        sql::run(conn, "UPDATE secrets SET value = '', sealed = ?2 WHERE key = ?1", (key, sealed))?;
    }
    Ok(rows.len())
}

fn plain_values(conn: &Connection, ring: &KeyRing) -> Result<usize, Failure> {
    let sql = "SELECT name, value FROM deployment WHERE sealed IS NULL";
    let rows: Vec<(String, Vec<u8>)> = sql::many(conn, sql, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    for (name, value) in &rows {
        let sealed = ring.seal(Place::Deployment { name }, value)?;
        sql::run(conn, "UPDATE deployment SET value = x'', sealed = ?2 WHERE name = ?1", (name, sealed))?;
    }
    Ok(rows.len())
}

/// The ids of the keys that have sealed something, at the cost of one step of an index
/// each: it is asked at every start, and at every step of a change of the key.
pub(super) const IDS: &str = "WITH RECURSIVE
    of_webhooks (id) AS (
        SELECT min(substr(sealed, 2, 8)) FROM webhooks
        UNION ALL
        SELECT (SELECT min(substr(sealed, 2, 8)) FROM webhooks WHERE substr(sealed, 2, 8) > of_webhooks.id)
        FROM of_webhooks WHERE of_webhooks.id IS NOT NULL
    ),
    of_secrets (id) AS (
        SELECT min(substr(sealed, 2, 8)) FROM secrets
        UNION ALL
        SELECT (SELECT min(substr(sealed, 2, 8)) FROM secrets WHERE substr(sealed, 2, 8) > of_secrets.id)
        FROM of_secrets WHERE of_secrets.id IS NOT NULL
    )
    SELECT id FROM of_webhooks WHERE id IS NOT NULL
    UNION SELECT id FROM of_secrets WHERE id IS NOT NULL
    UNION SELECT substr(sealed, 2, 8) FROM deployment WHERE sealed IS NOT NULL";

fn ids(conn: &Connection) -> Result<Vec<Option<KeyId>>, Failure> {
    sql::many(conn, IDS, [], |row| Ok(KeyId::read(row.get_ref(0)?.as_blob().map_err(rusqlite::Error::from)?)))
}

/// How many rows each key has sealed.
pub(super) fn used(conn: &Connection) -> Result<Used, Failure> {
    let sql = "SELECT id, sum(n) FROM (
            SELECT substr(sealed, 2, 8) AS id, count(*) AS n FROM webhooks GROUP BY substr(sealed, 2, 8)
            UNION ALL SELECT substr(sealed, 2, 8), count(*) FROM secrets GROUP BY substr(sealed, 2, 8)
            UNION ALL SELECT substr(sealed, 2, 8), count(*) FROM deployment GROUP BY substr(sealed, 2, 8)
        ) WHERE id IS NOT NULL GROUP BY id";
    let rows = sql::many(conn, sql, [], |row| {
        let id = row.get_ref(0)?.as_blob().map_err(rusqlite::Error::from)?;
        Ok((KeyId::read(id), row.get(1)?))
    })?;
    Ok(BTreeMap::from_iter(rows))
}

/// Seals anew at most `limit` rows that another key than the first has sealed.
pub(super) fn seal_anew(write: &mut Write<'_>, ring: &KeyRing, limit: usize) -> Result<Cleared, Failure> {
    let conn = write.conn;
    let mut rows = 0;
    for id in ids(conn)?.into_iter().flatten().filter(|id| Some(*id) != ring.first()) {
        let id = id.bytes();
        rows += settings_anew(conn, ring, id, limit - rows)?;
        rows += secrets_anew(conn, ring, id, limit - rows)?;
        rows += values_anew(conn, ring, id, limit - rows)?;
        if rows >= limit {
            return Ok(Cleared { rows, more: true });
        }
    }
    Ok(Cleared { rows, more: false })
}

fn settings_anew(conn: &Connection, ring: &KeyRing, by: [u8; 8], limit: usize) -> Result<usize, Failure> {
    let sql = "SELECT key, id, sealed FROM webhooks WHERE substr(sealed, 2, 8) = ?1 LIMIT ?2";
    let rows: Vec<(i64, [u8; 16], Vec<u8>)> =
        sql::many(conn, sql, (by, count(limit)), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    for (key, id, sealed) in &rows {
        let sealed = ring.seal_anew(Place::Settings { webhook: id }, sealed)?;
        sql::run(conn, "UPDATE webhooks SET sealed = ?2 WHERE key = ?1", (key, sealed))?;
    }
    Ok(rows.len())
}

fn secrets_anew(conn: &Connection, ring: &KeyRing, by: [u8; 8], limit: usize) -> Result<usize, Failure> {
    let sql = "SELECT secrets.key, id, secrets.sealed FROM secrets
               JOIN webhooks ON webhooks.key = secrets.webhook
               WHERE substr(secrets.sealed, 2, 8) = ?1 LIMIT ?2";
    let rows: Vec<(i64, [u8; 16], Vec<u8>)> =
        sql::many(conn, sql, (by, count(limit)), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    for (key, id, sealed) in &rows {
        let sealed = ring.seal_anew(Place::Secret { webhook: id, key: *key }, sealed)?;
        sql::run(conn, "UPDATE secrets SET sealed = ?2 WHERE key = ?1", (key, sealed))?;
    }
    Ok(rows.len())
}

fn values_anew(conn: &Connection, ring: &KeyRing, by: [u8; 8], limit: usize) -> Result<usize, Failure> {
    let sql = "SELECT name, sealed FROM deployment WHERE substr(sealed, 2, 8) = ?1 LIMIT ?2";
    let rows: Vec<(String, Vec<u8>)> =
        sql::many(conn, sql, (by, count(limit)), |row| Ok((row.get(0)?, row.get(1)?)))?;
    for (name, sealed) in &rows {
        let sealed = ring.seal_anew(Place::Deployment { name }, sealed)?;
        sql::run(conn, "UPDATE deployment SET sealed = ?2 WHERE name = ?1", (name, sealed))?;
    }
    Ok(rows.len())
}
