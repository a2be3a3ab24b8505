//! Which keys seal what is in the database, and sealing it anew.

use callboard_domain::store::Cleared;
use deadpool_postgres::Pool;
use tokio_postgres::Row;

use super::failure::Failure;
use super::sql::{self, Connection, get};
use super::transaction::Transaction;
use crate::OpenError;
use crate::rows::webhooks::{StoredSettings, sealed_secret};
use crate::rows::{Corrupt, count};
use crate::sealing::{BATCH, CHECK, CHECKED, KeyId, KeyRing, Keys, Place, Used};

/// Makes sure that everything in the database opens with these keys, and that
/// everything secret in it is sealed. Where nothing is sealed yet, a new key is put
/// on disk first. Of nodes that start together with different new keys, the first
/// decides.
pub(super) async fn begin(pool: &Pool, keys: &Keys) -> Result<(), OpenError> {
    let transaction = Transaction::begin(pool).await?;
    // Where the keys will not do, what is not committed goes with its connection.
    judge(transaction.connection()?, keys).await?;
    transaction.end(Ok(())).await?;
    let conn = pool.get().await.map_err(Failure::from)?;
    let check = sql::value(&conn, "SELECT sealed FROM deployment WHERE name = $1", &[&CHECK]).await?;
    let check: Vec<u8> = check.unwrap_or_default();
    keys.ring().open(Place::Deployment { name: CHECK }, &check).map_err(Failure::from)?;
    drop(conn);
    Ok(seal_plain(pool, keys.ring()).await?)
}

async fn judge(conn: &Connection, keys: &Keys) -> Result<(), OpenError> {
    let ring = keys.ring();
    let sealed = ring.seal(Place::Deployment { name: CHECK }, CHECKED).map_err(Failure::from)?;
    // Waits for another node that is at this very place.
    let note =
        "INSERT INTO deployment (name, value, sealed) VALUES ($1, '', $2) ON CONFLICT (name) DO NOTHING";
    let is_first = sql::run(conn, note, &[&CHECK, &sealed]).await? > 0;
    ring.knows_all(ids(conn).await?)?;
    // Before the commit, which makes others rely on the key.
    if is_first { keys.save() } else { Ok(()) }
}

/// Seals what a version has left that did not. Other nodes may do the same, and what
/// they have done is passed over.
async fn seal_plain(pool: &Pool, ring: &KeyRing) -> Result<(), Failure> {
    let mut sealed = 0;
    loop {
        let transaction = Transaction::begin(pool).await?;
        let rows = seal_some(transaction.connection()?, ring).await;
        match transaction.end(rows).await? {
            0 => break,
            rows => sealed += rows,
        }
    }
    if sealed > 0 {
        tracing::info!(rows = sealed, "secrets were sealed that an older version had left in plain");
        let conn = pool.get().await?;
        // Old versions of rows stand in their pages until these are written anew.
        for table in ["webhooks", "secrets", "deployment"] {
            if let Err(error) = conn.batch_execute(&format!("VACUUM FULL {table}")).await {
                let error = super::failure::text(&error);
                tracing::warn!(
                    error,
                    table,
                    "old versions of rows, with secrets in plain, stay until VACUUM FULL"
                );
            }
        }
    }
    Ok(())
}

async fn seal_some(conn: &Connection, ring: &KeyRing) -> Result<usize, Failure> {
    let rows = plain_settings(conn, ring).await? + plain_secrets(conn, ring).await?;
    Ok(rows + plain_values(conn, ring).await?)
}

async fn plain_settings(conn: &Connection, ring: &KeyRing) -> Result<usize, Failure> {
    let sql = "SELECT key, id, settings FROM webhooks WHERE substr(sealed, 2, 8) IS NULL
        ORDER BY key LIMIT $1 FOR NO KEY UPDATE";
    let read = |row: &Row| Ok((get::<i64>(row, 0)?, id(row)?, get::<String>(row, 2)?));
    let rows = sql::many(conn, sql, &[&count(BATCH)], read).await?;
    for (key, id, settings) in &rows {
        let stored = StoredSettings::of_plain(settings, id, ring)?;
        let sql = "UPDATE webhooks SET settings = $2, sealed = $3 WHERE key = $1";
        sql::run(conn, sql, &[key, &stored.settings, &stored.sealed]).await?;
    }
    Ok(rows.len())
}

