//! Publishes without a pause, whatever happens to the program, and keeps a
//! ledger of what the program has accepted.

#![expect(clippy::expect_used, reason = "a test that can't go on has failed")]

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::process::connection::Connection;

const TYPES: [&str; 3] = ["order.paid", "ticket.updated", "event.updated"];

/// Subjects of one publisher.
const SUBJECTS: u64 = 16;

/// Which of a publisher's events this is; they are numbered.
pub(super) fn number(id: &str) -> u64 {
    id.rsplit('-').next().and_then(|number| number.parse().ok()).expect("a number")
}

/// The subject that the event of this id is about.
pub(super) fn subject(id: &str) -> String {
    let publisher = id.split('-').next().expect("a publisher");
    format!("{publisher}-{}", number(id) % SUBJECTS)
}

/// Most events of one request.
const BATCH: usize = 20;

/// An event: its id, and its type.
pub(super) type Event = (String, &'static str);

/// What the publishers know.
#[derive(Default)]
pub(super) struct Ledger {
    /// Answered 202: by id, the type.
    accepted: Mutex<HashMap<String, &'static str>>,
    /// Requests without an answer that were not sent again.
    unsure: Mutex<Vec<Vec<Event>>>,
}

impl Ledger {
    /// What was accepted, and what may have been.
    pub(super) fn sums(&self) -> (HashMap<String, &'static str>, Vec<Vec<Event>>) {
        (self.accepted.lock().clone(), self.unsure.lock().clone())
    }
}

pub(super) struct Publisher {
    number: u64,
    published: u64,
    rng: StdRng,
    ledger: Arc<Ledger>,
    /// What got no answer, and is sent again.
    again: Option<Vec<Event>>,
}

impl Publisher {
    pub(super) fn new(number: u64, seed: u64, ledger: Arc<Ledger>) -> Self {
        Self { number, published: 0, rng: StdRng::seed_from_u64(seed), ledger, again: None }
    }

    /// Publishes wherever the program is, until `stop` is cancelled and
    /// nothing is to be sent again.
    pub(super) async fn run(
        mut self,
        mut addresses: watch::Receiver<Option<SocketAddr>>,
        stop: CancellationToken,
    ) {
        loop {
            let address = *addresses.wait_for(Option::is_some).await.expect("the test holds the sender");
            self.publish_to(address.expect("it was waited for"), &stop).await;
            if stop.is_cancelled() && self.again.is_none() {
                return;
            }
            // It was killed: its next run has another address.
            let changed = addresses.wait_for(|other| *other != address);
            drop(changed.await.expect("the test holds the sender"));
        }
    }

    /// Publishes until the connection breaks, or as [`Self::run`] says.
    async fn publish_to(&mut self, address: SocketAddr, stop: &CancellationToken) {
        let Ok(mut connection) = Connection::open(address).await else { return };
        while self.again.is_some() || !stop.is_cancelled() {
            let events = self.again.take().unwrap_or_else(|| self.make());
            match connection.publish(&body(&events)).await {
                Ok(answer) => {
                    answer.is(202);
                    self.ledger.accepted.lock().extend(events);
                }
                Err(_) => return self.unanswered(events),
            }
        }
    }

    /// Half of what got no answer is sent again, as a publisher that wants to
    /// be sure would do; of the rest nobody knows.
    fn unanswered(&mut self, events: Vec<Event>) {
        if self.rng.random() {
            self.again = Some(events);
        } else {
            self.ledger.unsure.lock().push(events);
        }
    }

    fn make(&mut self) -> Vec<Event> {
        let count = if self.rng.random() { 1 } else { self.rng.random_range(2..=BATCH) };
        let mut make = || {
            self.published += 1;
            let name = TYPES[self.rng.random_range(0..TYPES.len())];
            (format!("p{}-{}", self.number, self.published), name)
        };
        (0..count).map(|_| make()).collect()
    }
}

/// One event as an object, several as an array.
fn body(events: &[Event]) -> Value {
    let event = |(id, name): &Event| json!({"id": id, "type": name, "subject": {"id": subject(id)}, "occurred_at": "2026-11-21T19:00:00Z"});
    match events {
        [one] => event(one),
        several => several.iter().map(event).collect(),
    }
}
