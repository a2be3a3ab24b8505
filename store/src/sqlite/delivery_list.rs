//! Lists a webhook's deliveries, newest first, at any size of the database.

use callboard_domain::delivery::{DeliverySummary, State};
use callboard_domain::id::WebhookKey;
use callboard_domain::store::{DeliveryFilter, Listed, Page};
use rusqlite::Connection;

use super::attempts::{self, NUMBERS, first_key};
use super::deliveries::{Wanted, standing, summary};
use super::failure::Failure;
use super::{log_index, sql, timeline};
use crate::rows::looked::look;
use crate::rows::{before, count};

/// Waiting deliveries up to which they are sorted instead of looked for.
const SORTED: usize = 10_000;

/// What is failed now, the newest first.
pub(super) const FAILED: &str = "SELECT key / 1024 FROM attempts
    WHERE webhook = ?1 AND state = 3 AND key >= ?2 AND key < ?3 ORDER BY key DESC LIMIT ?4";

/// What waits, in no order.
pub(super) const QUEUED: &str = "SELECT delivery FROM pending WHERE webhook = ?1 LIMIT ?2";

/// A page of the webhook's deliveries. With a filter it may be short of the
/// limit, even empty, while more follow.
pub(super) fn list(
    conn: &Connection,
    webhook: WebhookKey,
    filter: &DeliveryFilter,
    page: Page,
) -> Result<Listed<DeliverySummary>, Failure> {
    let (from, to) = timeline::span(conn, filter.since, filter.until)?;
    let range = (from.first_delivery, to.first_delivery.min(before(page)));
    let limit = page.limit.max(1);
    let exact = *filter == DeliveryFilter { since: filter.since, until: filter.until, ..Default::default() };
    let look = look(page, exact);
    let candidates = candidates(conn, webhook, &filter.states, range, look)?;
    let wanted = Wanted {
        tenant: None,
        type_name: filter.type_name.as_deref(),
        subject_id: filter.subject_id.as_deref(),
    };
    let mut items = Vec::new();
    for (index, delivery) in candidates.iter().copied().enumerate() {
        // Asked first, because it costs less than all that tells where one stands.
        let is_answered = match filter.answer {
            Some(answer) => attempts::last_answer(conn, delivery)? == Some(answer),
            None => true,
        };
        let standing = if is_answered { standing(conn, delivery)? } else { None };
        let fits = |state| filter.states.is_empty() || filter.states.contains(&state);
        if let Some(standing) = standing.filter(|standing| fits(standing.state)) {
            items.extend(summary(conn, standing, &wanted)?);
        }
        let more = index + 1 < candidates.len() || (!exact && candidates.len() == look);
        if more && (items.len() == limit || index + 1 == candidates.len()) {
            return Ok(Listed { items, next: Some(delivery) });
        }
    }
    Ok(Listed { items, next: None })
}

/// The keys from `range` that may be in one of `states`, the newest first, at
/// most `look`, from whichever index holds the fewest others.
fn candidates(
    conn: &Connection,
    webhook: WebhookKey,
    states: &[State],
    (from, to): (i64, i64),
    look: usize,
) -> Result<Vec<i64>, Failure> {
    let only = |some: &[State]| !states.is_empty() && states.iter().all(|state| some.contains(state));
    if only(&[State::Failed]) {
        let keys = (webhook.0, first_key(from), first_key(to), count(look));
        return sql::many(conn, FAILED, keys, |row| Ok(row.get(0)?));
    }
    if only(&[State::Pending, State::Waiting]) {
        let mut queued =
            sql::many(conn, QUEUED, (webhook.0, count(SORTED + 1)), |row| Ok(row.get::<_, i64>(0)?))?;
        if queued.len() <= SORTED {
            queued.retain(|delivery| (from..to).contains(delivery));
            queued.sort_unstable_by(|left, right| right.cmp(left));
            queued.truncate(look);
            return Ok(queued);
        }
    }
    log_index::deliveries(conn, webhook, (from, to), look)
}

const _: () = assert!(NUMBERS == 1_024, "FAILED and the schema spell it out");
