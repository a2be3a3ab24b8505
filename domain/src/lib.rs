//! What Callboard is about, and nothing about how it runs: no I/O, no time of
//! its own, no chance of its own.
//!
//! Read in this order: [`resource`], [`trigger`] and [`event_type`] name what
//! happens; [`event`] is one happening; [`webhook`] is who wants to hear of
//! it; [`matching`] brings the two together; [`delivery`] is what follows,
//! told in a dialect of [`wire`], signed by [`signing`], repeated by
//! [`retry`]. [`audit`] tells who changed what. [`store`] says what is asked of a
//! database. [`measures`] counts what happens, and [`trace`] follows it.

pub mod access;
pub mod audit;
pub mod catalogue;
pub mod clock;
pub mod cursor;
pub mod delivery;
pub mod event;
pub mod event_type;
pub mod fault;
pub mod filter;
pub mod id;
pub mod job;
pub mod json;
pub mod matching;
pub mod measures;
pub mod portal;
pub mod resource;
pub mod retry;
pub mod signing;
pub mod stats;
pub mod store;
pub mod trace;
pub mod trigger;
pub mod webhook;
pub mod wire;
