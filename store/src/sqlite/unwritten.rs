//! Deliveries that went into a lane as they were recorded, and have no row in
//! `pending` yet. Most are over within milliseconds and never get one, which is a
//! good part of what a delivery would cost.
//!
//! Of such a delivery the database holds its event, which names its webhook, and no
//! attempt: that is how it is found again after a crash. The mark `written` names
//! the last event up to which every delivery has a row or is over, so that only a
//! few have to be looked at. Whoever else wants to know what is pending has the rows
//! written first: the writer before its other commands, readers by asking it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use callboard_domain::id::WebhookKey;
use foldhash::fast::RandomState;
use rusqlite::{CachedStatement, Connection};

use super::attempts::first_key;
use super::failure::Failure;
use super::sql;
use crate::rows::LEASED;
use crate::rows::packed::unpack;

/// Events and deliveries after which those that are left of the older half get their
/// rows. More of them would leave more to be looked at after a crash; with fewer, what
/// only waits for its turn in full lanes would be written too.
const MANY: usize = 65_536;

/// What a row of `pending` says of a delivery whose first attempt is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lease {
    pub(super) event: i64,
    pub(super) webhook: WebhookKey,
}

/// Leases by delivery.
type Leases = HashMap<i64, Lease, RandomState>;

/// How to undo a change, when its transaction fails.
#[derive(Debug)]
enum Change {
    Added(i64),
    Removed(i64, Lease),
    WrittenAll(Leases),
}

/// How much was recorded behind the mark.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Recorded {
    /// Events and deliveries.
    count: usize,
    /// The last event of the older half, and how many of them it has.
    half: Option<(i64, usize)>,
}

/// The leases that are not written down.
#[derive(Debug, Default)]
pub(super) struct Unwritten {
    leases: Leases,
    /// What was recorded behind the mark.
    recorded: Recorded,
    recorded_before: Recorded,
    changes: Vec<Change>,
    /// How many there are, for those who only read.
    count: Arc<AtomicUsize>,
}

impl Unwritten {
    /// Starts a transaction.
    pub(super) fn begin(&mut self) {
        self.changes.clear();
        self.recorded_before = self.recorded;
    }

    /// The transaction is durable: what it left unwritten is there to be asked for.
    pub(super) fn commit(&mut self) {
        self.changes.clear();
        self.count.store(self.leases.len(), Ordering::Release);
    }

    /// Forgets a transaction that failed.
    pub(super) fn roll_back(&mut self) {
        self.recorded = self.recorded_before;
        while let Some(change) = self.changes.pop() {
            match change {
                Change::Added(delivery) => drop(self.leases.remove(&delivery)),
                Change::Removed(delivery, lease) => drop(self.leases.insert(delivery, lease)),
                Change::WrittenAll(leases) => self.leases = leases,
            }
        }
    }

    /// After [`recover`]: every lease has its row.
    pub(super) fn all_written(self) -> Self {
        self.count.store(0, Ordering::Release);
        Self { count: self.count, ..Self::default() }
    }

    /// How many there are, as of the last commit.
    pub(super) fn count(&self) -> Arc<AtomicUsize> {
        Arc::clone(&self.count)
    }

    /// An event was recorded with so many deliveries.
    pub(super) fn note_event(&mut self, event: i64, deliveries: usize) {
        self.recorded.count += 1 + deliveries;
        if self.recorded.half.is_none() && self.recorded.count >= MANY / 2 {
            self.recorded.half = Some((event, self.recorded.count));
        }
    }

    /// Leaves a delivery without a row that a lane holds already.
    pub(super) fn add(&mut self, delivery: i64, lease: Lease) {
        self.leases.insert(delivery, lease);
        self.changes.push(Change::Added(delivery));
    }

    /// Takes a delivery out, whose first attempt is over.
    pub(super) fn take(&mut self, delivery: i64) -> Option<Lease> {
        let lease = self.leases.remove(&delivery)?;
        self.changes.push(Change::Removed(delivery, lease));
        Some(lease)
    }

    /// Whether what is left of the older half should be written.
    pub(super) fn is_long(&self) -> bool {
        self.recorded.count >= MANY
    }

    /// Whether nothing was recorded since all leases were written.
    pub(super) fn is_settled(&self) -> bool {
        self.recorded.count == 0
    }

    /// Writes what is left of the older half. `last_event` is the last event there is.
    pub(super) fn write_older(&mut self, conn: &Connection, last_event: i64) -> Result<(), Failure> {
        let Some((event, count)) = self.recorded.half.take() else { return Ok(()) };
        let older = self.leases.iter().filter(|(_, lease)| lease.event <= event);
        let mut older: Vec<i64> = older.map(|(delivery, _)| *delivery).collect();
        // The table is kept in this order.
        older.sort_unstable();
        let mut insert = conn.prepare_cached(INSERT)?;
        for delivery in older {
            if let Some(lease) = self.take(delivery) {
                write(&mut insert, delivery, lease)?;
            }
        }
        self.recorded.count -= count;
        self.recorded.half = Some((last_event, self.recorded.count));
        set_mark(conn, event)
    }

