//! Records events with their deliveries, and reads single events back.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use callboard_domain::audit::{By, Change};
use callboard_domain::clock::Timestamp;
use callboard_domain::delivery::StoredEvent;
use callboard_domain::event::{Event, same_fact};
use callboard_domain::id::{DeliveryKey, EventId, EventKey, TenantKey};
use callboard_domain::store::{NewEvent, Order, Recorded};
use callboard_domain::wire::Renderings;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::failure::Failure;
use super::partitions::Room;
use super::sql::{self, Connection, get};
use super::{audit, chains, nodes, quantities};
use crate::rows::packed::{chain, pack};
use crate::rows::{BEHIND, LEASED, count, micros, parsed, timestamp};

/// Keys for new events and deliveries, and when they are accepted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Keys {
    pub(super) first_event: i64,
    pub(super) first_delivery: i64,
    /// In microseconds.
    pub(super) accepted_at: i64,
}

/// Takes keys. Chains are locked before.
pub(super) async fn next_keys(
    conn: &Connection,
    events: usize,
    deliveries: usize,
    now: Timestamp,
) -> Result<Keys, Failure> {
    let sql = "SELECT first_event, first_delivery, accepted_at FROM next_keys($1, $2, $3)";
    let keys = sql::one(conn, sql, &[&count(events), &count(deliveries), &micros(now)], |row| {
        Ok(Keys { first_event: get(row, 0)?, first_delivery: get(row, 1)?, accepted_at: get(row, 2)? })
    })
    .await?;
    keys.ok_or_else(|| Failure::Corrupt("there are no keys".to_owned()))
}

/// What one caller wants recorded.
pub(super) struct Recording {
    pub(super) tenant: TenantKey,
    pub(super) events: Vec<NewEvent>,
    pub(super) now: Timestamp,
    /// By whom, and what the audit log says of it, where it was asked for by hand.
    pub(super) audited: Option<Box<(By, Change)>>,
}

/// What is to be done about one event.
enum Plan {
    /// The nth of those that are new.
    Insert(usize),
    /// It is in the database.
    Known(Recorded),
    /// It is in the batch: the nth event of the mth recording.
    Repeated(usize, usize),
}

/// An event of a tenant, by its public id.
type Id<'a> = (i64, &'a str);

/// An event that is recorded already.
struct Known {
    recorded: Recorded,
    body: Vec<u8>,
}

/// Records what several callers want: of each all events or nothing. An `Err`
/// within is the index of an event whose id is taken by another fact.
pub(super) async fn record(
    conn: &Connection,
    (node, room): (i64, &Room),
    asked: &[&Recording],
) -> Result<Vec<Result<Vec<Recorded>, usize>>, Failure> {
    let mut chains: Vec<i64> = asked.iter().flat_map(|one| one.events.iter()).flat_map(chains_of).collect();
    chains.sort_unstable();
    chains.dedup();
    chains::lock(conn, &chains).await?;
    let known = look_up(conn, asked).await?;
    let (plans, new) = plan(asked, &known);
    let inserted =
        if new.is_empty() { Vec::new() } else { insert(conn, (node, room), &new, &chains).await? };
    let mut recorded: Vec<Result<Vec<Recorded>, usize>> = Vec::with_capacity(plans.len());
    for planned in plans {
        let one = match planned {
            Err(conflict) => Err(conflict),
            Ok(plans) => {
                let mut events: Vec<Recorded> = Vec::with_capacity(plans.len());
                for plan in plans {
                    events.push(match plan {
                        Plan::Insert(index) => inserted[index].clone(),
                        Plan::Known(known) => known,
                        Plan::Repeated(recording, index) => {
                            let first = match recorded.get(recording) {
                                Some(Ok(before)) => before[index].clone(),
                                _ => events[index].clone(),
                            };
                            Recorded { duplicate: true, ..first }
                        }
                    });
                }
                Ok(events)
            }
        };
        recorded.push(one);
    }
    for (asked, recorded) in asked.iter().zip(&recorded) {
        if let (Some(audited), Ok(_)) = (&asked.audited, recorded) {
            let (by, change) = &**audited;
            audit::write(conn, Some(asked.tenant), by, change).await?;
        }
    }
    Ok(recorded)
}

/// The chains that an event's deliveries join; 0 for those that join none.
fn chains_of(new: &NewEvent) -> impl Iterator<Item = i64> {
    new.deliveries.iter().map(|delivery| match delivery.order {
        Order::Free => 0,
        Order::BySubject { .. } => chain(delivery.webhook, &new.event.subject.id),
    })
}

