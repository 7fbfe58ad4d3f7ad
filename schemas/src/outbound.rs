//! What became of postbacks to partners and ad platforms.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{FactId, Slug};

/// Data of `delivery.succeeded`, `delivery.failed` and `delivery.abandoned`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Delivery {
    /// The delivery; the same over all its attempts.
    pub delivery_id: FactId,
    /// Whose endpoint.
    pub partner: Slug,
    /// The conversion it tells about.
    pub conversion_id: FactId,
    /// Which attempt, from 1.
    pub attempt: u32,
    /// The HTTP status of the answer; absent where none came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_status: Option<u16>,
    /// What went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}
