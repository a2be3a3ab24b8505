//! The list of webhooks and the root as HAL resources.

use callboard_domain::wire::viagogo::Link;
use serde::Serialize;
use utoipa::ToSchema;

use super::ROOT;
use crate::api::links::Links;
use crate::api::page::Numbers;

/// A page of webhooks.
#[derive(Debug, Serialize)]
pub(super) struct Collection<T> {
    total_items: u64,
    page: u32,
    page_size: u32,
    #[serde(rename = "_links")]
    links: CollectionLinks,
    #[serde(rename = "_embedded")]
    embedded: Items<T>,
}

#[derive(Debug, Serialize)]
struct CollectionLinks {
    #[serde(rename = "self")]
    own: Link,
    first: Option<Link>,
    last: Option<Link>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<Link>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prev: Option<Link>,
    #[serde(rename = "webhook:create")]
    create: Link,
}

#[derive(Debug, Serialize)]
struct Items<T> {
    items: Vec<T>,
}

impl<T> Collection<T> {
    /// A page of `items` out of `total_items`.
    pub(super) fn new(items: Vec<T>, total_items: u64, page: Numbers, links: &Links) -> Self {
        let to = |wanted: &str| {
            let found = page.relations(total_items).find(|(relation, _)| *relation == wanted);
            found.map(|(_, page)| Link::new(links.with(&[("page", page.to_string())])))
        };
        Self {
            total_items,
            page: page.page,
            page_size: page.size,
            links: CollectionLinks {
                own: Link::new(links.own()),
                first: to("first"),
                last: to("last"),
                next: to("next"),
                prev: to("prev"),
                create: Link::new(format!("{}{ROOT}/webhooks", links.base)).titled("Create a webhook"),
            },
            embedded: Items { items },
        }
    }
}

/// Where everything else is found.
#[derive(Debug, Serialize)]
pub(super) struct Root {
    #[serde(rename = "_links")]
    links: RootLinks,
}

#[derive(Debug, Serialize)]
struct RootLinks {
    #[serde(rename = "self")]
    own: Link,
    webhooks: Link,
    #[serde(rename = "webhook:create")]
    create: Link,
}

impl Root {
    pub(super) fn new(links: &Links) -> Self {
        let to = |path: &str| Link::new(format!("{}{ROOT}{path}", links.base));
        let (webhooks, create) = (to("/webhooks"), to("/webhooks"));
        Self {
            links: RootLinks {
                own: to(""),
                webhooks: webhooks.titled("Webhooks"),
                create: create.titled("Create a webhook"),
            },
        }
    }
}

/// A link.
#[derive(Debug, ToSchema)]
#[schema(as = ViagogoLink)]
#[expect(dead_code, reason = "describes what the domain writes")]
pub struct LinkSchema {
    /// The absolute address.
    #[schema(example = "https://callboard.example/viagogo/v2/webhooks/17")]
    href: String,
    title: Option<String>,
    templated: bool,
}

/// Where a webhook is shown, edited, deleted and tried out.
#[derive(Debug, ToSchema)]
#[schema(as = ViagogoWebhookLinks)]
#[expect(dead_code, reason = "describes what the domain writes")]
pub struct WebhookLinksSchema {
    #[schema(rename = "self")]
    own: LinkSchema,
    #[schema(rename = "webhook:update")]
    update: LinkSchema,
    #[schema(rename = "webhook:delete")]
    delete: LinkSchema,
    #[schema(rename = "webhook:ping")]
    ping: LinkSchema,
}

/// A webhook as its viagogo-style owner knows it; `fields` may leave out any part.
#[derive(Debug, ToSchema)]
#[schema(as = ViagogoWebhook)]
#[expect(dead_code, reason = "describes what the domain writes")]
pub struct WebhookSchema {
    #[schema(example = 17, required = false)]
    id: i32,
    #[schema(example = "Sales of the north", required = false)]
    name: String,
    #[schema(value_type = String, format = DateTime, required = false)]
    created_at: String,
    #[schema(example = json!(["Sales", "SaleUpdates"]), required = false)]
    topics: Vec<String>,
    #[schema(example = "https://partner.example/viagogo", required = false)]
    url: String,
    /// Masked for callers who could not set it.
    authorization_header: Option<String>,
    #[schema(rename = "_links", required = false)]
    links: WebhookLinksSchema,
}

/// Links of a page; `next` and `prev` where there is such a page.
#[derive(Debug, ToSchema)]
#[schema(as = ViagogoWebhooksLinks)]
#[expect(dead_code, reason = "describes the links of a collection")]
pub struct CollectionLinksSchema {
    #[schema(rename = "self")]
    own: LinkSchema,
    first: LinkSchema,
    last: LinkSchema,
    #[schema(nullable = false)]
    next: Option<LinkSchema>,
    #[schema(nullable = false)]
    prev: Option<LinkSchema>,
    #[schema(rename = "webhook:create")]
    create: LinkSchema,
}

/// The webhooks of a page.
#[derive(Debug, ToSchema)]
#[schema(as = ViagogoWebhooksEmbedded)]
#[expect(dead_code, reason = "describes what is embedded in a collection")]
pub struct ItemsSchema {
    items: Vec<WebhookSchema>,
}

/// A page of webhooks; `fields` may leave out any part.
#[derive(Debug, ToSchema)]
#[schema(as = ViagogoWebhooks)]
#[expect(dead_code, reason = "describes a collection before sparse fieldsets reduce it")]
pub struct CollectionSchema {
    #[schema(example = 230, required = false)]
    total_items: i32,
    #[schema(example = 1, required = false)]
    page: i32,
    #[schema(example = 100, required = false)]
    page_size: i32,
    #[schema(rename = "_links", required = false)]
    links: CollectionLinksSchema,
    #[schema(rename = "_embedded", required = false)]
    embedded: ItemsSchema,
}

/// Links of the root.
#[derive(Debug, ToSchema)]
#[schema(as = ViagogoRootLinks)]
#[expect(dead_code, reason = "describes the links of the root")]
pub struct RootLinksSchema {
    #[schema(rename = "self")]
    own: LinkSchema,
    webhooks: LinkSchema,
    #[schema(rename = "webhook:create")]
    create: LinkSchema,
}

/// Where everything else is found.
#[derive(Debug, ToSchema)]
#[schema(as = ViagogoRoot)]
#[expect(dead_code, reason = "describes the root")]
pub struct RootSchema {
    #[schema(rename = "_links")]
    links: RootLinksSchema,
}
