//! Money on its way to a partner.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Currency, FactId, Slug};

/// One amount that a payout carries: an earning line, or an adjustment.
///
/// Lines are named in the fact, so that which payout carried what is said once and never derived
/// from the order in which facts arrived.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PayoutLine {
    /// The conversion of the earning line, or the adjustment's fact.
    pub subject_id: FactId,
    /// The rule of the earning line; absent for an adjustment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// Minor units of the payout's currency. Negative: a clawback that this payout recovers.
    pub amount_minor: i64,
}

/// Data of `payout.proposed`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PayoutProposed {
    /// The payout.
    pub payout_id: FactId,
    /// Whom it pays.
    pub partner: Slug,
    /// Minor units of `currency`, positive: the sum of the lines.
    pub amount_minor: i64,
    /// The currency.
    pub currency: Currency,
    /// What it carries.
    pub lines: Vec<PayoutLine>,
    /// Why.
    pub reason: String,
}

/// Data of the facts that move a payout on: `payout.approved`, `payout.sent`, `payout.settled`,
/// `payout.failed` and `payout.returned`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PayoutMoved {
    /// The payout.
    pub payout_id: FactId,
    /// The bank's or provider's reference.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}
