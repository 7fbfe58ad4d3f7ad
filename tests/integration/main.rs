//! All integration tests, linked once.

mod apply;
mod cli;
mod reference;
