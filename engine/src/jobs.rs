//! Moves jobs on, a step at a time, and counts ahead of them what they will come
//! to.

use std::sync::Arc;

use callboard_domain::audit::By;
use callboard_domain::clock::Timestamp;
use callboard_domain::delivery::{Reason, StoredEvent};
use callboard_domain::id::{TenantKey, WebhookKey};
use callboard_domain::job::{Counted, Job, JobKind, JobState, Range, Selection};
use callboard_domain::matching::Listener;
use callboard_domain::store::{Late, NewReplay, Result, Undelivered};

use crate::Engine;

/// Most deliveries that a job makes due in one transaction, and most rows that
/// one looks at for them, so that it never keeps publishers waiting.
const STEP: usize = 250;

/// Most events that one step looks at for what is missing: those that the webhook
/// does not hear cost the writer nothing.
const LOOKED_AT: usize = 2_000;

/// Rows read in one read, so that a long count neither keeps others waiting for
/// the database nor holds what is to be given back.
const READ: usize = 500;

/// Most bytes of bodies in one read.
const READ_BYTES: usize = 4 * 1024 * 1024;

/// Rows counted before a replay is answered: nearly all replays are smaller, and
/// have their total at once.
const COUNTED_AT_ONCE: u64 = 5_000;

/// Rows counted in one step of a job whose total is not known yet. More than a
/// step moves, so that the count comes to its end first.
const COUNTED: u64 = 2_000;

/// Rows that a count by itself looks at: the asker waits for it, and nobody is to
/// keep the database busy for minutes by asking.
const COUNTED_AT_MOST: u64 = 200_000;

/// How the jobs stand after a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Standing {
    /// One of them has more to do at once.
    pub(crate) more: bool,
    /// When one that has to keep a rate goes on.
    pub(crate) resumes_at: Option<Timestamp>,
}

impl Standing {
    fn and(self, other: Self) -> Self {
        Self {
            more: self.more || other.more,
            resumes_at: self.resumes_at.into_iter().chain(other.resumes_at).min(),
        }
    }
}

impl Engine {
    /// Starts retrying everything of a webhook that has failed, or what failed for
    /// one reason. While a job of this kind and reason is unfinished, that one is
    /// returned.
    ///
    /// # Errors
    /// When the store can't do it.
    pub async fn retry_failed(
        self: &Arc<Self>,
        tenant: TenantKey,
        webhook: WebhookKey,
        reason: Option<Reason>,
        rate_per_second: Option<f64>,
        by: By,
    ) -> Result<Job> {
        let job = self.store.create_retry_job(tenant, webhook, reason, rate_per_second, by).await?;
        self.jobs_changed.notify_one();
        Ok(job)
    }

    /// Starts calling off what has failed, otherwise like [`Self::retry_failed`].
    ///
    /// # Errors
    /// When the store can't do it.
    pub async fn discard_failed(
        self: &Arc<Self>,
        tenant: TenantKey,
        webhook: WebhookKey,
        reason: Option<Reason>,
        by: By,
    ) -> Result<Job> {
        let job = self.store.create_discard_job(tenant, webhook, reason, by).await?;
        self.jobs_changed.notify_one();
        Ok(job)
    }

    /// Starts a replay of what is selected. While another replay of the webhook
    /// is unfinished, that one is returned.
    ///
    /// # Errors
    /// When the store can't do it.
    pub async fn replay(
        self: &Arc<Self>,
        tenant: TenantKey,
        webhook: WebhookKey,
        selection: Selection,
        rate_per_second: Option<f64>,
        by: By,
    ) -> Result<Job> {
        let range = self.store.range_of(selection.clone()).await?;
        let counted = count(self, (tenant, webhook), &selection, range, COUNTED_AT_ONCE).await?;
        let replay = NewReplay { selection, range, counted, rate_per_second };
        let job = self.store.create_replay_job(tenant, webhook, replay, by).await?;
        self.jobs_changed.notify_one();
        Ok(job)
    }

    /// Starts sending one event to a webhook that has no delivery of it and hears it.
    /// While another replay of the webhook is unfinished, that one is returned.
    ///
    /// # Errors
    /// When the store can't do it.
    pub async fn replay_event(
        self: &Arc<Self>,
        tenant: TenantKey,
        webhook: WebhookKey,
        event: &StoredEvent,
        by: By,
    ) -> Result<Job> {
        let selection = Selection::of_event(event);
        // Others may have been accepted in the same instant.
        let instant = self.store.range_of(selection.clone()).await?;
        let range =
            Range { from: instant.from.max(event.key.0), to: instant.to.min(event.key.0.saturating_add(1)) };
        let counted = count(self, (tenant, webhook), &selection, range, COUNTED_AT_ONCE).await?;
        let replay = NewReplay { selection, range, counted, rate_per_second: None };
        let job = self.store.create_replay_job(tenant, webhook, replay, by).await?;
        self.jobs_changed.notify_one();
        Ok(job)
    }

    /// Counts what a replay would send, up to a bound on what is looked at.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn count_replay(
        &self,
        tenant: TenantKey,
        webhook: WebhookKey,
        selection: &Selection,
    ) -> Result<Counted> {
        let range = self.store.range_of(selection.clone()).await?;
        count(self, (tenant, webhook), selection, range, COUNTED_AT_MOST).await
    }
}

