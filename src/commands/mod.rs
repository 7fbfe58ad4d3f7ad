//! What people and programs ask for besides reading: decided first, then appended.

pub mod adjustment;
pub mod clawbacks;
pub mod correction;
pub mod credential;
pub mod decision;
pub mod derivation;
pub mod draft_mapping;
pub mod explain;
pub mod explain_sums;
pub mod past;
pub mod payout;
pub mod period;
pub mod programme;
pub mod rebuild;
pub mod record;
pub mod requeue;
mod seats;
pub mod whatif;
