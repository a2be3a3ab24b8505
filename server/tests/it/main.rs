//! The program as its users meet it: over HTTP, through the real composition
//! root, with receivers on loopback.

mod access;
mod crash;
mod deliveries;
mod errors;
mod events;
mod harness;
mod isolation;
mod openapi;
mod process;
mod receiver;
mod webhooks;
