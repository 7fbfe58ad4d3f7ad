//! Postbook: an event-sourced conversion ledger for affiliate and partner marketing.
//!
//! The service around the pure core: it takes requests in, keeps facts, drives the projections and
//! shows what they say. `docs/architecture.md` is the map.

pub mod cli;
pub mod clock;
pub mod commands;
pub mod directory;
pub mod http;
pub mod inquiry;
pub mod intake;
pub mod meters;
pub mod projector;
pub mod rows;
pub mod secrets;
pub mod service;
pub mod sight;
pub mod statement;
pub mod store;
pub mod tables;
pub mod tls;
pub mod whatif;
