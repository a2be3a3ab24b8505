//! Rows of the audit log.

use callboard_domain::audit::{By, Change, Entry, EntryFilter};
use callboard_domain::id::{AuditKey, TenantKey};
use callboard_domain::store::Page;
use serde_json::Value;

use super::looked::look;
use super::{Corrupt, count, micros, micros_from, timestamp, wanted};

/// The column value of the tenant; 0 for what concerns the deployment.
pub(crate) fn owner(tenant: Option<TenantKey>) -> i64 {
    tenant.map_or(0, |tenant| tenant.0)
}

/// The columns of an entry that is to be written, but for its tenant.
pub(crate) struct Written<'a> {
    pub(crate) at: i64,
    pub(crate) actor_kind: &'static str,
    pub(crate) actor_id: String,
    pub(crate) actor_name: &'a str,
    pub(crate) action: &'static str,
    pub(crate) target_kind: &'static str,
    pub(crate) target_id: &'a str,
    pub(crate) before: Option<String>,
    pub(crate) after: Option<String>,
    pub(crate) address: Option<String>,
}

impl<'a> Written<'a> {
    /// What is written of a change.
    pub(crate) fn new(by: &'a By, change: &'a Change) -> Self {
        Self {
            at: micros(by.at),
            actor_kind: by.actor.kind(),
            actor_id: by.actor.id(),
            actor_name: by.actor.name(),
            action: change.action,
            target_kind: change.target_kind,
            target_id: &change.target_id,
            before: change.before.as_ref().map(Value::to_string),
            after: change.after.as_ref().map(Value::to_string),
            address: by.address.map(|address| address.to_string()),
        }
    }
}

/// The columns of an entry, as they are read.
pub(crate) struct Columns {
    pub(crate) key: i64,
    pub(crate) at: i64,
    pub(crate) actor: [String; 3],
    pub(crate) action: String,
    pub(crate) target: [String; 2],
    pub(crate) before: Option<String>,
    pub(crate) after: Option<String>,
    pub(crate) address: Option<String>,
}

/// The entry that a row tells of.
pub(crate) fn entry(columns: Columns) -> Result<Entry, Corrupt> {
    let Columns { key, at, actor, action, target, before, after, address } = columns;
    let ([actor_kind, actor_id, actor_name], [target_kind, target_id]) = (actor, target);
    let json = |text: Option<String>| {
        let read = text.map(|text| serde_json::from_str(&text)).transpose();
        read.map_err(|_| Corrupt(format!("the entry {key} of the audit log")))
    };
    Ok(Entry {
        key: AuditKey(key),
        at: timestamp(at)?,
        actor_kind,
        actor_id,
        actor_name,
        action,
        target_kind,
        target_id,
        before: json(before)?,
        after: json(after)?,
        address,
    })
}

/// What a list is asked for.
pub(crate) struct Asked {
    /// Rows to look at.
    pub(crate) look: i64,
    /// Rows to return at most.
    pub(crate) wanted: i64,
    pub(crate) actor_id: Option<String>,
    pub(crate) target_id: Option<String>,
    /// The whole action.
    pub(crate) action: Option<String>,
    /// What the action begins with.
    pub(crate) start: String,
    pub(crate) since: i64,
    pub(crate) until: i64,
    /// Whether every row that is looked at fits.
    pub(crate) exact: bool,
}

impl Asked {
    /// What to ask a database for.
    pub(crate) fn new(filter: EntryFilter, page: Page) -> Self {
        let EntryFilter { actor_id, action, target_id, since, until } = filter;
        let exact = actor_id.is_none() && action.is_none() && since.is_none() && until.is_none();
        Self {
            look: count(look(page, exact)),
            wanted: wanted(page),
            actor_id,
            target_id,
            action: action.as_ref().and_then(|action| action.exact().map(str::to_owned)),
            start: action.map(|action| action.start().to_owned()).unwrap_or_default(),
            since: since.map_or(i64::MIN, micros_from),
            until: until.map_or(i64::MAX, micros_from),
            exact,
        }
    }
}
