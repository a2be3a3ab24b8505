//! Collects what is asked for at the same time into one transaction of a few
//! round trips, a few of them at a time.
//!
//! What is recorded and what is delivered have tasks of their own, so that neither
//! waits for the other. While all tasks of a kind are busy, what is asked for
//! gathers, and the first that is free takes all of it.

use std::collections::HashSet;
use std::sync::Arc;

use callboard_domain::clock::Timestamp;
use callboard_domain::delivery::Attempt;
use callboard_domain::id::{DeliveryKey, WebhookKey};
use callboard_domain::measures::StoreMeasures;
use callboard_domain::store::{ClaimRequest, LaneClaim, StoreError};
use deadpool_postgres::Pool;
use parking_lot::Mutex;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::task::JoinHandle;

use super::attempts::{self, Finishing};
use super::claims::{self, Claiming, Releasing};
use super::events::{self, Recording};
use super::failure::{Failure, closed};
use super::nodes::Node;
use super::partitions::{self, Room};
use super::patience::{ANSWERED, within};
use super::signals::Recorded;
use super::sql::Connection;
use super::stats;
use super::transaction::{Runs, Transaction};
use crate::rows::counts::Counted;

/// Most commands of one transaction, and most that wait.
const GROUP: usize = 512;

/// Rows after which a transaction takes no further command, so that nobody
/// waits long for a place in the next.
const GROUP_ROWS: usize = 4_096;

/// How often a batch is run whose process or room had to be made anew.
const REPAIRS: u32 = 3;

/// What is asked for.
enum Work {
    Record(Recording),
    Finish(Finishing),
    Release(Releasing),
    Claim(Claiming),
}

/// What came of it.
enum Answer {
    Recorded(Result<Vec<callboard_domain::store::Recorded>, usize>),
    Finished(Vec<WebhookKey>),
    Released,
    Claimed(Vec<LaneClaim>),
}

struct Command {
    work: Work,
    reply: oneshot::Sender<Result<Answer, StoreError>>,
    _place: OwnedSemaphorePermit,
}

impl Work {
    fn rows(&self) -> usize {
        match self {
            Self::Record(recording) => recording.events.iter().map(|new| 1 + new.deliveries.len()).sum(),
            Self::Finish(finishing) => 2 * finishing.attempts.len(),
            Self::Release(releasing) => releasing.deliveries.len(),
            Self::Claim(claiming) => claiming.lanes.iter().map(|lane| lane.limit).sum(),
        }
    }
}

/// The way to the tasks that run batches.
pub(super) struct Batches {
    publishing: Queue,
    delivering: Queue,
}

struct Queue {
    sender: Mutex<Option<UnboundedSender<Command>>>,
    room: Arc<Semaphore>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

/// What batches run on.
#[derive(Clone)]
pub(super) struct Ground {
    pub(super) pool: Pool,
    pub(super) node: Arc<Node>,
    pub(super) room: Arc<Room>,
    pub(super) recorded: Arc<Recorded>,
    pub(super) measures: Arc<StoreMeasures>,
}

impl Batches {
    /// Starts the tasks, so many of each kind.
    pub(super) fn start(ground: &Ground, batches: usize) -> Self {
        let batches = batches.max(1);
        Self {
            publishing: Queue::start(ground, 0, batches),
            delivering: Queue::start(ground, batches, batches),
        }
    }

    pub(super) async fn record(
        &self,
        recording: Recording,
    ) -> Result<Result<Vec<callboard_domain::store::Recorded>, usize>, StoreError> {
        match self.publishing.ask(Work::Record(recording)).await? {
            Answer::Recorded(recorded) => Ok(recorded),
            _ => Err(mixed_up()),
        }
    }

    pub(super) async fn claim(
        &self,
        lanes: Vec<ClaimRequest>,
        now: Timestamp,
        max_bytes: usize,
    ) -> Result<Vec<LaneClaim>, StoreError> {
        match self.delivering.ask(Work::Claim(Claiming { lanes, now, max_bytes })).await? {
            Answer::Claimed(claims) => Ok(claims),
            _ => Err(mixed_up()),
        }
    }

    pub(super) async fn finish(
        &self,
        attempts: Arc<Vec<Attempt>>,
        details: Vec<Option<String>>,
        now: Timestamp,
    ) -> Result<Vec<WebhookKey>, StoreError> {
        match self.delivering.ask(Work::Finish(Finishing { attempts, details, now })).await? {
            Answer::Finished(due) => Ok(due),
            _ => Err(mixed_up()),
        }
    }

