//! What happened in a seed, as the world around the engine saw it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

use callboard_domain::clock::{Clock as _, Timestamp};
use callboard_domain::delivery::{Attempt, Outcome};
use callboard_domain::id::{DeliveryKey, WebhookKey};
use callboard_engine::Published;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::timeline::Timeline;
use super::wire::Wire;

/// A whole request that a receiver got.
pub(crate) struct Sight {
    /// The receiver, which is the webhook's number in the plan.
    pub(crate) receiver: usize,
    pub(crate) event: String,
    pub(crate) at: Duration,
    pub(crate) life: u32,
    /// The status of a valid and complete answer that was sent.
    pub(crate) status: Option<u16>,
    /// More than the caller reads of any answer.
    pub(crate) oversized: bool,
    wire: Arc<Wire>,
    /// Bytes of the connection up to the answer's end.
    answer_end: u64,
}

impl Sight {
    /// The caller has read the answer to its end.
    pub(crate) fn is_answered(&self) -> bool {
        self.status.is_some() && (self.oversized || self.wire.taken() >= self.answer_end)
    }

    /// Whether a receiver took it and its caller knows.
    pub(crate) fn is_taken(&self) -> bool {
        self.is_answered()
            && !self.oversized
            && self.status.is_some_and(|status| (200..300).contains(&status))
    }
}

/// An attempt as the engine gave it to the store.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Made {
    pub(crate) life: u32,
    pub(crate) webhook: WebhookKey,
    pub(crate) from: Duration,
    pub(crate) to: Duration,
    pub(crate) delivered: bool,
    pub(crate) status: Option<u16>,
}

/// How a run of the engine ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// Nothing was finished.
    Crash,
    /// What was under way ended, and was written down.
    Stop,
}

/// Everything that is known of a seed.
pub(crate) struct Record {
    pub(crate) timeline: Arc<Timeline>,
    pub(crate) life: AtomicU32,
    pub(crate) calls: AtomicUsize,
    lines: Option<Mutex<Vec<String>>>,
    pub(crate) sights: Mutex<Vec<Sight>>,
    pub(crate) made: Mutex<Vec<Made>>,
    /// Deliveries that somebody retried, and when.
    pub(crate) retried: Mutex<Vec<(DeliveryKey, Duration)>>,
    /// Webhooks for which a job moved deliveries, and when.
    pub(crate) moved: Mutex<Vec<(WebhookKey, Duration)>>,
    pub(crate) cancelled: Mutex<BTreeSet<DeliveryKey>>,
    pub(crate) deleted: Mutex<BTreeSet<WebhookKey>>,
    /// Webhooks that heard nothing for a while, because they were disabled.
    pub(crate) disabled: Mutex<BTreeSet<WebhookKey>>,
    /// What was accepted, by the number of the event in the plan.
    pub(crate) accepted: Mutex<BTreeMap<usize, Published>>,
    /// How each run ended.
    pub(crate) ends: Mutex<Vec<End>>,
    /// The first thing that was wrong while it ran.
    fault: Mutex<Option<String>>,
    /// Ends the present run.
    pub(crate) over: Mutex<CancellationToken>,
}

impl Record {
    pub(crate) fn new(traced: bool) -> Self {
        Self {
            timeline: Arc::new(Timeline::new()),
            life: AtomicU32::new(0),
            calls: AtomicUsize::new(0),
            lines: traced.then(Mutex::default),
            sights: Mutex::default(),
            made: Mutex::default(),
            retried: Mutex::default(),
            moved: Mutex::default(),
            cancelled: Mutex::default(),
            deleted: Mutex::default(),
            disabled: Mutex::default(),
            accepted: Mutex::default(),
            ends: Mutex::default(),
            fault: Mutex::default(),
            over: Mutex::default(),
        }
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.timeline.elapsed()
    }

    pub(crate) fn life(&self) -> u32 {
        self.life.load(Ordering::Relaxed)
    }

    /// Adds a line to the trace, if there is one.
    pub(crate) fn note(&self, line: impl FnOnce() -> String) {
        if let Some(lines) = &self.lines {
            let line = format!("{:>12.6} {}", self.elapsed().as_secs_f64(), line());
            lines.lock().push(line);
        }
    }

    /// The trace so far.
    pub(crate) fn trace(&self) -> Vec<String> {
        self.lines.as_ref().map(|lines| lines.lock().clone()).unwrap_or_default()
    }

    /// Something is wrong, which ends the run.
    pub(crate) fn fail(&self, what: impl FnOnce() -> String) {
        let mut fault = self.fault.lock();
        if fault.is_none() {
            *fault = Some(format!("at {:.6}: {}", self.elapsed().as_secs_f64(), what()));
        }
        self.over.lock().cancel();
    }

    pub(crate) fn fault(&self) -> Option<String> {
        self.fault.lock().clone()
    }

    /// A whole request came; returns its number.
    pub(crate) fn saw(&self, receiver: usize, event: String, wire: Arc<Wire>) -> usize {
        self.note(|| format!("receiver {receiver} sees {event}"));
        let (at, life) = (self.elapsed(), self.life());
        let sight = Sight { receiver, event, at, life, status: None, oversized: false, wire, answer_end: 0 };
        let mut sights = self.sights.lock();
        sights.push(sight);
        sights.len() - 1
    }

    /// It is answered validly, by `length` bytes that are about to be sent.
    pub(crate) fn answers(&self, sight: usize, status: u16, length: usize) {
        let sight = &mut self.sights.lock()[sight];
        sight.status = Some(status);
        sight.oversized = length > callboard_engine::http::BODY_LIMIT;
        sight.answer_end = sight.wire.given() + length as u64;
    }

    /// The store has written attempts down.
    pub(crate) fn made(&self, attempts: &[Attempt]) {
        let life = self.life();
        let made = attempts.iter().map(|attempt| {
            let from = self.timeline.since_start(attempt.started_at);
            Made {
                life,
                webhook: attempt.webhook,
                from,
                to: from + attempt.duration,
                delivered: attempt.outcome == Outcome::Delivered,
                status: attempt.status,
            }
        });
        self.made.lock().extend(made);
    }

    pub(crate) fn since_start(&self, time: Timestamp) -> Duration {
        self.timeline.since_start(time)
    }
}
