//! Portal links, and the sessions made from them.

use std::net::IpAddr;

use async_trait::async_trait;
use callboard_domain::audit::{Actor, By, Change};
use callboard_domain::clock::Timestamp;
use callboard_domain::id::{PortalLinkKey, TenantKey};
use callboard_domain::portal::PortalLink;
use callboard_domain::store::{Cleared, Listed, NewPortalLink, Page, PortalStore, Result};
use rusqlite::{Connection, Row};

use super::failure::Failure;
use super::ledger::Write;
use super::{SqliteStore, audit, sessions, sql};
use crate::rows::portal::{Columns, SESSIONS, link};
use crate::rows::{before, count, listed, micros, wanted};

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT portal_links.key, tenant, name, scopes, portal_links.created_at, portal_links.expires_at,
                 revoked_at FROM portal_links ",
            $rest
        )
    };
}

fn read(row: &Row<'_>) -> Result<PortalLink, Failure> {
    Ok(link(Columns {
        key: row.get(0)?,
        tenant: row.get(1)?,
        name: row.get(2)?,
        scopes: row.get(3)?,
        created_at: row.get(4)?,
        expires_at: row.get(5)?,
        revoked_at: row.get(6)?,
    })?)
}

fn one(conn: &Connection, tenant: TenantKey, key: PortalLinkKey) -> Result<Option<PortalLink>, Failure> {
    sql::one(conn, select!("WHERE key = ?1 AND tenant = ?2"), (key.0, tenant.0), read)
}

fn create(conn: &Connection, tenant: TenantKey, new: &NewPortalLink, by: &By) -> Result<PortalLink, Failure> {
    sql::run(
        conn,
        "INSERT INTO portal_links (tenant, name, scopes, token_digest, created_at, expires_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        (
            tenant.0,
            &new.name,
            new.scopes.to_string(),
            new.token_digest,
            micros(by.at),
            micros(new.expires_at),
        ),
    )?;
    let key = PortalLinkKey(conn.last_insert_rowid());
    let made = one(conn, tenant, key)?.ok_or_else(|| Failure::Corrupt(format!("{key} is gone")))?;
    audit::write(conn, Some(tenant), by, &Change::portal_link_created(&made))?;
    Ok(made)
}

fn revoke(
    conn: &Connection,
    tenant: TenantKey,
    key: PortalLinkKey,
    by: &By,
) -> Result<Option<PortalLink>, Failure> {
    let sql = "UPDATE portal_links SET revoked_at = ?3 WHERE key = ?1 AND tenant = ?2 AND revoked_at IS NULL";
    if sql::run(conn, sql, (key.0, tenant.0, micros(by.at)))? == 0 {
        return one(conn, tenant, key);
    }
    sql::run(conn, "DELETE FROM portal_sessions WHERE link = ?1", [key.0])?;
    let revoked = one(conn, tenant, key)?;
    if let Some(revoked) = &revoked {
        audit::write(conn, Some(tenant), by, &Change::portal_link_revoked(revoked))?;
    }
    Ok(revoked)
}

fn open(
    conn: &Connection,
    (token, session): ([u8; 32], [u8; 32]),
    address: Option<IpAddr>,
    now: Timestamp,
) -> Result<Option<PortalLink>, Failure> {
    let found = sql::one(conn, select!("WHERE token_digest = ?1"), [token], read)?;
    let Some(link) = found.filter(|link| link.is_open(now)) else { return Ok(None) };
    sql::run(
        conn,
        "INSERT INTO portal_sessions (digest, link, created_at, expires_at) VALUES (?1, ?2, ?3, ?4)",
        (session, link.key.0, micros(now), micros(link.expires_at)),
    )?;
    let older = "DELETE FROM portal_sessions WHERE link = ?1 AND key <= (
        SELECT key FROM portal_sessions WHERE link = ?1 ORDER BY key DESC LIMIT 1 OFFSET ?2)";
    sql::run(conn, older, (link.key.0, SESSIONS))?;
    let actor = Actor::PortalLink { key: link.key, name: link.name.clone() };
    let by = By { actor, address, at: now };
    audit::write(conn, Some(link.tenant), &by, &Change::portal_link_opened(&link))?;
    Ok(Some(link))
}

