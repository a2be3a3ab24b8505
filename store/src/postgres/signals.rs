//! Hears what other processes did, and tells them what this one did.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use callboard_domain::id::{TenantKey, WebhookKey};
use callboard_domain::store::Signal;
use deadpool_postgres::Pool;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::sync::mpsc::{self, UnboundedReceiver};
use tokio::task::JoinHandle;
use tokio_postgres::{AsyncMessage, Client, Notification};

use super::failure::Failure;
use super::nodes::Node;
use super::open::Target;
use super::patience::{ANSWERED, CONNECTED, within};
use super::sql::{self, Connection};
use super::transaction::telling;

/// How often it is tried whether the connection that listens still lives, and how
/// long that may take. One that was cut says nothing by itself.
const TRIED: Duration = Duration::from_secs(3);

/// Most signals that wait to be looked at; more say only that there were some.
const MOST: usize = 1_024;

/// How long to wait before listening again.
const PAUSE: Duration = Duration::from_secs(1);

/// How long new events are collected before others are told of them.
const COLLECTED: Duration = Duration::from_millis(100);

/// Signals that wait to be looked at.
#[derive(Clone, Default)]
pub(super) struct Heard(Arc<(Mutex<Vec<Signal>>, Notify)>);

impl Heard {
    pub(super) fn push(&self, signal: Signal) {
        let (waiting, wake) = &*self.0;
        let mut waiting = waiting.lock();
        if waiting.len() >= MOST {
            waiting.clear();
            waiting.push(Signal::MissedSome);
        }
        if !waiting.contains(&signal) {
            waiting.push(signal);
        }
        wake.notify_one();
    }

    /// Waits for the next signals.
    pub(super) async fn next(&self) -> Vec<Signal> {
        let (waiting, wake) = &*self.0;
        loop {
            let heard = std::mem::take(&mut *waiting.lock());
            if !heard.is_empty() {
                return heard;
            }
            wake.notified().await;
        }
    }
}

/// Who listens and who tells.
pub(super) struct Signals {
    heard: Heard,
    recorded: Arc<Recorded>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

/// Tenants with events that others were not told of yet.
#[derive(Default)]
pub(super) struct Recorded {
    tenants: Mutex<BTreeSet<i64>>,
    /// Something is due that nobody holds.
    due: AtomicBool,
    wake: Notify,
}

impl Recorded {
    pub(super) fn note(&self, tenants: impl IntoIterator<Item = i64>) {
        self.tenants.lock().extend(tenants);
        self.wake.notify_one();
    }

    pub(super) fn note_due(&self) {
        self.due.store(true, Ordering::Relaxed);
        self.wake.notify_one();
    }
}

/// Whose signals to hear: those of another process, about this schema.
#[derive(Clone)]
pub(super) struct Ears {
    pub(super) process: String,
    pub(super) schema: String,
}

impl Signals {
    /// Starts to listen. What happens from now on is heard.
    pub(super) async fn start(target: Target, ears: Ears) -> Result<Self, Failure> {
        let heard = Heard::default();
        let listening = listen(&target).await?;
        let task = tokio::spawn(hear(target, ears, listening, heard.clone()));
        Ok(Self { heard, recorded: Arc::default(), tasks: Mutex::new(vec![task]) })
    }

    /// Tells others of new events from now on, while there are others.
    pub(super) fn tell_of_events(&self, pool: &Pool, node: &Arc<Node>) {
        let task = tell(pool.clone(), Arc::clone(node), Arc::clone(&self.recorded));
        self.tasks.lock().push(tokio::spawn(task));
    }

    pub(super) const fn heard(&self) -> &Heard {
        &self.heard
    }

    pub(super) const fn recorded(&self) -> &Arc<Recorded> {
        &self.recorded
    }

