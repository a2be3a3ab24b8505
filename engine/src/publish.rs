//! From accepted events to durable deliveries in their lanes.

use std::sync::Arc;
use std::time::Duration;

use callboard_domain::audit::{By, Change};
use callboard_domain::clock::Timestamp;
use callboard_domain::delivery::StoredEvent;
use callboard_domain::event::Event;
use callboard_domain::id::{DeliveryKey, EventId, TenantKey};
use callboard_domain::store::{NewDelivery, NewEvent, Order, RecordError, Recorded};
use callboard_domain::trace::{SpanKind, TraceContext};
use callboard_domain::wire::Renderings;

use crate::Engine;
use crate::lanes::{Lane, Queued};
use crate::target::Target;

/// What became of a published event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// Its public id.
    pub id: EventId,
    /// How many webhooks hear it; none for a duplicate, which reaches nobody
    /// again.
    pub deliveries: usize,
    /// When it was accepted; for a duplicate, when that was the first time.
    pub accepted_at: Timestamp,
    /// The same fact was published before under this id.
    pub duplicate: bool,
    /// The first of its deliveries.
    pub first_delivery: DeliveryKey,
}

/// How long an event waits at most for room in lanes that get on well, if they get on
/// worse meanwhile: see docs/decisions/0023-publishers-wait-a-moment-for-room.md.
const PATIENCE: Duration = Duration::from_millis(50);

/// An event and the lanes that its deliveries go to.
struct Planned {
    event: Arc<Event>,
    places: Vec<Place>,
}

/// Where a delivery goes.
struct Place {
    lane: Arc<Lane>,
    /// Whether the lane holds a place for it; otherwise it waits in the store.
    reserved: bool,
    order: Order,
}

impl Planned {
    /// Holds nothing in any lane yet.
    fn new(engine: &Engine, event: Event, targets: &[Arc<Target>]) -> Self {
        let place = |target: &Arc<Target>| Place {
            lane: engine.lanes.get_or_make(target),
            reserved: false,
            order: target.webhook.settings.order(&event.event_type),
        };
        let places = targets.iter().map(place).collect();
        Self { event: Arc::new(event), places }
    }

    /// Holds a place in each lane that has one.
    fn reserve(&mut self, engine: &Engine) {
        for place in &mut self.places {
            // Where several processes send, one of them claims all that has a pace.
            let paced = engine.store.is_shared() && place.lane.is_paced();
            place.reserved = !paced && place.lane.reserve(self.event.body.len());
        }
    }

    fn to_record(&self) -> NewEvent {
        let delivery = |place: &Place| NewDelivery {
            webhook: place.lane.key(),
            leased: place.reserved,
            order: place.order,
        };
        NewEvent { event: Arc::clone(&self.event), deliveries: self.places.iter().map(delivery).collect() }
    }

    fn published(&self, recorded: &Recorded) -> Published {
        Published {
            id: self.event.id.clone(),
            deliveries: if recorded.duplicate { 0 } else { self.places.len() },
            accepted_at: recorded.accepted_at,
            duplicate: recorded.duplicate,
            first_delivery: recorded.first_delivery,
        }
    }

    /// Gives every place back: nothing was recorded.
    fn give_up(&self, engine: &Arc<Engine>, now: Timestamp) {
        for place in &self.places {
            if place.reserved {
                self.give_back(engine, place, now);
            } else {
                // The refused reservation made the lane send newer deliveries
                // to the store; a claim that finds nothing undoes that.
                engine.note_stored(place.lane.key(), now);
            }
        }
    }

    fn give_back(&self, engine: &Engine, place: &Place, now: Timestamp) {
        if place.lane.give_back(self.event.body.len()) {
            engine.agenda.add(now, place.lane.key());
        }
    }

    /// Sends recorded deliveries on their way.
    fn dispatch(
        &self,
        engine: &Arc<Engine>,
        tenant: TenantKey,
        recorded: &Recorded,
        trace: Option<&Arc<TraceContext>>,
    ) {
        let stored = Arc::new(StoredEvent {
            key: recorded.key,
            tenant,
            id: self.event.id.clone(),
            type_name: self.event.type_name.clone(),
            subject_id: self.event.subject.id.clone(),
            accepted_at: recorded.accepted_at,
            body: self.event.body.clone(),
            deliveries: u32::try_from(self.places.len()).unwrap_or(u32::MAX),
            quantity_diff: recorded.quantity_diff,
            renderings: Renderings::default(),
        });
        let elapsed = engine.clock.elapsed();
        let deliveries = (recorded.first_delivery.0..).map(DeliveryKey);
        let mut filled = Vec::with_capacity(self.places.len());
        for (index, (delivery, place)) in deliveries.zip(&self.places).enumerate() {
            if recorded.behind.contains(&index) {
                // It will be due when the one before it is over.
                if place.reserved {
                    self.give_back(engine, place, recorded.accepted_at);
                }
            } else if place.reserved {
                let event = Arc::clone(&stored);
                let trace = trace.map(Arc::clone);
                place.lane.fill(Queued { delivery, attempts: 0, tries: 0, event, trace }, elapsed);
                filled.push(Arc::clone(&place.lane));
            } else {
                engine.note_stored(place.lane.key(), recorded.accepted_at);
            }
        }
        engine.pump_all(filled);
    }
}

