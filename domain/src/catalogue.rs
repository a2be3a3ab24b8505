//! The catalogue of event types: for each, what its `data` holds, a sentence,
//! a JSON Schema and an example.
//!
//! What is known of `data` stands in tables of [`Field`]s; [`check_data`] and
//! [`schema`] both read them, so that the one can't refuse what the other
//! promises. Every field may be missing or null, and fields that the tables
//! don't name are passed on untouched.

mod check;
mod describe;
mod example;
mod field;
mod marketplace;
mod schema;
mod ticketing;

pub use check::check_data;
pub use describe::describe;
pub use example::example;
pub use field::{Field, Kind, Shape};
pub use schema::schema;

use crate::event_type::EventType;
use crate::resource::Resource;
use crate::trigger::Trigger;

/// What `data` holds for `resource`; `None` where it is a free object.
#[must_use]
pub const fn shape(resource: Resource) -> Option<&'static Shape> {
    match resource {
        Resource::Event => Some(&ticketing::EVENT),
        Resource::Ticket => Some(&ticketing::TICKET),
        Resource::Sale => Some(&marketplace::SALE),
        Resource::ProvisionalSale => Some(&marketplace::PROVISIONAL_SALE),
        Resource::SellerListing => Some(&marketplace::SELLER_LISTING),
        Resource::Product | Resource::Shop | Resource::Order | Resource::Scanner => None,
    }
}

/// One event type, as it is listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The type itself.
    pub event_type: EventType,
    /// What it happens to.
    pub resource: Resource,
    /// What happens.
    pub trigger: Trigger,
    /// A sentence for people.
    pub description: &'static str,
    /// Whose webhooks it also reaches.
    pub propagates_to: &'static [Resource],
}

/// Every known event type, in the order of the documentation.
pub fn entries() -> impl Iterator<Item = Entry> {
    EventType::known().map(|(resource, trigger)| Entry {
        event_type: EventType::Known(resource, trigger),
        resource,
        trigger,
        description: describe(resource, trigger),
        propagates_to: resource.propagates_to(trigger),
    })
}

#[cfg(test)]
mod tests;