    /// Writes all that is left. `last_event` is the last event there is.
    pub(super) fn write_all(&mut self, conn: &Connection, last_event: i64) -> Result<(), Failure> {
        if self.is_settled() {
            return Ok(());
        }
        let leases = std::mem::take(&mut self.leases);
        self.recorded = Recorded::default();
        let mut insert = conn.prepare_cached(INSERT)?;
        let mut sorted: Vec<(i64, Lease)> =
            leases.iter().map(|(delivery, lease)| (*delivery, *lease)).collect();
        sorted.sort_unstable_by_key(|(delivery, _)| *delivery);
        let written =
            sorted.into_iter().try_for_each(|(delivery, lease)| write(&mut insert, delivery, lease));
        self.changes.push(Change::WrittenAll(leases));
        written?;
        set_mark(conn, last_event)
    }

    /// Writes this one, if it is among them.
    pub(super) fn write_one(&mut self, conn: &Connection, delivery: i64) -> Result<(), Failure> {
        match self.take(delivery) {
            Some(lease) => write(&mut conn.prepare_cached(INSERT)?, delivery, lease),
            None => Ok(()),
        }
    }
}

const INSERT: &str = "INSERT INTO pending (delivery, event, webhook, due_at, attempts, tries, chain)
    VALUES (?1, ?2, ?3, ?4, 0, 0, 0)";

fn write(insert: &mut CachedStatement<'_>, delivery: i64, lease: Lease) -> Result<(), Failure> {
    insert.execute((delivery, lease.event, lease.webhook.0, LEASED))?;
    Ok(())
}

fn set_mark(conn: &Connection, last_event: i64) -> Result<(), Failure> {
    sql::run(conn, "UPDATE marks SET value = ?1 WHERE name = 'written'", [last_event]).map(drop)
}

/// Events that may have deliveries without rows.
const AFTER_MARK: &str = "SELECT key, first_delivery, accepted_at, webhooks FROM events
    WHERE key > (SELECT value FROM marks WHERE name = 'written') ORDER BY key";

/// Whether a delivery has a row, or an attempt.
const IS_KNOWN: &str = "SELECT EXISTS (SELECT 1 FROM pending WHERE delivery = ?1)
    OR EXISTS (SELECT 1 FROM attempts WHERE key >= ?2 AND key < ?3)";

/// A delivery that has neither a row nor an attempt.
struct Lost {
    delivery: i64,
    lease: Lease,
    accepted_at: i64,
}

