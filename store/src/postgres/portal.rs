//! Portal links, and the sessions made from them.

use std::net::IpAddr;

use async_trait::async_trait;
use callboard_domain::audit::{Actor, By, Change};
use callboard_domain::clock::Timestamp;
use callboard_domain::id::{PortalLinkKey, TenantKey};
use callboard_domain::portal::PortalLink;
use callboard_domain::store::{Cleared, Listed, NewPortalLink, Page, PortalStore, Result};
use tokio_postgres::Row;

use super::failure::Failure;
use super::sql::{self, Connection, get};
use super::transaction::{asking, writing};
use super::{PostgresStore, audit, sessions as operator};
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

fn read(row: &Row) -> Result<PortalLink, Failure> {
    Ok(link(Columns {
        key: get(row, 0)?,
        tenant: get(row, 1)?,
        name: get(row, 2)?,
        scopes: get(row, 3)?,
        created_at: get(row, 4)?,
        expires_at: get(row, 5)?,
        revoked_at: get(row, 6)?,
    })?)
}

async fn one(
    conn: &Connection,
    tenant: TenantKey,
    key: PortalLinkKey,
) -> Result<Option<PortalLink>, Failure> {
    sql::one(conn, select!("WHERE key = $1 AND tenant = $2"), &[&key.0, &tenant.0], read).await
}

async fn list(conn: &Connection, tenant: TenantKey, page: Page) -> Result<Listed<PortalLink>, Failure> {
    let sql = select!("WHERE tenant = $1 AND key < $2 ORDER BY key DESC LIMIT $3");
    let (before, most) = (before(page), wanted(page));
    let rows =
        sql::many(conn, sql, &[&tenant.0, &before, &most], |row| Ok((get(row, 0)?, read(row)?))).await?;
    Ok(listed(rows, page))
}

async fn create(
    conn: &Connection,
    tenant: TenantKey,
    new: &NewPortalLink,
    by: &By,
) -> Result<PortalLink, Failure> {
    let key = sql::value::<i64>(
        conn,
        "INSERT INTO portal_links (tenant, name, scopes, token_digest, created_at, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6) RETURNING key",
        &[
            &tenant.0,
            &new.name,
            &new.scopes.to_string(),
            &new.token_digest.as_slice(),
            &micros(by.at),
            &micros(new.expires_at),
        ],
    )
    .await?;
    let key = PortalLinkKey(key.unwrap_or_default());
    let made = one(conn, tenant, key).await?.ok_or_else(|| Failure::Corrupt(format!("{key} is gone")))?;
    audit::write(conn, Some(tenant), by, &Change::portal_link_created(&made)).await?;
    Ok(made)
}

async fn revoke(
    conn: &Connection,
    tenant: TenantKey,
    key: PortalLinkKey,
    by: &By,
) -> Result<Option<PortalLink>, Failure> {
    let sql = "UPDATE portal_links SET revoked_at = $3 WHERE key = $1 AND tenant = $2 AND revoked_at IS NULL";
    if sql::run(conn, sql, &[&key.0, &tenant.0, &micros(by.at)]).await? == 0 {
        return one(conn, tenant, key).await;
    }
    sql::run(conn, "DELETE FROM portal_sessions WHERE link = $1", &[&key.0]).await?;
    let revoked = one(conn, tenant, key).await?;
    if let Some(revoked) = &revoked {
        audit::write(conn, Some(tenant), by, &Change::portal_link_revoked(revoked)).await?;
    }
    Ok(revoked)
}

