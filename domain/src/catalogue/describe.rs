//! One sentence for each event type.

use crate::resource::Resource::{
    self, Event, Order, Product, ProvisionalSale, Sale, Scanner, SellerListing, Shop, Ticket,
};
use crate::trigger::Trigger::{
    self, Cancel, Create, Delete, Paid, Relation, Reorder, Retransfer, Scan, Update,
};

/// What has happened, in a sentence for people.
#[must_use]
pub fn describe(resource: Resource, trigger: Trigger) -> &'static str {
    SENTENCES
        .iter()
        .find(|(of, on, _)| *of == resource && *on == trigger)
        .map_or("Never published.", |(_, _, sentence)| sentence)
}

static SENTENCES: [(Resource, Trigger, &str); 52] = [
    (Event, Create, "An event was entered."),
    (Event, Update, "Something about an event was edited."),
    (Event, Delete, "An event was removed."),
    (Event, Paid, "Something that was sold for an event was paid for."),
    (Event, Scan, "Somebody was let in to an event."),
    (Event, Relation, "An event was tied to another resource, such as a shop, or loosened from it."),
    (Event, Reorder, "An event took another place in a list."),
    (Ticket, Create, "A ticket type, or a group of them, was added to an event."),
    (Ticket, Update, "A ticket type, or a group of them, was edited, or its quantity changed."),
    (Ticket, Delete, "A ticket type, or a group of them, was removed."),
    (Ticket, Paid, "Tickets of a type were paid for."),
    (Ticket, Scan, "A ticket of a type was scanned."),
    (Ticket, Relation, "A ticket type was tied to another resource or group, or loosened from it."),
    (Ticket, Reorder, "A ticket type took another place in the list of its event."),
    (Product, Create, "A product was added."),
    (Product, Update, "Something about a product was edited, or its stock changed."),
    (Product, Delete, "A product was removed."),
    (Product, Paid, "A product was paid for."),
    (Product, Scan, "A voucher for a product was scanned."),
    (Product, Relation, "A product was tied to another resource, such as an event, or loosened from it."),
    (Product, Reorder, "A product took another place in a list."),
    (Shop, Create, "A shop was opened."),
    (Shop, Update, "Something about a shop was edited."),
    (Shop, Delete, "A shop was removed."),
    (Shop, Paid, "Something that a shop sold was paid for."),
    (Shop, Scan, "Something that a shop sold was scanned."),
    (Shop, Relation, "A shop was tied to another resource, such as an event, or loosened from it."),
    (Shop, Reorder, "A shop took another place in a list, or its shelves were rearranged."),
    (Order, Create, "A visitor placed an order."),
    (Order, Update, "Something about an order changed, such as its status."),
    (Order, Delete, "An order was removed."),
    (Order, Paid, "An order was paid."),
    (Order, Scan, "A code of an order was scanned, on the way in or out."),
    (Order, Relation, "An order was tied to another resource, such as a ticket, or loosened from it."),
    (Order, Reorder, "An order took another place in a list."),
    (Scanner, Create, "A scanner was set up."),
    (Scanner, Update, "Something about a scanner was edited."),
    (Scanner, Delete, "A scanner was removed."),
    (Scanner, Paid, "Something was paid for at a scanner."),
    (Scanner, Scan, "A scanner read a code."),
    (Scanner, Relation, "A scanner was tied to another resource, such as an event, or loosened from it."),
    (Scanner, Reorder, "A scanner took another place in a list."),
    (Sale, Create, "Tickets were sold on a marketplace."),
    (Sale, Update, "Something about a sale changed without the seller's doing."),
    (Sale, Delete, "A sale was removed."),
    (Sale, Cancel, "A sale was called off."),
    (Sale, Retransfer, "The buyer did not receive the tickets of a sale; they have to be transferred again."),
    (ProvisionalSale, Create, "Tickets were sold, and the marketplace has yet to confirm it."),
    (ProvisionalSale, Cancel, "A sale was called off before the marketplace confirmed it."),
    (SellerListing, Create, "A seller offered tickets on a marketplace."),
    (SellerListing, Update, "Something about a listing changed without the seller's doing."),
    (SellerListing, Delete, "A listing was taken down."),
];