/// Finds the events that are recorded already, of those whose ids publishers
/// chose: nobody else has one of ours.
async fn look_up<'a>(conn: &Connection, asked: &[&'a Recording]) -> Result<HashMap<Id<'a>, Known>, Failure> {
    let given = |recording: &&'a Recording| {
        let tenant = recording.tenant.0;
        recording
            .events
            .iter()
            .filter(|new| new.event.id_given)
            .map(move |new| (tenant, new.event.id.as_str()))
    };
    let ids: HashMap<Id<'a>, Id<'a>> = asked.iter().flat_map(given).map(|id| (id, id)).collect();
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let (tenants, texts): (Vec<i64>, Vec<&str>) = ids.keys().copied().unzip();
    let sql = "SELECT known.tenant, known.id, event.key, event.first_delivery, event.accepted_at, event.body
        FROM unnest($1::bigint[], $2::text[]) AS asked (tenant, id)
        JOIN event_ids AS known ON known.tenant = asked.tenant AND known.id = asked.id
        JOIN events AS event ON event.key = known.event";
    let rows = sql::many(conn, sql, &[&tenants, &texts], |row| {
        let known = Recorded {
            key: EventKey(get(row, 2)?),
            first_delivery: DeliveryKey(get(row, 3)?),
            accepted_at: timestamp(get(row, 4)?)?,
            duplicate: true,
            quantity_diff: None,
            behind: Vec::new(),
        };
        Ok((
            ids.get(&(get(row, 0)?, row.try_get(1)?)).copied(),
            Known { recorded: known, body: get(row, 5)? },
        ))
    })
    .await?;
    Ok(rows.into_iter().filter_map(|(id, known)| Some((id?, known))).collect())
}

/// An event that is new, with whose it is and when it is accepted.
type New<'a> = (&'a Recording, &'a NewEvent);

/// Decides about every event, in the order of the batch. One caller's conflict
/// leaves the others alone.
fn plan<'a>(
    asked: &[&'a Recording],
    known: &HashMap<Id<'a>, Known>,
) -> (Vec<Result<Vec<Plan>, usize>>, Vec<New<'a>>) {
    let mut seen: HashMap<Id<'a>, (usize, usize)> = HashMap::new();
    let (mut planned, mut new) = (Vec::with_capacity(asked.len()), Vec::new());
    for (index, recording) in asked.iter().enumerate() {
        let before = new.len();
        let plans = plan_one(asked, index, known, &mut seen, &mut new);
        if plans.is_err() {
            new.truncate(before);
            seen.retain(|_, (recording, _)| *recording != index);
        }
        debug_assert!(plans.as_ref().map_or(true, |plans| plans.len() == recording.events.len()));
        planned.push(plans);
    }
    (planned, new)
}

fn plan_one<'a>(
    asked: &[&'a Recording],
    index: usize,
    known: &HashMap<Id<'a>, Known>,
    seen: &mut HashMap<Id<'a>, (usize, usize)>,
    new: &mut Vec<New<'a>>,
) -> Result<Vec<Plan>, usize> {
    let recording = asked[index];
    let mut plans = Vec::with_capacity(recording.events.len());
    for (nth, event) in recording.events.iter().enumerate() {
        let id = (recording.tenant.0, event.event.id.as_str());
        let given = event.event.id_given;
        let plan = match (seen.get(&id).filter(|_| given), known.get(&id).filter(|_| given)) {
            (Some(&(batch, first)), _) => {
                let stored = &asked[batch].events[first].event.body;
                if !same(stored, &event.event) {
                    return Err(nth);
                }
                Plan::Repeated(batch, first)
            }
            (None, Some(Known { recorded, body })) => {
                if !same(body, &event.event) {
                    return Err(nth);
                }
                Plan::Known(recorded.clone())
            }
            (None, None) => {
                new.push((recording, event));
                Plan::Insert(new.len() - 1)
            }
        };
        if given {
            seen.entry(id).or_insert((index, nth));
        }
        plans.push(plan);
    }
    Ok(plans)
}

fn same(stored: &[u8], given: &Event) -> bool {
    same_fact(stored, &given.body, given.occurred_at_given)
}

