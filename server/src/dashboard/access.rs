//! Who gets in beside the operator: the clients of a tenant, and its portal links.
//! What is secret of one is shown once, in the answer to the form that made it.

use askama::Template;
use axum::Router;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};
use callboard_domain::access::{Client, Scope, Scopes};
use callboard_domain::clock::Timestamp;
use callboard_domain::id::{ClientId, PortalLinkKey};
use callboard_domain::portal::PortalLink;
use serde_json::json;

use super::form::{Fields, Posted, PostedTo};
use super::frame::{Frame, Section, page, page_of};
use super::list::{Pager, Query, curl};
use super::mark::{Badge, Kind, Time};
use super::note::Note;
use super::sign_in::onward;
use super::visit::{Entered, Named, Visit, lead_to, lead_with};
use crate::api::auth::{Admin, Granted};
use crate::api::problem::Problem;
use crate::api::{State, clients, portal_links};

/// The routes of these pages.
pub(super) fn routes() -> Router<State> {
    Router::new()
        .route("/dashboard/t/{tenant}/access", get(show))
        .route("/dashboard/t/{tenant}/access/clients", get(back).post(create_client))
        .route("/dashboard/t/{tenant}/access/clients/{id}/enable", post(enable))
        .route("/dashboard/t/{tenant}/access/clients/{id}/disable", post(disable))
        .route("/dashboard/t/{tenant}/access/clients/{id}/delete", get(ask_to_delete).post(delete))
        .route("/dashboard/t/{tenant}/access/links", get(back).post(create_link))
        .route("/dashboard/t/{tenant}/access/links/{id}/revoke", post(revoke))
}

/// The parameters that hold the places in the two lists.
const CLIENTS: &str = "clients";
const LINKS: &str = "links";

/// How long a portal link can live, in seconds, and as people say it.
const LIFETIMES: [(&str, &str); 5] = [
    ("3600", "1 hour"),
    ("28800", "8 hours"),
    ("86400", "1 day"),
    ("259200", "3 days"),
    ("604800", "7 days"),
];

/// How long one lives that nobody has chosen a time for.
const USUAL_LIFETIME: &str = "86400";

/// What a scope allows.
const fn allows(scope: Scope) -> &'static str {
    match scope {
        Scope::ReadWebhooks => "See webhooks, invocations and statistics.",
        Scope::WriteWebhooks => {
            "Make, edit, try and delete webhooks, see their secrets, and send invocations again."
        }
        Scope::ReadEvents => "See events and whom they reached.",
        Scope::WriteEvents => "Publish events.",
        Scope::Admin => "Manage clients and portal links, and see the audit log.",
    }
}

/// A scope that can be ticked.
struct ScopeChoice {
    name: &'static str,
    about: &'static str,
    is_ticked: bool,
}

/// A lifetime that can be chosen.
struct Lifetime {
    seconds: &'static str,
    name: &'static str,
    is_chosen: bool,
}

struct ClientRow {
    id: String,
    name: String,
    scopes: Vec<&'static str>,
    badge: Badge,
    is_enabled: bool,
    used: Option<Time>,
    made: Time,
}

impl ClientRow {
    fn new(client: &Client) -> Self {
        let badge = if client.enabled {
            Badge { kind: Kind::Good, word: "enabled" }
        } else {
            Badge { kind: Kind::Off, word: "disabled" }
        };
        Self {
            id: client.id.to_string(),
            name: client.name.clone(),
            scopes: client.scopes.iter().map(Scope::as_str).collect(),
            badge,
            is_enabled: client.enabled,
            used: client.last_used_at.map(Time),
            made: Time(client.created_at),
        }
    }
}

struct LinkRow {
    id: String,
    name: String,
    scopes: Vec<&'static str>,
    badge: Badge,
    is_open: bool,
    made: Time,
    ends: Time,
}

impl LinkRow {
    fn new(link: &PortalLink, now: Timestamp) -> Self {
        let is_open = link.is_open(now);
        let kind = if is_open { Kind::Good } else { Kind::Off };
        Self {
            id: link.key.to_string(),
            name: link.name.clone(),
            scopes: link.scopes.iter().map(Scope::as_str).collect(),
            badge: Badge { kind, word: portal_links::state(link, now) },
            is_open,
            made: Time(link.created_at),
            ends: Time(link.expires_at),
        }
    }
}

/// A client that was just made.
struct MadeClient {
    id: String,
    name: String,
    secret: String,
    /// The command that gets a token.
    token: String,
}

/// A portal link that was just made.
struct MadeLink {
    name: String,
    url: String,
    ends: Time,
}

