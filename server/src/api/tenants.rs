//! What is done to tenants, by the API and on pages: reading what is said of one,
//! making, editing.

use axum::http::StatusCode;
use callboard_domain::access::Tenant;
use callboard_domain::fault::Faults;
use callboard_domain::id::TenantId;
use callboard_domain::json::Members;

use super::auth::Operator;
use super::problem::Problem;
use super::read::whole;

/// What the input says of the retention.
enum Retention {
    LeftOut,
    /// `None` for the deployment's setting.
    Given(Option<u32>),
}

/// What is said of a tenant.
pub struct Input {
    id: Option<TenantId>,
    name: Option<String>,
    retention: Retention,
}

fn read(text: &str, known: &[&str]) -> Result<Input, Problem> {
    let mut faults = Faults::new();
    let input = Members::read(text, &mut faults).map(|members| {
        members.refuse_unknown(known, &mut faults);
        if known.contains(&"id") && members.get("id").is_none() {
            faults.member("id", "is required");
        }
        let id = members.string("id", &mut faults);
        let id = id.and_then(|id| id.parse().map_err(|fault| faults.member("id", fault)).ok());
        let name = members.string("name", &mut faults);
        if name
            .as_ref()
            .is_some_and(|name| name.is_empty() || name.chars().count() > 255 || name.contains('\0'))
        {
            faults.member("name", "must be 1 to 255 characters long, without U+0000");
        }
        let given = members.iter().any(|(name, _)| name == "retention_seconds");
        let retention = members.get("retention_seconds").and_then(|raw| {
            let seconds = whole(raw.get()).filter(|seconds| (60..=315_360_000).contains(seconds));
            if seconds.is_none() {
                faults.member("retention_seconds", "must be a whole number from 60 to 315360000, or null");
            }
            seconds
        });
        Input { id, name, retention: if given { Retention::Given(retention) } else { Retention::LeftOut } }
    });
    faults.finish(input).map_err(Problem::faults)
}

/// Reads what is said of a new tenant.
///
/// # Errors
/// Names every fault.
pub fn read_new(text: &str) -> Result<Input, Problem> {
    read(text, &["id", "name", "retention_seconds"])
}

/// Reads what is to change of a tenant.
///
/// # Errors
/// Names every fault.
pub fn read_change(text: &str) -> Result<Input, Problem> {
    read(text, &["name", "retention_seconds"])
}

/// Makes a tenant.
pub async fn make(operator: &Operator, input: Input) -> Result<Tenant, Problem> {
    let id = input.id.ok_or_else(Problem::not_found)?;
    let name = input.name.unwrap_or_else(|| id.to_string());
    let retention = match input.retention {
        Retention::LeftOut => None,
        Retention::Given(seconds) => seconds,
    };
    let made = operator.store().create_tenant(id, name, retention, operator.by()).await?;
    made.ok_or_else(|| Problem::new(StatusCode::CONFLICT, "there is a tenant with this id"))
}

/// The tenant of this id.
pub async fn find(operator: &Operator, id: &TenantId) -> Result<Tenant, Problem> {
    operator.store().tenant(id).await?.ok_or_else(Problem::not_found)
}

/// Edits a tenant: what is left out stays as it is.
pub async fn edit(operator: &Operator, tenant: Tenant, input: Input) -> Result<Tenant, Problem> {
    let name = input.name.unwrap_or(tenant.name);
    let retention = match input.retention {
        Retention::LeftOut => tenant.retention_seconds,
        Retention::Given(seconds) => seconds,
    };
    let edited = operator.store().update_tenant(&tenant.id, name, retention, operator.by()).await?;
    edited.ok_or_else(Problem::not_found)
}
