//! Who asks for what, of the webhooks of a tenant: gone through once, up to a bound.

use std::collections::BTreeMap;

use callboard_domain::event_type::{EventType, Operational, TypePattern};
use callboard_domain::id::TenantKey;
use callboard_domain::resource::Resource;
use callboard_domain::store::{Page, Store, StoreError};
use callboard_domain::trigger::Trigger;
use callboard_domain::webhook::{ORDER_UPDATED_WITH_STATUS, Status, Webhook};

/// Most webhooks that are gone through, the newest first.
pub(super) const LOOKED_AT: usize = 1_000;

/// Webhooks that are read at a time.
const READ_AT_ONCE: usize = 200;

/// The newest webhooks of a tenant.
pub(super) struct Listeners {
    pub(super) webhooks: Vec<Webhook>,
    /// Whether there are more.
    pub(super) more: bool,
}

impl Listeners {
    pub(super) async fn read(store: &dyn Store, tenant: TenantKey) -> Result<Self, StoreError> {
        let mut webhooks = Vec::new();
        let mut page = Page { limit: READ_AT_ONCE, after: None };
        loop {
            let listed = store.list_webhooks(tenant, page).await?;
            webhooks.extend(listed.items);
            if listed.next.is_none() || webhooks.len() >= LOOKED_AT {
                return Ok(Self { webhooks, more: listed.next.is_some() });
            }
            page.after = listed.next;
        }
    }

    /// How many ask for each of these types, in their order.
    pub(super) fn counts(&self, types: &[String]) -> Vec<u64> {
        let mut counts = vec![0; types.len()];
        for webhook in self.webhooks.iter().filter(|webhook| hears(webhook)) {
            let asks = webhook.settings.subscription.asks();
            for (count, type_name) in counts.iter_mut().zip(types) {
                *count += u64::from(picks(&asks, type_name));
            }
        }
        counts
    }

    /// The types and prefixes that no dialect knows and that webhooks ask for, with how
    /// many do.
    pub(super) fn custom(&self) -> Vec<(String, u64)> {
        let mut found: BTreeMap<String, u64> = BTreeMap::new();
        for webhook in self.webhooks.iter().filter(|webhook| hears(webhook)) {
            for asked in webhook.settings.subscription.asks() {
                if is_custom(&asked) {
                    *found.entry(asked.into_owned()).or_default() += 1;
                }
            }
        }
        found.into_iter().collect()
    }

    /// Those that hear what happens, each with the resource through which they do
    /// where they did not ask for it directly.
    pub(super) fn of(&self, resource: Resource, trigger: Trigger) -> Vec<(&Webhook, Option<Resource>)> {
        let type_of = |resource| EventType::Known(resource, trigger).to_string();
        let through: Vec<(Resource, String)> =
            resource.propagates_to(trigger).iter().map(|related| (*related, type_of(*related))).collect();
        let direct = type_of(resource);
        let hearing = |webhook: &Webhook| {
            let asks = webhook.settings.subscription.asks();
            if picks(&asks, &direct) {
                return Some(None);
            }
            let related = through.iter().filter(|_| webhook.settings.triggered_by_related);
            related.into_iter().find(|(_, name)| picks(&asks, name)).map(|(related, _)| Some(*related))
        };
        self.webhooks
            .iter()
            .filter(|webhook| hears(webhook))
            .filter_map(|webhook| hearing(webhook).map(|through| (webhook, through)))
            .collect()
    }
}

/// A disabled webhook hears nothing.
fn hears(webhook: &Webhook) -> bool {
    webhook.status != Status::Disabled
}

/// Whether a webhook that asks for these asks for a type, some of it at least.
fn picks(asks: &[std::borrow::Cow<'_, str>], type_name: &str) -> bool {
    TypePattern::picking(type_name).any(|pattern| asks.contains(&pattern))
        || (type_name == "order.updated" && asks.iter().any(|asked| *asked == ORDER_UPDATED_WITH_STATUS))
}

/// Whether a pattern is about types that neither dialects know nor Callboard has.
fn is_custom(asked: &str) -> bool {
    let first = asked.split(['.', ' ']).next().unwrap_or_default();
    let is_own = Operational::ALL.iter().any(|own| own.as_str().split('.').next() == Some(first));
    asked != "*" && !is_own && first.parse::<Resource>().is_err()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_custom_is_neither_a_resource_nor_our_own() {
        for asked in ["seat.upgraded", "loyalty.*", "a.b.c.*"] {
            assert!(is_custom(asked), "{asked}");
        }
        for asked in
            ["*", "ticket.*", "order.paid", "webhook.*", "delivery.exhausted", ORDER_UPDATED_WITH_STATUS]
        {
            assert!(!is_custom(asked), "{asked}");
        }
    }

    #[test]
    fn a_type_is_picked_by_name_prefix_star_and_by_its_status() {
        for (asked, type_name, picked) in [
            ("order.paid", "order.paid", true),
            ("order.*", "order.paid", true),
            ("*", "order.paid", true),
            ("order.paid", "order.updated", false),
            (ORDER_UPDATED_WITH_STATUS, "order.updated", true),
            (ORDER_UPDATED_WITH_STATUS, "order.paid", false),
        ] {
            assert_eq!(picks(&[asked.into()], type_name), picked, "{asked} {type_name}");
        }
    }
}