/// Records what is new.
async fn insert(
    conn: &Connection,
    (node, room): (i64, &Room),
    new: &[New<'_>],
    chains: &[i64],
) -> Result<Vec<Recorded>, Failure> {
    let deliveries = new.iter().map(|(_, event)| event.deliveries.len()).sum();
    if new.iter().any(|(_, event)| event.deliveries.iter().any(|one| one.leased)) {
        nodes::hold(conn, node).await?;
    }
    let mut occupied = chains::occupied(conn, chains).await?;
    let now = new.iter().map(|(recording, _)| recording.now).max().unwrap_or_default();
    let keys = next_keys(conn, new.len(), deliveries, now).await?;
    if !room.holds(keys.first_event + count(new.len()), keys.first_delivery + count(deliveries)) {
        return Err(Failure::NoPartition);
    }
    let diffs = quantities::note(conn, new).await?;
    let mut rows = Rows::default();
    let mut recorded = Vec::with_capacity(new.len());
    let mut first_delivery = keys.first_delivery;
    for ((key, (recording, event)), quantity_diff) in (keys.first_event..).zip(new).zip(diffs) {
        let behind = rows.add(node, (key, first_delivery), recording, event, quantity_diff, &mut occupied)?;
        recorded.push(Recorded {
            key: EventKey(key),
            first_delivery: DeliveryKey(first_delivery),
            accepted_at: timestamp(keys.accepted_at)?,
            duplicate: false,
            quantity_diff,
            behind,
        });
        first_delivery += count(event.deliveries.len());
    }
    rows.write(conn, keys.accepted_at).await?;
    Ok(recorded)
}

/// The columns of what is new.
#[derive(Default)]
struct Rows<'a> {
    ids: Vec<(i64, &'a str, i64)>,
    keys: Vec<i64>,
    tenants: Vec<i64>,
    first_deliveries: Vec<i64>,
    quantity_diffs: Vec<Option<i64>>,
    texts: Vec<&'a str>,
    types: Vec<&'a str>,
    subjects: Vec<&'a str>,
    webhooks: Vec<Vec<u8>>,
    bodies: Vec<&'a [u8]>,
    pending: Pending,
}

#[derive(Default)]
struct Pending {
    deliveries: Vec<i64>,
    events: Vec<i64>,
    webhooks: Vec<i64>,
    due_at: Vec<i64>,
    chains: Vec<i64>,
    nodes: Vec<Option<i64>>,
    collapses: Vec<bool>,
}

impl<'a> Rows<'a> {
    /// Adds an event with its deliveries, and tells which of those wait behind
    /// others. `occupied` holds the chains in which something waits.
    fn add(
        &mut self,
        node: i64,
        (key, first_delivery): (i64, i64),
        recording: &Recording,
        new: &'a NewEvent,
        quantity_diff: Option<i64>,
        occupied: &mut HashSet<i64>,
    ) -> Result<Vec<usize>, Failure> {
        let event = &new.event;
        self.ids.push((recording.tenant.0, event.id.as_str(), key));
        self.keys.push(key);
        self.tenants.push(recording.tenant.0);
        self.first_deliveries.push(first_delivery);
        self.quantity_diffs.push(quantity_diff);
        self.texts.push(event.id.as_str());
        self.types.push(&event.type_name);
        self.subjects.push(&event.subject.id);
        self.webhooks.push(pack(new.deliveries.iter().map(|delivery| delivery.webhook))?);
        self.bodies.push(&event.body);
        let mut behind = Vec::new();
        for (index, (delivery, chain)) in new.deliveries.iter().zip(chains_of(new)).enumerate() {
            let waits = chain != 0 && !occupied.insert(chain);
            let leased = delivery.leased && !waits;
            if waits {
                behind.push(index);
            }
            let pending = &mut self.pending;
            pending.deliveries.push(first_delivery + count(index));
            pending.events.push(key);
            pending.webhooks.push(delivery.webhook.0);
            pending.due_at.push(match (waits, leased) {
                (true, _) => BEHIND,
                (_, true) => LEASED,
                _ => micros(recording.now),
            });
            pending.chains.push(chain);
            pending.nodes.push(leased.then_some(node));
            pending.collapses.push(delivery.order == (Order::BySubject { collapses: true }));
        }
        Ok(behind)
    }

    /// Writes all of it, in one round trip.
    async fn write(mut self, conn: &Connection, accepted_at: i64) -> Result<(), Failure> {
        // In one order, so that two nodes never wait for each other's ids.
        self.ids.sort_unstable();
        let id_tenants: Vec<i64> = self.ids.iter().map(|(tenant, _, _)| *tenant).collect();
        let id_texts: Vec<&str> = self.ids.iter().map(|(_, id, _)| *id).collect();
        let id_events: Vec<i64> = self.ids.iter().map(|(_, _, event)| *event).collect();
        let into_ids = conn.prepare_cached(INTO_IDS).await?;
        let into_events = conn.prepare_cached(INTO_EVENTS).await?;
        let into_pending = conn.prepare_cached(INTO_PENDING).await?;
        let ids: [&(dyn ToSql + Sync); 3] = [&id_tenants, &id_texts, &id_events];
        let events: [&(dyn ToSql + Sync); 10] = [
            &self.keys,
            &self.tenants,
            &accepted_at,
            &self.first_deliveries,
            &self.quantity_diffs,
            &self.texts,
            &self.types,
            &self.subjects,
            &self.webhooks,
            &self.bodies,
        ];
        let pending = &self.pending;
        let pending: [&(dyn ToSql + Sync); 7] = [
            &pending.deliveries,
            &pending.events,
            &pending.webhooks,
            &pending.due_at,
            &pending.chains,
            &pending.nodes,
            &pending.collapses,
        ];
        // Prepared before, they go out in this order.
        let (inserted, _, _) = tokio::try_join!(
            biased;
            conn.execute(&into_ids, &ids),
            conn.execute(&into_events, &events),
            conn.execute(&into_pending, &pending),
        )?;
        // Another node has just recorded one of these.
        if inserted < self.ids.len() as u64 { Err(Failure::Overtaken) } else { Ok(()) }
    }
}

/// Takes ids; those that are taken are left out.
const INTO_IDS: &str = "INSERT INTO event_ids (tenant, id, event)
    SELECT * FROM unnest($1::bigint[], $2::text[], $3::bigint[]) ON CONFLICT DO NOTHING";

const INTO_EVENTS: &str = "INSERT INTO events
        (key, tenant, accepted_at, first_delivery, quantity_diff, id, type, subject, webhooks, body)
    SELECT key, tenant, $3, first_delivery, quantity_diff, id, type, subject, webhooks, body
    FROM unnest($1::bigint[], $2::bigint[], $4::bigint[], $5::bigint[], $6::text[], $7::text[], $8::text[],
        $9::bytea[], $10::bytea[])
        AS new (key, tenant, first_delivery, quantity_diff, id, type, subject, webhooks, body)";

const INTO_PENDING: &str = "INSERT INTO pending
        (delivery, event, webhook, due_at, chain, node, collapses, attempts, tries)
    SELECT *, 0, 0 FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[],
        $6::bigint[], $7::boolean[])";

