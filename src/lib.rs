//! Postbook: an event-sourced conversion ledger for affiliate and partner marketing.
//!
//! The service around the pure core: it takes requests in, keeps facts, drives the projections and
//! shows what they say. `docs/architecture.md` is the map.

pub mod clock;
pub mod store;
