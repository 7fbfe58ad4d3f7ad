//! What a fold says: rows of the read models, as the difference that one fact makes.

mod ledger;

pub use ledger::{Account, Entry, InPeriod, Memo, Posting, PostingKind};

use std::{borrow::Cow, sync::Arc};

use postbook_schemas::{
    Currency, FactId, Instant, Kind, Month, OfferRef, Outcome, Slug, Status, ZeroReason,
    configuration::Candidate,
};
use serde::{Deserialize, Serialize};

/// The rows that one fact (or a batch of facts) adds or replaces.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Attempts, only ever added.
    pub attempts: Vec<AttemptRow>,
    /// Conversions, replaced whole by id.
    pub conversions: Vec<ConversionRow>,
    /// Ids of conversions that turned out to be the same as one reported earlier.
    pub merged: Vec<FactId>,
    /// Postings, only ever added.
    pub postings: Vec<Posting>,
    /// Payouts, replaced whole by id.
    pub payouts: Vec<PayoutRow>,
    /// Changes that wait for their conversion, and those that no longer do.
    pub parked: Vec<ParkedRow>,
    /// Carryovers, replaced whole by id.
    pub carryovers: Vec<CarryoverRow>,
}

/// What ends a partner's month within its fence: a month below zero that was given up or set aside,
/// or one that works such a month off.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CarryoverRow {
    /// Its id, made of fence and month: what payouts carry it under.
    pub id: FactId,
    /// Whose month.
    pub partner: Slug,
    /// The currency.
    pub currency: Currency,
    /// The offer, if the fence is within one.
    pub offer: Option<OfferRef>,
    /// The month, in the time zone of the terms.
    pub month: Month,
    /// What it adds to the balance, in minor units of it.
    pub amount_minor: i64,
    /// When the month ends, and this takes effect.
    pub ends_at: Instant,
    /// From when it is payable: when all that the month earned is.
    pub available_at: Instant,
}

/// One postback attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptRow {
    /// Where the fact is.
    pub position: u64,
    /// The attempt's id: that of its fact.
    pub id: FactId,
    /// What became of it.
    pub outcome: Outcome,
    /// The type of its fact.
    pub fact_type: String,
    /// The offer, where it was known.
    pub offer: Option<OfferRef>,
    /// The click id it gave.
    pub click_id: Option<String>,
    /// The transaction it gave.
    pub txn_id: Option<String>,
    /// The customer it gave.
    pub customer_id: Option<String>,
    /// The id that the sender gave this very event.
    pub event_id: Option<String>,
    /// The event it was about: kind, change or abuse.
    pub event: Option<String>,
    /// The field at fault.
    pub field: Option<String>,
    /// What the sender was told, of refusals.
    pub detail: Option<String>,
    /// Of a repeat: whether it says something else than the first.
    pub differs: bool,
    /// Where it came in.
    pub endpoint: String,
    /// The truncated address.
    pub address: Option<String>,
    /// When it was received.
    pub recorded_at: Instant,
}

/// Who is credited with a conversion, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attribution {
    /// What decided: a candidate, `correction`, or nothing.
    pub by: Option<AttributedBy>,
    /// Who is credited.
    pub partner: Option<Slug>,
    /// The click that counted.
    pub click_id: Option<String>,
    /// Why, in a word: `click`, `coupon`, `customer`, `corrected`, `no_candidate`, `outside_window`, …
    pub reason: Cow<'static, str>,
    /// The candidates that lost, and why.
    pub losers: Vec<LosingCandidate>,
}

/// What decided an attribution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttributedBy {
    /// The click whose id came back.
    ClickId,
    /// The coupon that was used.
    CouponCode,
    /// The customer's bond to a partner.
    CustomerId,
    /// A person's correction.
    Correction,
}

impl From<Candidate> for AttributedBy {
    fn from(candidate: Candidate) -> Self {
        match candidate {
            Candidate::ClickId => Self::ClickId,
            Candidate::CouponCode => Self::CouponCode,
            Candidate::CustomerId => Self::CustomerId,
        }
    }
}

/// A candidate that did not get the conversion.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LosingCandidate {
    /// Which candidate.
    pub by: Candidate,
    /// Whom it would have credited.
    pub partner: Option<Slug>,
    /// Why not, in a word: `absent`, `unknown`, `other_offer`, `before_click`, `outside_window`,
    /// `not_bound`, `lower_priority`.
    pub reason: Cow<'static, str>,
}

