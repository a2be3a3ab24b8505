//! The audit log: who changed what, and how it stood before and afterwards.

use std::fmt::Write as _;

use askama::Template;
use axum::Router;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use callboard_domain::audit::{Entry, EntryFilter};
use callboard_domain::store::{Listed, Store};
use serde_json::Value;

use super::frame::{Frame, Section, page_of};
use super::list::{Pager, Query, curl};
use super::mark::{Time, bytes};
use super::payload::visible;
use super::visit::{Entered, Visit};
use crate::api::State;
use crate::api::auth::Admin;
use crate::api::problem::Problem;

/// The routes of these pages.
pub(super) fn routes() -> Router<State> {
    Router::new()
        .route("/dashboard/t/{tenant}/audit", get(show))
        .route("/dashboard/system/audit", get(show_deployment))
}

/// Most bytes that are shown of one value.
const MOST_SHOWN: usize = 4 * 1024;

/// A member that differs: what it was, and what it is.
struct Difference {
    member: String,
    was: Option<String>,
    is: Option<String>,
}

struct Row {
    id: String,
    at: Time,
    /// What kind of actor it was.
    kind: &'static str,
    actor: String,
    actor_name: String,
    action: String,
    target_kind: String,
    target: String,
    /// Where the target can be looked at.
    target_path: Option<String>,
    address: Option<String>,
    differences: Vec<Difference>,
    /// What these are called together.
    called: &'static str,
}

#[derive(Template)]
#[template(path = "audit.html")]
struct AuditPage {
    frame: Frame,
    /// Where one comes from, and what it is called.
    above: (String, &'static str),
    about: &'static str,
    /// The address of the list without filters.
    here: String,
    rows: Vec<Row>,
    actor: String,
    action: String,
    target: String,
    since: String,
    until: String,
    is_filtered: bool,
    /// The field that is wrong, and what is wrong with it.
    fault: Option<(String, String)>,
    pager: Pager,
    curl: String,
}

impl AuditPage {
    fn fault(&self, field: &str) -> Option<&str> {
        self.fault.as_ref().filter(|(own, _)| own == field).map(|(_, fault)| &**fault)
    }
}

fn filter(query: &Query) -> Result<EntryFilter, Problem> {
    let action = query.get("action").map(str::parse).transpose();
    Ok(EntryFilter {
        actor_id: query.get("actor").map(str::to_owned),
        action: action.map_err(|fault| Problem::parameter("action", &fault))?,
        target_id: query.get("target").map(str::to_owned),
        since: query.time("since")?,
        until: query.time("until")?,
    })
}

/// What kind of actor it was, in words.
fn kind_of(entry: &Entry) -> &'static str {
    match &*entry.actor_kind {
        "operator" => "Operator",
        "client" => "Client",
        "openid" => "OpenID",
        "portal_link" => "Portal link",
        _ => "Callboard itself",
    }
}

/// Where a target can be looked at.
fn path_of(visit: &Visit, entry: &Entry) -> Option<String> {
    let base = visit.tenant.as_ref().map(|tenant| visit.base_of(tenant));
    let id = &entry.target_id;
    match &*entry.target_kind {
        "webhook" => base.map(|base| format!("{base}/webhooks/{id}")),
        "delivery" => base.map(|base| format!("{base}/deliveries/{id}")),
        "client" | "portal_link" => base.map(|base| format!("{base}/access")),
        "tenant" => visit.is_operator().then(|| format!("{}/system/tenants/{id}", visit.root)),
        _ => None,
    }
}

/// A text in which nothing is hidden. What is too long is cut.
fn plain(text: &str) -> String {
    let end = text.floor_char_boundary(MOST_SHOWN);
    let mut shown = visible(&text[..end]);
    if end < text.len() {
        let _ = write!(shown, " … and {} more", bytes((text.len() - end) as u64));
    }
    shown
}

fn value(value: &Value) -> String {
    match value {
        Value::Null => "none".to_owned(),
        Value::String(text) => plain(text),
        other => plain(&serde_json::to_string_pretty(other).unwrap_or_default()),
    }
}

/// Member by member what differs; what is new or gone has one side only.
fn differences(before: Option<&Value>, after: Option<&Value>) -> Vec<Difference> {
    let none = serde_json::Map::new();
    let of = |whole: Option<&Value>| whole.and_then(Value::as_object).cloned();
    let (Some(was), Some(is)) = (
        of(before).or_else(|| before.is_none().then(|| none.clone())),
        of(after).or_else(|| after.is_none().then(|| none.clone())),
    ) else {
        return vec![Difference { member: String::new(), was: before.map(value), is: after.map(value) }];
    };
    let mut names: Vec<&String> = was.keys().collect();
    names.extend(is.keys().filter(|name| !was.contains_key(*name)));
    let difference = |name: &String| Difference {
        member: name.replace('_', " "),
        was: was.get(name).map(value),
        is: is.get(name).map(value),
    };
    names.into_iter().map(difference).collect()
}

