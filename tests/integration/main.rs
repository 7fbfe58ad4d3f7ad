//! The integration tests: one binary, one module per area (`tests/README.md` says what is where).

mod adopt_kills;
mod apply;
mod attempts;
mod balances;
#[cfg(feature = "kurrentdb")]
#[path = "../crash/book.rs"]
mod book;
mod bulk;
mod carryover;
mod cli;
mod combinations;
mod contention;
mod copy;
mod demo;
mod docs;
mod explain;
mod faults;
mod hostile;
mod import;
mod intake;
mod kills;
#[cfg(feature = "kurrentdb")]
mod kurrentdb;
#[cfg(feature = "kurrentdb")]
mod kurrentdb_kills;
mod limits;
mod mapping;
mod months;
mod network;
mod openapi;
mod outcomes;
mod partner_tokens;
mod payouts;
mod periods;
mod personal;
mod postgres;
mod projector;
mod read_models;
mod rebuild;
mod redirect;
mod reference;
mod requeue;
mod roles;
mod sandbox;
mod schemas;
mod sharing;
mod signatures;
mod store_contract;
mod store_faults;
mod support;
mod tables;
mod tidy;
mod v1;
mod versions;
mod whatif;
mod wrong_partner;
