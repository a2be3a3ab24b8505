//! viagogo's topics: HAL payloads with everything that the sale concerns
//! embedded, and the subscription itself.

use serde::{Deserialize, Serialize};

use super::fact::{Fact, happening};
use super::template::{Form, Template};
use super::{Message, Unrenderable};
use crate::delivery::StoredEvent;
use crate::id::DeliveryKey;
use crate::json;
use crate::resource::Resource;
use crate::trigger::Trigger;
use crate::webhook::Webhook;

mod embedded;
mod fieldsets;
mod hal;

pub use fieldsets::{Fieldsets, Reduced, UnknownField};
pub use hal::{Link, WebhookLinks, WebhookResource};

/// What a viagogo webhook can ask for. One event is one topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Topic {
    /// Something happened that affects a sale.
    Sales,
    /// A sale that the marketplace has yet to confirm.
    ProvisionalSale,
    /// It will not be confirmed.
    CancelProvisionalSale,
    /// A sale was changed by somebody else than its seller.
    SaleUpdates,
    /// A listing was changed by somebody else than its seller.
    SellerListingUpdates,
    /// A ticket must be transferred again.
    ReTransferTicket,
    /// Somebody tries the webhook out; heard without asking for it.
    Ping,
}

/// The text names no topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be one of Sales, ProvisionalSale, CancelProvisionalSale, SaleUpdates, SellerListingUpdates, ReTransferTicket, Ping"
)]
pub struct UnknownTopic;

impl std::str::FromStr for Topic {
    type Err = UnknownTopic;

    fn from_str(text: &str) -> Result<Self, UnknownTopic> {
        Self::ALL.into_iter().find(|topic| topic.as_str() == text).ok_or(UnknownTopic)
    }
}

impl Topic {
    /// Every topic, in the order of the documentation.
    pub const ALL: [Self; 7] = [
        Self::Sales,
        Self::ProvisionalSale,
        Self::CancelProvisionalSale,
        Self::SaleUpdates,
        Self::SellerListingUpdates,
        Self::ReTransferTicket,
        Self::Ping,
    ];

    /// The name that the platform uses.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sales => "Sales",
            Self::ProvisionalSale => "ProvisionalSale",
            Self::CancelProvisionalSale => "CancelProvisionalSale",
            Self::SaleUpdates => "SaleUpdates",
            Self::SellerListingUpdates => "SellerListingUpdates",
            Self::ReTransferTicket => "ReTransferTicket",
            Self::Ping => "Ping",
        }
    }

    /// What it tells of.
    #[must_use]
    pub const fn hears(self) -> &'static [(Resource, Trigger)] {
        use Resource::{ProvisionalSale, Sale, SellerListing};
        use Trigger::{Cancel, Create, Delete, Retransfer, Update};
        match self {
            Self::Sales => &[(Sale, Create), (Sale, Delete), (Sale, Cancel)],
            Self::ProvisionalSale => &[(ProvisionalSale, Create)],
            Self::CancelProvisionalSale => &[(ProvisionalSale, Cancel)],
            Self::SaleUpdates => &[(Sale, Update)],
            Self::SellerListingUpdates => &[(SellerListing, Update)],
            Self::ReTransferTicket => &[(Sale, Retransfer)],
            Self::Ping => &[],
        }
    }

    /// The topic of a happening; `None` where there is none.
    #[must_use]
    pub fn of(resource: Resource, trigger: Trigger) -> Option<Self> {
        Self::ALL.into_iter().find(|topic| topic.hears().contains(&(resource, trigger)))
    }
}

/// A webhook in this dialect.
#[derive(Debug)]
pub(super) struct Recipient {
    public_url: String,
    /// The subscription as it is embedded, without its authorization header.
    webhook: Vec<u8>,
}

impl Recipient {
    pub(super) fn new(webhook: &Webhook, public_url: &str) -> Self {
        let resource = WebhookResource::new(webhook, public_url, None);
        // Texts and numbers can't fail to become JSON.
        let webhook = serde_json::to_vec(&resource).unwrap_or_else(|_| b"null".to_vec());
        Self { public_url: public_url.to_owned(), webhook }
    }

    pub(super) fn tell(&self, event: &StoredEvent, delivery: DeliveryKey) -> Result<Message, Unrenderable> {
        let topic = topic(event)?;
        let told =
            event.renderings.tell(Form::Viagogo, &self.webhook, || render(event, topic, &self.public_url))?;
        let headers =
            vec![("viagogo-topic", topic.as_str().to_owned()), ("viagogo-delivery", delivery.to_string())];
        Ok(Message { headers, ..told })
    }
}

fn topic(event: &StoredEvent) -> Result<Topic, Unrenderable> {
    let Some((resource, trigger)) = happening(event)? else { return Ok(Topic::Ping) };
    Topic::of(resource, trigger)
        .ok_or_else(|| Unrenderable(format!("no topic of viagogo tells of {}", event.type_name)))
}

/// The payload; its gap is the embedded subscription.
fn render(event: &StoredEvent, topic: Topic, public_url: &str) -> Result<Template, Unrenderable> {
    let fact = Fact::read(event)?;
    let mut out = Vec::with_capacity(event.body.len() + 1_024);
    out.extend_from_slice(b"{\"topic\":");
    json::write_string(&mut out, topic.as_str());
    out.extend_from_slice(b",\"action\":");
    out.extend_from_slice(fact.action.get().as_bytes());
    if topic != Topic::Ping {
        out.extend_from_slice(b",\"barcodes\":");
        embedded::write_barcodes(&mut out, &fact, topic);
    }
    out.extend_from_slice(b",\"_links\":{\"self\":");
    // Where the publisher names no address of its own, the message is what can
    // be looked up: here.
    let own = || Link::new(format!("{public_url}/v1/events/{}", event.id));
    embedded::write_self_link(&mut out, &fact, own);
    out.extend_from_slice(b"},\"_embedded\":{");
    if topic != Topic::Ping {
        embedded::write_resources(&mut out, &fact, topic);
    }
    out.extend_from_slice(b"\"webhook\":");
    let gap = out.len();
    out.extend_from_slice(b"}}");
    Ok(Template::new(out, gap))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_event_is_one_topic() {
        for resource in Resource::ALL {
            for trigger in Trigger::ALL {
                let topics = Topic::ALL.iter().filter(|topic| topic.hears().contains(&(resource, trigger)));
                assert!(topics.count() <= 1, "{resource} {trigger:?}");
            }
        }
        assert_eq!(Topic::of(Resource::Sale, Trigger::Cancel), Some(Topic::Sales));
        assert_eq!(Topic::of(Resource::SellerListing, Trigger::Create), None);
    }
}
