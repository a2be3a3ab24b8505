//! Records events with their deliveries, and reads single events back.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use callboard_domain::clock::Timestamp;
use callboard_domain::delivery::StoredEvent;
use callboard_domain::event::{Event, same_fact};
use callboard_domain::id::{DeliveryKey, EventId, EventKey, TenantKey};
use callboard_domain::store::{NewEvent, Order, Recorded};
use callboard_domain::wire::Renderings;
use rusqlite::{Connection, Row};
use uuid::Uuid;

use super::failure::Failure;
use super::ledger::Write;
use super::unwritten::Lease;
use super::{chains, echoes, quantities, sql};
use crate::rows::packed::{chain, hash64, pack};
use crate::rows::{BEHIND, LEASED, count, micros, parsed, timestamp};

/// What is to be done about one event of a batch.
enum Plan {
    Insert {
        id_key: i64,
    },
    /// It is in the database.
    Known(Recorded),
    /// It is in the batch, at this index.
    Repeated(usize),
}

/// Records all events or nothing; an `Err` within is the index of an event
/// whose id is taken by another fact.
pub(super) fn record(
    write: &mut Write<'_>,
    tenant: TenantKey,
    events: &[NewEvent],
    now: Timestamp,
) -> Result<Result<Vec<Recorded>, usize>, Failure> {
    let mut plans = Vec::with_capacity(events.len());
    let mut seen: HashMap<&str, usize> = HashMap::new();
    for (index, NewEvent { event, .. }) in events.iter().enumerate() {
        if !event.id_given {
            // One of our own making: nobody else can have it.
            plans.push(Plan::Insert { id_key: id_key(tenant, event.id.as_str()) });
            continue;
        }
        let plan = match seen.get(event.id.as_str()) {
            Some(&first) if same(&events[first].event.body, event) => Some(Plan::Repeated(first)),
            Some(_) => None,
            None => {
                seen.insert(event.id.as_str(), index);
                look_up(write.conn, tenant, event)?
            }
        };
        let Some(plan) = plan else { return Ok(Err(index)) };
        plans.push(plan);
    }
    let now = micros(now);
    let mut recorded: Vec<Recorded> = Vec::with_capacity(events.len());
    for (event, plan) in events.iter().zip(plans) {
        let one = match plan {
            Plan::Known(known) => known,
            Plan::Repeated(first) => Recorded { duplicate: true, ..recorded[first].clone() },
            Plan::Insert { id_key } => insert(write, tenant, id_key, event, now)?,
        };
        recorded.push(one);
    }
    Ok(Ok(recorded))
}

fn same(stored: &[u8], given: &Event) -> bool {
    same_fact(stored, &given.body, given.occurred_at_given)
}

/// What to do about an event that the batch has not named before; `None` when
/// its id is taken by another fact.
fn look_up(conn: &Connection, tenant: TenantKey, event: &Event) -> Result<Option<Plan>, Failure> {
    let id_key = id_key(tenant, event.id.as_str());
    let stored = sql::one(
        conn,
        "SELECT key, first_delivery, accepted_at, body FROM events
         WHERE id_key = ?1 AND tenant = ?2 AND id = ?3 AND origin IS NULL",
        (id_key, tenant.0, event.id.as_str()),
        |row| {
            let known = Recorded {
                key: EventKey(row.get(0)?),
                first_delivery: DeliveryKey(row.get(1)?),
                accepted_at: timestamp(row.get(2)?)?,
                duplicate: true,
                quantity_diff: None,
                behind: Vec::new(),
            };
            let body = row.get_ref(3)?.as_blob().map_err(rusqlite::Error::from)?;
            Ok(same(body, event).then_some(Plan::Known(known)))
        },
    )?;
    Ok(stored.unwrap_or(Some(Plan::Insert { id_key })))
}

/// Writes down that a delivery waits.
const WAIT: &str = "INSERT INTO pending (delivery, event, webhook, due_at, attempts, tries, chain, collapses)
    VALUES (?1, ?2, ?3, ?4, 0, 0, ?5, ?6)";

/// Records one event.
const RECORD: &str =
    "INSERT INTO events (key, tenant, id_key, accepted_at, first_delivery, id, type, subject,
        webhooks, body, quantity_diff)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";

