//! Takes deliveries from one lane, one after the other, until none is left.

use std::sync::Arc;

use callboard_domain::id::{DeliveryKey, WebhookKey};

use crate::lanes::{Ended, Lane, Work};
use crate::{Engine, attempt, health};

/// Gives the lane's place back however the attempt ends. If it ends by a panic,
/// the delivery is handed to the janitor instead of being leased for ever.
struct Place<'a> {
    engine: &'a Engine,
    lane: &'a Lane,
    delivery: Option<(DeliveryKey, WebhookKey)>,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if let Some(lost) = self.delivery.take() {
            let now = self.engine.clock.now();
            self.lane.finished(Ended::Down, now, now, self.engine.clock.elapsed());
            self.engine.lost.lock().push(lost);
        }
    }
}

/// Attempts `work`, and then whatever else the lane hands out.
pub(crate) async fn run(engine: Arc<Engine>, lane: Arc<Lane>, mut work: Work) {
    loop {
        if work.refill {
            engine.agenda.add(engine.clock.now(), lane.key());
        }
        let mut place =
            Place { engine: &engine, lane: &lane, delivery: Some((work.queued.delivery, lane.key())) };
        let retry_base = engine.options.openticket_retry_base;
        let tried = attempt::attempt(&work, &engine.client, &*engine.clock, &engine.rng, retry_base).await;
        let began = tried.attempt.started_at;
        health::exhausted(&engine, &work, &tried.attempt).await;
        // The channel is bounded: this waits when outcomes can't be written, and
        // fails when the engine has stopped.
        let written = engine.outcomes.send(tried.attempt).await.is_ok();
        if written {
            place.delivery = None;
        }
        drop(place);
        if written {
            let turn = lane.finished(tried.ended, began, engine.clock.now(), engine.clock.elapsed());
            if let Err(error) = health::act(&engine, &work.target, turn).await {
                tracing::warn!(%error, webhook = %work.target.webhook.id, "can't note how the webhook fares");
            }
        }
        match engine.next_work(&lane) {
            Some(next) => work = next,
            None => return,
        }
    }
}
