//! All integration tests, in one binary.

mod apply;
mod cli;
mod hostile;
mod intake;
mod outcomes;
mod redirect;
mod reference;
mod store_contract;
mod store_faults;
mod support;
mod tables;