/// One conversion as it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConversionRow {
    /// The id of the fact that first reported it.
    pub id: FactId,
    /// Where that fact is.
    pub position: u64,
    /// The offer.
    pub offer: OfferRef,
    /// The kind.
    pub kind: Kind,
    /// The advertiser's transaction.
    pub txn_id: Option<String>,
    /// The click id that came back.
    pub click_id: Option<String>,
    /// The advertiser's customer.
    pub customer_id: Option<String>,
    /// The coupon that was used.
    pub coupon_code: Option<String>,
    /// Who is credited.
    pub attribution: Attribution,
    /// The status; of a conversion whose approval only waits for time, the status before it.
    pub status: Status,
    /// When a `pending` status turns into `approved` by itself.
    pub approves_at: Option<Instant>,
    /// Amount in minor units of `currency`.
    pub amount_minor: Option<i64>,
    /// How much of it was refunded, at most the amount.
    pub refunded_minor: i64,
    /// How much more was refunded than there was.
    pub over_refunded_minor: i64,
    /// How much of it stands charged back.
    pub charged_back_minor: i64,
    /// The currency of the amounts.
    pub currency: Currency,
    /// When it happened.
    pub occurred_at: Instant,
    /// When it was recorded.
    pub recorded_at: Instant,
    /// Whether it is test traffic.
    pub sandbox: bool,
    /// What it earns, by rule.
    pub earnings: Vec<EarningLine>,
}

/// The state of an earning line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LineState {
    /// Not approved yet.
    Pending,
    /// Approved (and payable once its hold is over).
    Approved,
    /// It earns nothing, for the reason given.
    Zero,
}

impl LineState {
    /// The word used in answers and tables.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Approved => "approved",
            Self::Zero => "zero",
        }
    }
}

/// What one rule gives one partner for one conversion.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EarningLine {
    /// The rule; absent where none applied.
    pub rule: Option<Arc<str>>,
    /// The version of the terms it stands in.
    pub terms_version: Option<Arc<str>>,
    /// Whose earning it is; absent where nobody is credited.
    pub partner: Option<Slug>,
    /// What it earns now, in minor units of `currency`.
    pub amount_minor: i64,
    /// The partner's currency.
    pub currency: Option<Currency>,
    /// Its state.
    pub state: LineState,
    /// Why it is zero; of an amount, `awaiting_fx` while a change takes something of it that no rate values.
    pub reason: Option<ZeroReason>,
    /// When it becomes payable; absent while it waits for somebody, or for a rate.
    pub available_at: Option<Instant>,
    /// What it was worth before its own reversals, or what was paid for it if that is more.
    pub earned_minor: i64,
    /// What was taken back before it was paid.
    pub reversed_minor: i64,
    /// What was taken back after it was paid.
    pub clawed_back_minor: i64,
    /// How much of that later payouts have recovered.
    pub recovered_minor: i64,
    /// How much of the rest was given up.
    pub written_off_minor: i64,
    /// What payouts carry of it now, recoveries deducted.
    pub carried_minor: i64,
    /// The last payout that carried it.
    pub payout_id: Option<FactId>,
}

/// The state of a payout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PayoutState {
    /// Waiting for a second person.
    Proposed,
    /// Ready to be sent.
    Approved,
    /// Handed to the bank.
    Sent,
    /// Arrived.
    Settled,
    /// Could not be made.
    Failed,
    /// Came back.
    Returned,
}

impl PayoutState {
    /// All states.
    pub const ALL: &'static [Self] = &[
        Self::Proposed,
        Self::Approved,
        Self::Sent,
        Self::Settled,
        Self::Failed,
        Self::Returned,
    ];

    /// The word used in answers and tables.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Proposed => "proposed",
            Self::Approved => "approved",
            Self::Sent => "sent",
            Self::Settled => "settled",
            Self::Failed => "failed",
            Self::Returned => "returned",
        }
    }
}

/// One payout as it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PayoutRow {
    /// Its id.
    pub id: FactId,
    /// Where it was proposed.
    pub position: u64,
    /// Whom it pays.
    pub partner: Slug,
    /// The currency.
    pub currency: Currency,
    /// Minor units of it.
    pub amount_minor: i64,
    /// How much of the lines are recoveries of clawbacks.
    pub recovered_minor: i64,
    /// How many lines it carries.
    pub lines: u64,
    /// Its state.
    pub state: PayoutState,
    /// The bank's reference.
    pub reference: Option<String>,
    /// When it was proposed.
    pub proposed_at: Instant,
    /// When its state last changed.
    pub changed_at: Instant,
}

/// A change whose conversion is not known (yet).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParkedRow {
    /// Where the change is.
    pub position: u64,
    /// Whether it still waits.
    pub waiting: bool,
    /// The offer.
    pub offer: OfferRef,
    /// `refund`, `chargeback`, `chargeback_won` or `status`.
    pub change: String,
    /// The transaction it named.
    pub txn_id: Option<String>,
    /// The click it named.
    pub click_id: Option<String>,
    /// The customer it named.
    pub customer_id: Option<String>,
    /// When it was recorded.
    pub recorded_at: Instant,
}
