//! The integration tests: one binary, one module per area (`tests/README.md` says what is where).

mod docs;
mod schemas;
mod support;
mod tidy;
