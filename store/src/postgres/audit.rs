//! The audit log: what is written into it beside each change, and how it is read.

use async_trait::async_trait;
use callboard_domain::audit::{By, Change, Entry, EntryFilter};
use callboard_domain::clock::Timestamp;
use callboard_domain::id::TenantKey;
use callboard_domain::store::{AuditStore, Cleared, Listed, Page, Result};
use tokio_postgres::Row;

use super::PostgresStore;
use super::failure::Failure;
use super::ports::is_never_stored;
use super::sql::{self, Connection, get};
use super::transaction::{asking, reading, writing};
use crate::rows::audit::{Asked, Columns, Written, entry, owner};
use crate::rows::{before, count, listed, micros};

/// Writes an entry, in the transaction of the change that it tells of. Without a
/// tenant it concerns the deployment.
pub(super) async fn write(
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
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        &[
            &owner(tenant),
            &entry.at,
            &entry.actor_kind,
            &entry.actor_id,
            &entry.actor_name,
            &entry.action,
            &entry.target_kind,
            &entry.target_id,
            &entry.before,
            &entry.after,
            &entry.address,
        ],
    )
    .await
    .map(drop)
}

macro_rules! looked_at {
    ($target:literal) => {
        concat!(
            "SELECT * FROM audit_entries WHERE tenant = $1 AND key < $2 ",
            $target,
            " ORDER BY key DESC LIMIT $3"
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
            ") AS looked_at WHERE ($5::text IS NULL OR actor_id = $5) AND ($6::text IS NULL OR action = $6)
               AND starts_with(action, $7) AND at >= $8 AND at < $9
             ORDER BY key DESC LIMIT $10"
        )
    };
}

macro_rules! reached {
    ($target:literal) => {
        concat!("SELECT count(*), min(key) FROM (", looked_at!($target), ") AS looked_at")
    };
}

/// Entries of a tenant, the newest first.
pub(super) const OF_TENANT: &str = fitting!("AND $4::text IS NULL");
const OF_TENANT_REACHED: &str = reached!("AND $4::text IS NULL");

/// Entries about one thing, the newest first.
pub(super) const ABOUT: &str = fitting!("AND target_id = $4");
const ABOUT_REACHED: &str = reached!("AND target_id = $4");

fn read(row: &Row) -> Result<Entry, Failure> {
    Ok(entry(Columns {
        key: get(row, 0)?,
        at: get(row, 1)?,
        actor: [get(row, 2)?, get(row, 3)?, get(row, 4)?],
        action: get(row, 5)?,
        target: [get(row, 6)?, get(row, 7)?],
        before: get(row, 8)?,
        after: get(row, 9)?,
        address: get(row, 10)?,
    })?)
}

async fn list(
    conn: &Connection,
    tenant: Option<TenantKey>,
    asked: &Asked,
    page: Page,
) -> Result<Listed<Entry>, Failure> {
    let (fitting, reached) = match asked.target_id {
        None => (OF_TENANT, OF_TENANT_REACHED),
        Some(_) => (ABOUT, ABOUT_REACHED),
    };
    let (owner, before) = (owner(tenant), before(page));
    let values: sql::Values<'_> = &[
        &owner,
        &before,
        &asked.look,
        &asked.target_id,
        &asked.actor_id,
        &asked.action,
        &asked.start,
        &asked.since,
        &asked.until,
        &asked.wanted,
    ];
    let rows = sql::many(conn, fitting, values, |row| Ok((get(row, 0)?, read(row)?))).await?;
    let short = count(rows.len()) < asked.wanted;
    let mut page = listed(rows, page);
    if short && !asked.exact {
        let reached = sql::one(conn, reached, &values[..4], |row| {
            Ok((get::<i64>(row, 0)?, get::<Option<i64>>(row, 1)?))
        })
        .await?;
        page.next = reached.and_then(|(seen, last)| last.filter(|_| seen == asked.look));
    }
    Ok(page)
}

#[async_trait]
impl AuditStore for PostgresStore {
    async fn note(&self, tenant: TenantKey, by: By, change: Change) -> Result<()> {
        writing!(&self.pool, |conn| write(conn, Some(tenant), &by, &change))
    }

    async fn list_audit(
        &self,
        tenant: Option<TenantKey>,
        filter: EntryFilter,
        page: Page,
    ) -> Result<Listed<Entry>> {
        if is_never_stored(filter.actor_id.as_ref()) || is_never_stored(filter.target_id.as_ref()) {
            return Ok(Listed { items: Vec::new(), next: None });
        }
        let asked = Asked::new(filter, page);
        reading!(&self.pool, |conn| list(conn, tenant, &asked, page))
    }

    async fn prune_audit(&self, before: Timestamp, limit: usize) -> Result<Cleared> {
        // Several nodes may do this at the same time.
        let oldest = "DELETE FROM audit_entries WHERE key = ANY(ARRAY(
            SELECT key FROM (SELECT key, at FROM audit_entries ORDER BY key LIMIT $2 FOR UPDATE SKIP LOCKED)
                AS oldest WHERE at < $1))";
        let (before, most) = (micros(before), count(limit));
        let rows = asking!(self.pool, |conn| sql::run(conn, oldest, &[&before, &most]))?;
        let rows = usize::try_from(rows).unwrap_or(usize::MAX);
        Ok(Cleared { rows, more: rows >= limit })
    }
}
