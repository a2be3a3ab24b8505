//! Connections that only read, for the threads where blocking is allowed.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use callboard_domain::store::StoreError;
use parking_lot::Mutex;
use rusqlite::Connection;
use tokio::sync::Semaphore;

use super::failure::Failure;
use super::open;

/// Most reads at a time.
const READERS: u32 = 4;

/// A few connections, opened when they are first needed.
pub(super) struct Readers {
    path: PathBuf,
    idle: Arc<Mutex<Vec<Connection>>>,
    places: Arc<Semaphore>,
}

impl Readers {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, idle: Arc::default(), places: Arc::new(Semaphore::new(READERS as usize)) }
    }

    /// Where the database is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Runs `read` on one snapshot of the database.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, StoreError> {
        let closed = |_| StoreError::Unavailable("it is closed".to_owned());
        let place = Arc::clone(&self.places).acquire_owned().await.map_err(closed)?;
        let (path, idle) = (self.path.clone(), Arc::clone(&self.idle));
        let work = move || {
            let _place = place;
            let conn = idle.lock().pop();
            let conn = conn.map_or_else(|| open::reader(&path), Ok).map_err(Failure::from)?;
            let outcome = snapshot(&conn, read);
            if !outcome.as_ref().is_err_and(Failure::spoils_connection) {
                idle.lock().push(conn);
            }
            Ok(outcome?)
        };
        tokio::task::spawn_blocking(work)
            .await
            .map_err(|error| StoreError::Unavailable(format!("a read ended early: {error}")))?
    }

    /// Waits for the reads under way and closes the connections.
    pub(super) async fn close(&self) {
        if let Ok(places) = self.places.acquire_many(READERS).await {
            self.places.close();
            drop(places);
        }
        self.idle.lock().clear();
    }
}

fn snapshot<T>(
    conn: &Connection,
    read: impl FnOnce(&Connection) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let transaction = conn.unchecked_transaction()?;
    let value = read(&transaction)?;
    transaction.finish()?;
    Ok(value)
}
