//! Judges a seed: what the log says, what the receivers saw, and what was
//! promised have to agree.

use std::collections::BTreeMap;
use std::time::Duration;

use callboard_domain::delivery::{Cause, DeliverySummary, LoggedAttempt, State};
use callboard_domain::id::{TenantKey, WebhookId, WebhookKey};
use callboard_domain::store::{DeliveryFilter, Page, Result as Stored, Store};

use super::pace;
use super::plan::{Hook, Plan};
use super::record::{End, Record, Sight};

/// A delivery at the end.
pub(crate) struct Fate {
    /// The webhook's number in the plan.
    hook: usize,
    key: WebhookKey,
    summary: DeliverySummary,
    attempts: Vec<LoggedAttempt>,
}

/// What was seen, for the figures.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Tally {
    pub(crate) delivered: usize,
    pub(crate) failed: usize,
    pub(crate) superseded: usize,
    pub(crate) cancelled: usize,
    pub(crate) attempts: usize,
    pub(crate) repeated: usize,
    pub(crate) crashes: usize,
    pub(crate) stops: usize,
    pub(crate) breakers: usize,
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.delivered += other.delivered;
        self.failed += other.failed;
        self.superseded += other.superseded;
        self.cancelled += other.cancelled;
        self.attempts += other.attempts;
        self.repeated += other.repeated;
        self.crashes += other.crashes;
        self.stops += other.stops;
        self.breakers += other.breakers;
    }
}

/// Reads the whole log.
pub(crate) async fn fates(
    store: &dyn Store,
    tenant: TenantKey,
    hooks: &[(WebhookKey, WebhookId)],
) -> Stored<Vec<Fate>> {
    let mut fates = Vec::new();
    for (hook, (key, _)) in hooks.iter().enumerate() {
        let page = Page { limit: 10_000, after: None };
        let mut listed = store.list_deliveries(*key, DeliveryFilter::default(), page).await?;
        listed.items.sort_by_key(|summary| summary.key);
        for summary in listed.items {
            let attempts = if summary.attempts <= 1 {
                summary.last_attempt.clone().into_iter().collect()
            } else {
                store.delivery(tenant, summary.key).await?.map(|(_, attempts)| attempts).unwrap_or_default()
            };
            fates.push(Fate { hook, key: *key, summary, attempts });
        }
    }
    Ok(fates)
}

/// An attempt of the log, on the simulated clock.
struct Try<'a> {
    from: Duration,
    to: Duration,
    logged: &'a LoggedAttempt,
}

/// A delivery with everything that is known of it.
struct Case<'a> {
    fate: &'a Fate,
    hook: &'a Hook,
    /// Attempts that were made, oldest first.
    tries: Vec<Try<'a>>,
    sights: Vec<&'a Sight>,
    /// When somebody had it sent again, for certain or perhaps.
    again: Vec<Duration>,
    /// A job may have had it sent again.
    moved: bool,
}

/// Whether everything was as promised.
pub(crate) fn judge(plan: &Plan, record: &Record, fates: &[Fate]) -> Result<Tally, String> {
    let sights = record.sights.lock();
    let mut by_delivery: BTreeMap<(usize, &str), Vec<&Sight>> = BTreeMap::new();
    for sight in &*sights {
        by_delivery.entry((sight.receiver, &sight.event)).or_default().push(sight);
    }
    accepted(plan, record, fates)?;
    let mut tally = Tally::default();
    let mut cases = Vec::new();
    for fate in fates {
        let sights = by_delivery.remove(&(fate.hook, fate.summary.event_id.as_str())).unwrap_or_default();
        cases.push(Case::new(fate, &plan.hooks[fate.hook], sights, record));
    }
    if let Some(((receiver, event), _)) = by_delivery.first_key_value() {
        return Err(format!("receiver {receiver} saw {event}, of which there is no delivery"));
    }
    for case in &cases {
        let named = |fault| format!("{} ({}): {fault}", case.fate.summary.key, case.fate.summary.event_id);
        case.state(&cases, record, &mut tally).map_err(named)?;
        case.log_and_sights(record, &mut tally).map_err(named)?;
    }
    order(&cases)?;
    for (hook, (settings, key)) in plan.hooks.iter().zip(keys(fates)).enumerate() {
        if let Some(key) = key {
            tally.breakers +=
                pace::judge(settings, key, record).map_err(|fault| format!("w{hook}: {fault}"))?;
        }
    }
    for end in &*record.ends.lock() {
        match end {
            End::Crash => tally.crashes += 1,
            End::Stop => tally.stops += 1,
        }
    }
    Ok(tally)
}

