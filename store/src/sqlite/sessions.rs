//! The operator's sessions in browsers, and the links that start one.

use async_trait::async_trait;
use callboard_domain::audit::{By, Change};
use callboard_domain::clock::Timestamp;
use callboard_domain::store::{NewSession, Result, SessionStore};
use rusqlite::Connection;

use super::failure::Failure;
use super::ledger::Write;
use super::{SqliteStore, audit, sql};
use crate::rows::sessions::SESSIONS;
use crate::rows::{count, micros, timestamp_option};

fn create(conn: &Connection, session: &NewSession, by: &By) -> Result<(), Failure> {
    sql::run(
        conn,
        "INSERT INTO operator_sessions (digest, created_at, expires_at) VALUES (?1, ?2, ?3)",
        (session.digest, micros(by.at), micros(session.expires_at)),
    )?;
    let older = "DELETE FROM operator_sessions WHERE key <= (
        SELECT key FROM operator_sessions ORDER BY key DESC LIMIT 1 OFFSET ?1)";
    sql::run(conn, older, [SESSIONS])?;
    audit::write(conn, None, by, &Change::operator_signed_in(session.expires_at))
}

fn create_link(conn: &Connection, token: [u8; 32], expires_at: Timestamp, by: &By) -> Result<(), Failure> {
    let sql = "INSERT INTO sign_in_links (token_digest, expires_at) VALUES (?1, ?2)";
    sql::run(conn, sql, (token, micros(expires_at)))?;
    audit::write(conn, None, by, &Change::sign_in_link_created(expires_at))
}

fn open(conn: &Connection, token: [u8; 32], session: &NewSession, by: &By) -> Result<bool, Failure> {
    let spend = "DELETE FROM sign_in_links WHERE token_digest = ?1 AND expires_at > ?2";
    if sql::run(conn, spend, (token, micros(by.at)))? == 0 {
        return Ok(false);
    }
    create(conn, session, by)?;
    Ok(true)
}

/// Whether there is something for [`prune`] to delete.
pub(super) const ENDED: &str =
    "SELECT 1 WHERE EXISTS (SELECT 1 FROM operator_sessions WHERE expires_at <= ?1)
    OR EXISTS (SELECT 1 FROM sign_in_links WHERE expires_at <= ?1)";

/// Deletes sessions that have ended and links that have expired, at most `limit` of
/// each. Tells how many of each are gone.
pub(super) fn prune(conn: &Connection, now: i64, limit: usize) -> Result<[usize; 2], Failure> {
    let sessions = "DELETE FROM operator_sessions WHERE key IN (
        SELECT key FROM operator_sessions WHERE expires_at <= ?1 LIMIT ?2)";
    let links = "DELETE FROM sign_in_links WHERE key IN (
        SELECT key FROM sign_in_links WHERE expires_at <= ?1 LIMIT ?2)";
    let values = (now, count(limit));
    Ok([sql::run(conn, sessions, values)?, sql::run(conn, links, values)?])
}

#[async_trait]
impl SessionStore for SqliteStore {
    async fn create_operator_session(&self, session: NewSession, by: By) -> Result<()> {
        self.writer.run(3, move |write: &mut Write<'_>| create(write.conn, &session, &by)).await
    }

    async fn operator_session(&self, digest: [u8; 32], now: Timestamp) -> Result<Option<Timestamp>> {
        let sql = "SELECT expires_at FROM operator_sessions WHERE digest = ?1 AND expires_at > ?2";
        let read =
            move |conn: &Connection| Ok(timestamp_option(sql::value(conn, sql, (digest, micros(now)))?)?);
        self.readers.run(read).await
    }

    async fn end_operator_session(&self, digest: [u8; 32]) -> Result<()> {
        let sql = "DELETE FROM operator_sessions WHERE digest = ?1";
        let end = move |write: &mut Write<'_>| sql::run(write.conn, sql, [digest]).map(drop);
        self.writer.run(1, end).await
    }

    async fn create_sign_in_link(&self, token_digest: [u8; 32], expires_at: Timestamp, by: By) -> Result<()> {
        let create = move |write: &mut Write<'_>| create_link(write.conn, token_digest, expires_at, &by);
        self.writer.run(2, create).await
    }

    async fn open_sign_in_link(&self, token_digest: [u8; 32], session: NewSession, by: By) -> Result<bool> {
        let known = "SELECT 1 FROM sign_in_links WHERE token_digest = ?1";
        // Whoever guesses does not keep the writer busy.
        if self.readers.run(move |conn| sql::value::<i64>(conn, known, [token_digest])).await?.is_none() {
            return Ok(false);
        }
        let open = move |write: &mut Write<'_>| open(write.conn, token_digest, &session, &by);
        self.writer.run(4, open).await
    }
}
