//! All integration tests, in one binary.

mod apply;
mod cli;
mod reference;
mod store_contract;
mod store_faults;
mod support;
mod tables;