/// The webhook of each number that had deliveries.
fn keys(fates: &[Fate]) -> impl Iterator<Item = Option<WebhookKey>> {
    (0..).map(|hook| fates.iter().find(|fate| fate.hook == hook).map(|fate| fate.key))
}

/// Every accepted event has all of its deliveries.
fn accepted(plan: &Plan, record: &Record, fates: &[Fate]) -> Result<(), String> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for fate in fates {
        *counts.entry(fate.summary.event_id.as_str()).or_default() += 1;
    }
    let all_heard = record.disabled.lock().is_empty() && record.deleted.lock().is_empty();
    for (number, published) in &*record.accepted.lock() {
        let id = &plan.facts[*number].id;
        let count = counts.get(id.as_str()).copied().unwrap_or(0);
        // Of a duplicate the publisher learns only that it was there before.
        let told = if published.duplicate { count } else { published.deliveries };
        if count != told || (all_heard && count != plan.hooks.len()) {
            return Err(format!("{id} was accepted for {told} and has {count} deliveries"));
        }
    }
    Ok(())
}

impl<'a> Case<'a> {
    fn new(fate: &'a Fate, hook: &'a Hook, sights: Vec<&'a Sight>, record: &Record) -> Self {
        let made =
            |logged: &&LoggedAttempt| !matches!(logged.cause, Some(Cause::Cancelled | Cause::Superseded));
        let tries = fate.attempts.iter().filter(made).map(|logged| {
            let from = record.since_start(logged.started_at);
            Try { from, to: from + logged.duration, logged }
        });
        let retried = record.retried.lock();
        let again = retried.iter().filter(|(key, _)| *key == fate.summary.key).map(|(_, at)| *at);
        let by_jobs = record.moved.lock();
        let moves = by_jobs.iter().filter(|(key, _)| *key == fate.key).map(|(_, at)| *at);
        let again = again.chain(moves.clone()).collect();
        Self { fate, hook, tries: tries.collect(), sights, again, moved: moves.count() > 0 }
    }

    /// It is over, for a reason that is known.
    fn state(&self, all: &[Self], record: &Record, tally: &mut Tally) -> Result<(), String> {
        let summary = &self.fate.summary;
        match summary.state {
            State::Delivered => tally.delivered += 1,
            State::Failed => {
                tally.failed += 1;
                self.schedule()?;
            }
            State::Superseded => {
                tally.superseded += 1;
                let newer = |other: &Self| {
                    other.fate.hook == self.fate.hook
                        && other.fate.summary.subject_id == summary.subject_id
                        && other.fate.summary.type_name == "ticket.updated"
                        && other.fate.summary.key > summary.key
                };
                let may = self.hook.collapses && summary.type_name == "ticket.updated";
                if !may || !all.iter().any(newer) {
                    return Err("superseded by nothing".to_owned());
                }
            }
            State::Cancelled => {
                tally.cancelled += 1;
                let known = record.cancelled.lock().contains(&summary.key)
                    || record.deleted.lock().contains(&self.fate.key);
                if !known {
                    return Err("cancelled by nobody".to_owned());
                }
            }
            State::Pending | State::Waiting => {
                return Err(format!("still {:?}, next at {:?}", summary.state, summary.next_attempt_at));
            }
        }
        Ok(())
    }

