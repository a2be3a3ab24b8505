//! Moves pages from the write-ahead log into the file, beside the writer, so
//! that no commit waits for it.

use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use rusqlite::Connection;

use super::failure::Failure;
use super::open::{self, ProcessLock};
use super::sql;

/// Pages in the log that are not in the file yet, at which the thread is
/// woken: 4 MiB.
const WAKE_PAGES: i64 = 1_024;

/// Pages in the log, at which the writer starts it anew: 64 MiB. Without that
/// the log would grow for as long as the load lasts, because it only starts
/// anew when all of it is in the file, and under load there is always a rest.
const RESTART_PAGES: i64 = 16_384;

/// How long starting the log anew may wait for readers.
const READERS: Duration = Duration::from_millis(50);

#[derive(Default)]
struct Signal {
    wanted: bool,
    stopped: bool,
}

/// Wakes the thread.
#[derive(Clone, Default)]
pub(super) struct WakeCheckpoints {
    signal: Arc<(Mutex<Signal>, Condvar)>,
}

impl WakeCheckpoints {
    fn wake(&self) {
        let (signal, changed) = &*self.signal;
        signal.lock().wanted = true;
        changed.notify_one();
    }

    /// Ends the thread once it has done what it is doing.
    pub(super) fn stop(&self) {
        let (signal, changed) = &*self.signal;
        signal.lock().stopped = true;
        changed.notify_one();
    }

    /// Waits to be woken; false means to end.
    fn wait(&self) -> bool {
        let (signal, changed) = &*self.signal;
        let mut signal = signal.lock();
        while !signal.wanted && !signal.stopped {
            changed.wait(&mut signal);
        }
        signal.wanted = false;
        !signal.stopped
    }
}

/// Starts the thread.
pub(super) fn start(
    path: PathBuf,
    lock: Arc<ProcessLock>,
    wake: WakeCheckpoints,
) -> std::io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name("store-checkpoint".to_owned()).spawn(move || {
        // This connection stays open between checkpoints on purpose: while it
        // is there, the writer can come and go without the log being read
        // anew, which might bring back a commit that was reported as failed.
        let mut conn = None;
        while wake.wait() {
            if let Err(failure) = passive(&path, &mut conn) {
                tracing::warn!(?failure, "the log could not be written back; it grows until that succeeds");
                conn = conn.filter(|_| !failure.spoils_connection());
            }
        }
        drop((conn, lock));
    })
}

fn passive(path: &std::path::Path, conn: &mut Option<Connection>) -> Result<(), Failure> {
    let conn = match conn {
        Some(conn) => conn,
        None => conn.insert(open::checkpointer(path)?),
    };
    checkpoint(conn, "PASSIVE").map(drop)
}

/// Pages in the log, and how many of them are in the file.
fn checkpoint(conn: &Connection, mode: &str) -> Result<(i64, i64), Failure> {
    let statement = format!("PRAGMA wal_checkpoint({mode})");
    let pages = sql::one(conn, &statement, [], |row| Ok((row.get(1)?, row.get(2)?)))?;
    Ok(pages.unwrap_or((0, 0)))
}

/// When the writer is to start the log anew: in pages of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Restart {
    /// When it tries next.
    at: i64,
    /// When it may next wait for readers.
    patient_at: i64,
}

impl Default for Restart {
    fn default() -> Self {
        Self { at: RESTART_PAGES, patient_at: RESTART_PAGES }
    }
}

/// To be called by the writer between transactions: wakes the thread when the
/// log has grown, and starts the log anew when it is long.
pub(super) fn tend(writer: &Connection, wake: &WakeCheckpoints, next: &mut Restart) {
    let Ok((pages, written_back)) = checkpoint(writer, "NOOP") else { return };
    if pages >= next.at {
        let patient = pages >= next.patient_at;
        if restart(writer, if patient { READERS } else { Duration::ZERO }).is_ok_and(|done| done) {
            *next = Restart::default();
            return;
        }
        // A reader stood in the way, and may for long, as a backup does. Each wait
        // holds up the commits behind it, so there are few.
        next.at = pages + WAKE_PAGES;
        if patient {
            next.patient_at = pages * 2;
        }
        return;
    }
    if pages - written_back >= WAKE_PAGES {
        wake.wake();
    }
    if pages < RESTART_PAGES {
        *next = Restart::default();
    }
}

