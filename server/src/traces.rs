//! Traces: the spans of the engine, sent to a collector of OpenTelemetry.
//!
//! The queue between the two is bounded. Nobody ever waits for a collector: what it
//! does not take is dropped, and counted.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use callboard_domain::measures::Counter;
use callboard_domain::trace::{Span, TraceContext, Tracer};
use parking_lot::Mutex;
use rand::{Rng, RngExt as _};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

mod otlp;

use crate::config::Telemetry;

/// Most spans that wait for the collector.
const WAITING: usize = 4_096;

/// Most spans of one request to it.
const BATCH: usize = 512;

/// How long spans wait for others to go with.
const LINGER: Duration = Duration::from_secs(1);

/// How long a stop waits for what is left to be sent.
const FLUSH: Duration = Duration::from_secs(5);

/// Spans, and what became of them.
#[derive(Debug, Default)]
pub struct SpanMeasures {
    /// Those that the collector took.
    pub exported: Counter,
    /// Those that it did not take, or that there was no room for.
    pub dropped: Counter,
}

/// Gives spans their ids, and those that are over to the [`Exporter`].
struct Sampler {
    ratio: f64,
    rng: Mutex<Box<dyn Rng + Send>>,
    queue: mpsc::Sender<Span>,
    measures: Arc<SpanMeasures>,
}

/// Sends what a [`Tracer`] gets.
pub(crate) struct Exporter {
    queue: mpsc::Receiver<Span>,
    collector: otlp::Collector,
    measures: Arc<SpanMeasures>,
}

/// Where spans are kept for a collector, as the settings say; `None` without one.
/// `name` is what this process is called.
pub(crate) fn begin(
    settings: &Telemetry,
    name: &str,
    rng: Box<dyn Rng + Send>,
    measures: &Arc<SpanMeasures>,
) -> Option<(Arc<dyn Tracer>, Exporter)> {
    let collector = otlp::Collector::new(settings.otlp_endpoint.as_deref()?, name);
    let (sender, queue) = mpsc::channel(WAITING);
    let (ratio, rng) = (settings.sample_ratio, Mutex::new(rng));
    let sampler = Sampler { ratio, rng, queue: sender, measures: Arc::clone(measures) };
    Some((Arc::new(sampler), Exporter { queue, collector, measures: Arc::clone(measures) }))
}

impl fmt::Debug for Sampler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sampler").field("ratio", &self.ratio).finish_non_exhaustive()
    }
}

impl Tracer for Sampler {
    fn begin(&self, parent: Option<&TraceContext>) -> Option<TraceContext> {
        match parent {
            Some(parent) if !parent.sampled => None,
            Some(parent) => Some(TraceContext { span: self.rng.lock().random(), ..parent.clone() }),
            None => {
                let mut rng = self.rng.lock();
                let kept = rng.random::<f64>() < self.ratio;
                kept.then(|| TraceContext {
                    trace: rng.random(),
                    span: rng.random(),
                    sampled: true,
                    state: None,
                })
            }
        }
    }

    fn end(&self, span: Span) {
        if self.queue.try_send(span).is_err() {
            self.measures.dropped.one();
        }
    }
}

impl Exporter {
    /// Sends spans until `stop` is cancelled, and then what is left.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        loop {
            let mut batch = Vec::with_capacity(BATCH);
            tokio::select! {
                _ = self.queue.recv_many(&mut batch, BATCH) => {}
                () = stop.cancelled() => break,
            }
            let company = async {
                while batch.len() < BATCH {
                    let room = BATCH - batch.len();
                    if self.queue.recv_many(&mut batch, room).await == 0 {
                        return;
                    }
                }
            };
            tokio::select! {
                _ = tokio::time::timeout(LINGER, company) => {}
                () = stop.cancelled() => {}
            }
            if batch.is_empty() {
                break;
            }
            self.send(batch).await;
        }
        self.queue.close();
        if tokio::time::timeout(FLUSH, self.flush()).await.is_err() {
            tracing::warn!("the collector of traces takes too long; what is left is dropped");
        }
    }

    async fn flush(&mut self) {
        let mut batch = Vec::new();
        while self.queue.recv_many(&mut batch, BATCH).await > 0 {
            self.send(std::mem::take(&mut batch)).await;
        }
    }

    async fn send(&self, batch: Vec<Span>) {
        let count = batch.len();
        match self.collector.send(batch).await {
            Ok(()) => self.measures.exported.add(count as u64),
            Err(reason) => {
                self.measures.dropped.add(count as u64);
                tracing::warn!(reason, spans = count, "the collector of traces does not take them");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use callboard_domain::clock::Timestamp;
    use callboard_domain::trace::SpanKind;
    use rand::SeedableRng as _;
    use rand::rngs::StdRng;

    use super::*;

    fn tracer(sample_ratio: f64) -> (Arc<dyn Tracer>, Exporter, Arc<SpanMeasures>) {
        let otlp_endpoint = Some("http://127.0.0.1:1".to_owned());
        let settings = Telemetry { otlp_endpoint, sample_ratio, pass_on: true };
        let measures = Arc::default();
        let rng = Box::new(StdRng::seed_from_u64(1));
        let (tracer, exporter) = begin(&settings, "", rng, &measures).expect("there is a collector");
        (tracer, exporter, measures)
    }

    #[test]
    fn the_decision_of_the_publisher_counts_and_else_the_ratio() {
        let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let sampled = TraceContext::read(parent, Some("a=b")).expect("a context");
        let unsampled = TraceContext { sampled: false, ..sampled.clone() };
        let (never, _never, _) = tracer(0.0);
        let (always, _always, _) = tracer(1.0);
        let below = never.begin(Some(&sampled)).expect("it is kept");
        assert_eq!((below.trace, below.state.as_deref()), (sampled.trace, Some("a=b")));
        assert_ne!(below.span, sampled.span);
        assert_eq!(always.begin(Some(&unsampled)), None);
        assert_eq!(never.begin(None), None);
        assert!(always.begin(None).is_some_and(|context| context.sampled));
        let (some, _some, _) = tracer(0.25);
        let kept = (0..1_000).filter(|_| some.begin(None).is_some()).count();
        assert!((150..350).contains(&kept), "{kept}");
    }

    #[test]
    fn what_there_is_no_room_for_is_dropped_and_counted() {
        let (tracer, _exporter, measures) = tracer(1.0);
        let context = tracer.begin(None).expect("it is kept");
        let now = Timestamp::UNIX_EPOCH;
        let span = Span {
            context,
            parent: None,
            name: "publish",
            kind: SpanKind::Producer,
            began: now,
            ended: now,
            failed: false,
            attributes: Vec::new(),
        };
        for _ in 0..WAITING + 3 {
            tracer.end(span.clone());
        }
        assert_eq!(measures.dropped.read(), 3);
    }
}
