//! Tenants, for the operator: the form that makes one, and the page that edits one.

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;
use callboard_domain::access::Tenant;
use callboard_domain::id::TenantId;
use serde_json::{Map, Value, json};

use super::form::{Fields, Form};
use super::frame::{Frame, Section, page, page_of};
use super::list::{Query, curl};
use super::mark::Time;
use super::note::Note;
use super::system::{kept, system_page};
use super::visit::{Named, Visit, lead_to, lead_with};
use crate::api::problem::Problem;
use crate::api::tenants;

#[derive(Template)]
#[template(path = "tenant.html")]
struct TenantPage {
    frame: Frame,
    id: String,
    name: String,
    made: Time,
    fields: Fields,
    faults: Vec<(&'static str, String)>,
    /// How long events are kept where nothing is said.
    usual: String,
    curl: String,
}

impl TenantPage {
    fn new(
        visit: &Visit,
        tenant: &Tenant,
        fields: Option<Fields>,
        faults: Vec<(&'static str, String)>,
    ) -> Self {
        let fields = fields.unwrap_or_else(|| {
            let mut fields = Fields::default();
            fields.set("name", tenant.name.clone());
            let seconds = tenant.retention_seconds.map_or_else(String::new, |seconds| seconds.to_string());
            fields.set("retention_seconds", seconds);
            fields
        });
        Self {
            frame: Frame::new(visit, Section::System, tenant.name.clone()),
            id: tenant.id.to_string(),
            name: tenant.name.clone(),
            made: Time(tenant.created_at),
            fields,
            faults,
            usual: kept(visit.state.inner.options.deployment.retention),
            curl: curl(visit, "GET", &format!("/v1/tenants/{}", tenant.id), &[]),
        }
    }

    fn fault(&self, field: &str) -> Option<&str> {
        self.faults.iter().find(|(own, _)| *own == field).map(|(_, fault)| &**fault)
    }

    fn value(&self, field: &str) -> &str {
        self.fields.get(field)
    }
}

/// What is wrong, beside the fields.
fn blamed(problem: Problem) -> Result<Vec<(&'static str, String)>, Problem> {
    if problem.status() == StatusCode::CONFLICT {
        return Ok(vec![("tenant-id", "There is a tenant with this id.".to_owned())]);
    }
    let place = |(place, fault): (&str, &str)| {
        let field = match place {
            "/id" => "tenant-id",
            "/retention_seconds" => "retention_seconds",
            _ => "tenant-name",
        };
        (field, fault.to_owned())
    };
    let faults: Vec<_> = problem.places().map(place).collect();
    if faults.is_empty() { Err(problem) } else { Ok(faults) }
}

/// The retention as the API is told it; what is no number is left for it to judge.
fn retention(fields: &Fields) -> Value {
    let text = fields.trimmed("retention_seconds");
    if text.is_empty() { Value::Null } else { text.parse::<u64>().map_or_else(|_| text.into(), Value::from) }
}

/// Where only a form leads: for who comes there otherwise.
pub(super) async fn back(visit: Visit) -> Result<Response, Problem> {
    visit.operator()?;
    Ok(lead_to(format!("{}/system#tenants", visit.root)))
}

/// Makes a tenant.
pub(super) async fn create(form: Form) -> Result<Response, Problem> {
    let Form { visit, fields } = form;
    let operator = visit.operator()?;
    let mut document = Map::new();
    document.insert("id".to_owned(), fields.trimmed("id").into());
    if !fields.trimmed("name").is_empty() {
        document.insert("name".to_owned(), fields.trimmed("name").into());
    }
    let made = match tenants::read_new(&Value::Object(document).to_string()) {
        Ok(input) => tenants::make(&operator, input).await,
        Err(problem) => Err(problem),
    };
    match made {
        Ok(tenant) => Ok(lead_with(&visit, visit.base_of(&tenant), &Note::TenantSaved)),
        Err(problem) => {
            let said = (StatusCode::UNPROCESSABLE_ENTITY, fields, blamed(problem)?);
            system_page(&visit, &Query::default(), said).await
        }
    }
}

/// `/dashboard/system/tenants/{id}`.
pub(super) async fn show(visit: Visit, named: Result<Named<TenantId>, Problem>) -> Result<Response, Problem> {
    let operator = visit.operator()?;
    let Named(id) = named?;
    let tenant = tenants::find(&operator, &id).await?;
    page(&TenantPage::new(&visit, &tenant, None, Vec::new()))
}

/// Edits a tenant.
pub(super) async fn edit(
    named: Result<Named<TenantId>, Problem>,
    Form { visit, fields }: Form,
) -> Result<Response, Problem> {
    let operator = visit.operator()?;
    let Named(id) = named?;
    let tenant = tenants::find(&operator, &id).await?;
    let document = json!({"name": fields.trimmed("name"), "retention_seconds": retention(&fields)});
    match tenants::read_change(&document.to_string()) {
        Ok(input) => {
            tenants::edit(&operator, tenant, input).await?;
            let location = format!("{}/system/tenants/{id}", visit.root);
            Ok(lead_with(&visit, location, &Note::TenantSaved))
        }
        Err(problem) => {
            let page = TenantPage::new(&visit, &tenant, Some(fields), blamed(problem)?);
            page_of(StatusCode::UNPROCESSABLE_ENTITY, &page)
        }
    }
}