    /// It was given up after exactly its schedule.
    fn schedule(&self) -> Result<(), String> {
        if self.moved {
            return Ok(());
        }
        let Some(last) = self.tries.last() else { return Err("failed without an attempt".to_owned()) };
        let since = self.again.iter().filter(|at| **at <= last.from).max().copied().unwrap_or_default();
        let present: Vec<&Try<'_>> = self.tries.iter().filter(|made| made.from >= since).collect();
        let (count, whole) = (present.len(), self.hook.schedule.len() + 1);
        if count != whole && last.logged.status != Some(410) {
            return Err(format!("given up after {count} attempts of {whole}"));
        }
        for (pair, wait) in present.windows(2).zip(self.hook.schedule) {
            let (waited, minimum) =
                (pair[1].from.saturating_sub(pair[0].to).as_secs_f64(), wait * 0.8 - 0.001);
            if waited < minimum {
                return Err(format!("tried again after {waited} s, {minimum} at least"));
            }
        }
        Ok(())
    }

    /// The log tells of what the receiver saw, and of nothing else.
    fn log_and_sights(&self, record: &Record, tally: &mut Tally) -> Result<(), String> {
        tally.attempts += self.tries.len();
        let ends = record.ends.lock();
        let logged = self.logged();
        let mut unlogged = None;
        for (index, (sight, logged)) in self.sights.iter().zip(&logged).enumerate() {
            let at = sight.at.as_secs_f64();
            if let Some(made) = logged.map(|index| self.tries[index].logged) {
                if sight.is_taken() != (made.state == State::Delivered) && !sight.oversized {
                    return Err(format!("{:?}, but answered at {at:.6} with {:?}", made.state, sight.status));
                }
            } else {
                if ends[sight.life as usize] != End::Crash || unlogged == Some(sight.life) {
                    return Err(format!("seen at {at:.6}, and not in the log"));
                }
                unlogged = Some(sight.life);
            }
            if let Some(next) = self.sights.get(index + 1) {
                tally.repeated += 1;
                let asked = self.again.iter().any(|again| *again >= sight.at && *again <= next.at);
                if sight.is_taken() && logged.is_some() && !asked {
                    return Err(format!("taken at {at:.6}, and sent again at {:?}", next.at));
                }
            }
        }
        for (index, made) in self.tries.iter().enumerate() {
            if made.logged.state == State::Delivered && !logged.contains(&Some(index)) {
                return Err(format!("attempt {} was delivered, and not seen", made.logged.number));
            }
        }
        Ok(())
    }

    /// Which attempt of the log each sight belongs to: of those that were under
    /// way then, the first to end that was not seen before.
    fn logged(&self) -> Vec<Option<usize>> {
        let mut logged = Vec::with_capacity(self.sights.len());
        for sight in &self.sights {
            let under_way = self.tries.iter().enumerate().filter(|(index, made)| {
                made.from <= sight.at && sight.at <= made.to && !logged.contains(&Some(*index))
            });
            let first = under_way.min_by_key(|(_, made)| made.to).map(|(index, _)| index);
            logged.push(first);
        }
        logged
    }
}

/// Of one subject, each delivery is over before the next is seen.
fn order(cases: &[Case<'_>]) -> Result<(), String> {
    let mut chains: BTreeMap<(usize, &str), Vec<&Case<'_>>> = BTreeMap::new();
    for case in cases.iter().filter(|case| case.hook.ordered) {
        chains.entry((case.fate.hook, &case.fate.summary.subject_id)).or_default().push(case);
    }
    for ((hook, subject), chain) in &chains {
        let mut tries: Vec<_> =
            chain.iter().flat_map(|case| case.tries.iter().map(|made| (made.from, made.to))).collect();
        tries.sort_unstable();
        if let Some(pair) = tries.windows(2).find(|pair| pair[1].0 < pair[0].1) {
            return Err(format!("w{hook}, {subject}: two at a time, {pair:?}"));
        }
        for (index, later) in chain.iter().enumerate() {
            let Some(first) = later.sights.first().map(|sight| sight.at) else { continue };
            for earlier in chain[..index].iter().filter(|case| case.again.is_empty()) {
                if let Some(sight) = earlier.sights.iter().find(|sight| sight.at >= first) {
                    let keys = (earlier.fate.summary.key, later.fate.summary.key);
                    return Err(format!(
                        "w{hook}, {subject}: {} seen at {:?}, after {} at {first:?}",
                        keys.0, sight.at, keys.1
                    ));
                }
            }
        }
    }
    Ok(())
}