/// Lets the next transaction start the log anew; false where a reader needs it.
fn restart(writer: &Connection, patience: Duration) -> Result<bool, Failure> {
    writer.busy_timeout(patience)?;
    let busy = sql::one(writer, "PRAGMA wal_checkpoint(RESTART)", [], |row| Ok(row.get::<_, i64>(0)?));
    writer.busy_timeout(open::BUSY)?;
    Ok(busy? == Some(0))
}

/// Writes all of the log back and empties it, when nobody else is there.
pub(super) fn finish(writer: &Connection) {
    if let Err(failure) = checkpoint(writer, "TRUNCATE") {
        // Nothing is lost: the log is read when the database is next opened.
        tracing::warn!(?failure, "the log could not be written back while closing");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes so many pages into the log, and tends it as the writer does.
    fn write(writer: &Connection, pages: i64, next: &mut Restart) -> i64 {
        writer.execute("INSERT INTO filling VALUES (zeroblob(?1))", [pages * 4_096]).expect("written");
        let (pages, _) = checkpoint(writer, "NOOP").expect("a length");
        tend(writer, &WakeCheckpoints::default(), next);
        pages
    }

    #[test]
    fn a_reader_that_stays_is_waited_for_seldom_and_the_log_starts_anew_after_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("callboard.db");
        let writer = Connection::open(&path).expect("a database");
        let settings = "PRAGMA page_size = 4096; PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF;
            PRAGMA wal_autocheckpoint = 0; CREATE TABLE filling (bytes BLOB)";
        writer.execute_batch(settings).expect("a table");
        let reader = Connection::open(&path).expect("the same database");
        let count = |conn: &Connection| -> i64 {
            conn.query_row("SELECT count(*) FROM filling", [], |row| row.get(0)).expect("a count")
        };
        reader.execute_batch("BEGIN").expect("a snapshot");
        assert_eq!(count(&reader), 0);

        let mut next = Restart::default();
        let pages = write(&writer, RESTART_PAGES, &mut next);
        let waited = (next.at, next.patient_at);
        assert_eq!(waited, (pages + WAKE_PAGES, pages * 2), "it has waited, and the reader stayed");
        write(&writer, 10, &mut next);
        assert_eq!((next.at, next.patient_at), waited, "not with every transaction");
        let mut last = 0;
        for _ in 0..3 {
            last = write(&writer, WAKE_PAGES, &mut next);
            assert_eq!(
                (next.at, next.patient_at),
                (last + WAKE_PAGES, waited.1),
                "it tries, and does not wait"
            );
        }
        let pages = write(&writer, waited.1 - last, &mut next);
        assert_eq!(
            (next.at, next.patient_at),
            (pages + WAKE_PAGES, pages * 2),
            "twice as long, it waits again"
        );

        assert_eq!(count(&reader), 0, "the reader's snapshot is whole");
        reader.execute_batch("COMMIT").expect("its end");
        let before = write(&writer, WAKE_PAGES, &mut next);
        assert_eq!((next.at, next.patient_at), (RESTART_PAGES, RESTART_PAGES));
        let after = write(&writer, 10, &mut next);
        assert!(after < 100 && before > 2 * RESTART_PAGES, "{before} pages, and {after} after it");
        assert_eq!(count(&reader), 8);
        let patience: u32 = writer.query_row("PRAGMA busy_timeout", [], |row| row.get(0)).expect("a time");
        assert_eq!(Duration::from_millis(patience.into()), open::BUSY, "other waits are as long as before");
    }
}
