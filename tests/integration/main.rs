//! All integration tests, linked once.

mod apply;