/// Counts what is selected in a range, until about `limit` rows are looked at.
async fn count(
    engine: &Engine,
    whose: (TenantKey, WebhookKey),
    selection: &Selection,
    mut range: Range,
    limit: u64,
) -> Result<Counted> {
    let mut counted = Counted { selected: 0, looked_at: 0, next: Some(range.from) };
    let listener = if selection.missing { listener(engine, whose.1).await? } else { None };
    while counted.looked_at < limit
        && let Some(from) = counted.next
    {
        range.from = from;
        let piece = if selection.missing {
            let Undelivered { events, looked_at, next } =
                undelivered(engine, whose, selection, range).await?;
            let heard =
                events.iter().filter(|(_, event)| listener.as_ref().is_some_and(|one| one.hears(event)));
            Counted { selected: heard.count() as u64, looked_at: looked_at as u64, next }
        } else {
            engine.store.count_selected(whose.1, selection.clone(), range, READ).await?
        };
        counted.selected += piece.selected;
        counted.looked_at += piece.looked_at;
        counted.next = piece.next;
    }
    Ok(counted)
}

/// The webhook as it is now; `None` when it is deleted.
async fn listener(engine: &Engine, webhook: WebhookKey) -> Result<Option<Listener>> {
    Ok(engine.registry.target(webhook).await?.map(|target| Listener::new(&target.webhook)))
}

async fn undelivered(
    engine: &Engine,
    (tenant, webhook): (TenantKey, WebhookKey),
    selection: &Selection,
    range: Range,
) -> Result<Undelivered> {
    engine.store.undelivered(tenant, webhook, selection.clone(), range, READ, READ_BYTES).await
}

/// Moves every running job one step on. One that can't be moved does not hold
/// the others up.
///
/// # Errors
/// When the store can't do it.
pub(crate) async fn step(engine: &Arc<Engine>) -> Result<Standing> {
    let mut outcome = Ok(Standing::default());
    for job in engine.store.running_jobs().await? {
        match step_one(engine, &job).await {
            Ok(standing) => outcome = outcome.map(|others| others.and(standing)),
            Err(error) => outcome = outcome.and(Err(error)),
        }
    }
    outcome
}

async fn step_one(engine: &Arc<Engine>, job: &Job) -> Result<Standing> {
    count_on(engine, job).await?;
    let now = engine.clock.now();
    if let Some(resumes_at) = job.resumes_at(now) {
        return Ok(Standing { more: job.counted_to.is_some(), resumes_at: Some(resumes_at) });
    }
    let moved = match &job.selection {
        Some(selection) if selection.missing => add_late(engine, job, selection, now).await?,
        _ => engine.store.advance_job(job.key, STEP, now).await?,
    };
    let Some(moved) = moved else { return Ok(Standing::default()) };
    // What was called off is due nowhere.
    if moved.done > job.done && job.kind != JobKind::Discard {
        engine.note_stored(job.webhook, now);
        // What is late is new in the log of its webhook.
        engine.tails.recorded(job.tenant);
    }
    let runs = moved.state == JobState::Running;
    let resumes_at = moved.resumes_at(now).filter(|_| runs);
    Ok(Standing { more: runs && (resumes_at.is_none() || job.counted_to.is_some()), resumes_at })
}

/// Counts further what a job is to come to.
async fn count_on(engine: &Engine, job: &Job) -> Result<()> {
    let (Some(from), Some(selection)) = (job.counted_to, &job.selection) else { return Ok(()) };
    let range = Range { from, ..job.left };
    let counted = count(engine, (job.tenant, job.webhook), selection, range, COUNTED).await?;
    engine.store.note_counted(job.key, from, counted).await
}

/// Finds what the webhook of a job hears and was never sent, and makes it due.
async fn add_late(engine: &Engine, job: &Job, selection: &Selection, now: Timestamp) -> Result<Option<Job>> {
    let most = job.allowed(now, STEP);
    let range = job.reach();
    let mut late = Late { from: range.from, next: range.from, looked_at: 0, events: Vec::new() };
    // Without a webhook nothing is found, and the store stops the job.
    if let Some(listener) = listener(engine, job.webhook).await? {
        while late.looked_at < LOOKED_AT && late.events.len() < most && late.next < range.to {
            let rest = Range { from: late.next, ..range };
            let piece = undelivered(engine, (job.tenant, job.webhook), selection, rest).await?;
            take(&mut late, &piece, (&listener, most), range);
        }
    }
    engine.store.add_late(job.key, late, now).await
}

/// Takes what is heard of a piece, until there are `most`.
fn take(late: &mut Late, piece: &Undelivered, (listener, most): (&Listener, usize), range: Range) {
    (late.looked_at, late.next) = (late.looked_at + piece.looked_at, piece.next.unwrap_or(range.to));
    for (before, event) in piece.events.iter().filter(|(_, event)| listener.hears(event)) {
        if late.events.len() == most {
            late.looked_at -= piece.looked_at - before;
            late.next = event.key.0;
            return;
        }
        late.events.push(event.key);
    }
}