async fn open(
    conn: &Connection,
    (token, session): (&[u8], &[u8]),
    address: Option<IpAddr>,
    now: Timestamp,
) -> Result<Option<PortalLink>, Failure> {
    // Held, so that it can't be revoked meanwhile and leave this session behind.
    let sql = select!("WHERE token_digest = $1 FOR NO KEY UPDATE");
    let found = sql::one(conn, sql, &[&token], read).await?;
    let Some(link) = found.filter(|link| link.is_open(now)) else { return Ok(None) };
    sql::run(
        conn,
        "INSERT INTO portal_sessions (digest, link, created_at, expires_at) VALUES ($1, $2, $3, $4)",
        &[&session, &link.key.0, &micros(now), &micros(link.expires_at)],
    )
    .await?;
    let older = "DELETE FROM portal_sessions WHERE link = $1 AND key <= (
        SELECT key FROM portal_sessions WHERE link = $1 ORDER BY key DESC LIMIT 1 OFFSET $2)";
    sql::run(conn, older, &[&link.key.0, &SESSIONS]).await?;
    let actor = Actor::PortalLink { key: link.key, name: link.name.clone() };
    let by = By { actor, address, at: now };
    audit::write(conn, Some(link.tenant), &by, &Change::portal_link_opened(&link)).await?;
    Ok(Some(link))
}

#[async_trait]
impl PortalStore for PostgresStore {
    async fn create_portal_link(&self, tenant: TenantKey, link: NewPortalLink, by: By) -> Result<PortalLink> {
        writing!(&self.pool, |conn| create(conn, tenant, &link, &by))
    }

    async fn portal_link(&self, tenant: TenantKey, link: PortalLinkKey) -> Result<Option<PortalLink>> {
        asking!(self.pool, |conn| one(conn, tenant, link))
    }

    async fn list_portal_links(&self, tenant: TenantKey, page: Page) -> Result<Listed<PortalLink>> {
        asking!(self.pool, |conn| list(conn, tenant, page))
    }

    async fn revoke_portal_link(
        &self,
        tenant: TenantKey,
        link: PortalLinkKey,
        by: By,
    ) -> Result<Option<PortalLink>> {
        writing!(&self.pool, |conn| revoke(conn, tenant, link, &by))
    }

    async fn open_portal_link(
        &self,
        token_digest: [u8; 32],
        session_digest: [u8; 32],
        address: Option<IpAddr>,
        now: Timestamp,
    ) -> Result<Option<PortalLink>> {
        let digests = (token_digest.as_slice(), session_digest.as_slice());
        writing!(&self.pool, |conn| open(conn, digests, address, now))
    }

    async fn portal_session(&self, session_digest: [u8; 32], now: Timestamp) -> Result<Option<PortalLink>> {
        let sql =
            select!("JOIN portal_sessions ON portal_sessions.link = portal_links.key WHERE digest = $1");
        let found = asking!(self.pool, |conn| sql::one(conn, sql, &[&session_digest.as_slice()], read))?;
        Ok(found.filter(|link| link.is_open(now)))
    }

    async fn end_portal_session(&self, session_digest: [u8; 32]) -> Result<()> {
        let sql = "DELETE FROM portal_sessions WHERE digest = $1";
        asking!(self.pool, |conn| sql::run(conn, sql, &[&session_digest.as_slice()])).map(drop)
    }

    async fn prune_portal(&self, now: Timestamp, links_before: Timestamp, limit: usize) -> Result<Cleared> {
        // Several nodes may do this at the same time.
        let sessions = "DELETE FROM portal_sessions WHERE key = ANY(ARRAY(
            SELECT key FROM portal_sessions WHERE expires_at <= $1 LIMIT $2 FOR UPDATE SKIP LOCKED))";
        let links = "DELETE FROM portal_links WHERE key = ANY(ARRAY(
            SELECT key FROM portal_links WHERE expires_at <= $1 LIMIT $2 FOR UPDATE SKIP LOCKED))";
        let most = count(limit);
        let (now, links_before) = (micros(now), micros(links_before));
        let mut gone = vec![
            asking!(self.pool, |conn| sql::run(conn, sessions, &[&now, &most]))?,
            asking!(self.pool, |conn| sql::run(conn, links, &[&links_before, &most]))?,
        ];
        for ended in operator::ENDED {
            gone.push(asking!(self.pool, |conn| sql::run(conn, ended, &[&now, &most]))?);
        }
        let most = u64::try_from(limit).unwrap_or(u64::MAX);
        let rows = usize::try_from(gone.iter().sum::<u64>()).unwrap_or(usize::MAX);
        Ok(Cleared { rows, more: gone.iter().any(|rows| *rows >= most) })
    }
}