fn session(conn: &Connection, digest: [u8; 32], now: Timestamp) -> Result<Option<PortalLink>, Failure> {
    let sql = select!("JOIN portal_sessions ON portal_sessions.link = portal_links.key WHERE digest = ?1");
    Ok(sql::one(conn, sql, [digest], read)?.filter(|link| link.is_open(now)))
}

/// Whether there is something to delete.
const ENDED: &str = "SELECT 1 WHERE EXISTS (SELECT 1 FROM portal_sessions WHERE expires_at <= ?1)
    OR EXISTS (SELECT 1 FROM portal_links WHERE expires_at <= ?2)";

#[async_trait]
impl PortalStore for SqliteStore {
    async fn create_portal_link(&self, tenant: TenantKey, link: NewPortalLink, by: By) -> Result<PortalLink> {
        self.writer.run(2, move |write: &mut Write<'_>| create(write.conn, tenant, &link, &by)).await
    }

    async fn portal_link(&self, tenant: TenantKey, link: PortalLinkKey) -> Result<Option<PortalLink>> {
        self.readers.run(move |conn| one(conn, tenant, link)).await
    }

    async fn list_portal_links(&self, tenant: TenantKey, page: Page) -> Result<Listed<PortalLink>> {
        let list = move |conn: &Connection| {
            let sql = select!("WHERE tenant = ?1 AND key < ?2 ORDER BY key DESC LIMIT ?3");
            let values = (tenant.0, before(page), wanted(page));
            let rows = sql::many(conn, sql, values, |row| Ok((row.get(0)?, read(row)?)))?;
            Ok(listed(rows, page))
        };
        self.readers.run(list).await
    }

    async fn revoke_portal_link(
        &self,
        tenant: TenantKey,
        link: PortalLinkKey,
        by: By,
    ) -> Result<Option<PortalLink>> {
        self.writer.run(2, move |write: &mut Write<'_>| revoke(write.conn, tenant, link, &by)).await
    }

    async fn open_portal_link(
        &self,
        token_digest: [u8; 32],
        session_digest: [u8; 32],
        address: Option<IpAddr>,
        now: Timestamp,
    ) -> Result<Option<PortalLink>> {
        let known = "SELECT 1 FROM portal_links WHERE token_digest = ?1";
        // Whoever guesses does not keep the writer busy.
        if self.readers.run(move |conn| sql::value::<i64>(conn, known, [token_digest])).await?.is_none() {
            return Ok(None);
        }
        let digests = (token_digest, session_digest);
        self.writer.run(3, move |write: &mut Write<'_>| open(write.conn, digests, address, now)).await
    }

    async fn portal_session(&self, session_digest: [u8; 32], now: Timestamp) -> Result<Option<PortalLink>> {
        self.readers.run(move |conn| session(conn, session_digest, now)).await
    }

    async fn end_portal_session(&self, session_digest: [u8; 32]) -> Result<()> {
        let sql = "DELETE FROM portal_sessions WHERE digest = ?1";
        let end = move |write: &mut Write<'_>| sql::run(write.conn, sql, [session_digest]).map(drop);
        self.writer.run(1, end).await
    }

    async fn prune_portal(&self, now: Timestamp, links_before: Timestamp, limit: usize) -> Result<Cleared> {
        let times = (micros(now), micros(links_before));
        // Most often there is nothing, and then the writer is not asked.
        let look = move |conn: &Connection| {
            let portal = sql::value::<i64>(conn, ENDED, times)?;
            Ok(portal.is_some() || sql::value::<i64>(conn, sessions::ENDED, [times.0])?.is_some())
        };
        if !self.readers.run(look).await? {
            return Ok(Cleared::default());
        }
        let delete = move |write: &mut Write<'_>| {
            let sessions = "DELETE FROM portal_sessions WHERE key IN (
                SELECT key FROM portal_sessions WHERE expires_at <= ?1 LIMIT ?2)";
            let links = "DELETE FROM portal_links WHERE key IN (
                SELECT key FROM portal_links WHERE expires_at <= ?1 LIMIT ?2)";
            let of_operator = sessions::prune(write.conn, times.0, limit)?;
            let sessions = sql::run(write.conn, sessions, (times.0, count(limit)))?;
            let links = sql::run(write.conn, links, (times.1, count(limit)))?;
            Ok([sessions, links, of_operator[0], of_operator[1]])
        };
        let gone = self.writer.run(4 * limit, delete).await?;
        Ok(Cleared { rows: gone.iter().sum(), more: gone.iter().any(|rows| *rows >= limit) })
    }
}
