//! Why an earning line is zero (SPEC 6): every zero has a reason.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The reason of an earning line that earns nothing.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum ZeroReason {
    /// No terms, or no rule for this kind of event.
    NoRule,
    /// A rule is there; its `when` does not hold.
    ConditionUnmet,
    /// The cap of the rule is used up.
    OverCap,
    /// The share works off what was paid in advance for the customer.
    WithinAdvance,
    /// The conversion is rejected or reversed.
    Rejected,
    /// The click that would attribute it lies outside the window.
    OutsideWindow,
    /// The rate that converts it to the payout currency is not known.
    AwaitingFx,
    /// Nobody is credited.
    Unattributed,
    /// Test traffic.
    Sandbox,
    /// Refunds have taken all of it.
    Refunded,
    /// A chargeback that was not won has taken all of it.
    ChargedBack,
    /// The customer was reported for abuse.
    Abuse,
    /// The amount the rule works on is zero or missing, or what it gives rounds to zero.
    NothingToEarn,
    /// The amount is larger than a ledger can hold.
    OutOfRange,
}

impl ZeroReason {
    /// All reasons, in the order of the documents.
    pub const ALL: &'static [Self] = &[
        Self::NoRule,
        Self::ConditionUnmet,
        Self::OverCap,
        Self::WithinAdvance,
        Self::Rejected,
        Self::OutsideWindow,
        Self::AwaitingFx,
        Self::Unattributed,
        Self::Sandbox,
        Self::Refunded,
        Self::ChargedBack,
        Self::Abuse,
        Self::NothingToEarn,
        Self::OutOfRange,
    ];

    /// The word used in answers and tables.
    pub const fn code(self) -> &'static str {
        match self {
            Self::NoRule => "no_rule",
            Self::ConditionUnmet => "condition_unmet",
            Self::OverCap => "over_cap",
            Self::WithinAdvance => "within_advance",
            Self::Rejected => "rejected",
            Self::OutsideWindow => "outside_window",
            Self::AwaitingFx => "awaiting_fx",
            Self::Unattributed => "unattributed",
            Self::Sandbox => "sandbox",
            Self::Refunded => "refunded",
            Self::ChargedBack => "charged_back",
            Self::Abuse => "abuse",
            Self::NothingToEarn => "nothing_to_earn",
            Self::OutOfRange => "out_of_range",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_all_reasons_is_complete() {
        let schema = schemars::schema_for!(ZeroReason).to_value();
        let described = schema.get("oneOf").and_then(|list| list.as_array());
        let known: Vec<_> = described
            .expect("one entry per reason")
            .iter()
            .filter_map(|one| one.get("const")?.as_str())
            .collect();
        let codes: Vec<_> = ZeroReason::ALL.iter().map(|one| one.code()).collect();
        assert_eq!(codes, known);
    }
}
