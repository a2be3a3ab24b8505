//! The program as its users meet it: over HTTP, through the real composition
//! root, with receivers on loopback.

mod access;
mod audit;
mod backlog;
mod backup;
mod bench;
mod cli;
mod cluster;
mod crash;
mod deliveries;
mod dialects;
mod disk;
mod egress;
mod errors;
mod events;
mod harness;
mod hostile;
mod isolation;
mod listener;
mod migrate_data;
mod missing;
mod nats;
mod openapi;
mod openticket;
mod portal;
mod postgres;
mod process;
mod receiver;
mod replay;
mod sealing;
mod secrets;
mod soak;
mod stream;
mod viagogo;
mod webhooks;
