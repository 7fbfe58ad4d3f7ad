//! The integration tests: one binary, one module per area (`tests/README.md` says what is where).

mod apply;
mod attempts;
mod bulk;
mod cli;
mod demo;
mod docs;
mod hostile;
mod import;
mod intake;
mod mapping;
mod network;
mod outcomes;
mod personal;
mod projector;
mod redirect;
mod reference;
mod requeue;
mod sandbox;
mod schemas;
mod signatures;
mod store_contract;
mod store_faults;
mod support;
mod tables;
mod tidy;
mod v1;
