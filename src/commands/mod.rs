//! What people and programs ask for besides reading: decided first, then appended.

pub mod adjustment;
pub mod clawbacks;
pub mod correction;
pub mod credential;
pub mod decision;
pub mod derivation;
pub mod draft_mapping;
pub mod explain;
pub mod payout;
pub mod period;
pub mod programme;
pub mod rebuild;
pub mod record;
pub mod requeue;
pub mod whatif;
