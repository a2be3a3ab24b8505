//! A viagogo webhook as a HAL resource: in answers of the API, and embedded in
//! what is delivered to it.

use serde::Serialize;

use crate::clock::Timestamp;
use crate::webhook::{Subscription, Webhook};

/// A link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Link {
    href: String,
    title: Option<String>,
    templated: bool,
}

impl Link {
    /// A link to `href` without a title.
    #[must_use]
    pub const fn new(href: String) -> Self {
        Self { href, title: None, templated: false }
    }

    /// The same with a title.
    #[must_use]
    pub fn titled(self, title: &str) -> Self {
        Self { title: Some(title.to_owned()), ..self }
    }
}

/// A webhook as its viagogo-style owner knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WebhookResource<'a> {
    id: i64,
    name: &'a str,
    created_at: Timestamp,
    topics: Vec<&'static str>,
    url: &'a str,
    authorization_header: Option<&'a str>,
    #[serde(rename = "_links")]
    links: WebhookLinks,
}

/// Where a webhook is shown, edited, deleted and tried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WebhookLinks {
    #[serde(rename = "self")]
    own: Link,
    #[serde(rename = "webhook:update")]
    update: Link,
    #[serde(rename = "webhook:delete")]
    delete: Link,
    #[serde(rename = "webhook:ping")]
    ping: Link,
}

impl<'a> WebhookResource<'a> {
    /// The members that stand for the resource and can't be set.
    pub const READ_ONLY: [&'static str; 3] = ["id", "created_at", "_links"];

    /// A webhook with links that lead to `base`, which ends without a slash.
    /// What stands for the authorization header is the caller's to choose.
    #[must_use]
    pub fn new(webhook: &'a Webhook, base: &str, authorization_header: Option<&'a str>) -> Self {
        let own = format!("{base}/viagogo/v2/webhooks/{}", webhook.key.0);
        let topics = match &webhook.settings.subscription {
            Subscription::Viagogo { topics } => topics.iter().map(|topic| topic.as_str()).collect(),
            _ => Vec::new(),
        };
        Self {
            id: webhook.key.0,
            name: &webhook.settings.name,
            created_at: webhook.created_at,
            topics,
            url: &webhook.settings.url,
            authorization_header,
            links: WebhookLinks {
                ping: Link::new(format!("{own}/ping")),
                update: Link::new(own.clone()),
                delete: Link::new(own.clone()),
                own: Link::new(own),
            },
        }
    }
}
