//! Lists a webhook's deliveries, newest first, at any size of the database.
//!
//! What waits is in one table and what was tried in another, some in both, and
//! each has an index by webhook and delivery. So the newest of a webhook are among
//! the newest of either.

use callboard_domain::delivery::{DeliverySummary, State};
use callboard_domain::id::WebhookKey;
use callboard_domain::store::{DeliveryFilter, Listed, Page};

use super::deliveries::{Stance, stances, summaries};
use super::failure::Failure;
use super::sql::{self, Connection, get};
use super::timeline;
use crate::rows::looked::{Looked, look};
use crate::rows::{before, count};

/// Deliveries looked at in one statement.
const PIECE: usize = 500;

/// The keys of a webhook's deliveries, newest first. What was ever tried or ended
/// has one row with the number 1.
pub(super) const ALL: &str = "SELECT delivery FROM (
        (SELECT delivery FROM pending WHERE webhook = $1 AND delivery >= $2 AND delivery < $3
         ORDER BY delivery DESC LIMIT $4)
        UNION
        (SELECT delivery FROM attempts WHERE webhook = $1 AND number = 1 AND delivery >= $2 AND delivery < $3
         ORDER BY delivery DESC LIMIT $4)
    ) AS known ORDER BY delivery DESC LIMIT $4";

/// The same, oldest first.
pub(super) const ALL_UPWARDS: &str = "SELECT delivery FROM (
        (SELECT delivery FROM pending WHERE webhook = $1 AND delivery >= $2 AND delivery < $3
         ORDER BY delivery LIMIT $4)
        UNION
        (SELECT delivery FROM attempts WHERE webhook = $1 AND number = 1 AND delivery >= $2 AND delivery < $3
         ORDER BY delivery LIMIT $4)
    ) AS known ORDER BY delivery LIMIT $4";

/// What waits, newest first.
pub(super) const QUEUED: &str = "SELECT delivery FROM pending
    WHERE webhook = $1 AND delivery >= $2 AND delivery < $3 ORDER BY delivery DESC LIMIT $4";

/// What is failed now, newest first.
pub(super) const FAILED: &str = "SELECT delivery FROM attempts
    WHERE webhook = $1 AND state = 3 AND delivery >= $2 AND delivery < $3 ORDER BY delivery DESC LIMIT $4";

/// A page of the webhook's deliveries. With a filter it may be short of the
/// limit, even empty, while more follow.
pub(super) async fn list(
    conn: &Connection,
    webhook: WebhookKey,
    filter: &DeliveryFilter,
    page: Page,
) -> Result<Listed<DeliverySummary>, Failure> {
    let (from, to) = timeline::span(conn, filter.since, filter.until).await?;
    let range = (from.first_delivery, to.first_delivery.min(before(page)));
    let (type_name, subject_id) = (filter.type_name.as_deref(), filter.subject_id.as_deref());
    let exact = *filter == DeliveryFilter { since: filter.since, until: filter.until, ..Default::default() };
    let look = look(page, exact);
    let candidates = keys(conn, candidates(&filter.states), webhook, range, look).await?;
    let last = candidates.last().copied().filter(|_| candidates.len() == look);
    let mut fitting = Vec::new();
    for piece in candidates.chunks(PIECE) {
        let stances = stances(conn, piece, type_name, subject_id).await?;
        let fits = |one: &&Stance| {
            (filter.states.is_empty() || filter.states.contains(&one.state))
                && filter.answer.is_none_or(|answer| one.answer == Some(answer))
        };
        fitting.extend(stances.iter().filter(fits).map(|one| one.delivery));
        if fitting.len() > page.limit {
            break;
        }
    }
    let (keys, next) = Looked { fitting, last }.cut(page);
    Ok(Listed { items: summaries(conn, &keys).await?, next })
}

/// The statement that finds what may be in one of these states, and the fewest
/// others.
fn candidates(states: &[State]) -> &'static str {
    let only = |some: &[State]| !states.is_empty() && states.iter().all(|state| some.contains(state));
    if only(&[State::Failed]) {
        FAILED
    } else if only(&[State::Pending, State::Waiting]) {
        QUEUED
    } else {
        ALL
    }
}

/// The keys that one of the statements above finds, at most `limit`.
pub(super) async fn keys(
    conn: &Connection,
    statement: &str,
    webhook: WebhookKey,
    (from, to): (i64, i64),
    limit: usize,
) -> Result<Vec<i64>, Failure> {
    sql::many(conn, statement, &[&webhook.0, &from, &to, &count(limit)], |row| get(row, 0)).await
}
