//! What was said: the facts of Postbook, their values, and the programme and terms formats.
//!
//! Nothing here does I/O or knows a clock: times, ids and randomness come in as values. The meaning
//! of the facts lives in `postbook-projections`.
#![deny(
    clippy::arithmetic_side_effects,
    clippy::float_arithmetic,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm
)]

pub mod attempt;
pub mod bank;
pub mod click_id;
pub mod configuration;
pub mod decision;
pub mod dedupe;
pub mod derivation;
pub mod envelope;
pub mod fact;
pub mod instant;
pub mod json_schema;
pub mod kind;
pub mod mapping;
pub mod money;
pub mod month;
pub mod name;
pub mod outbound;
pub mod outcome;
pub mod payout;
pub mod postback;
pub mod programme;
pub mod reason;
pub mod statement;
pub mod status;
pub mod terms;
pub mod traffic;
pub mod whatif;

pub use attempt::{Attempt, Credential, FileRow, MappingUsed, RawRequest, Requeued, Strength};
pub use click_id::{ClickId, ClickIdKey};
pub use envelope::{Envelope, Source};
pub use fact::{DecodeError, Fact, FactType};
pub use instant::Instant;
pub use kind::{Abuse, Change, Event, Kind};
pub use money::{AMOUNT_MINOR_MAX, AmountError, BALANCE_MINOR_MAX, Currency, Exact, Rate};
pub use month::Month;
pub use name::{NameError, OfferRef, Slug};
pub use outcome::Outcome;
pub use reason::ZeroReason;
pub use status::Status;

/// The id of a fact, a `UUIDv7`. A conversion is known by the id of the fact that first reported it.
pub type FactId = uuid::Uuid;