fn insert(
    write: &mut Write<'_>,
    tenant: TenantKey,
    id_key: i64,
    new: &NewEvent,
    now: i64,
) -> Result<Recorded, Failure> {
    let marks = &mut write.ledger.marks;
    let (key, first_delivery) = (marks.next_event, marks.next_delivery);
    marks.next_event += 1;
    marks.next_delivery += count(new.deliveries.len());
    marks.accepted_at = marks.accepted_at.max(now);
    let accepted_at = marks.accepted_at;
    let event = &new.event;
    let webhooks = pack(new.deliveries.iter().map(|new| new.webhook))?;
    let quantity_diff = quantities::note(write.conn, tenant, event, now)?;
    sql::once(&mut write.record_event, write.conn, RECORD)?.execute(rusqlite::params![
        key,
        tenant.0,
        id_key,
        accepted_at,
        first_delivery,
        event.id.as_str(),
        event.type_name,
        event.subject.id,
        webhooks,
        &event.body[..],
        quantity_diff,
    ])?;
    write.ledger.unwritten.note_event(key, new.deliveries.len());
    let (mut behind, mut wait) = (Vec::new(), None);
    for (index, new) in new.deliveries.iter().enumerate() {
        let delivery = first_delivery + count(index);
        if new.leased && new.order == Order::Free {
            write.ledger.unwritten.add(delivery, Lease { event: key, webhook: new.webhook });
            continue;
        }
        let due_at = if new.leased { LEASED } else { now };
        let (chain, collapses) = match new.order {
            Order::Free => (0, false),
            Order::BySubject { collapses } => (chain(new.webhook, &event.subject.id), collapses),
        };
        let due_at = chains::due_at(write.conn, chain, due_at)?;
        if due_at == BEHIND {
            behind.push(index);
        }
        let row = (delivery, key, new.webhook.0, due_at, chain, collapses);
        sql::once(&mut wait, write.conn, WAIT)?.execute(row)?;
    }
    Ok(Recorded {
        key: EventKey(key),
        first_delivery: DeliveryKey(first_delivery),
        accepted_at: timestamp(accepted_at)?,
        duplicate: false,
        quantity_diff,
        behind,
    })
}

/// A short stand-in for an event's id. UUIDs of version 7 begin with the time,
/// so that their index grows at its end; other ids are scattered.
pub(super) fn id_key(tenant: TenantKey, id: &str) -> i64 {
    let head = match Uuid::try_parse(id) {
        Ok(uuid) if uuid.get_version_num() == 7 => uuid.as_u64_pair().0,
        _ => hash64(&[&tenant.0.to_be_bytes(), id.as_bytes()]),
    };
    head.cast_signed()
}

/// The columns that [`stored_event`] reads.
macro_rules! stored_event_columns {
    () => {
        "key, tenant, id, type, subject, accepted_at,
         length(webhooks) / 4 + (SELECT count(*) FROM events AS echo WHERE echo.origin = events.key),
         body, quantity_diff"
    };
}
pub(super) use stored_event_columns;

/// Reads a row of [`stored_event_columns`].
pub(super) fn stored_event(row: &Row<'_>) -> Result<StoredEvent, Failure> {
    Ok(StoredEvent {
        key: EventKey(row.get(0)?),
        tenant: TenantKey(row.get(1)?),
        id: parsed(row.get_ref(2)?.as_str().map_err(rusqlite::Error::from)?, "event id")?,
        type_name: row.get(3)?,
        subject_id: row.get(4)?,
        accepted_at: timestamp(row.get(5)?)?,
        deliveries: row.get(6)?,
        body: Bytes::from(row.get::<_, Vec<u8>>(7)?),
        quantity_diff: row.get(8)?,
        renderings: Renderings::default(),
    })
}

/// Finds an event by its public id.
pub(super) const BY_ID: &str = concat!(
    "SELECT ",
    stored_event_columns!(),
    " FROM events WHERE id_key = ?1 AND tenant = ?2 AND id = ?3 AND origin IS NULL"
);

/// One event by its public id.
pub(super) fn by_id(
    conn: &Connection,
    tenant: TenantKey,
    id: &EventId,
) -> Result<Option<StoredEvent>, Failure> {
    sql::one(conn, BY_ID, (id_key(tenant, id.as_str()), tenant.0, id.as_str()), stored_event)
}

/// One event by its row, to be shared; an echo with what it takes from its
/// origin.
pub(super) fn by_key(conn: &Connection, key: i64) -> Result<Option<Arc<StoredEvent>>, Failure> {
    let sql = concat!("SELECT ", stored_event_columns!(), " FROM events WHERE key = ?1");
    let Some(mut event) = sql::one(conn, sql, [key], stored_event)? else { return Ok(None) };
    echoes::complete(conn, &mut event)?;
    Ok(Some(Arc::new(event)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_that_begin_with_the_time_keep_its_order() {
        let (early, late) = ("01890a5d-ac96-774b-bcce-b302099a8057", "01890a5d-ac97-774b-bcce-b302099a8057");
        assert!(id_key(TenantKey(1), early) < id_key(TenantKey(2), late));
        assert_ne!(id_key(TenantKey(1), "order-1"), id_key(TenantKey(2), "order-1"));
    }
}
