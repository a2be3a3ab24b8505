//! The end of each tenant's log that is listened to: read once, whoever many
//! listen.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use callboard_domain::delivery::StoredEvent;
use callboard_domain::id::{EventKey, TenantKey};
use callboard_domain::store::{Result, Store};
use parking_lot::Mutex;
use tokio::sync::watch;

use super::STRETCH;

/// Bytes of bodies that are kept of each tenant's log for those who follow.
const KEPT: usize = 1024 * 1024;

/// The logs that are listened to.
#[derive(Debug, Default)]
pub(crate) struct Tails {
    tenants: Mutex<HashMap<TenantKey, Weak<Tail>>>,
    /// How many entries there are, so that publishing asks no lock while nobody
    /// listens.
    listened: AtomicUsize,
}

impl Tails {
    /// The tenant's, and what tells that something was recorded; `None` when
    /// `most` listen already.
    pub(super) fn join(&self, tenant: TenantKey, most: usize) -> Option<(Arc<Tail>, watch::Receiver<()>)> {
        let mut tenants = self.tenants.lock();
        // Those that nobody listens to any more.
        tenants.retain(|_, tail| tail.strong_count() > 0);
        let tail = tenants.get(&tenant).and_then(Weak::upgrade).unwrap_or_else(|| Arc::new(Tail::new()));
        tenants.insert(tenant, Arc::downgrade(&tail));
        self.listened.store(tenants.len(), Ordering::Release);
        let recorded = tail.recorded.subscribe();
        (tail.recorded.receiver_count() <= most).then_some((tail, recorded))
    }

    /// Tells all who listen that something may have been recorded.
    pub(crate) fn recorded_somewhere(&self) {
        for tail in self.tenants.lock().values().filter_map(Weak::upgrade) {
            tail.recorded.send_replace(());
        }
    }

    /// Tells those who listen that events of this tenant were recorded.
    pub(crate) fn recorded(&self, tenant: TenantKey) {
        if self.listened.load(Ordering::Acquire) == 0 {
            return;
        }
        let tail = self.tenants.lock().get(&tenant).and_then(Weak::upgrade);
        if let Some(tail) = tail {
            tail.recorded.send_replace(());
        }
    }
}

/// Some of the log.
pub(super) struct Piece {
    pub(super) events: Vec<Arc<StoredEvent>>,
    /// What follows comes after this.
    pub(super) end: EventKey,
    /// Whether more follows already.
    pub(super) more: bool,
}

/// The end of one tenant's log.
#[derive(Debug)]
pub(super) struct Tail {
    recorded: watch::Sender<()>,
    /// Held while the log is read, so that of many who wait for the same events
    /// one reads them.
    recent: tokio::sync::Mutex<Recent>,
}

/// What was read last, with nothing left out in between.
#[derive(Debug)]
struct Recent {
    /// Everything behind this place, up to `end`, is here.
    begin: EventKey,
    end: EventKey,
    events: VecDeque<Arc<StoredEvent>>,
    bytes: usize,
}

impl Tail {
    fn new() -> Self {
        Self {
            recorded: watch::Sender::new(()),
            recent: tokio::sync::Mutex::new(Recent::nothing_behind(EventKey(0))),
        }
    }

    /// What follows a place: from memory where others have read it already.
    pub(super) async fn after(&self, store: &dyn Store, tenant: TenantKey, place: EventKey) -> Result<Piece> {
        let recent = self.recent.lock().await;
        if let Some(piece) = recent.after(place) {
            return Ok(piece);
        }
        let follows = place >= recent.end;
        // Whoever is far behind reads for itself, and keeps nobody waiting.
        let mut recent = follows.then_some(recent);
        let (limit, max_bytes) = STRETCH;
        let stretch = store.events_after(tenant, None, place, limit, max_bytes).await?;
        let events = stretch.events.into_iter().map(|(event, _)| event).collect();
        let piece = Piece { events, end: stretch.end, more: stretch.more };
        if let Some(recent) = &mut recent {
            recent.take(place, &piece);
        }
        Ok(piece)
    }
}

impl Recent {
    const fn nothing_behind(place: EventKey) -> Self {
        Self { begin: place, end: place, events: VecDeque::new(), bytes: 0 }
    }

    fn after(&self, place: EventKey) -> Option<Piece> {
        if place < self.begin || place >= self.end {
            return None;
        }
        let first = self.events.partition_point(|event| event.key <= place);
        let events: Vec<_> = self.events.range(first..).take(STRETCH.0).cloned().collect();
        let more = first + events.len() < self.events.len();
        let end = events.last().filter(|_| more).map_or(self.end, |event| event.key);
        // What came after the last reading is found by the next one.
        Some(Piece { events, end, more: true })
    }

    fn take(&mut self, place: EventKey, piece: &Piece) {
        if place > self.end || self.events.is_empty() {
            *self = Self::nothing_behind(place);
        }
        self.end = piece.end;
        for event in &piece.events {
            self.bytes += event.body.len();
            self.events.push_back(Arc::clone(event));
        }
        while self.bytes > KEPT
            && let Some(oldest) = self.events.pop_front()
        {
            self.bytes -= oldest.body.len();
            self.begin = oldest.key;
        }
    }
}

#[cfg(test)]
mod tests;