    pub(super) fn stop(&self) {
        for task in self.tasks.lock().drain(..) {
            task.abort();
        }
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A connection that listens for as long as its client lives.
type Listening = (Client, UnboundedReceiver<Notification>);

async fn listen(target: &Target) -> Result<Listening, Failure> {
    within(CONNECTED, start_to_listen(target)).await
}

async fn start_to_listen(target: &Target) -> Result<Listening, Failure> {
    let (client, mut connection) = target.config.connect(target.tls.clone()).await?;
    let (sender, notifications) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        // It ends with the connection, and with who listens: one that is silent
        // would not end by itself.
        loop {
            let message = tokio::select! {
                biased;
                () = sender.closed() => return,
                message = std::future::poll_fn(|context| connection.poll_message(context)) => message,
            };
            match message {
                Some(Ok(AsyncMessage::Notification(notification))) => drop(sender.send(notification)),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return,
            }
        }
    });
    client.batch_execute("LISTEN callboard").await?;
    Ok((client, notifications))
}

async fn hear(target: Target, ears: Ears, listening: Listening, heard: Heard) {
    let (mut client, mut notifications) = listening;
    loop {
        while let Some(payload) = next_payload(&client, &mut notifications).await {
            if let Some(signal) = ears.understand(&payload) {
                heard.push(signal);
            }
        }
        tracing::warn!("the connection that hears of other processes was lost; it is made anew");
        loop {
            tokio::time::sleep(PAUSE).await;
            if let Ok(listening) = listen(&target).await {
                (client, notifications) = listening;
                break;
            }
        }
        heard.push(Signal::MissedSome);
    }
}

/// What is heard next; `None` when the connection is lost.
async fn next_payload(
    client: &Client,
    notifications: &mut UnboundedReceiver<Notification>,
) -> Option<String> {
    loop {
        match tokio::time::timeout(TRIED, notifications.recv()).await {
            Ok(notification) => return notification.map(|one| one.payload().to_owned()),
            Err(_) => tokio::time::timeout(TRIED, client.simple_query("")).await.ok()?.ok().map(drop)?,
        }
    }
}

impl Ears {
    /// What a payload says: the process, what happened, and the schema.
    fn understand(&self, payload: &str) -> Option<Signal> {
        let rest = payload.strip_suffix(&self.schema)?.strip_suffix(' ')?;
        let mut words = rest.split(' ');
        if words.next()? == self.process {
            return None;
        }
        let kind = words.next()?;
        let mut number = || words.next()?.parse().ok();
        match kind {
            "webhook" => {
                Some(Signal::WebhookChanged { tenant: TenantKey(number()?), webhook: WebhookKey(number()?) })
            }
            "events" => Some(Signal::EventsRecorded { tenant: TenantKey(number()?) }),
            "due" => Some(Signal::WorkDue),
            _ => None,
        }
    }
}

/// Tells the others, once this transaction is committed, that a webhook was
/// made, edited or deleted.
pub(super) async fn webhook_changed(
    conn: &Connection,
    tenant: TenantKey,
    webhook: WebhookKey,
) -> Result<(), Failure> {
    signal(conn, &format!("webhook {} {}", tenant.0, webhook.0)).await
}

/// Tells the others, once this transaction is committed, that something is due
/// that nobody holds.
pub(super) async fn work_due(conn: &Connection) -> Result<(), Failure> {
    signal(conn, "due").await
}

async fn signal(conn: &Connection, kind: &str) -> Result<(), Failure> {
    sql::run(conn, "SELECT signal($1)", &[&kind]).await.map(drop)
}

/// Tells the others of new events, apart from the transactions that record them:
/// the server lets those that signal commit one after the other.
async fn tell(pool: Pool, node: Arc<Node>, recorded: Arc<Recorded>) {
    loop {
        recorded.wake.notified().await;
        if !node.is_alone() {
            tokio::time::sleep(COLLECTED).await;
        }
        let tenants = std::mem::take(&mut *recorded.tenants.lock());
        let due = recorded.due.swap(false, Ordering::Relaxed);
        if node.is_alone() {
            continue;
        }
        let tenants: Vec<i64> = tenants.into_iter().collect();
        let sql = "SELECT signal('events ' || tenant) FROM unnest($1::bigint[]) AS tenant
            UNION ALL SELECT signal('due') WHERE $2";
        // Whoever does not hear of it looks again by itself, only later.
        let _ = telling!(pool, ANSWERED, |conn| sql::run(conn, sql, &[&tenants, &due]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_others_say_of_this_schema_is_heard() {
        let ears = Ears { process: "me".to_owned(), schema: "call board".to_owned() };
        let changed = Signal::WebhookChanged { tenant: TenantKey(3), webhook: WebhookKey(7) };
        assert_eq!(ears.understand("you webhook 3 7 call board"), Some(changed));
        assert_eq!(ears.understand("you due call board"), Some(Signal::WorkDue));
        assert_eq!(ears.understand("me due call board"), None);
        assert_eq!(ears.understand("you due public"), None);
        assert_eq!(ears.understand("you webhook x y call board"), None);
    }

    #[tokio::test]
    async fn too_many_signals_become_one() {
        let heard = Heard::default();
        for tenant in 0..2_000 {
            heard.push(Signal::EventsRecorded { tenant: TenantKey(tenant) });
        }
        let signals = heard.next().await;
        assert_eq!(signals[0], Signal::MissedSome);
        assert!(signals.len() <= MOST);
    }
}
