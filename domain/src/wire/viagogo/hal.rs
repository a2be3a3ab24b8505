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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::wire::tests::webhook;

    #[test]
    fn a_webhook_tells_its_topics_and_where_it_is_changed_and_tried_out() {
        let webhook = webhook(&json!({
            "url": "https://example.com/", "name": "One", "dialect": "viagogo", "topics": ["Sales", "Ping"],
        }));
        let told = json!(WebhookResource::new(&webhook, "https://api.example", Some("mask")));
        let own = format!("https://api.example/viagogo/v2/webhooks/{}", webhook.key.0);
        let link = |href: &str| json!({"href": href, "title": null, "templated": false});
        assert_eq!(told["topics"], json!(["Sales", "Ping"]));
        assert_eq!((&told["name"], &told["authorization_header"]), (&json!("One"), &json!("mask")));
        assert_eq!(
            told["_links"],
            json!({
                "self": link(&own), "webhook:update": link(&own), "webhook:delete": link(&own),
                "webhook:ping": link(&format!("{own}/ping")),
            })
        );
        let titled = Link::new(own.clone()).titled("One");
        assert_eq!(json!(titled), json!({"href": own, "title": "One", "templated": false}));
    }
}
