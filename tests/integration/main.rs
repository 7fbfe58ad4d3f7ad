//! All integration tests, in one binary.

mod hostile;
mod intake;
mod outcomes;
mod projector;
mod redirect;
mod store_contract;
mod store_faults;
mod support;
mod tables;
mod v1;
