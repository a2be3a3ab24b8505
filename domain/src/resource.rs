//! The things that tickets are sold with, and which happenings reach whom.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::trigger::Trigger;

/// A kind of thing that something can happen to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resource {
    /// A concert, a match, a play.
    Event,
    /// A ticket type that is sold.
    Ticket,
    /// Merchandise, parking, catering.
    Product,
    /// Where tickets are sold.
    Shop,
    /// What a visitor bought.
    Order,
    /// A device at the door.
    Scanner,
    /// A confirmed sale on a marketplace.
    Sale,
    /// A sale that its marketplace has yet to confirm.
    ProvisionalSale,
    /// What a seller offers on a marketplace.
    SellerListing,
}

impl Resource {
    /// Every resource, in the order of the documentation.
    pub const ALL: [Self; 9] = [
        Self::Event,
        Self::Ticket,
        Self::Product,
        Self::Shop,
        Self::Order,
        Self::Scanner,
        Self::Sale,
        Self::ProvisionalSale,
        Self::SellerListing,
    ];

    /// The name used in JSON, SQL, logs and event types.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Ticket => "ticket",
            Self::Product => "product",
            Self::Shop => "shop",
            Self::Order => "order",
            Self::Scanner => "scanner",
            Self::Sale => "sale",
            Self::ProvisionalSale => "provisional_sale",
            Self::SellerListing => "seller_listing",
        }
    }

    /// What may happen to this resource.
    #[must_use]
    pub const fn triggers(self) -> &'static [Trigger] {
        use Trigger::{Cancel, Create, Delete, Paid, Relation, Reorder, Retransfer, Scan, Update};
        match self {
            Self::Event | Self::Ticket | Self::Product | Self::Shop | Self::Order | Self::Scanner => {
                &[Create, Update, Delete, Paid, Scan, Relation, Reorder]
            }
            Self::Sale => &[Create, Update, Delete, Cancel, Retransfer],
            Self::ProvisionalSale => &[Create, Cancel],
            Self::SellerListing => &[Create, Update, Delete],
        }
    }

    /// Whose webhooks `trigger` on this resource also reaches, on the same
    /// trigger: the table of related-resource propagation, including the two
    /// cells that the OpenTicket documents state only in their worked example
    /// (an order's `paid` reaches event, ticket and product).
    #[must_use]
    pub const fn propagates_to(self, trigger: Trigger) -> &'static [Self] {
        use Trigger::{Create, Delete, Paid, Scan, Update};
        match (self, trigger) {
            (Self::Ticket | Self::Product, Create | Update | Delete)
            | (Self::Shop, Update)
            | (Self::Order, Create | Delete) => &[Self::Event],
            (Self::Shop, Paid) | (Self::Order, Scan | Paid) => &[Self::Event, Self::Ticket, Self::Product],
            _ => &[],
        }
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text names no resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be one of event, ticket, product, shop, order, scanner, sale, provisional_sale, seller_listing"
)]
pub struct UnknownResource;

impl FromStr for Resource {
    type Err = UnknownResource;

    fn from_str(text: &str) -> Result<Self, UnknownResource> {
        Self::ALL.into_iter().find(|resource| resource.as_str() == text).ok_or(UnknownResource)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table of the documentation, written out cell by cell.
    #[test]
    fn propagation_follows_the_table() {
        use Resource::{Event, Order, Product, Shop, Ticket};
        use Trigger::{Create, Delete, Paid, Scan, Update};
        let table: &[(Resource, Resource, &[Trigger])] = &[
            (Ticket, Event, &[Create, Update, Delete]),
            (Product, Event, &[Create, Update, Delete]),
            (Shop, Event, &[Paid, Update]),
            (Shop, Ticket, &[Paid]),
            (Shop, Product, &[Paid]),
            (Order, Event, &[Create, Delete, Scan, Paid]),
            (Order, Ticket, &[Scan, Paid]),
            (Order, Product, &[Scan, Paid]),
        ];
        for from in Resource::ALL {
            for to in Resource::ALL {
                for trigger in Trigger::ALL {
                    let listed = table
                        .iter()
                        .any(|(row, column, cell)| *row == from && *column == to && cell.contains(&trigger));
                    assert_eq!(
                        from.propagates_to(trigger).contains(&to),
                        listed,
                        "{trigger:?} on {from} reaching {to}"
                    );
                }
            }
        }
    }

    #[test]
    fn names_survive_the_round_trip() {
        for resource in Resource::ALL {
            assert_eq!(resource.as_str().parse(), Ok(resource));
        }
        assert_eq!("tickets".parse::<Resource>(), Err(UnknownResource));
    }
}
