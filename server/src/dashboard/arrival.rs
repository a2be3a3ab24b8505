//! Why an event reached a webhook, or did not, in sentences; and which of those that
//! it did not reach came closest.

use callboard_domain::delivery::StoredEvent;
use callboard_domain::event::Event;
use callboard_domain::event_type::EventType;
use callboard_domain::id::TenantKey;
use callboard_domain::matching::{Explanation, Reach, Since, explain, explain_stored};
use callboard_domain::store::{Page, Store, StoreError, WebhookFilter};
use callboard_domain::webhook::{Status, Webhook};

use super::payload::visible;

/// Most webhooks that are gone through to find the closest ones.
pub(super) const LOOKED_AT: usize = 1_000;

/// Webhooks that are read at a time.
const READ_AT_ONCE: usize = 200;

/// Most webhooks that are said to have come closest.
const CLOSEST: usize = 5;

/// A webhook that an event did not reach.
pub(super) struct Missed {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) dialect: &'static str,
    /// Why, as a sentence goes on after its name.
    pub(super) why: String,
    /// Whether it would hear it as it is set now, and can be sent it.
    pub(super) would_hear: bool,
    /// How much is in the way: the less, the closer.
    pub(super) distance: u8,
}

/// One event, read once and held against many webhooks.
pub(super) struct Judge<'a> {
    stored: &'a StoredEvent,
    /// Callboard's own events are told apart by the webhook that they are about.
    read: Option<Event>,
}

impl<'a> Judge<'a> {
    pub(super) fn new(stored: &'a StoredEvent) -> Result<Self, StoreError> {
        let event = Event::from_stored(stored).map_err(|error| StoreError::Corrupt(error.to_string()))?;
        let is_own = matches!(event.event_type, EventType::Operational(_));
        Ok(Self { stored, read: (!is_own).then_some(event) })
    }

    fn explain(&self, webhook: &Webhook) -> Result<Explanation, StoreError> {
        match &self.read {
            Some(event) => Ok(explain(&webhook.settings, event)),
            None => {
                explain_stored(webhook, self.stored).map_err(|error| StoreError::Corrupt(error.to_string()))
            }
        }
    }

    /// Through what it reached a webhook that has a delivery of it.
    pub(super) fn through(&self, webhook: &Webhook) -> Result<String, StoreError> {
        Ok(match self.explain(webhook)? {
            Explanation::Heard(Reach::Direct) => "directly".to_owned(),
            Explanation::Heard(Reach::Related(resource)) => format!("through the related {resource}"),
            Explanation::Ping => "a ping for it alone".to_owned(),
            _ => "by what it asked for then".to_owned(),
        })
    }

    /// Whether a webhook may have a delivery of it after all: what neither hears it now
    /// nor was changed since has none.
    pub(super) fn may_have_heard(&self, webhook: &Webhook) -> Result<bool, StoreError> {
        let heard = matches!(self.explain(webhook)?, Explanation::Heard(_) | Explanation::Ping);
        Ok(heard || Since::of(webhook, self.stored).is_some())
    }

    /// What there is to say of a webhook that has no delivery of it.
    pub(super) fn missed(&self, webhook: &Webhook) -> Result<Missed, StoreError> {
        let explained = self.explain(webhook)?;
        let since = Since::of(webhook, self.stored);
        let would_hear = matches!(explained, Explanation::Heard(_));
        let why = match (would_hear, since) {
            (true, Some(since)) => since.to_string(),
            (true, None) => {
                "it hears it as it is set now, and was not yet known when this was accepted".to_owned()
            }
            (false, Some(Since::Changed(at))) => format!("{explained} (as it is set since {at})"),
            (false, _) => explained.to_string(),
        };
        Ok(Missed {
            id: webhook.id.to_string(),
            name: visible(&webhook.settings.name),
            dialect: webhook.settings.subscription.dialect().as_str(),
            why: visible(&why),
            would_hear: would_hear && webhook.status != Status::Disabled,
            distance: distance(&explained),
        })
    }

    /// The webhooks that came closest to hearing it, of the newest [`LOOKED_AT`]; and
    /// whether there is any at all.
    pub(super) async fn closest(
        &self,
        store: &dyn Store,
        tenant: TenantKey,
    ) -> Result<(Vec<Missed>, bool), StoreError> {
        let mut found = Vec::new();
        let mut page = Page { limit: READ_AT_ONCE, after: None };
        let mut seen = 0;
        loop {
            let listed = store.find_webhooks(tenant, WebhookFilter::default(), page).await?;
            seen += listed.items.len();
            for webhook in &listed.items {
                found.push(self.missed(webhook)?);
            }
            found.sort_by_key(|missed| missed.distance);
            found.truncate(CLOSEST);
            if listed.next.is_none() || seen >= LOOKED_AT {
                return Ok((found, seen > 0));
            }
            page.after = listed.next;
        }
    }
}

/// Beyond this a webhook asks for something else altogether.
pub(super) const ELSEWHERE: u8 = 7;

/// How much is in the way of hearing it.
fn distance(explained: &Explanation) -> u8 {
    match explained {
        Explanation::Heard(_) => 0,
        Explanation::FilterRefuses { .. } => 1,
        Explanation::OnlyThroughRelated { .. } => 2,
        Explanation::NeedsStatus => 3,
        Explanation::OtherIdentifier { .. } => 4,
        Explanation::NotRelated { .. } => 5,
        Explanation::HasToBeNamed { .. } => 6,
        Explanation::AboutItself => ELSEWHERE,
        Explanation::OtherTypes { asks, type_name } => {
            let resource = |text: &str| text.split('.').next().map(str::to_owned);
            let akin = asks.iter().any(|asked| resource(asked) == resource(type_name));
            if akin { ELSEWHERE + 1 } else { ELSEWHERE + 2 }
        }
        Explanation::Ping => ELSEWHERE + 3,
    }
}
