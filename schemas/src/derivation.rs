//! Which version of the derivation is in force.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Data of `derivation.adopted`: from here on, what facts mean is derived as this version of the
/// derivation does it. What was posted before stays; the differences are posted with this fact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DerivationAdopted {
    /// The version; 1 is in force where none was adopted.
    pub version: u32,
    /// Why.
    pub reason: String,
}
