//! Judges the pace of one webhook: how many at a time, how many a second, and
//! that what does not work is left alone for a while.

use std::time::Duration;

use callboard_domain::id::WebhookKey;

use super::plan::Hook;
use super::record::{Made, Record};

/// Attempts of a tenth of a second may begin at once.
const BURST: f64 = 0.1;

/// The breaker opens after so many failures in a row, over such a time; a
/// little more here, because an attempt ends a moment before its lane hears.
const FAILURES: usize = 20;
const FAILING_FOR: Duration = Duration::from_millis(10_300);

/// How long the breaker rests at least.
const REST: Duration = Duration::from_secs(5);

/// Judges, and counts how often the breaker was seen to open.
pub(crate) fn judge(hook: &Hook, key: WebhookKey, record: &Record) -> Result<usize, String> {
    let mut opened = 0;
    for life in 0..record.life() {
        let made = record.made.lock();
        let mut made: Vec<Made> =
            made.iter().filter(|made| made.life == life && made.webhook == key).copied().collect();
        made.sort_by_key(|made| (made.from, made.to));
        at_a_time(hook, &made)?;
        rate(hook, &made)?;
        if hook.max_in_flight == 1 {
            opened += breaker(&made)?;
        }
    }
    Ok(opened)
}

fn at_a_time(hook: &Hook, made: &[Made]) -> Result<(), String> {
    for one in made {
        let count = made.iter().filter(|other| other.from <= one.from && one.from < other.to).count();
        if count > hook.max_in_flight {
            return Err(format!("{count} at a time at {:?}", one.from));
        }
    }
    Ok(())
}

fn rate(hook: &Hook, made: &[Made]) -> Result<(), String> {
    let Some(rate) = hook.rate else { return Ok(()) };
    let ahead = (BURST - 1.0 / rate).max(0.0);
    for (index, first) in made.iter().enumerate() {
        for (more, last) in made[index..].iter().enumerate() {
            let within = last.from.saturating_sub(first.from);
            let allowed = (within.as_secs_f64() + ahead) * rate + 0.01;
            if f64::from(u32::try_from(more).unwrap()) > allowed {
                return Err(format!("{} in {within:?} at {:?}", more + 1, first.from));
            }
        }
    }
    Ok(())
}

/// One at a time: after failures in a row nothing begins within the rest.
fn breaker(made: &[Made]) -> Result<usize, String> {
    let (mut failures, mut since, mut opened) = (0, Duration::ZERO, 0);
    for pair in made.windows(2) {
        let (ended, next) = (pair[0], pair[1]);
        failures = if is_up(ended) { 0 } else { failures + 1 };
        if failures == 1 {
            since = ended.to;
        }
        if failures >= FAILURES && ended.to.saturating_sub(since) >= FAILING_FOR {
            opened += 1;
            if next.from < ended.to + REST {
                return Err(format!("{failures} failures until {:?}, the next at {:?}", ended.to, next.from));
            }
        }
    }
    Ok(opened)
}

/// Whether an attempt says that its receiver works.
fn is_up(made: Made) -> bool {
    made.delivered || made.status.is_some_and(|status| status < 500 && status != 429 && status != 410)
}
