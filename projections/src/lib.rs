//! What the facts mean: attribution, earnings, the ledger, clawbacks and explanations as pure
//! functions of the facts.
//!
//! Nothing here does I/O, knows a clock or draws random numbers. [`Book`] folds facts in the order
//! of the log; what it says at the end does not depend on that order (SPEC 3.4).
#![deny(
    clippy::arithmetic_side_effects,
    clippy::float_arithmetic,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm
)]

pub mod book;
pub mod rows;

pub use book::{Book, BookError, ClickSeen};
pub use rows::Changes;
