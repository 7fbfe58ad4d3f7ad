//! All integration tests, linked once.

mod apply;
mod reference;