/// The deliveries that have neither, and the last event there is behind the mark.
fn lost(conn: &Connection) -> Result<(Vec<Lost>, Option<i64>), Failure> {
    let events: Vec<(i64, i64, i64, Vec<u8>)> =
        sql::many(conn, AFTER_MARK, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?;
    let mut lost = Vec::new();
    for (event, first, accepted_at, webhooks) in &events {
        for (delivery, webhook) in (*first..).zip(unpack(webhooks)) {
            let range = (delivery, first_key(delivery), first_key(delivery + 1));
            if sql::value::<bool>(conn, IS_KNOWN, range)? != Some(true) {
                let lease = Lease { event: *event, webhook };
                lost.push(Lost { delivery, lease, accepted_at: *accepted_at });
            }
        }
    }
    Ok((lost, events.last().map(|(event, ..)| *event)))
}

/// Whether [`recover`] would write a row.
pub(super) fn needs_recovery(conn: &Connection) -> Result<bool, Failure> {
    Ok(!lost(conn)?.0.is_empty())
}

/// Writes the rows that a process left unwritten which is gone, or whose last
/// transaction may have failed: they are due since their event was accepted. Those
/// that `held` has are still under way.
pub(super) fn recover(conn: &Connection, held: &Unwritten) -> Result<(), Failure> {
    let (lost, last_event) = lost(conn)?;
    let mut insert = conn.prepare_cached(INSERT)?;
    for Lost { delivery, lease, accepted_at } in lost {
        let due_at = if held.leases.contains_key(&delivery) { LEASED } else { accepted_at };
        insert.execute((delivery, lease.event, lease.webhook.0, due_at))?;
    }
    last_event.map_or(Ok(()), |last_event| set_mark(conn, last_event))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::rows::packed::pack;
    use crate::sqlite::migrations;

    fn database() -> Connection {
        let mut conn = Connection::open_in_memory().expect("a database");
        migrations::migrate(&mut conn).expect("the schema");
        conn
    }

    /// An event at the time 1,000 times its key, with a delivery for each webhook.
    fn record(conn: &Connection, key: i64, first_delivery: i64, webhooks: &[i64]) {
        let packed = pack(webhooks.iter().map(|webhook| WebhookKey(*webhook))).expect("keys");
        conn.execute(
            "INSERT INTO events (key, tenant, id_key, accepted_at, first_delivery, id, type, subject, webhooks, body)
             VALUES (?1, 1, ?1, 1000 * ?1, ?2, ?1, 'order.paid', 'O', ?3, x'7b7d')",
            (key, first_delivery, packed),
        )
        .expect("an event");
    }

    /// Each delivery that is pending, with the time when it is due.
    fn pending(conn: &Connection) -> BTreeMap<i64, i64> {
        let rows =
            sql::many(conn, "SELECT delivery, due_at FROM pending", [], |row| Ok((row.get(0)?, row.get(1)?)));
        rows.expect("rows").into_iter().collect()
    }

    fn mark(conn: &Connection) -> i64 {
        let mark = sql::value(conn, "SELECT value FROM marks WHERE name = 'written'", []);
        mark.expect("a mark").expect("a value")
    }

    #[test]
    fn what_has_neither_a_row_nor_an_attempt_is_found_again() {
        let conn = database();
        record(&conn, 1, 1, &[7]);
        set_mark(&conn, 1).expect("a mark");
        record(&conn, 2, 2, &[7, 8, 9]);
        record(&conn, 3, 5, &[7]);
        conn.execute_batch(
            "INSERT INTO pending (delivery, event, webhook, due_at, attempts, tries) VALUES (2, 2, 7, 99, 1, 1);
             INSERT INTO attempts (key, event, webhook, started_at, duration_us, state)
             VALUES (3 * 1024 + 1, 2, 8, 1, 1, 2);",
        )
        .expect("rows");
        let mut held = Unwritten::default();
        held.add(5, Lease { event: 3, webhook: WebhookKey(7) });
        recover(&conn, &held).expect("recovered");
        assert_eq!(pending(&conn), BTreeMap::from([(2, 99), (4, 2_000), (5, LEASED)]));
        assert_eq!(mark(&conn), 3);
        recover(&conn, &Unwritten::default()).expect("nothing is left to do");
        assert_eq!(pending(&conn).len(), 3);
    }

    #[test]
    fn of_very_many_the_older_half_gets_rows_and_the_mark_follows() {
        let conn = database();
        let mut unwritten = Unwritten::default();
        let (mut event, mut halves) = (0, 0);
        while halves < 3 {
            event += 1;
            unwritten.begin();
            unwritten.note_event(event, 1);
            unwritten.add(event, Lease { event, webhook: WebhookKey(1) });
            if unwritten.is_long() {
                let before = unwritten.leases.len();
                unwritten.write_older(&conn, event).expect("rows");
                halves += 1;
                assert_eq!(mark(&conn), event - i64::try_from(unwritten.leases.len()).expect("a number"));
                assert!(unwritten.leases.values().all(|lease| lease.event > mark(&conn)));
                assert!((before / 3..=2 * before / 3).contains(&unwritten.leases.len()));
                assert!(!unwritten.is_long() && unwritten.recorded.half.is_some());
            }
            unwritten.commit();
        }
        assert_eq!(pending(&conn).len(), usize::try_from(mark(&conn)).expect("a number"));
    }

    #[derive(Debug, Clone)]
    enum Step {
        Record(usize),
        Finish(usize),
        WriteOlder,
        WriteAll,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (0..4_usize).prop_map(Step::Record),
            4 => (0..40_usize).prop_map(Step::Finish),
            1 => Just(Step::WriteOlder),
            1 => Just(Step::WriteAll),
        ]
    }

    fn take_step(conn: &Connection, unwritten: &mut Unwritten, next: &mut i64, step: &Step) {
        match step {
            Step::Record(deliveries) => {
                unwritten.note_event(*next, *deliveries);
                for _ in 0..*deliveries {
                    unwritten.add(*next, Lease { event: *next, webhook: WebhookKey(1) });
                    *next += 1;
                }
            }
            Step::Finish(back) => {
                unwritten.take(*next - i64::try_from(*back).expect("a small number"));
            }
            Step::WriteOlder => {
                // As if half of what there may be was recorded by now.
                unwritten.recorded.half = Some((*next / 2, unwritten.recorded.count / 2));
                unwritten.write_older(conn, *next).expect("rows");
            }
            Step::WriteAll => unwritten.write_all(conn, *next).expect("rows"),
        }
    }

    proptest! {
        #[test]
        fn a_transaction_that_failed_leaves_everything_as_it_was(
            before in prop::collection::vec(step(), 0..20),
            failed in prop::collection::vec(step(), 0..20),
        ) {
            let conn = database();
            let mut unwritten = Unwritten::default();
            let mut next = 1;
            unwritten.begin();
            for step in &before {
                take_step(&conn, &mut unwritten, &mut next, step);
            }
            unwritten.commit();
            let (leases, recorded, rows) = (unwritten.leases.clone(), unwritten.recorded, pending(&conn));
            prop_assert_eq!(unwritten.count().load(Ordering::Relaxed), leases.len());
            let transaction = conn.unchecked_transaction().expect("a transaction");
            unwritten.begin();
            for step in &failed {
                take_step(&conn, &mut unwritten, &mut next, step);
            }
            unwritten.roll_back();
            transaction.rollback().expect("a rollback");
            prop_assert_eq!(&unwritten.leases, &leases);
            prop_assert_eq!(unwritten.recorded, recorded);
            unwritten.begin();
            unwritten.write_all(&conn, next).expect("rows");
            prop_assert_eq!(pending(&conn).len(), rows.len() + leases.len());
        }
    }
}
