//! The engine against real sockets.
#![expect(clippy::unwrap_used, reason = "a test ends at the first thing that is not as it should be")]

mod delivery;
mod gate;
mod http;
mod preview;
mod receiver;
mod simulation;
mod upkeep;
mod world;
