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

pub mod attribution;
pub mod book;
pub mod click;
pub mod conditions;
pub mod conversion;
pub mod debts;
pub mod derivation;
pub mod exact;
pub mod explain;
pub mod given_up;
pub mod groups;
pub mod months;
pub mod numbers;
pub mod order;
pub mod payable;
pub mod payouts;
pub mod pools;
pub mod posted;
pub mod pricing;
pub mod programme;
pub mod rows;
pub mod rules;
pub mod sample;
pub mod seats;
pub mod standing;
pub mod whatif;

mod attempts;
mod slots;

pub use book::{Book, BookError};
pub use click::ClickSeen;
pub use rows::Changes;
