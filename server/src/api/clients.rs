//! What is done to clients, by the API and on pages: reading what is said of one,
//! making, switching, deleting.

use callboard_domain::access::{Client, Scopes, digest, random_token};
use callboard_domain::fault::Faults;
use callboard_domain::id::ClientId;
use callboard_domain::json::Members;
use callboard_domain::store::NewClient;

use super::auth::{Admin, Granted};
use super::problem::Problem;

/// What is said of a new client.
#[derive(Debug)]
pub struct Input {
    name: String,
    scopes: Scopes,
}

/// Reads what is said of a new client: its name, and the most that its tokens may do.
///
/// # Errors
/// Names every fault.
pub fn read(text: &str) -> Result<Input, Problem> {
    let mut faults = Faults::new();
    let input = Members::read(text, &mut faults).and_then(|members| {
        members.refuse_unknown(&["name", "scopes"], &mut faults);
        let name = members.string("name", &mut faults);
        if members.get("name").is_none() {
            faults.member("name", "is required: what people call the client");
        } else if name
            .as_ref()
            .is_some_and(|name| name.is_empty() || name.chars().count() > 255 || name.contains('\0'))
        {
            faults.member("name", "must be 1 to 255 characters long, without U+0000");
        }
        let words: Option<Vec<String>> =
            members.get("scopes").and_then(|raw| serde_json::from_str(raw.get()).ok());
        let Some(words) = words.filter(|words| !words.is_empty()) else {
            faults.member("scopes", "is required: an array of at least one scope");
            return None;
        };
        let scopes = words.join(" ").parse().map_err(|fault| faults.member("scopes", fault)).ok()?;
        Some(Input { name: name?, scopes })
    });
    faults.finish(input).map_err(Problem::faults)
}

/// Makes a client; returns also its secret, which nobody can read again.
pub async fn make(access: &Granted<Admin>, input: Input) -> Result<(Client, String), Problem> {
    let Input { name, scopes } = input;
    let now = access.now();
    let (id, secret) = access.with_rng(|rng| (ClientId::generate(now, rng), random_token("cbs_", rng)));
    let client = NewClient { id, name, secret_digest: digest(&secret), scopes };
    let client = access.store().create_client(access.tenant.key, client, access.by()).await?;
    Ok((client, secret))
}

/// The client of this id, if it is the tenant's.
pub async fn find(access: &Granted<Admin>, id: &ClientId) -> Result<Client, Problem> {
    let client = access.store().client(id).await?.filter(|client| client.tenant == access.tenant.key);
    client.ok_or_else(Problem::not_found)
}

/// Lets a client get tokens, or none, and obeys none that it has then.
pub async fn set_enabled(access: &Granted<Admin>, id: &ClientId, enabled: bool) -> Result<Client, Problem> {
    let client = access.store().set_client_enabled(access.tenant.key, id, enabled, access.by()).await?;
    access.forget_client(id);
    client.ok_or_else(Problem::not_found)
}

/// Deletes a client; its tokens are obeyed no longer.
pub async fn delete(access: &Granted<Admin>, id: &ClientId) -> Result<(), Problem> {
    let deleted = access.store().delete_client(access.tenant.key, id, access.by()).await?;
    access.forget_client(id);
    deleted.then_some(()).ok_or_else(Problem::not_found)
}
