//! What the writer keeps in memory: the next free keys, how far the logs are
//! written, and the counts that go to disk once a transaction.

use std::collections::HashMap;

use rusqlite::{CachedStatement, Connection};

use super::failure::Failure;
use super::unwritten::Unwritten;
use super::{sql, stats};
use crate::rows::counts::Counted;

/// Numbers that never run backwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Marks {
    /// Key of the next event.
    pub(super) next_event: i64,
    /// Key of the next delivery.
    pub(super) next_delivery: i64,
    /// When the last event was accepted, in microseconds.
    pub(super) accepted_at: i64,
    /// The last event that is in the logs.
    pub(super) indexed: i64,
}

/// The writer's memory.
#[derive(Debug)]
pub(super) struct Ledger {
    /// The numbers.
    pub(super) marks: Marks,
    /// Counts by webhook and hour, until the transaction's end.
    pub(super) stats: Counted,
    /// Whose the webhooks are that were counted for, as far as it is remembered.
    pub(super) tenants: HashMap<i64, i64>,
    /// The last webhook whose old counts were deleted.
    pub(super) pruned_stats_of: i64,
    /// The last quantity that was looked at: the tenant and the ticket.
    pub(super) looked_at_quantity: (i64, String),
    /// Leases that have no row yet.
    pub(super) unwritten: Unwritten,
    /// Most bytes of the file; a new connection has to be told.
    pub(super) max_bytes: Option<u64>,
}

impl Ledger {
    /// Reads the numbers from the database: the stored ones, or what the
    /// newest rows tell where those are ahead.
    pub(super) fn load(conn: &Connection, max_bytes: Option<u64>) -> Result<Self, Failure> {
        let mark = |name| {
            sql::value(conn, "SELECT value FROM marks WHERE name = ?1", [name])?
                .ok_or_else(|| Failure::Corrupt(format!("the mark {name:?} is missing")))
        };
        let mut marks = Marks {
            next_event: mark("next_event")?,
            next_delivery: mark("next_delivery")?,
            accepted_at: mark("accepted_at")?,
            indexed: mark("indexed")?,
        };
        let last = "SELECT key, first_delivery + length(webhooks) / 4, accepted_at
                    FROM events ORDER BY key DESC LIMIT 1";
        let last = sql::one(conn, last, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        if let Some((key, next_delivery, accepted_at)) = last {
            let key: i64 = key;
            marks.next_event = marks.next_event.max(key + 1);
            marks.next_delivery = marks.next_delivery.max(next_delivery);
            marks.accepted_at = marks.accepted_at.max(accepted_at);
        }
        Ok(Self {
            marks,
            stats: Counted::default(),
            tenants: HashMap::new(),
            pruned_stats_of: 0,
            looked_at_quantity: Default::default(),
            unwritten: Unwritten::default(),
            max_bytes,
        })
    }

    /// Starts a transaction; what is returned is for [`Self::roll_back`].
    pub(super) fn begin(&mut self) -> Marks {
        self.stats.clear();
        self.unwritten.begin();
        self.marks
    }

    /// Forgets a transaction that failed.
    pub(super) fn roll_back(&mut self, before: Marks) {
        self.stats.clear();
        self.unwritten.roll_back();
        self.marks = before;
    }

    /// How many events the logs are behind.
    pub(super) fn unindexed(&self) -> i64 {
        self.marks.next_event - 1 - self.marks.indexed
    }
}

/// A transaction under way.
pub(super) struct Write<'a> {
    /// Where to write.
    pub(super) conn: &'a Connection,
    /// The writer's memory; it is put back when the transaction fails.
    pub(super) ledger: &'a mut Ledger,
    /// What records an event, once one was: there are many in a transaction.
    pub(super) record_event: Option<CachedStatement<'a>>,
}

impl<'a> Write<'a> {
    /// One that begins.
    pub(super) const fn new(conn: &'a Connection, ledger: &'a mut Ledger) -> Self {
        Self { conn, ledger, record_event: None }
    }

    /// Writes the counts that were collected.
    pub(super) fn flush_stats(&mut self) -> Result<(), Failure> {
        stats::add(self.conn, self.ledger.stats.drain(), &mut self.ledger.tenants)
    }

    /// Writes the leases that have no row yet.
    pub(super) fn write_leases(&mut self) -> Result<(), Failure> {
        self.ledger.unwritten.write_all(self.conn, self.ledger.marks.next_event - 1)
    }

    /// Writes the older half of them, as far as they are left.
    pub(super) fn write_older_leases(&mut self) -> Result<(), Failure> {
        self.ledger.unwritten.write_older(self.conn, self.ledger.marks.next_event - 1)
    }

    /// Stores a mark.
    pub(super) fn set_mark(&self, name: &str, value: i64) -> Result<(), Failure> {
        sql::run(self.conn, "UPDATE marks SET value = ?2 WHERE name = ?1", (name, value)).map(drop)
    }

    /// Stores the marks that the newest rows would otherwise tell, before
    /// those may be deleted.
    pub(super) fn keep_marks(&self) -> Result<(), Failure> {
        let Marks { next_event, next_delivery, accepted_at, indexed: _ } = self.ledger.marks;
        self.set_mark("next_event", next_event)?;
        self.set_mark("next_delivery", next_delivery)?;
        self.set_mark("accepted_at", accepted_at)
    }
}
