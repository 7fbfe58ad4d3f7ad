//! What people decide: about conversions, attribution, adjustments, disputes, periods, reconciliation.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Currency, FactId, Month, Slug, payout::PayoutLine};

/// A manager's decision about a conversion; it outranks the advertiser's status until released.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// It counts.
    Approve,
    /// It does not count.
    Reject,
    /// It counted and is taken back.
    Reverse,
    /// Earlier decisions no longer hold.
    Release,
}

/// Data of `conversion.decided`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConversionDecided {
    /// The conversion.
    pub conversion_id: FactId,
    /// The decision.
    pub decision: Decision,
    /// Why.
    pub reason: String,
}

/// Data of `attribution.corrected`: the partner who is credited, whatever the candidates say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AttributionCorrected {
    /// The conversion.
    pub conversion_id: FactId,
    /// Who is credited; nobody if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partner: Option<Slug>,
    /// Why.
    pub reason: String,
}

/// Data of `adjustment.posted`: an amount that no conversion explains.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AdjustmentPosted {
    /// Whom it concerns.
    pub partner: Slug,
    /// Minor units of `currency`; positive in the partner's favour.
    pub amount_minor: i64,
    /// The currency.
    pub currency: Currency,
    /// Why.
    pub reason: String,
    /// The proposal that a second person agreed to, where it took one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proposal_id: Option<FactId>,
    /// Why the second person agreed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agreed_because: Option<String>,
}

/// What kind of amount is proposed.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum AdjustmentKind {
    /// An amount that no conversion explains.
    Adjustment,
    /// A debt that is given up.
    WriteOff,
}

/// Data of `adjustment.proposed`: an adjustment or write-off that a second person has to agree to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AdjustmentProposed {
    /// The proposal.
    pub proposal_id: FactId,
    /// What is proposed.
    pub kind: AdjustmentKind,
    /// Whom it concerns.
    pub partner: Slug,
    /// Minor units of `currency`; positive in the partner's favour.
    pub amount_minor: i64,
    /// The currency.
    pub currency: Currency,
    /// Why.
    pub reason: String,
}

/// Data of `adjustment.declined`: nobody will agree to what was proposed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AdjustmentDeclined {
    /// The proposal.
    pub proposal_id: FactId,
    /// Why not.
    pub reason: String,
}

/// Data of `balance.written_off`: a debt of a partner that is given up.
///
/// What is given up is said line by line, so that it ends with the debt: if a chargeback is won after
/// all, nothing is left to give up, and the write-off is undone with the clawback.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BalanceWrittenOff {
    /// Whose debt.
    pub partner: Slug,
    /// Minor units of `currency`, positive.
    pub amount_minor: i64,
    /// The currency.
    pub currency: Currency,
    /// Why.
    pub reason: String,
    /// The proposal that a second person agreed to, where it took one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proposal_id: Option<FactId>,
    /// Why the second person agreed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agreed_because: Option<String>,
    /// Of which earning lines, positive; without lines it is given up whatever becomes of the debt.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<PayoutLine>,
}

/// Data of `period.closed`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PeriodClosed {
    /// The month, `YYYY-MM`; whatever stands open before it is closed with it.
    pub period: Month,
    /// Why now.
    pub reason: String,
}

/// Data of `dispute.opened`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DisputeOpened {
    /// The dispute.
    pub dispute_id: FactId,
    /// The conversion; absent where one is said to be missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversion_id: Option<FactId>,
    /// The partner.
    pub partner: Slug,
    /// What kind of dispute.
    pub kind: String,
    /// What is claimed.
    pub claim: String,
}

/// Data of `dispute.commented`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DisputeCommented {
    /// The dispute.
    pub dispute_id: FactId,
    /// The comment.
    pub comment: String,
}

/// Data of `dispute.resolved`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DisputeResolved {
    /// The dispute.
    pub dispute_id: FactId,
    /// What came of it.
    pub resolution: String,
    /// Why.
    pub reason: String,
}

/// Data of `reconciliation.recorded`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReconciliationRecorded {
    /// The reconciliation.
    pub reconciliation_id: FactId,
    /// SHA-256 of the advertiser's file, in hexadecimal.
    pub file_sha256: String,
    /// SHA-256 of the result, in hexadecimal.
    pub result_sha256: String,
    /// How many lines the file has.
    pub lines: u64,
}

/// Data of `reconciliation.resolved`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReconciliationResolved {
    /// The reconciliation.
    pub reconciliation_id: FactId,
    /// The line of the file.
    pub line: u64,
    /// What was done about it.
    pub resolution: String,
    /// Why.
    pub reason: String,
}
