//! The deployment, for its operator: the processes, the database, the keys, the
//! settings, and whose data there is.

use std::time::Duration;

use askama::Template;
use axum::Router;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use callboard_domain::access::Tenant;
use callboard_domain::clock::Timestamp;
use callboard_domain::job::{Job, JobKind};
use callboard_domain::store::{Node, SealingKey};

use super::form::Fields;
use super::frame::{Frame, Section, page_of};
use super::list::{Pager, Query, curl};
use super::mark::{Time, bytes, counted, distance, grouped, short};
use super::tenants;
use super::visit::Visit;
use crate::api::State;
use crate::api::problem::Problem;
use crate::config::ShownSetting;
use crate::source::Condition;

/// The routes of these pages.
pub(super) fn routes() -> Router<State> {
    Router::new()
        .route("/dashboard/system", get(show))
        .route("/dashboard/system/tenants", get(tenants::back).post(tenants::create))
        .route("/dashboard/system/tenants/{id}", get(tenants::show).post(tenants::edit))
}

/// Most running jobs that are shown.
const MOST_JOBS: usize = 100;

/// Something that is to be known of the deployment.
struct Fact {
    name: &'static str,
    value: String,
    more: String,
}

impl Fact {
    fn new(name: &'static str, value: impl Into<String>, more: impl Into<String>) -> Self {
        Self { name, value: value.into(), more: more.into() }
    }
}

struct NodeRow {
    id: String,
    name: String,
    version: String,
    started: Time,
    lease_until: Time,
    lease: String,
    leased: String,
    is_this: bool,
}

struct KeyRow {
    id: String,
    rows: String,
    /// What it is good for.
    state: &'static str,
    is_missing: bool,
}

struct JobRow {
    id: String,
    kind: &'static str,
    tenant: String,
    webhook: String,
    /// Where the webhook is looked at.
    path: Option<String>,
    done: u64,
    total: Option<u64>,
    progress: String,
    since: Time,
}

struct TenantRow {
    id: String,
    name: String,
    retention: String,
    made: Time,
}

#[derive(Template)]
#[template(path = "system.html")]
struct SystemPage {
    frame: Frame,
    facts: Vec<Fact>,
    nodes: Vec<NodeRow>,
    keys: Vec<KeyRow>,
    jobs: Vec<JobRow>,
    more_jobs: usize,
    tenants: Vec<TenantRow>,
    pager: Pager,
    fields: Fields,
    /// Fields of the form that makes a tenant, and what is wrong with each.
    faults: Vec<(&'static str, String)>,
    settings: Vec<ShownSetting>,
    curl: String,
}

impl SystemPage {
    fn fault(&self, field: &str) -> Option<&str> {
        self.faults.iter().find(|(own, _)| *own == field).map(|(_, fault)| &**fault)
    }

    fn value(&self, field: &str) -> &str {
        self.fields.get(field)
    }
}

/// How long something is kept.
pub(super) fn kept(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        _ if seconds.is_multiple_of(86_400) => counted(seconds / 86_400, "day", "days"),
        _ if seconds.is_multiple_of(3_600) => counted(seconds / 3_600, "hour", "hours"),
        _ if seconds.is_multiple_of(60) => counted(seconds / 60, "minute", "minutes"),
        _ => counted(seconds, "second", "seconds"),
    }
}

/// How the source in NATS is, and what that means.
fn nats(condition: Option<Condition>) -> (&'static str, &'static str) {
    match condition {
        None => ("not used", "events come by the API"),
        Some(Condition::Connecting) => ("connecting", "it has not been reached since the start"),
        Some(Condition::Consuming) => ("consuming", "what is published there is taken in"),
        Some(Condition::Away) => ("away", "it can't be reached; the log says why"),
        Some(Condition::Held) => ("held", "what it gave can't be recorded yet"),
    }
}

async fn facts(visit: &Visit) -> Result<Vec<Fact>, Problem> {
    let inner = &visit.state.inner;
    let deployment = &inner.options.deployment;
    let now = visit.now();
    let space = inner.store.space().await?;
    let free = space.free_bytes.map_or_else(
        || "the database does not tell how much of it is free".to_owned(),
        |free| format!("{} of it free, which is used first", bytes(free)),
    );
    let up = Duration::try_from(now.duration_since(inner.started_at)).unwrap_or_default();
    let (condition, meaning) = nats(inner.options.nats.as_ref().map(crate::source::Watch::condition));
    let limit = grouped(inner.options.limits.max_connections as u64);
    Ok(vec![
        Fact::new("Version", env!("CARGO_PKG_VERSION"), ""),
        Fact::new(
            "Up",
            short(up),
            format!("this process, since {}", inner.started_at.strftime("%Y-%m-%d %H:%M:%S UTC")),
        ),
        Fact::new("Database", deployment.database, ""),
        Fact::new("Size", bytes(space.bytes), free),
        Fact::new("Events are kept", kept(deployment.retention), "where their tenant does not say otherwise"),
        Fact::new("Audit log is kept", kept(deployment.audit_retention), ""),
        Fact::new(
            "Connections",
            grouped(visit.state.open_connections() as u64),
            format!("of this process; at most {limit}"),
        ),
        Fact::new("NATS", condition, meaning),
    ])
}

