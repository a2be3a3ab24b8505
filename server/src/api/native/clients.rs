//! `/v1/clients`: the programs that act for a tenant.

use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use callboard_domain::access::{Client, Scopes};
use callboard_domain::clock::Timestamp;
use callboard_domain::id::ClientId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::api::auth::{Admin, Granted};
use crate::api::clients;
use crate::api::page::{Items, PageQuery};
use crate::api::problem::{Problem, ProblemDocument};
use crate::api::read::{Id, JsonText, Parameters};
use crate::api::words::ScopeWord;

/// A client.
#[derive(Debug, Serialize, ToSchema)]
pub struct ClientView {
    client_id: String,
    #[schema(example = "Ticket shop")]
    name: String,
    /// The most that its tokens may do.
    #[schema(value_type = Vec<ScopeWord>, example = json!(["write:events"]))]
    scopes: Scopes,
    /// Whether it gets tokens, and those it has are obeyed.
    enabled: bool,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When it last got a token, give or take a minute; null when it never did.
    #[schema(value_type = Option<String>, format = DateTime)]
    last_used_at: Option<Timestamp>,
}

impl From<&Client> for ClientView {
    fn from(client: &Client) -> Self {
        Self {
            client_id: client.id.to_string(),
            name: client.name.clone(),
            scopes: client.scopes,
            enabled: client.enabled,
            created_at: client.created_at,
            last_used_at: client.last_used_at,
        }
    }
}

/// A client that was just made.
#[derive(Serialize, ToSchema)]
pub struct CreatedClient {
    #[serde(flatten)]
    client: ClientView,
    /// Shown this once.
    client_secret: String,
}

/// What can be said of a client.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "describes a body that is read naming every fault")]
pub struct ClientInput {
    /// What people call it.
    #[schema(example = "Ticket shop", pattern = "^[^\\u0000]+$", max_length = 255)]
    name: String,
    /// The most that its tokens may do.
    #[schema(value_type = Vec<ScopeWord>, example = json!(["write:events"]), min_items = 1)]
    scopes: Vec<String>,
}

/// Make a client.
#[utoipa::path(
    post, path = "/v1/clients", operation_id = "create_client", tag = "access", request_body = ClientInput,
    responses(
        (status = 201, description = "Made; its secret is shown this once", body = CreatedClient),
        (status = 400, description = "Faults, each with its JSON pointer", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(in crate::api) async fn create(
    access: Granted<Admin>,
    body: JsonText,
) -> Result<impl IntoResponse, Problem> {
    let (client, secret) = clients::make(&access, clients::read(body.single()?)?).await?;
    let location = format!("/v1/clients/{}", client.id);
    let created = CreatedClient { client: ClientView::from(&client), client_secret: secret };
    let headers = [(header::LOCATION, location), (header::CACHE_CONTROL, "no-store".to_owned())];
    Ok((StatusCode::CREATED, headers, Json(created)))
}

/// List clients, newest first.
#[utoipa::path(
    get, path = "/v1/clients", operation_id = "list_clients", tag = "access", params(PageQuery),
    responses((status = 200, description = "A page of clients", body = Items<ClientView>))
)]
pub(in crate::api) async fn list(
    access: Granted<Admin>,
    Parameters(query): Parameters<PageQuery>,
) -> Result<Json<Items<ClientView>>, Problem> {
    let listed = access.store().list_clients(access.tenant.key, query.page()?).await?;
    Ok(Json(Items::new(listed.items.iter().map(ClientView::from).collect(), listed.next)))
}

/// Show one client.
#[utoipa::path(
    get, path = "/v1/clients/{id}", operation_id = "show_client", tag = "access", params(("id" = String, Path, description = "The client's id")),
    responses(
        (status = 200, description = "The client", body = ClientView),
        (status = 404, description = "No such client", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(in crate::api) async fn show(
    access: Granted<Admin>,
    Id(id): Id<ClientId>,
) -> Result<Json<ClientView>, Problem> {
    Ok(Json(ClientView::from(&clients::find(&access, &id).await?)))
}

/// Let a client get tokens again.
#[utoipa::path(
    post, path = "/v1/clients/{id}/enable", operation_id = "enable_client", tag = "access", params(("id" = String, Path, description = "The client's id")),
    responses(
        (status = 200, description = "The client as it is now", body = ClientView),
        (status = 404, description = "No such client", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(in crate::api) async fn enable(
    access: Granted<Admin>,
    Id(id): Id<ClientId>,
) -> Result<Json<ClientView>, Problem> {
    Ok(Json(ClientView::from(&clients::set_enabled(&access, &id, true).await?)))
}

/// Give a client no more tokens, and obey none that it has.
#[utoipa::path(
    post, path = "/v1/clients/{id}/disable", operation_id = "disable_client", tag = "access", params(("id" = String, Path, description = "The client's id")),
    responses(
        (status = 200, description = "The client as it is now", body = ClientView),
        (status = 404, description = "No such client", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(in crate::api) async fn disable(
    access: Granted<Admin>,
    Id(id): Id<ClientId>,
) -> Result<Json<ClientView>, Problem> {
    Ok(Json(ClientView::from(&clients::set_enabled(&access, &id, false).await?)))
}

/// Delete a client; its tokens are obeyed no longer.
#[utoipa::path(
    delete, path = "/v1/clients/{id}", operation_id = "delete_client", tag = "access", params(("id" = String, Path, description = "The client's id")),
    responses(
        (status = 204, description = "Deleted"),
        (status = 404, description = "No such client", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(in crate::api) async fn delete(
    access: Granted<Admin>,
    Id(id): Id<ClientId>,
) -> Result<StatusCode, Problem> {
    clients::delete(&access, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}