/// What the forms of the page hold, and what came of one that was sent.
#[derive(Default)]
struct Sent {
    client: Option<Fields>,
    link: Option<Fields>,
    /// Fields, and what is wrong with each.
    faults: Vec<(&'static str, String)>,
    made_client: Option<MadeClient>,
    made_link: Option<MadeLink>,
}

#[derive(Template)]
#[template(path = "access.html")]
struct AccessPage {
    frame: Frame,
    clients: Vec<ClientRow>,
    client_pager: Pager,
    client_name: String,
    client_scopes: Vec<ScopeChoice>,
    links: Vec<LinkRow>,
    link_pager: Pager,
    link_name: String,
    link_scopes: Vec<ScopeChoice>,
    lifetimes: Vec<Lifetime>,
    sent: Sent,
    curl: String,
}

impl AccessPage {
    fn fault(&self, field: &str) -> Option<&str> {
        self.sent.faults.iter().find(|(own, _)| *own == field).map(|(_, fault)| &**fault)
    }
}

/// What people call a field.
fn label(field: &str) -> &'static str {
    match field {
        "client-name" | "link-name" => "Name",
        "link-lifetime" => "Lifetime",
        _ => "Scopes",
    }
}

#[derive(Template)]
#[template(path = "client_delete.html")]
struct DeletePage {
    frame: Frame,
    id: String,
    name: String,
    typed: String,
    fault: Option<&'static str>,
}

/// The scopes among `own`, of which those are ticked that the form says, or `usual`
/// where nobody has sent one.
fn choices(own: Scopes, fields: Option<&Fields>, usual: &[Scope]) -> Vec<ScopeChoice> {
    let is_ticked = |scope: &Scope| match fields {
        None => usual.contains(scope),
        Some(fields) => fields.all("scope").any(|word| word == scope.as_str()),
    };
    let choice = |scope: Scope| ScopeChoice {
        name: scope.as_str(),
        about: allows(scope),
        is_ticked: is_ticked(&scope),
    };
    own.iter().map(choice).collect()
}

/// The page with both lists, and with what came of a form.
async fn access_page(
    visit: &Visit,
    access: &Granted<Admin>,
    query: &Query,
    sent: Sent,
) -> Result<AccessPage, Problem> {
    let (store, tenant, now) = (access.store(), access.tenant.key, access.now());
    let clients = store.list_clients(tenant, query.page_by(CLIENTS)?).await?;
    let links = store.list_portal_links(tenant, query.page_by(LINKS)?).await?;
    let typed = |fields: Option<&Fields>, name: &str| {
        fields.map_or_else(String::new, |fields| fields.get(name).to_owned())
    };
    let chosen = typed(sent.link.as_ref(), "lifetime");
    let chosen = if chosen.is_empty() { USUAL_LIFETIME } else { &*chosen };
    let lifetime = |(seconds, name)| Lifetime { seconds, name, is_chosen: seconds == chosen };
    let usual = [Scope::ReadWebhooks, Scope::WriteWebhooks, Scope::ReadEvents];
    Ok(AccessPage {
        frame: Frame::new(visit, Section::Access, "Access"),
        clients: clients.items.iter().map(ClientRow::new).collect(),
        client_pager: Pager::by(query, CLIENTS, clients.next),
        client_name: typed(sent.client.as_ref(), "name"),
        client_scopes: choices(Scopes::all(), sent.client.as_ref(), &[]),
        links: links.items.iter().map(|link| LinkRow::new(link, now)).collect(),
        link_pager: Pager::by(query, LINKS, links.next),
        link_name: typed(sent.link.as_ref(), "name"),
        link_scopes: choices(access.scopes(), sent.link.as_ref(), &usual),
        lifetimes: LIFETIMES.into_iter().map(lifetime).collect(),
        sent,
        curl: curl(visit, "GET", "/v1/clients", &[]),
    })
}

/// `/dashboard/t/{tenant}/access`.
async fn show(Entered { visit, access }: Entered<Admin>, query: Query) -> Result<Response, Problem> {
    page(&access_page(&visit, &access, &query, Sent::default()).await?)
}

/// Where only forms lead: for who comes there otherwise.
async fn back(Entered { visit, access }: Entered<Admin>) -> Response {
    let query = visit.here.split_once('?').map(|(_, query)| format!("?{query}")).unwrap_or_default();
    lead_to(format!("{}/access{query}", visit.base_of(&access.tenant)))
}

/// What is wrong, beside the fields of the form that is about `kind`.
fn blamed(kind: &str, fields: &Fields, problem: Problem) -> Result<Vec<(&'static str, String)>, Problem> {
    let is_link = kind == LINKS;
    let place = |(place, fault): (&str, &str)| match place {
        "/scopes" if !fields.has("scope") => {
            let field = if is_link { "link-scopes" } else { "client-scopes" };
            (field, "Tick at least one of them.".to_owned())
        }
        "/scopes" => (if is_link { "link-scopes" } else { "client-scopes" }, fault.to_owned()),
        "/lifetime_seconds" => ("link-lifetime", fault.to_owned()),
        _ => (if is_link { "link-name" } else { "client-name" }, fault.to_owned()),
    };
    let faults: Vec<_> = problem.places().map(place).collect();
    if faults.is_empty() { Err(problem) } else { Ok(faults) }
}

