//! What-ifs that were adopted: definitions that somebody tried on the log first.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{FactId, Instant};

/// Data of `whatif.adopted`: a second person makes the definitions of a what-if hold. They follow
/// at once, as facts of their own; what they change is posted with this fact as its cause.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WhatifAdopted {
    /// The what-if: the SHA-256 of what it defines and what that changes, in hexadecimal.
    pub hash: String,
    /// How far the log went that the differences were derived from.
    pub at_position: u64,
    /// Who tried it.
    pub proposed_by: String,
    /// When.
    pub proposed_at: Instant,
    /// Why it is adopted.
    pub reason: String,
    /// The ids of the facts that follow, in order.
    pub facts: Vec<FactId>,
}
