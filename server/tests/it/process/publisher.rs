//! Publishes, whatever happens to the program, and keeps a ledger of what the
//! program has accepted.

#![expect(clippy::expect_used, reason = "a test that can't go on has failed")]

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use callboard_domain::clock::{Clock as _, SystemClock};
use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::connection::Connection;

const TYPES: [&str; 3] = ["order.paid", "ticket.updated", "event.updated"];

/// Subjects of one publisher.
const SUBJECTS: u64 = 16;

/// Which of a publisher's events this is; they are numbered.
pub(crate) fn number(id: &str) -> u64 {
    id.rsplit('-').next().and_then(|number| number.parse().ok()).expect("a number")
}

/// The subject that the event of this id is about.
pub(crate) fn subject(id: &str) -> String {
    let publisher = id.split('-').next().expect("a publisher");
    format!("{publisher}-{}", number(id) % SUBJECTS)
}

/// Most events of one request.
const BATCH: usize = 20;

/// How long to leave a database alone that can't be used.
const REFUSED: Duration = Duration::from_millis(100);

/// An event: its id, and its type.
pub(crate) type Event = (String, &'static str);

/// What the publishers know.
pub(crate) struct Ledger {
    /// Answered 202: by id, the type.
    accepted: Mutex<HashMap<String, &'static str>>,
    /// Requests without an answer that were not sent again.
    unsure: Mutex<Vec<Vec<Event>>>,
    /// Requests answered 503, of which nobody knows either.
    refused: Mutex<u32>,
    /// The longest wait for a 202.
    longest: Mutex<Duration>,
    clock: SystemClock,
}

impl Default for Ledger {
    fn default() -> Self {
        Self {
            accepted: Mutex::default(),
            unsure: Mutex::default(),
            refused: Mutex::default(),
            longest: Mutex::default(),
            clock: SystemClock::new(),
        }
    }
}

impl Ledger {
    /// Notes what somebody else published.
    pub(crate) fn note_accepted(&self, id: &str, type_name: &'static str) {
        self.accepted.lock().insert(id.to_owned(), type_name);
    }

    pub(crate) fn refused(&self) -> u32 {
        *self.refused.lock()
    }

    pub(crate) fn longest_wait(&self) -> Duration {
        *self.longest.lock()
    }

    pub(crate) fn accepted(&self) -> usize {
        self.accepted.lock().len()
    }

    /// What was accepted, and what may have been.
    pub(crate) fn sums(&self) -> (HashMap<String, &'static str>, Vec<Vec<Event>>) {
        (self.accepted.lock().clone(), self.unsure.lock().clone())
    }
}

pub(crate) struct Publisher {
    number: u64,
    published: u64,
    rng: StdRng,
    ledger: Arc<Ledger>,
    /// What got no answer, and is sent again.
    again: Option<Vec<Event>>,
    /// Between two requests.
    pause: Duration,
}

impl Publisher {
    pub(crate) fn new(number: u64, seed: u64, ledger: Arc<Ledger>) -> Self {
        Self {
            number,
            published: 0,
            rng: StdRng::seed_from_u64(seed),
            ledger,
            again: None,
            pause: Duration::ZERO,
        }
    }

    /// Waits between two requests, so that the machine is not all that is tested.
    pub(crate) fn pausing(self, pause: Duration) -> Self {
        Self { pause, ..self }
    }

    /// Publishes wherever the program is, at any of the addresses, until `stop` is
    /// cancelled and nothing is to be sent again.
    pub(crate) async fn run(
        mut self,
        mut addresses: watch::Receiver<Vec<SocketAddr>>,
        stop: CancellationToken,
    ) {
        let mut broken = None;
        loop {
            // Who was killed has another address when it runs again.
            let others = |all: &Vec<SocketAddr>| -> Vec<SocketAddr> {
                all.iter().copied().filter(|one| Some(*one) != broken).collect()
            };
            let all = addresses.wait_for(|all| !others(all).is_empty()).await;
            let living = others(&all.expect("the test holds the sender"));
            let address = living[self.rng.random_range(0..living.len())];
            self.publish_to(address, &stop).await;
            if stop.is_cancelled() && self.again.is_none() {
                return;
            }
            broken = Some(address);
        }
    }

    /// Publishes until the connection breaks, or as [`Self::run`] says.
    async fn publish_to(&mut self, address: SocketAddr, stop: &CancellationToken) {
        let Ok(mut connection) = Connection::open(address).await else { return };
        while self.again.is_some() || !stop.is_cancelled() {
            let events = self.again.take().unwrap_or_else(|| self.make());
            let asked = self.ledger.clock.elapsed();
            match connection.publish(&body(&events)).await {
                Ok(answer) if answer.status == 503 => {
                    answer.assert_unavailable();
                    *self.ledger.refused.lock() += 1;
                    self.unanswered(events);
                    tokio::time::sleep(REFUSED).await;
                }
                Ok(answer) => {
                    answer.is(202);
                    let mut longest = self.ledger.longest.lock();
                    *longest = self.ledger.clock.elapsed().saturating_sub(asked).max(*longest);
                    drop(longest);
                    self.ledger.accepted.lock().extend(events);
                }
                Err(_) => return self.unanswered(events),
            }
            tokio::time::sleep(self.pause).await;
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
