//! The program around the engine: settings, API, command line.
//!
//! [`app`] puts everything together; it is the only place that names a
//! concrete database, and tests build the program through it too.

pub mod api;
pub mod app;
pub mod cli;
pub mod config;
mod dashboard;
pub mod file_handles;
pub mod metrics;
pub mod receiver;
mod reference;
pub mod scheduling;
pub mod shutdown;
pub mod source;
pub mod supervisor;
pub mod telemetry;
mod time;
mod traces;
