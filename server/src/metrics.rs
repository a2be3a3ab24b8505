//! What the program tells of itself in the text format of Prometheus.
//!
//! What happens is counted where it happens, in `callboard_domain::measures`; what is
//! so is looked at when somebody asks, `samples` of it at most every few seconds.
//! Labels have their values from closed lists: no tenant, no webhook and no URL is
//! named.

use std::sync::Arc;
use std::time::Duration;

use callboard_domain::measures::{Counter, Histogram, Level, StoreMeasures};

use crate::traces::SpanMeasures;

mod process;
mod samples;
mod tell;
mod text;

pub use samples::Samples;
pub(crate) use tell::tell;

/// The classes of status that answers of the API have.
pub(crate) const CLASSES: [&str; 4] = ["2xx", "3xx", "4xx", "5xx"];

/// What the HTTP interface counts.
#[derive(Debug)]
pub struct ApiMeasures {
    /// Connections of clients.
    pub connections: Arc<Level>,
    /// Connections for which there was no place.
    pub refused: Counter,
    /// Requests by the class of their answer, in the order of [`CLASSES`].
    answered: [Counter; CLASSES.len()],
    /// How long answers took up to their headers, in microseconds.
    pub answering: Histogram,
}

impl Default for ApiMeasures {
    fn default() -> Self {
        Self {
            connections: Arc::default(),
            refused: Counter::default(),
            answered: Default::default(),
            answering: Histogram::of_times(),
        }
    }
}

impl ApiMeasures {
    /// Counts a request that was answered with this status after this time.
    pub fn answered(&self, status: u16, took: Duration) {
        let class = usize::from(status / 100).checked_sub(2);
        if let Some(counter) = class.and_then(|class| self.answered.get(class)) {
            counter.one();
        }
        self.answering.note_time(took);
    }

    /// Requests by the class of their answer.
    fn classes(&self) -> impl Iterator<Item = (&'static str, u64)> {
        CLASSES.into_iter().zip(self.answered.iter().map(Counter::read))
    }
}

/// Everything that counts, beside the engine.
#[derive(Debug)]
pub struct Measures {
    /// The HTTP interface.
    pub api: ApiMeasures,
    /// The database.
    pub store: Arc<StoreMeasures>,
    /// Spans.
    pub spans: Arc<SpanMeasures>,
    /// What is looked at now and then.
    pub samples: Samples,
    /// Time of the clock when the program started.
    pub started: Duration,
}

impl Measures {
    /// Nothing was counted yet; the program starts now, which is
    /// [`Clock::elapsed`](callboard_domain::clock::Clock::elapsed).
    #[must_use]
    pub fn new(store: Arc<StoreMeasures>, now: Duration) -> Arc<Self> {
        let (api, samples) = (ApiMeasures::default(), Samples::default());
        Arc::new(Self { api, store, spans: Arc::default(), samples, started: now })
    }
}
