//! Takes deliveries from one lane, one after the other, until none is left.

use std::sync::Arc;

use callboard_domain::delivery::{Attempt, Cause, Outcome};
use callboard_domain::id::{DeliveryKey, WebhookKey};

use crate::lanes::{Ended, Lane, Work};
use crate::places::Place;
use crate::{Engine, attempt, health};

/// An attempt under way. If it ends by a panic, the delivery is handed to the
/// janitor instead of being leased for ever.
struct UnderWay<'a> {
    engine: &'a Engine,
    lane: &'a Lane,
    delivery: Option<(DeliveryKey, WebhookKey)>,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        if let Some(lost) = self.delivery.take() {
            let now = self.engine.clock.now();
            self.lane.finished(Ended::Down, now, now, self.engine.clock.elapsed());
            self.engine.lost.lock().push(lost);
        }
    }
}

/// A place among the requests of the process, given back however this ends.
struct Held<'a> {
    engine: &'a Arc<Engine>,
    place: Place,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.engine.free(self.place);
    }
}

/// Attempts `work`, and then whatever else the lane hands out, as long as nobody
/// waits for the place.
pub(crate) async fn run(engine: Arc<Engine>, lane: Arc<Lane>, mut work: Work, place: Place) {
    let held = Held { engine: &engine, place };
    loop {
        if work.refill {
            engine.agenda.add(engine.clock.now(), lane.key());
        }
        let failed = attempt_one(&engine, &lane, &work).await;
        // The place was given to a lane that was well, or sick; whether it is one
        // still is for the places to judge.
        if failed != place.sick() || engine.places.contended() {
            break;
        }
        match engine.next_work(&lane) {
            Some(next) => work = next,
            None => return,
        }
    }
    // First the others: this lane had its turn.
    drop(held);
    engine.pump(&lane);
}

/// Tells what came of an attempt. Only what is given up is told at all times: when
/// much is sold, a line for each delivery would be all that there is in a log.
fn log(work: &Work, attempt: &Attempt) {
    let event = &work.queued.event;
    let (cause, status) = (attempt.cause.map(Cause::as_str), attempt.status);
    let duration_us = u64::try_from(attempt.duration.as_micros()).unwrap_or(u64::MAX);
    macro_rules! told {
        ($level:ident, $what:literal) => {
            tracing::$level!(
                target: "callboard::delivery",
                event = %event.id,
                delivery = %attempt.delivery,
                webhook = %work.target.webhook.id,
                tenant = event.tenant.0,
                number = attempt.number,
                cause,
                status,
                duration_us,
                $what
            )
        };
    }
    match attempt.outcome {
        Outcome::Delivered => told!(debug, "delivered"),
        Outcome::GivenUp => told!(info, "a delivery is given up"),
        Outcome::Retry(_) | Outcome::Superseded | Outcome::Cancelled => told!(debug, "an attempt failed"),
    }
}

/// Makes one attempt, and sees to what follows from it; whether it failed.
async fn attempt_one(engine: &Arc<Engine>, lane: &Lane, work: &Work) -> bool {
    let mut under_way = UnderWay { engine, lane, delivery: Some((work.queued.delivery, lane.key())) };
    let retry_base = engine.options.openticket_retry_base;
    let span = engine.begin_attempt(work);
    let trace = engine.context_for(work, span.as_ref());
    let tried = attempt::attempt(work, &engine.client, &*engine.clock, &engine.rng, retry_base, trace).await;
    if let Some(span) = span {
        engine.end_attempt(span, work, &tried.attempt);
    }
    let began = tried.attempt.started_at;
    let dialect = work.target.webhook.settings.subscription.dialect();
    engine.measures.attempted(&tried.attempt, dialect, work.queued.event.accepted_at);
    log(work, &tried.attempt);
    health::exhausted(engine, work, &tried.attempt).await;
    // The channel is bounded: this waits when outcomes can't be written, and
    // fails when the engine has stopped.
    let written = engine.outcomes.send(tried.attempt).await.is_ok();
    if written {
        under_way.delivery = None;
    }
    drop(under_way);
    if written {
        let turn = lane.finished(tried.ended, began, engine.clock.now(), engine.clock.elapsed());
        if let Err(error) = health::act(engine, &work.target, turn).await {
            tracing::warn!(%error, webhook = %work.target.webhook.id, "can't note how the webhook fares");
        }
    }
    tried.ended.failed()
}
