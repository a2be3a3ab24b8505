//! A viagogo-style body as the settings of a webhook.

use callboard_domain::fault::{Fault, Faults};
use callboard_domain::json::{Members, write_string};
use callboard_domain::webhook::{Settings, read_settings};
use callboard_domain::wire::Dialect;
use callboard_domain::wire::viagogo::WebhookResource;
use utoipa::ToSchema;

use crate::api::words::TopicWord;

/// What can be said of a webhook. In an edit, what is left out stays as it is.
#[derive(Debug, ToSchema)]
#[schema(as = ViagogoWebhookRequest)]
#[expect(dead_code, reason = "describes a body that the domain reads, naming every fault")]
pub struct WebhookRequest {
    /// What people call it, at most 255 bytes; the host of the URL if left out.
    #[schema(example = "Sales of the north", min_length = 1, max_length = 255)]
    name: Option<String>,
    /// Where payloads are posted; required.
    #[schema(example = "https://partner.example/viagogo", pattern = "^https?://", max_length = 2048)]
    url: Option<String>,
    /// The `Authorization` header of each payload; null clears it.
    #[schema(min_length = 1, max_length = 4096)]
    authorization_header: Option<String>,
    /// At least one; required.
    #[schema(value_type = Option<Vec<TopicWord>>, example = json!(["Sales", "SaleUpdates"]), min_items = 1)]
    topics: Option<Vec<String>>,
}

const FIELDS: [&str; 4] = ["name", "url", "authorization_header", "topics"];

/// Reads a body. Null stands for what is left out, as clients write it that
/// always send every field; only an authorization header can be cleared.
pub(super) fn read(text: &str, base: Option<&Settings>) -> Result<Settings, Vec<Fault>> {
    let mut faults = Faults::new();
    let translated = Members::read(text, &mut faults).map(|members| translate(&members, &mut faults));
    let Some(translated) = translated else { return faults.finish(None) };
    match read_settings(&translated, base) {
        Ok((settings, _)) => faults.finish(Some(settings)),
        Err(found) => {
            faults.extend(found);
            faults.finish(None)
        }
    }
}

fn translate(members: &Members<'_>, faults: &mut Faults) -> String {
    let mut native = b"{\"dialect\":".to_vec();
    write_string(&mut native, Dialect::Viagogo.as_str());
    for (name, value) in members.iter() {
        // Who sends back what it was shown says nothing new with these.
        if WebhookResource::READ_ONLY.contains(&name) {
            continue;
        }
        if !FIELDS.contains(&name) {
            faults.member(name, format_args!("is not known here; known are {}", FIELDS.join(", ")));
        } else if value.get() != "null" || name == "authorization_header" {
            native.push(b',');
            write_string(&mut native, name);
            native.push(b':');
            native.extend_from_slice(value.get().as_bytes());
        }
    }
    native.push(b'}');
    // Made of texts only.
    String::from_utf8(native).unwrap_or_default()
}