    pub(super) async fn release(
        &self,
        deliveries: Vec<DeliveryKey>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.delivering.ask(Work::Release(Releasing { deliveries, now })).await.map(drop)
    }

    /// Takes nothing further, and waits for what is under way.
    pub(super) async fn stop(&self) {
        self.publishing.stop().await;
        self.delivering.stop().await;
    }
}

fn mixed_up() -> StoreError {
    StoreError::Corrupt("the answer to another question".to_owned())
}

impl Queue {
    fn start(ground: &Ground, first_shard: usize, tasks: usize) -> Self {
        let (sender, commands) = mpsc::unbounded_channel();
        let commands = Arc::new(tokio::sync::Mutex::new(commands));
        let tasks = (first_shard..first_shard + tasks).map(|shard| {
            let shard = i32::try_from(shard).unwrap_or_default();
            let worker = Worker { ground: ground.clone(), shard, commands: Arc::clone(&commands) };
            tokio::spawn(worker.run())
        });
        Self {
            tasks: Mutex::new(tasks.collect()),
            sender: Mutex::new(Some(sender)),
            room: Arc::new(Semaphore::new(GROUP)),
        }
    }

    async fn ask(&self, work: Work) -> Result<Answer, StoreError> {
        let place = Arc::clone(&self.room).acquire_owned().await.map_err(|_| closed())?;
        let (reply, answer) = oneshot::channel();
        // The channel itself has no bound, so sending never blocks; the semaphore
        // bounds it.
        let sent =
            self.sender.lock().as_ref().map(|sender| sender.send(Command { work, reply, _place: place }));
        match sent {
            Some(Ok(())) => answer.await.map_err(|_| StoreError::from(closed()))?,
            _ => Err(closed().into()),
        }
    }

    async fn stop(&self) {
        self.room.close();
        drop(self.sender.lock().take());
        let tasks = std::mem::take(&mut *self.tasks.lock());
        for task in tasks {
            if task.await.is_err() {
                tracing::error!("a task of the database has panicked");
            }
        }
    }
}

struct Worker {
    ground: Ground,
    /// Where it counts what happened.
    shard: i32,
    commands: Arc<tokio::sync::Mutex<UnboundedReceiver<Command>>>,
}

impl Worker {
    async fn run(self) {
        while let Some(group) = self.next().await {
            self.run_group(group).await;
        }
    }

    /// What waits, or the next that comes; `None` when nobody can ask any more.
    async fn next(&self) -> Option<Vec<Command>> {
        let mut commands = self.commands.lock().await;
        let first = commands.recv().await?;
        let mut rows = first.work.rows();
        let mut group = vec![first];
        while group.len() < GROUP && rows < GROUP_ROWS {
            let Ok(command) = commands.try_recv() else { break };
            rows += command.work.rows();
            group.push(command);
        }
        Some(group)
    }

    async fn run_group(&self, group: Vec<Command>) {
        let works: Vec<&Work> = group.iter().map(|command| &command.work).collect();
        match self.transaction(&works).await {
            Err(failure) if group.len() > 1 && !failure.concerns_everybody() => self.run_singly(group).await,
            outcome => answer(group, outcome.map_err(StoreError::from)),
        }
    }

    /// One of a group failed, and took the others with it: only the guilty one
    /// may notice.
    async fn run_singly(&self, group: Vec<Command>) {
        let mut commands = group.into_iter();
        while let Some(command) = commands.next() {
            let outcome = self.transaction(&[&command.work]).await;
            let hopeless = outcome.as_ref().is_err_and(Failure::concerns_everybody);
            let outcome = outcome.map_err(StoreError::from);
            let shared = outcome.as_ref().err().cloned();
            answer(vec![command], outcome);
            if let Some(error) = shared.filter(|_| hopeless) {
                return answer(commands.collect(), Err(error));
            }
        }
    }

    /// Runs a batch, and measures it.
    async fn transaction(&self, works: &[&Work]) -> Result<Vec<Answer>, Failure> {
        let began = self.ground.measures.begin();
        let outcome = self.insist(works).await;
        self.ground.measures.ended(began, works.len(), outcome.is_ok());
        outcome
    }