async fn create_client(Posted { visit, access, fields }: Posted<Admin>) -> Result<Response, Problem> {
    let scopes: Vec<&str> = fields.all("scope").collect();
    let document = json!({"name": fields.trimmed("name"), "scopes": scopes});
    let (status, sent) = match clients::read(&document.to_string()) {
        Err(problem) => {
            let faults = blamed(CLIENTS, &fields, problem)?;
            (StatusCode::UNPROCESSABLE_ENTITY, Sent { client: Some(fields), faults, ..Sent::default() })
        }
        Ok(input) => {
            let (client, secret) = clients::make(&access, input).await?;
            let made = MadeClient {
                token: format!(
                    "curl '{}/oauth2/token' -u '{}:{secret}' -d grant_type=client_credentials",
                    visit.links.base, client.id
                ),
                id: client.id.to_string(),
                name: client.name,
                secret,
            };
            (StatusCode::CREATED, Sent { made_client: Some(made), ..Sent::default() })
        }
    };
    page_of(status, &access_page(&visit, &access, &Query::default(), sent).await?)
}

async fn create_link(Posted { visit, access, fields }: Posted<Admin>) -> Result<Response, Problem> {
    let scopes: Vec<&str> = fields.all("scope").collect();
    let lifetime: u64 = fields.trimmed("lifetime").parse().unwrap_or_default();
    let document = json!({"name": fields.trimmed("name"), "scopes": scopes, "lifetime_seconds": lifetime});
    let made = match portal_links::read(&document.to_string()) {
        Err(problem) => Err(problem),
        Ok(input) => portal_links::make(&access, &visit.links, input).await,
    };
    let (status, sent) = match made {
        Err(problem) => {
            let faults = blamed(LINKS, &fields, problem)?;
            (StatusCode::UNPROCESSABLE_ENTITY, Sent { link: Some(fields), faults, ..Sent::default() })
        }
        Ok((link, url)) => {
            let made = MadeLink { name: link.name, url, ends: Time(link.expires_at) };
            (StatusCode::CREATED, Sent { made_link: Some(made), ..Sent::default() })
        }
    };
    page_of(status, &access_page(&visit, &access, &Query::default(), sent).await?)
}

/// The page that a row's action was pressed on.
fn pressed_on(visit: &Visit, access: &Granted<Admin>, fields: &Fields) -> String {
    let next = onward(visit, fields.get("next")).map(str::to_owned);
    next.unwrap_or_else(|| format!("{}/access", visit.base_of(&access.tenant)))
}

async fn enable(
    PostedTo { visit, access, fields, id }: PostedTo<Admin, ClientId>,
) -> Result<Response, Problem> {
    clients::set_enabled(&access, &id, true).await?;
    Ok(lead_with(&visit, pressed_on(&visit, &access, &fields), &Note::ClientEnabled))
}

async fn disable(
    PostedTo { visit, access, fields, id }: PostedTo<Admin, ClientId>,
) -> Result<Response, Problem> {
    clients::set_enabled(&access, &id, false).await?;
    Ok(lead_with(&visit, pressed_on(&visit, &access, &fields), &Note::ClientDisabled))
}

fn delete_page(visit: &Visit, client: &Client, typed: &str, fault: Option<&'static str>) -> DeletePage {
    DeletePage {
        frame: Frame::new(visit, Section::Access, format!("Delete {}", client.name)),
        id: client.id.to_string(),
        name: client.name.clone(),
        typed: typed.to_owned(),
        fault,
    }
}

async fn ask_to_delete(
    Entered { visit, access }: Entered<Admin>,
    Named(id): Named<ClientId>,
) -> Result<Response, Problem> {
    let client = clients::find(&access, &id).await?;
    page(&delete_page(&visit, &client, "", None))
}

/// Deletes a client whose name was typed, or its id, because not every name can be.
async fn delete(
    PostedTo { visit, access, fields, id }: PostedTo<Admin, ClientId>,
) -> Result<Response, Problem> {
    let client = clients::find(&access, &id).await?;
    let typed = fields.trimmed("confirmation");
    if typed != client.name.trim() && typed != client.id.as_str() {
        let fault = Some("This is neither its name nor its id. Nothing was deleted.");
        return page_of(StatusCode::UNPROCESSABLE_ENTITY, &delete_page(&visit, &client, typed, fault));
    }
    clients::delete(&access, &id).await?;
    let location = format!("{}/access", visit.base_of(&access.tenant));
    Ok(lead_with(&visit, location, &Note::ClientDeleted))
}

async fn revoke(
    PostedTo { visit, access, fields, id }: PostedTo<Admin, PortalLinkKey>,
) -> Result<Response, Problem> {
    portal_links::revoke(&access, id).await?;
    Ok(lead_with(&visit, pressed_on(&visit, &access, &fields), &Note::LinkRevoked))
}