async fn plain_secrets(conn: &Connection, ring: &KeyRing) -> Result<usize, Failure> {
    let sql = "SELECT secrets.key, id, value FROM secrets JOIN webhooks ON webhooks.key = secrets.webhook
        WHERE substr(secrets.sealed, 2, 8) IS NULL ORDER BY secrets.key LIMIT $1 FOR NO KEY UPDATE OF secrets";
    let read = |row: &Row| Ok((get::<i64>(row, 0)?, id(row)?, get::<String>(row, 2)?));
    let rows = sql::many(conn, sql, &[&count(BATCH)], read).await?;
    for (key, id, text) in &rows {
        let sealed = sealed_secret(text, id, *key, ring)?;
        let sql = "UPDATE secrets SET value = '', sealed = $2 WHERE key = $1";
        sql::run(conn, sql, &[key, &sealed]).await?;
    }
    Ok(rows.len())
}

async fn plain_values(conn: &Connection, ring: &KeyRing) -> Result<usize, Failure> {
    let sql = "SELECT name, value FROM deployment WHERE sealed IS NULL ORDER BY name FOR NO KEY UPDATE";
    let read = |row: &Row| Ok((get::<String>(row, 0)?, get::<Vec<u8>>(row, 1)?));
    let rows = sql::many(conn, sql, &[], read).await?;
    for (name, value) in &rows {
        let sealed = ring.seal(Place::Deployment { name }, value)?;
        let sql = "UPDATE deployment SET value = '', sealed = $2 WHERE name = $1";
        sql::run(conn, sql, &[name, &sealed]).await?;
    }
    Ok(rows.len())
}

fn id(row: &Row) -> Result<[u8; 16], Failure> {
    let id: &[u8] = row.try_get(1)?;
    Ok(id.try_into().map_err(|_| Corrupt("the id of a webhook".to_owned()))?)
}

/// The ids of the keys that have sealed something, at the cost of one step of an index
/// each: it is asked at every start, and at every step of a change of the key.
pub(super) const IDS: &str = "WITH RECURSIVE
    of_webhooks (id) AS (
        (SELECT substr(sealed, 2, 8) FROM webhooks WHERE substr(sealed, 2, 8) > '' ORDER BY 1 LIMIT 1)
        UNION ALL
        SELECT next.id FROM of_webhooks CROSS JOIN LATERAL (
            SELECT substr(sealed, 2, 8) AS id FROM webhooks
            WHERE substr(sealed, 2, 8) > of_webhooks.id ORDER BY 1 LIMIT 1
        ) AS next
    ),
    of_secrets (id) AS (
        (SELECT substr(sealed, 2, 8) FROM secrets WHERE substr(sealed, 2, 8) > '' ORDER BY 1 LIMIT 1)
        UNION ALL
        SELECT next.id FROM of_secrets CROSS JOIN LATERAL (
            SELECT substr(sealed, 2, 8) AS id FROM secrets
            WHERE substr(sealed, 2, 8) > of_secrets.id ORDER BY 1 LIMIT 1
        ) AS next
    )
    SELECT id FROM of_webhooks UNION SELECT id FROM of_secrets
    UNION SELECT substr(sealed, 2, 8) FROM deployment WHERE sealed IS NOT NULL";

async fn ids(conn: &Connection) -> Result<Vec<Option<KeyId>>, Failure> {
    sql::many(conn, IDS, &[], |row: &Row| Ok(KeyId::read(row.try_get(0)?))).await
}

