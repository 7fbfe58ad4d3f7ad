//! The integration tests: one binary, one module per area (`tests/README.md` says what is where).

mod apply;
mod attempts;
mod bulk;
mod cli;
mod combinations;
mod demo;
mod docs;
mod hostile;
mod import;
mod intake;
mod network;
mod openapi;
mod outcomes;
mod projector;
mod redirect;
mod reference;
mod schemas;
mod signatures;
mod store_contract;
mod store_faults;
mod support;
mod tables;
mod tidy;
mod v1;
