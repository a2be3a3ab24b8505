//! Finds events that a webhook has no delivery of, oldest first, a piece at a
//! time. Whether it hears them is not asked here.

use callboard_domain::id::{TenantKey, WebhookKey};
use callboard_domain::job::{Range, Selection};
use callboard_domain::store::{EventFilter, Undelivered};
use rusqlite::Connection;

use super::failure::Failure;
use super::{echoes, event_list, log_index};

/// Looks at the first `limit` of the tenant's events in a range that have the
/// type and subject selected, or at fewer when their bodies outgrow `max_bytes`.
pub(super) fn find(
    conn: &Connection,
    (tenant, webhook): (TenantKey, WebhookKey),
    selection: &Selection,
    range: Range,
    limit: usize,
    max_bytes: usize,
) -> Result<Undelivered, Failure> {
    let filter = EventFilter {
        type_name: selection.type_name.clone(),
        subject_id: selection.subject_id.clone(),
        since: None,
        until: None,
    };
    let facet = event_list::facet(&filter);
    let candidates = log_index::events_upwards(conn, tenant, facet, (range.from, range.to), limit)?;
    let (mut events, mut room) = (Vec::new(), max_bytes);
    for (index, key) in candidates.iter().copied().enumerate() {
        if echoes::is_heard(conn, tenant, key, webhook)? != Some(false) {
            continue;
        }
        let Some(event) = event_list::fitting(conn, key, &filter)? else { continue };
        if event.body.len() > room && !events.is_empty() {
            return Ok(Undelivered { events, looked_at: index, next: Some(key) });
        }
        room = room.saturating_sub(event.body.len());
        events.push((index, event));
    }
    let next = candidates.last().filter(|_| candidates.len() == limit).map(|last| last + 1);
    Ok(Undelivered { events, looked_at: candidates.len(), next })
}
