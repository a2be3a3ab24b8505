//! The one thread that writes. It takes what waits, runs it in one
//! transaction, makes that durable with one fsync, and only then answers.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::Duration;

use callboard_domain::measures::StoreMeasures;
use callboard_domain::store::StoreError;
use parking_lot::Mutex;
use rusqlite::Connection;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::checkpoint::{self, Restart, WakeCheckpoints};
use super::failure::Failure;
use super::ledger::{Ledger, Write};
use super::open::{self, ProcessLock};
use super::{Options, log_index, unwritten};

/// Most commands of one transaction, and most that wait.
const GROUP: usize = 512;

/// Rows after which a transaction takes no further command, so that nobody
/// waits long for a place in the next.
const GROUP_ROWS: usize = 4_096;

/// How long nothing must be asked for before the logs are brought up to date.
const IDLE: Duration = Duration::from_secs(1);

/// One write, as the thread sees it. It may be run more than once: when a
/// transaction fails, its commands are run again one by one.
trait Command: Send {
    fn rows(&self) -> usize;
    /// Whether it knows of leases that have no row yet.
    fn knows_unwritten(&self) -> bool;
    fn run(&mut self, write: &mut Write<'_>) -> Result<(), Failure>;
    fn answer(self: Box<Self>, outcome: Result<(), StoreError>);
}

struct Task<W, T> {
    rows: usize,
    knows_unwritten: bool,
    work: W,
    result: Option<T>,
    reply: oneshot::Sender<Result<T, StoreError>>,
    _place: OwnedSemaphorePermit,
}

impl<W, T> Command for Task<W, T>
where
    W: FnMut(&mut Write<'_>) -> Result<T, Failure> + Send,
    T: Send,
{
    fn rows(&self) -> usize {
        self.rows
    }

    fn knows_unwritten(&self) -> bool {
        self.knows_unwritten
    }

    fn run(&mut self, write: &mut Write<'_>) -> Result<(), Failure> {
        self.result = Some((self.work)(write)?);
        Ok(())
    }

    fn answer(self: Box<Self>, outcome: Result<(), StoreError>) {
        let Self { result, reply, .. } = *self;
        let answer = outcome.and_then(|()| result.ok_or_else(closed));
        // Whoever asked may have stopped waiting; the write stands all the same.
        let _ = reply.send(answer);
    }
}

fn closed() -> StoreError {
    StoreError::Unavailable("it is closed".to_owned())
}

/// The way to the thread.
pub(super) struct Writer {
    queue: Mutex<Option<Sender<Box<dyn Command>>>>,
    room: Arc<Semaphore>,
    unwritten: Arc<AtomicUsize>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Writer {
    /// Starts the thread with a connection that is ready.
    pub(super) fn start(
        conn: Connection,
        ledger: Ledger,
        file: DatabaseFile,
        (checkpoints, measures): (WakeCheckpoints, Arc<StoreMeasures>),
    ) -> std::io::Result<Self> {
        let (queue, commands) = mpsc::channel();
        let unwritten = ledger.unwritten.count();
        let worker = Worker {
            conn: Some(conn),
            ledger,
            file,
            commands,
            checkpoints,
            measures,
            restart: Restart::default(),
            stalled: false,
            patience: IDLE,
        };
        let thread = std::thread::Builder::new().name("store-writer".to_owned()).spawn(|| worker.run())?;
        Ok(Self {
            queue: Mutex::new(Some(queue)),
            room: Arc::new(Semaphore::new(GROUP)),
            unwritten,
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Whether there are leases that have no row yet.
    pub(super) fn has_unwritten(&self) -> bool {
        self.unwritten.load(Ordering::Acquire) > 0
    }

    /// Runs `work` in a transaction, and returns once it is durable. `rows` is
    /// about how many rows it writes. Every lease has its row when it begins.
    pub(super) async fn run<T, W>(&self, rows: usize, work: W) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: FnMut(&mut Write<'_>) -> Result<T, Failure> + Send + 'static,
    {
        self.ask(rows, false, work).await
    }

    /// As [`Self::run`], for work that knows of leases that have no row.
    pub(super) async fn run_beside_unwritten<T, W>(&self, rows: usize, work: W) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: FnMut(&mut Write<'_>) -> Result<T, Failure> + Send + 'static,
    {
        self.ask(rows, true, work).await
    }

    async fn ask<T, W>(&self, rows: usize, knows_unwritten: bool, work: W) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: FnMut(&mut Write<'_>) -> Result<T, Failure> + Send + 'static,
    {
        let place = Arc::clone(&self.room).acquire_owned().await.map_err(|_| closed())?;
        let (reply, answer) = oneshot::channel();
        let task = Task { rows, knows_unwritten, work, result: None, reply, _place: place };
        // The channel itself has no bound, so sending never blocks; the
        // semaphore bounds it.
        self.queue.lock().as_ref().ok_or_else(closed)?.send(Box::new(task)).map_err(|_| closed())?;
        answer.await.map_err(|_| closed())?
    }

    /// Takes no further command, and gives the thread to be waited for.
    pub(super) fn stop(&self) -> Option<JoinHandle<()>> {
        self.room.close();
        drop(self.queue.lock().take());
        self.thread.lock().take()
    }
}

/// What the thread needs to open the file again.
pub(super) struct DatabaseFile {
    /// Where it is.
    pub(super) path: PathBuf,
    /// How it is used.
    pub(super) options: Options,
    /// Held for as long as the thread runs.
    pub(super) _lock: Arc<ProcessLock>,
}

struct Worker {
    conn: Option<Connection>,
    ledger: Ledger,
    file: DatabaseFile,
    commands: Receiver<Box<dyn Command>>,
    checkpoints: WakeCheckpoints,
    measures: Arc<StoreMeasures>,
    /// When the log is to be started anew.
    restart: Restart,
    /// Bringing the logs up to date has failed, and waits for an idle moment.
    stalled: bool,
    /// How long to wait for a command before bringing the logs up to date.
    patience: Duration,
}

enum Next {
    Group(Vec<Box<dyn Command>>),
    Idle,
    Closed,
}

impl Worker {
    fn run(mut self) {
        loop {
            match self.next() {
                Next::Group(group) => {
                    self.patience = IDLE;
                    self.run_group(group);
                    self.keep_up();
                }
                Next::Idle => {
                    self.stalled = false;
                    self.write_leases();
                    self.index();
                    self.patience = if self.stalled { IDLE } else { Duration::ZERO };
                }
                Next::Closed => {
                    self.write_leases();
                    break;
                }
            }
            self.tend_log();
        }
        if let Some(conn) = &self.conn {
            checkpoint::finish(conn);
        }
    }

    fn next(&self) -> Next {
        let first = if self.ledger.unindexed() > 0 || !self.ledger.unwritten.is_settled() {
            match self.commands.recv_timeout(self.patience) {
                Err(RecvTimeoutError::Timeout) => return Next::Idle,
                other => other.ok(),
            }
        } else {
            self.commands.recv().ok()
        };
        let Some(first) = first else { return Next::Closed };
        let mut rows = first.rows();
        let mut group = vec![first];
        while group.len() < GROUP && rows < GROUP_ROWS {
            let Ok(command) = self.commands.try_recv() else { break };
            rows += command.rows();
            group.push(command);
        }
        Next::Group(group)
    }

    fn run_group(&mut self, mut group: Vec<Box<dyn Command>>) {
        let (began, commands) = (self.measures.begin(), group.len());
        let outcome =
            self.transaction(|write| group.iter_mut().try_for_each(|command| run(&mut **command, write)));
        self.measures.ended(began, commands, outcome.is_ok());
        match outcome {
            Err(failure) if group.len() > 1 && !failure.concerns_everybody() => self.run_singly(group),
            outcome => answer(group, &outcome.map_err(StoreError::from)),
        }
    }

    /// One of a group failed, and took the others with it: only the guilty one
    /// may notice.
    fn run_singly(&mut self, group: Vec<Box<dyn Command>>) {
        let mut commands = group.into_iter();
        while let Some(mut command) = commands.next() {
            let began = self.measures.begin();
            let outcome = self.transaction(|write| run(&mut *command, write));
            self.measures.ended(began, 1, outcome.is_ok());
            let hopeless = outcome.as_ref().is_err_and(Failure::concerns_everybody);
            let outcome = outcome.map_err(StoreError::from);
            command.answer(outcome.clone());
            if hopeless {
                return answer(commands, &outcome);
            }
        }
    }

    /// Runs `work` durably, or leaves everything as it was.
    fn transaction(
        &mut self,
        work: impl FnOnce(&mut Write<'_>) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        if self.conn.is_none() {
            self.reopen()?;
        }
        let Some(conn) = &self.conn else { return Err(Failure::Corrupt("no connection".to_owned())) };
        let before = self.ledger.begin();
        let outcome = attempt(conn, &mut self.ledger, work);
        if outcome.is_ok() {
            self.ledger.unwritten.commit();
        }
        if let Err(failure) = &outcome {
            self.ledger.roll_back(before);
            let rolled_back = conn.is_autocommit() || conn.execute_batch("ROLLBACK").is_ok();
            if failure.spoils_connection() || !rolled_back {
                tracing::error!(?failure, "the database failed; it is opened anew for the next write");
                self.conn = None;
            }
        }
        outcome
    }

    fn reopen(&mut self) -> Result<(), Failure> {
        let max_bytes = self.ledger.max_bytes;
        let conn = open::writer(&self.file.path, max_bytes)?;
        let transaction = conn.unchecked_transaction()?;
        unwritten::recover(&transaction, &self.ledger.unwritten)?;
        transaction.commit()?;
        let loaded = Ledger::load(&conn, max_bytes)?;
        // Last, because readers look at the count that it has.
        let unwritten = std::mem::take(&mut self.ledger.unwritten).all_written();
        self.ledger = Ledger { unwritten, ..loaded };
        self.conn = Some(conn);
        Ok(())
    }

    /// Brings the logs up to date as far as readers rely on it.
    fn keep_up(&mut self) {
        while !self.stalled && self.ledger.unindexed() > self.file.options.max_unindexed_events {
            self.index();
        }
    }

    /// Writes the leases that have no row while there is nothing else to do.
    fn write_leases(&mut self) {
        // The method's name alone would not do: its lifetime is one and the same.
        let write_all = |write: &mut Write<'_>| write.write_leases();
        if !self.ledger.unwritten.is_settled()
            && let Err(failure) = self.transaction(write_all)
        {
            tracing::warn!(?failure, "leases could not be written; that is tried again");
            self.stalled = true;
        }
    }

    fn index(&mut self) {
        if let Err(failure) = self.transaction(log_index::advance) {
            tracing::warn!(?failure, "the logs could not be brought up to date; reading them takes longer");
            self.stalled = true;
        }
    }

    /// Has the log written back, and starts it anew when it is long.
    fn tend_log(&mut self) {
        let Some(conn) = &self.conn else { return };
        checkpoint::tend(conn, &self.checkpoints, &mut self.restart);
    }
}

fn attempt(
    conn: &Connection,
    ledger: &mut Ledger,
    work: impl FnOnce(&mut Write<'_>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    super::sql::run(conn, "BEGIN IMMEDIATE", [])?;
    let mut write = Write::new(conn, ledger);
    if write.ledger.unwritten.is_long() {
        write.write_older_leases()?;
    }
    work(&mut write)?;
    write.flush_stats()?;
    super::sql::run(conn, "COMMIT", [])?;
    Ok(())
}

fn run(command: &mut dyn Command, write: &mut Write<'_>) -> Result<(), Failure> {
    if !command.knows_unwritten() {
        write.write_leases()?;
    }
    command.run(write)
}

fn answer(group: impl IntoIterator<Item = Box<dyn Command>>, outcome: &Result<(), StoreError>) {
    for command in group {
        command.answer(outcome.clone());
    }
}