    /// Runs a batch, again where others got in its way, or where this process has
    /// to become a node again or to make room first.
    async fn insist(&self, works: &[&Work]) -> Result<Vec<Answer>, Failure> {
        let (mut runs, mut repairs) = (Runs::default(), 0);
        loop {
            let node = self.ground.node.key();
            let transaction = Transaction::begin(&self.ground.pool).await?;
            let outcome = match transaction.connection() {
                Ok(conn) => within(ANSWERED, self.batch(conn, node, works)).await,
                Err(failure) => Err(failure),
            };
            match transaction.end(outcome).await {
                Err(Failure::LeaseLost) if repairs < REPAIRS => self.ground.node.enter_anew(node).await?,
                Err(Failure::NoPartition) if repairs < REPAIRS => {
                    let rows = works.iter().map(|work| crate::rows::count(work.rows())).sum();
                    partitions::make_ahead(&self.ground.pool, &self.ground.room, (rows, rows)).await?;
                }
                Err(failure) if runs.again(&failure) => continue,
                Err(failure @ Failure::InDoubt(_)) => {
                    // What it leased may be leased, and nobody here holds it.
                    self.ground.node.doubt(node);
                    return Err(failure);
                }
                outcome => {
                    if outcome.is_ok() {
                        self.tell(works);
                    }
                    return outcome;
                }
            }
            repairs += 1;
        }
    }

    /// Others may be waiting for new events.
    fn tell(&self, works: &[&Work]) {
        let tenants: HashSet<i64> = works
            .iter()
            .filter_map(|work| match work {
                Work::Record(recording) => Some(recording.tenant.0),
                _ => None,
            })
            .collect();
        if !tenants.is_empty() {
            self.ground.recorded.note(tenants);
        }
        let is_due = |work: &&Work| match work {
            Work::Record(recording) => {
                recording.events.iter().any(|new| new.deliveries.iter().any(|delivery| !delivery.leased))
            }
            Work::Release(releasing) => !releasing.deliveries.is_empty(),
            Work::Finish(_) | Work::Claim(_) => false,
        };
        if works.iter().any(is_due) {
            self.ground.recorded.note_due();
        }
    }

    /// What was finished goes first, because it holds chains; what is claimed last,
    /// because it waits for nobody.
    async fn batch(&self, conn: &Connection, node: i64, works: &[&Work]) -> Result<Vec<Answer>, Failure> {
        let recordings: Vec<&Recording> = works
            .iter()
            .filter_map(|work| if let Work::Record(one) = work { Some(one) } else { None })
            .collect();
        let finishings: Vec<&Finishing> = works
            .iter()
            .filter_map(|work| if let Work::Finish(one) = work { Some(one) } else { None })
            .collect();
        let releasings: Vec<&Releasing> = works
            .iter()
            .filter_map(|work| if let Work::Release(one) = work { Some(one) } else { None })
            .collect();
        let mut counted = Counted::default();
        let mut recorded = if recordings.is_empty() {
            Vec::new()
        } else {
            events::record(conn, (node, &self.ground.room), &recordings).await?
        }
        .into_iter();
        let mut finished = if finishings.is_empty() {
            Vec::new()
        } else {
            attempts::finish(conn, &finishings, &mut counted).await?
        }
        .into_iter();
        claims::release(conn, node, &releasings).await?;
        let mut answers = Vec::with_capacity(works.len());
        for work in works {
            answers.push(match work {
                Work::Record(_) => recorded.next().map(Answer::Recorded),
                Work::Finish(_) => finished.next().map(Answer::Finished),
                Work::Release(_) => Some(Answer::Released),
                Work::Claim(claiming) => Some(Answer::Claimed(claims::claim(conn, node, claiming).await?)),
            });
        }
        stats::add(conn, self.shard, &counted).await?;
        let missing = || Failure::Corrupt("a batch answered too little".to_owned());
        answers.into_iter().collect::<Option<Vec<Answer>>>().ok_or_else(missing)
    }
}

/// Answers each command. Whoever asked may have stopped waiting; the write stands
/// all the same.
fn answer(group: Vec<Command>, outcome: Result<Vec<Answer>, StoreError>) {
    match outcome {
        Ok(answers) => {
            for (command, answer) in group.into_iter().zip(answers) {
                let _ = command.reply.send(Ok(answer));
            }
        }
        Err(error) => {
            for command in group {
                let _ = command.reply.send(Err(error.clone()));
            }
        }
    }
}
