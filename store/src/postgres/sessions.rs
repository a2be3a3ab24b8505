//! The operator's sessions in browsers, and the links that start one.

use async_trait::async_trait;
use callboard_domain::audit::{By, Change};
use callboard_domain::clock::Timestamp;
use callboard_domain::store::{NewSession, Result, SessionStore};

use super::failure::Failure;
use super::sql::{self, Connection};
use super::transaction::{asking, writing};
use super::{PostgresStore, audit};
use crate::rows::sessions::SESSIONS;
use crate::rows::{micros, timestamp_option};

async fn create(conn: &Connection, session: &NewSession, by: &By) -> Result<(), Failure> {
    sql::run(
        conn,
        "INSERT INTO operator_sessions (digest, created_at, expires_at) VALUES ($1, $2, $3)",
        &[&session.digest.as_slice(), &micros(by.at), &micros(session.expires_at)],
    )
    .await?;
    let older = "DELETE FROM operator_sessions WHERE key <= (
        SELECT key FROM operator_sessions ORDER BY key DESC LIMIT 1 OFFSET $1)";
    sql::run(conn, older, &[&SESSIONS]).await?;
    audit::write(conn, None, by, &Change::operator_signed_in(session.expires_at)).await
}

async fn create_link(conn: &Connection, token: &[u8], expires_at: Timestamp, by: &By) -> Result<(), Failure> {
    let sql = "INSERT INTO sign_in_links (token_digest, expires_at) VALUES ($1, $2)";
    sql::run(conn, sql, &[&token, &micros(expires_at)]).await?;
    audit::write(conn, None, by, &Change::sign_in_link_created(expires_at)).await
}

async fn open(conn: &Connection, token: &[u8], session: &NewSession, by: &By) -> Result<bool, Failure> {
    // Another node that spends it at the same time waits here, and finds it gone.
    let spend = "DELETE FROM sign_in_links WHERE token_digest = $1 AND expires_at > $2";
    if sql::run(conn, spend, &[&token, &micros(by.at)]).await? == 0 {
        return Ok(false);
    }
    create(conn, session, by).await?;
    Ok(true)
}

/// Statements that delete sessions that have ended and links that have expired.
/// Several nodes may do this at the same time.
pub(super) const ENDED: [&str; 2] = [
    "DELETE FROM operator_sessions WHERE key = ANY(ARRAY(
         SELECT key FROM operator_sessions WHERE expires_at <= $1 LIMIT $2 FOR UPDATE SKIP LOCKED))",
    "DELETE FROM sign_in_links WHERE key = ANY(ARRAY(
         SELECT key FROM sign_in_links WHERE expires_at <= $1 LIMIT $2 FOR UPDATE SKIP LOCKED))",
];

#[async_trait]
impl SessionStore for PostgresStore {
    async fn create_operator_session(&self, session: NewSession, by: By) -> Result<()> {
        writing!(&self.pool, |conn| create(conn, &session, &by))
    }

    async fn operator_session(&self, digest: [u8; 32], now: Timestamp) -> Result<Option<Timestamp>> {
        let sql = "SELECT expires_at FROM operator_sessions WHERE digest = $1 AND expires_at > $2";
        let now = micros(now);
        let ends = asking!(self.pool, |conn| sql::value::<i64>(conn, sql, &[&digest.as_slice(), &now]))?;
        Ok(timestamp_option(ends).map_err(Failure::from)?)
    }

    async fn end_operator_session(&self, digest: [u8; 32]) -> Result<()> {
        let sql = "DELETE FROM operator_sessions WHERE digest = $1";
        asking!(self.pool, |conn| sql::run(conn, sql, &[&digest.as_slice()])).map(drop)
    }

    async fn create_sign_in_link(&self, token_digest: [u8; 32], expires_at: Timestamp, by: By) -> Result<()> {
        let token = token_digest.as_slice();
        writing!(&self.pool, |conn| create_link(conn, token, expires_at, &by))
    }

    async fn open_sign_in_link(&self, token_digest: [u8; 32], session: NewSession, by: By) -> Result<bool> {
        let token = token_digest.as_slice();
        writing!(&self.pool, |conn| open(conn, token, &session, &by))
    }
}
