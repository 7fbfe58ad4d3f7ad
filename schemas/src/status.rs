//! The status of a conversion.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The status of a conversion (SPEC 6).
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Not decided yet.
    Pending,
    /// It counts.
    Approved,
    /// It never counted.
    Rejected,
    /// It counted and was taken back.
    Reversed,
}

impl Status {
    /// All statuses.
    pub const ALL: &'static [Self] = &[
        Self::Pending,
        Self::Approved,
        Self::Rejected,
        Self::Reversed,
    ];

    /// The word used in answers and tables.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Approved => "approved",
            Self::Rejected => "rejected",
            Self::Reversed => "reversed",
        }
    }

    /// The status that a sender's word means; common synonyms of the field are understood.
    pub fn parse(word: &str) -> Option<Self> {
        match word.to_ascii_lowercase().as_str() {
            "pending" | "hold" | "on_hold" => Some(Self::Pending),
            "approved" | "approve" | "confirmed" => Some(Self::Approved),
            "rejected" | "reject" | "declined" => Some(Self::Rejected),
            "reversed" | "cancelled" | "canceled" => Some(Self::Reversed),
            _ => None,
        }
    }
}