/// A key of events below which nothing can still appear. Only a snapshot that is
/// taken afterwards shows everything below it, so this is asked before a
/// transaction begins that reads on one.
pub(super) async fn settled_before(conn: &Connection) -> Result<i64, Failure> {
    let settled = sql::value(conn, "SELECT settled_before()", &[]).await?;
    settled.ok_or_else(|| Failure::Corrupt("no key is settled".to_owned()))
}

/// The columns that [`stored_event`] reads, of a row of events named `event`. An
/// echo takes the rest from its origin.
macro_rules! stored_event_columns {
    () => {
        "event.key, event.tenant, event.id, event.type, event.subject,
         coalesce(origin.accepted_at, event.accepted_at),
         length(event.webhooks) / 4 + (SELECT count(*) FROM late_deliveries WHERE origin = event.key),
         coalesce(origin.body, event.body), coalesce(origin.quantity_diff, event.quantity_diff)"
    };
}

/// Where [`stored_event_columns`] come from.
macro_rules! stored_event_source {
    () => {
        " FROM events AS event LEFT JOIN LATERAL (
              SELECT accepted_at, body, quantity_diff FROM events WHERE events.key = event.origin LIMIT 1
          ) AS origin ON TRUE "
    };
}

/// Reads a row of [`stored_event_columns`].
pub(super) fn stored_event(row: &Row) -> Result<StoredEvent, Failure> {
    Ok(StoredEvent {
        key: EventKey(get(row, 0)?),
        tenant: TenantKey(get(row, 1)?),
        id: parsed(row.try_get::<_, &str>(2)?, "event id")?,
        type_name: get(row, 3)?,
        subject_id: get(row, 4)?,
        accepted_at: timestamp(get(row, 5)?)?,
        deliveries: u32::try_from(get::<i64>(row, 6)?).unwrap_or(u32::MAX),
        body: Bytes::from(get::<Vec<u8>>(row, 7)?),
        quantity_diff: get(row, 8)?,
        renderings: Renderings::default(),
    })
}

/// One event by its public id.
pub(super) async fn by_id(
    conn: &Connection,
    tenant: TenantKey,
    id: &EventId,
) -> Result<Option<StoredEvent>, Failure> {
    let sql = concat!(
        "SELECT ",
        stored_event_columns!(),
        stored_event_source!(),
        "WHERE event.key = (SELECT event FROM event_ids WHERE tenant = $1 AND id = $2)"
    );
    sql::one(conn, sql, &[&tenant.0, &id.as_str()], stored_event).await
}

/// Reads events by their rows.
pub(super) const BY_KEYS: &str =
    concat!("SELECT ", stored_event_columns!(), stored_event_source!(), "WHERE event.key = ANY($1)");

/// Events by their rows, to be shared; those that are gone are left out.
pub(super) async fn by_keys(
    conn: &Connection,
    keys: &[i64],
) -> Result<HashMap<i64, Arc<StoredEvent>>, Failure> {
    let events = sql::many(conn, BY_KEYS, &[&keys], |row| stored_event(row).map(Arc::new)).await?;
    Ok(events.into_iter().map(|event| (event.key.0, event)).collect())
}