fn row(visit: &Visit, entry: &Entry) -> Row {
    Row {
        id: entry.key.to_string(),
        at: Time(entry.at),
        kind: kind_of(entry),
        actor: entry.actor_id.clone(),
        actor_name: entry.actor_name.clone(),
        action: entry.action.clone(),
        target_kind: entry.target_kind.replace('_', " "),
        target: entry.target_id.clone(),
        target_path: path_of(visit, entry),
        address: entry.address.clone(),
        differences: differences(entry.before.as_ref(), entry.after.as_ref()),
        called: match (&entry.before, &entry.after) {
            (Some(_), Some(_)) => "What differs",
            (Some(_), None) => "What it was",
            _ => "What it is",
        },
    }
}

/// Which of the two logs is looked at.
struct Log<'a> {
    store: &'a dyn Store,
    /// None for what belongs to no tenant.
    tenant: Option<callboard_domain::id::TenantKey>,
    section: Section,
    above: (String, &'static str),
    about: &'static str,
    here: String,
    route: &'static str,
}

async fn log_page(visit: &Visit, query: &Query, log: Log<'_>) -> Result<Response, Problem> {
    let filter = filter(query);
    let (entries, fault) = match &filter {
        Ok(filter) => (log.store.list_audit(log.tenant, filter.clone(), query.page()?).await?, None),
        Err(problem) => {
            let fault = problem.places().next().map(|(field, text)| (field.to_owned(), text.to_owned()));
            (Listed { items: Vec::new(), next: None }, fault)
        }
    };
    let time = |of: fn(&EntryFilter) -> Option<callboard_domain::clock::Timestamp>| {
        filter.as_ref().ok().and_then(of).map(|time| time.to_string())
    };
    let (since, until) = (time(|filter| filter.since), time(|filter| filter.until));
    let parameters = [
        ("actor", query.get("actor")),
        ("action", query.get("action")),
        ("target", query.get("target")),
        ("since", since.as_deref()),
        ("until", until.as_deref()),
    ];
    let status = if fault.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let template = AuditPage {
        frame: Frame::new(visit, log.section, "Audit log"),
        above: log.above,
        about: log.about,
        here: log.here,
        rows: entries.items.iter().map(|entry| row(visit, entry)).collect(),
        actor: query.text("actor").to_owned(),
        action: query.text("action").to_owned(),
        target: query.text("target").to_owned(),
        since: query.text("since").to_owned(),
        until: query.text("until").to_owned(),
        is_filtered: query.filters(),
        fault,
        pager: Pager::new(query, entries.next),
        curl: curl(visit, "GET", log.route, &parameters),
    };
    page_of(status, &template)
}

/// `/dashboard/t/{tenant}/audit`.
async fn show(Entered { visit, access }: Entered<Admin>, query: Query) -> Result<Response, Problem> {
    let base = visit.base_of(&access.tenant);
    let log = Log {
        store: access.store(),
        tenant: Some(access.tenant.key),
        section: Section::Access,
        above: (format!("{base}/access"), "Access"),
        about: "Who changed what of this tenant, newest first. Secrets are masked.",
        here: format!("{base}/audit"),
        route: "/v1/audit",
    };
    log_page(&visit, &query, log).await
}

/// `/dashboard/system/audit`.
async fn show_deployment(visit: Visit, query: Query) -> Result<Response, Problem> {
    let operator = visit.operator()?;
    let log = Log {
        store: operator.store(),
        tenant: None,
        section: Section::System,
        above: (format!("{}/system", visit.root), "System"),
        about: "What was changed of the deployment and belongs to no tenant: tenants themselves, and the operator's signing in. Newest first.",
        here: format!("{}/system/audit", visit.root),
        route: "/v1/deployment/audit",
    };
    log_page(&visit, &query, log).await
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn differences_are_told_member_by_member() {
        let told = |before: Option<Value>, after: Option<Value>| {
            let differences = differences(before.as_ref(), after.as_ref());
            differences.into_iter().map(|one| (one.member, one.was, one.is)).collect::<Vec<_>>()
        };
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(
            told(Some(json!({"url": "a", "rate_per_second": null})), Some(json!({"url": "b"}))),
            [("url".to_owned(), text("a"), text("b")), ("rate per second".to_owned(), text("none"), None)]
        );
        assert_eq!(told(None, Some(json!({"enabled": true}))), [("enabled".to_owned(), None, text("true"))]);
        assert!(told(None, None).is_empty());
    }

    #[test]
    fn nothing_is_hidden_in_a_value() {
        assert_eq!(plain("a\u{202e}b\u{7}\n"), "a⟨U+202E⟩b␇\n");
        let long = plain(&"é".repeat(4 * 1024));
        assert!(long.ends_with(" … and 4.0 KiB more"), "{}", &long[long.len() - 30..]);
    }
}
