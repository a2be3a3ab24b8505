//! A viagogo-style body, as it is described.

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
