//! The audit log: what is written into it beside each change, and how it is read.

use async_trait::async_trait;
use callboard_domain::audit::{By, Change, Entry, EntryFilter};
use callboard_domain::clock::Timestamp;
use callboard_domain::id::TenantKey;
use callboard_domain::store::{AuditStore, Cleared, Listed, Page, Result};
use rusqlite::{Connection, Row};

use super::failure::Failure;
use super::ledger::Write;
use super::{SqliteStore, sql};
use crate::rows::audit::{Asked, Columns, Written, entry, owner};
use crate::rows::{before, count, listed, micros};

/// Writes an entry, in the transaction of the change that it tells of. Without a
/// tenant it concerns the deployment.
pub(super) fn write(
    conn: &Connection,
    tenant: Option<TenantKey>,
    by: &By,
    change: &Change,
) -> Result<(), Failure> {
    let entry = Written::new(by, change);
    sql::run(
        conn,
        "INSERT INTO audit_entries (tenant, at, actor_kind, actor_id, actor_name, action, target_kind,
             target_id, before, after, address)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        (
            owner(tenant),
            entry.at,
            entry.actor_kind,
            entry.actor_id,
            entry.actor_name,
            entry.action,
            entry.target_kind,
            entry.target_id,
            entry.before,
            entry.after,
            entry.address,
        ),
    )
    .map(drop)
}

macro_rules! looked_at {
    ($target:literal) => {
        concat!(
            "SELECT * FROM audit_entries WHERE tenant = ?1 AND key < ?2 ",
            $target,
            " ORDER BY key DESC LIMIT ?3"
        )
    };
}

macro_rules! fitting {
    ($target:literal) => {
        concat!(
            "SELECT key, at, actor_kind, actor_id, actor_name, action, target_kind, target_id, before, after,
                 address
             FROM (",
            looked_at!($target),
            ") WHERE (?5 IS NULL OR actor_id = ?5) AND (?6 IS NULL OR action = ?6)
               AND substr(action, 1, length(?7)) = ?7 AND at >= ?8 AND at < ?9
             ORDER BY key DESC LIMIT ?10"
        )
    };
}

macro_rules! reached {
    ($target:literal) => {
        concat!("SELECT count(*), min(key) FROM (", looked_at!($target), ")")
    };
}

/// Entries of a tenant, the newest first.
pub(super) const OF_TENANT: &str = fitting!("AND ?4 IS NULL");
const OF_TENANT_REACHED: &str = reached!("AND ?4 IS NULL");

/// Entries about one thing, the newest first.
pub(super) const ABOUT: &str = fitting!("AND target_id = ?4");
const ABOUT_REACHED: &str = reached!("AND target_id = ?4");

fn read(row: &Row<'_>) -> Result<Entry, Failure> {
    Ok(entry(Columns {
        key: row.get(0)?,
        at: row.get(1)?,
        actor: [row.get(2)?, row.get(3)?, row.get(4)?],
        action: row.get(5)?,
        target: [row.get(6)?, row.get(7)?],
        before: row.get(8)?,
        after: row.get(9)?,
        address: row.get(10)?,
    })?)
}

fn list(
    conn: &Connection,
    tenant: Option<TenantKey>,
    asked: &Asked,
    page: Page,
) -> Result<Listed<Entry>, Failure> {
    let (fitting, reached) = match asked.target_id {
        None => (OF_TENANT, OF_TENANT_REACHED),
        Some(_) => (ABOUT, ABOUT_REACHED),
    };
    let start = (owner(tenant), before(page), asked.look, &asked.target_id);
    let values = rusqlite::params![
        start.0,
        start.1,
        start.2,
        start.3,
        asked.actor_id,
        asked.action,
        asked.start,
        asked.since,
        asked.until,
        asked.wanted,
    ];
    let rows = sql::many(conn, fitting, values, |row| Ok((row.get(0)?, read(row)?)))?;
    let short = count(rows.len()) < asked.wanted;
    let mut page = listed(rows, page);
    if short && !asked.exact {
        let reached = sql::one(conn, reached, start, |row| Ok((row.get(0)?, row.get(1)?)))?;
        page.next = reached.and_then(|(seen, last): (i64, Option<i64>)| last.filter(|_| seen == asked.look));
    }
    Ok(page)
}

/// The first of the oldest entries that are to go.
const OLDEST: &str = "SELECT 1 FROM (SELECT at FROM audit_entries ORDER BY key LIMIT 1) WHERE at < ?1";

#[async_trait]
impl AuditStore for SqliteStore {
    async fn note(&self, tenant: TenantKey, by: By, change: Change) -> Result<()> {
        self.writer.run(1, move |conn: &mut Write<'_>| write(conn.conn, Some(tenant), &by, &change)).await
    }

    async fn list_audit(
        &self,
        tenant: Option<TenantKey>,
        filter: EntryFilter,
        page: Page,
    ) -> Result<Listed<Entry>> {
        let asked = Asked::new(filter, page);
        self.readers.run(move |conn| list(conn, tenant, &asked, page)).await
    }

    async fn prune_audit(&self, before: Timestamp, limit: usize) -> Result<Cleared> {
        let before = micros(before);
        // Most often there is nothing, and then the writer is not asked.
        if self.readers.run(move |conn| sql::value::<i64>(conn, OLDEST, [before])).await?.is_none() {
            return Ok(Cleared::default());
        }
        let delete = move |write: &mut Write<'_>| {
            let oldest = "DELETE FROM audit_entries WHERE key IN (
                SELECT key FROM (SELECT key, at FROM audit_entries ORDER BY key LIMIT ?2) WHERE at < ?1)";
            sql::run(write.conn, oldest, (before, count(limit)))
        };
        let rows = self.writer.run(limit, delete).await?;
        Ok(Cleared { rows, more: rows >= limit })
    }
}