fn node_row(node: Node, now: Timestamp) -> NodeRow {
    NodeRow {
        id: node.id,
        name: node.name,
        version: node.version,
        started: Time(node.started_at),
        lease_until: Time(node.lease_until),
        lease: distance(node.lease_until, now),
        leased: grouped(node.leased),
        is_this: node.is_this,
    }
}

fn key_row(key: SealingKey) -> KeyRow {
    let state = match (key.seals, key.at_hand, key.rows) {
        (true, ..) => "seals, and opens",
        (false, true, 0) => "can be removed: nothing is sealed with it",
        (false, true, _) => "opens only",
        (false, false, _) => "not at hand: what it has sealed can't be opened here",
    };
    KeyRow { id: key.id, rows: grouped(key.rows), state, is_missing: !key.at_hand }
}

async fn job_row(visit: &Visit, job: &Job) -> Result<JobRow, Problem> {
    let inner = &visit.state.inner;
    let tenant = inner.directory.tenant_by_key(job.tenant).await?;
    let webhook = inner.store.webhook_by_key(job.webhook).await?;
    let path = tenant
        .as_ref()
        .zip(webhook.as_ref())
        .map(|(tenant, webhook)| format!("{}/webhooks/{}", visit.base_of(tenant), webhook.id));
    let progress = job.total.map_or_else(
        || format!("{} so far; still counting", grouped(job.done)),
        |total| format!("{} of {}", grouped(job.done), grouped(total)),
    );
    Ok(JobRow {
        id: job.key.to_string(),
        kind: match job.kind {
            JobKind::RetryFailed => "retries what failed",
            JobKind::Replay => "sends again",
            JobKind::Discard => "discards what failed",
        },
        tenant: tenant.map_or_else(|| "?".to_owned(), |tenant| tenant.id.to_string()),
        webhook: webhook.map_or_else(|| "a deleted webhook".to_owned(), |webhook| webhook.settings.name),
        path,
        done: job.done,
        total: job.total,
        progress,
        since: Time(job.created_at),
    })
}

fn tenant_row(tenant: Tenant, usual: Duration) -> TenantRow {
    let retention = tenant.retention_seconds.map_or_else(
        || format!("{}, as everywhere", kept(usual)),
        |seconds| kept(Duration::from_secs(seconds.into())),
    );
    TenantRow { id: tenant.id.to_string(), name: tenant.name, retention, made: Time(tenant.created_at) }
}

/// The page, with what the form that makes a tenant holds.
pub(super) async fn system_page(
    visit: &Visit,
    query: &Query,
    (status, fields, faults): (StatusCode, Fields, Vec<(&'static str, String)>),
) -> Result<Response, Problem> {
    let operator = visit.operator()?;
    let (store, now) = (operator.store(), visit.now());
    let deployment = &visit.state.inner.options.deployment;
    let mut running = store.running_jobs().await?;
    let more_jobs = running.len().saturating_sub(MOST_JOBS);
    running.truncate(MOST_JOBS);
    let mut jobs = Vec::with_capacity(running.len());
    for job in &running {
        jobs.push(job_row(visit, job).await?);
    }
    let tenants = store.list_tenants(query.page()?).await?;
    let mut settings = deployment.settings.clone();
    settings.sort_by(|one, other| one.name.cmp(&other.name));
    let row = |tenant| tenant_row(tenant, deployment.retention);
    let template = SystemPage {
        frame: Frame::new(visit, Section::System, "System"),
        facts: facts(visit).await?,
        nodes: store.nodes().await?.into_iter().map(|node| node_row(node, now)).collect(),
        keys: store.sealing_keys().await?.into_iter().map(key_row).collect(),
        jobs,
        more_jobs,
        tenants: tenants.items.into_iter().map(row).collect(),
        pager: Pager::new(query, tenants.next),
        fields,
        faults,
        settings,
        curl: curl(visit, "GET", "/v1/tenants", &[]),
    };
    page_of(status, &template)
}

/// `/dashboard/system`.
async fn show(visit: Visit, query: Query) -> Result<Response, Problem> {
    system_page(&visit, &query, (StatusCode::OK, Fields::default(), Vec::new())).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_said_in_the_largest_unit_that_fits() {
        let said = [60, 3_600, 86_400, 604_800, 61, 5_400].map(|seconds| kept(Duration::from_secs(seconds)));
        assert_eq!(said, ["1 minute", "1 hour", "1 day", "7 days", "61 seconds", "90 minutes"]);
    }
}