/// Tells of a recorded event, before anything tells of its attempts. The request that
/// published it has put its id around the line.
fn log(tenant: TenantKey, published: &Published) {
    let Published { id, deliveries, duplicate, .. } = published;
    tracing::debug!(
        target: "callboard::event",
        event = %id,
        tenant = tenant.0,
        deliveries,
        duplicate,
        "recorded"
    );
}

/// Lets a single event wait until the lanes of its webhooks have room, as far as they
/// will have some soon. Whoever publishes faster than can be sent is slowed down to
/// that pace, instead of having all of it stored, claimed and read again.
async fn wait_for_room(engine: &Engine, planned: &[Planned]) {
    let [planned] = planned else { return };
    let waiting = async {
        for place in &planned.places {
            place.lane.room(&*engine.clock).await;
        }
    };
    // What can't be had in time waits in the store.
    let _ = tokio::time::timeout(PATIENCE, waiting).await;
}

/// Counts what was recorded.
fn note(engine: &Engine, planned: &[Planned], recorded: &[Recorded]) {
    let duplicates = recorded.iter().filter(|recorded| recorded.duplicate).count();
    let made = planned.iter().zip(recorded).filter(|(_, recorded)| !recorded.duplicate);
    let made: usize = made.map(|(planned, _)| planned.places.len()).sum();
    engine.measures.events_accepted.add((recorded.len() - duplicates) as u64);
    engine.measures.events_duplicate.add(duplicates as u64);
    engine.measures.deliveries_made.add(made as u64);
}

/// Records `events` with all their deliveries, and sends those on their way.
/// `targets` holds for each event the webhooks that hear it, and `trace` what they are
/// published within.
pub(crate) async fn record(
    engine: Arc<Engine>,
    tenant: TenantKey,
    events: Vec<Event>,
    targets: Vec<Vec<Arc<Target>>>,
    trace: Option<TraceContext>,
) -> Result<Vec<Published>, RecordError> {
    record_planned(engine, tenant, events, targets, (None, trace)).await
}

/// Records one event that somebody asked for by hand, and goes on as [`record`]
/// does.
pub(crate) async fn record_by_hand(
    engine: Arc<Engine>,
    tenant: TenantKey,
    event: Event,
    targets: Vec<Arc<Target>>,
    audited: (By, Change),
) -> Result<Vec<Published>, RecordError> {
    record_planned(engine, tenant, vec![event], vec![targets], (Some(audited), None)).await
}

async fn record_planned(
    engine: Arc<Engine>,
    tenant: TenantKey,
    events: Vec<Event>,
    targets: Vec<Vec<Arc<Target>>>,
    (audited, trace): (Option<(By, Change)>, Option<TraceContext>),
) -> Result<Vec<Published>, RecordError> {
    let mut planned: Vec<Planned> = events
        .into_iter()
        .zip(targets)
        .map(|(event, targets)| Planned::new(&engine, event, &targets))
        .collect();
    wait_for_room(&engine, &planned).await;
    for planned in &mut planned {
        planned.reserve(&engine);
    }
    let now = engine.clock.now();
    let span = trace.as_ref().and_then(|trace| engine.begin_span(Some(trace)));
    let recorded = if let (Some(audited), [one]) = (audited, &*planned) {
        engine.store.record_by_hand(tenant, one.to_record(), audited).await.map(|one| vec![one])
    } else {
        let to_record = planned.iter().map(Planned::to_record).collect();
        engine.store.record_events(tenant, to_record, now).await
    };
    if let Some(span) = span {
        engine.end_span((span, "commit", SpanKind::Internal), recorded.is_err(), Vec::new());
    }
    let recorded = match recorded {
        Ok(recorded) => recorded,
        Err(error) => {
            for planned in &planned {
                planned.give_up(&engine, now);
            }
            return Err(error);
        }
    };
    engine.tails.recorded(tenant);
    note(&engine, &planned, &recorded);
    let trace = trace.map(Arc::new);
    let published = planned.iter().zip(&recorded).map(|(planned, recorded)| {
        let published = planned.published(recorded);
        log(tenant, &published);
        if recorded.duplicate {
            planned.give_up(&engine, now);
        } else {
            planned.dispatch(&engine, tenant, recorded, trace.as_ref());
        }
        published
    });
    Ok(published.collect())
}