/// How many rows each key has sealed.
pub(super) async fn used(conn: &Connection) -> Result<Used, Failure> {
    let sql = "SELECT id, sum(n)::bigint FROM (
            SELECT substr(sealed, 2, 8) AS id, count(*) AS n FROM webhooks GROUP BY substr(sealed, 2, 8)
            UNION ALL SELECT substr(sealed, 2, 8), count(*) FROM secrets GROUP BY substr(sealed, 2, 8)
            UNION ALL SELECT substr(sealed, 2, 8), count(*) FROM deployment GROUP BY substr(sealed, 2, 8)
        ) AS used WHERE id IS NOT NULL GROUP BY id";
    let read = |row: &Row| Ok((KeyId::read(row.try_get(0)?), get(row, 1)?));
    Ok(sql::many(conn, sql, &[], read).await?.into_iter().collect())
}

/// Seals anew at most `limit` rows that another key than the first has sealed. Rows
/// that somebody else is writing are passed over: they are sealed with that.
pub(super) async fn seal_anew(conn: &Connection, ring: &KeyRing, limit: usize) -> Result<Cleared, Failure> {
    let mut rows = 0;
    for id in ids(conn).await?.into_iter().flatten().filter(|id| Some(*id) != ring.first()) {
        let id = id.bytes();
        rows += settings_anew(conn, ring, &id, limit - rows).await?;
        rows += secrets_anew(conn, ring, &id, limit - rows).await?;
        rows += values_anew(conn, ring, &id, limit - rows).await?;
        if rows >= limit {
            return Ok(Cleared { rows, more: true });
        }
    }
    Ok(Cleared { rows, more: false })
}

async fn settings_anew(conn: &Connection, ring: &KeyRing, by: &[u8], limit: usize) -> Result<usize, Failure> {
    let sql = "SELECT key, id, sealed FROM webhooks WHERE substr(sealed, 2, 8) = $1
        LIMIT $2 FOR NO KEY UPDATE SKIP LOCKED";
    let read = |row: &Row| Ok((get::<i64>(row, 0)?, id(row)?, get::<Vec<u8>>(row, 2)?));
    let rows = sql::many(conn, sql, &[&by, &count(limit)], read).await?;
    for (key, id, sealed) in &rows {
        let sealed = ring.seal_anew(Place::Settings { webhook: id }, sealed)?;
        sql::run(conn, "UPDATE webhooks SET sealed = $2 WHERE key = $1", &[key, &sealed]).await?;
    }
    Ok(rows.len())
}

async fn secrets_anew(conn: &Connection, ring: &KeyRing, by: &[u8], limit: usize) -> Result<usize, Failure> {
    let sql = "SELECT secrets.key, id, secrets.sealed FROM secrets
        JOIN webhooks ON webhooks.key = secrets.webhook
        WHERE substr(secrets.sealed, 2, 8) = $1 LIMIT $2 FOR NO KEY UPDATE OF secrets SKIP LOCKED";
    let read = |row: &Row| Ok((get::<i64>(row, 0)?, id(row)?, get::<Vec<u8>>(row, 2)?));
    let rows = sql::many(conn, sql, &[&by, &count(limit)], read).await?;
    for (key, id, sealed) in &rows {
        let sealed = ring.seal_anew(Place::Secret { webhook: id, key: *key }, sealed)?;
        sql::run(conn, "UPDATE secrets SET sealed = $2 WHERE key = $1", &[key, &sealed]).await?;
    }
    Ok(rows.len())
}

async fn values_anew(conn: &Connection, ring: &KeyRing, by: &[u8], limit: usize) -> Result<usize, Failure> {
    let sql = "SELECT name, sealed FROM deployment WHERE substr(sealed, 2, 8) = $1
        LIMIT $2 FOR NO KEY UPDATE SKIP LOCKED";
    let read = |row: &Row| Ok((get::<String>(row, 0)?, get::<Vec<u8>>(row, 1)?));
    let rows = sql::many(conn, sql, &[&by, &count(limit)], read).await?;
    for (name, sealed) in &rows {
        let sealed = ring.seal_anew(Place::Deployment { name }, sealed)?;
        sql::run(conn, "UPDATE deployment SET sealed = $2 WHERE name = $1", &[name, &sealed]).await?;
    }
    Ok(rows.len())
}
