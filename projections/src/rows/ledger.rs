//! The rows of the ledger: accounts, postings, entries and memo totals.

use std::sync::Arc;

use postbook_schemas::{Currency, FactId, Instant, Month, OfferRef, Slug};
use serde::{Deserialize, Serialize};

/// An account of the ledger (SPEC 7). Amounts are signed: debits positive, credits negative.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Account {
    /// What a partner has coming, not approved yet.
    Pending(Slug),
    /// What a partner is owed.
    Approved(Slug),
    /// What an offer's commissions cost.
    Commission(OfferRef),
    /// Money that left for partners.
    PayoutClearing,
    /// Debts of partners that were given up.
    WriteOff,
    /// Amounts that no conversion explains.
    Adjustment,
    /// Months below zero that were given up, or set aside within their fence.
    CarryoverReset,
    /// What the brand of an offer owes for its conversions.
    Receivable(OfferRef),
    /// What the conversions of an offer bring.
    Income(OfferRef),
}

impl std::fmt::Display for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Pending(partner) => write!(f, "liability:partner:{partner}:pending"),
            Self::Approved(partner) => write!(f, "liability:partner:{partner}:approved"),
            Self::Commission(offer) => {
                write!(f, "expense:commission:{}:{}", offer.brand(), offer.slug())
            }
            Self::PayoutClearing => f.write_str("asset:payout-clearing"),
            Self::WriteOff => f.write_str("expense:write-off"),
            Self::Adjustment => f.write_str("expense:adjustment"),
            Self::CarryoverReset => f.write_str("expense:carryover-reset"),
            Self::Receivable(offer) => write!(f, "asset:receivable:{}", offer.brand()),
            Self::Income(offer) => write!(f, "income:{}", offer.brand()),
        }
    }
}

/// What a posting is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PostingKind {
    /// A line earns for the first time, or more than before.
    Earning,
    /// An amount moves between pending and approved.
    Approval,
    /// A line that no payout carried earns less.
    Reversal,
    /// A line that a payout carried earns less.
    Clawback,
    /// A line that had earned less gets it back.
    Restoration,
    /// Money was paid.
    Payout,
    /// Money that was paid came back.
    PayoutReturned,
    /// A person's adjustment.
    Adjustment,
    /// A debt was given up.
    WriteOff,
    /// A month below zero was given up, or set aside within its fence; or taken up again.
    Carryover,
    /// The advertiser owes more or less.
    Receivable,
    /// Memo totals move from one word to another without moving money.
    Reclassification,
}

impl PostingKind {
    /// The word used in answers and tables.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Earning => "earning",
            Self::Approval => "approval",
            Self::Reversal => "reversal",
            Self::Clawback => "clawback",
            Self::Restoration => "restoration",
            Self::Payout => "payout",
            Self::PayoutReturned => "payout_returned",
            Self::Adjustment => "adjustment",
            Self::WriteOff => "write_off",
            Self::Carryover => "carryover",
            Self::Receivable => "receivable",
            Self::Reclassification => "reclassification",
        }
    }
}

/// One side of a posting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The account.
    pub account: Account,
    /// Minor units of the posting's currency: debit positive, credit negative.
    pub amount_minor: i64,
    /// On approved accounts: from when the amount is payable.
    pub available_at: Option<Instant>,
}

/// By how much a posting moves the memo totals of its partner (SPEC 7). They keep the identity
/// pending + held + payable + paid = earned − reversed − clawed back + written off + adjusted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names are those of SPEC 7")]
pub struct Memo {
    pub earned_minor: i64,
    pub reversed_minor: i64,
    pub clawed_back_minor: i64,
    pub recovered_minor: i64,
    pub written_off_minor: i64,
    pub adjusted_minor: i64,
    pub paid_minor: i64,
}

impl Memo {
    /// Two memos added; `None` if the sum does not fit.
    pub fn plus(&self, other: &Self) -> Option<Self> {
        self.with(other, i64::checked_add)
    }

    /// What one memo has more than another; `None` if it does not fit.
    pub fn minus(&self, other: &Self) -> Option<Self> {
        self.with(other, i64::checked_sub)
    }

    fn with(&self, other: &Self, with: fn(i64, i64) -> Option<i64>) -> Option<Self> {
        Some(Self {
            earned_minor: with(self.earned_minor, other.earned_minor)?,
            reversed_minor: with(self.reversed_minor, other.reversed_minor)?,
            clawed_back_minor: with(self.clawed_back_minor, other.clawed_back_minor)?,
            recovered_minor: with(self.recovered_minor, other.recovered_minor)?,
            written_off_minor: with(self.written_off_minor, other.written_off_minor)?,
            adjusted_minor: with(self.adjusted_minor, other.adjusted_minor)?,
            paid_minor: with(self.paid_minor, other.paid_minor)?,
        })
    }
}

/// The month in whose books a posting stands: that of its effect, or if that was closed before, the
/// first open one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InPeriod {
    /// The month.
    pub month: Month,
    /// The closed month that it corrects: in which it takes effect, or whose earnings it changes.
    pub corrects: Option<Month>,
}

impl InPeriod {
    /// A posting in the month of its effect.
    pub const fn plain(month: Month) -> Self {
        Self {
            month,
            corrects: None,
        }
    }
}

impl std::fmt::Display for InPeriod {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.month)?;
        match self.corrects {
            Some(corrects) => write!(f, " (corrects {corrects})"),
            None => Ok(()),
        }
    }
}

/// One balanced movement, only ever added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Posting {
    /// Its number in the book, gapless from 1.
    pub number: u64,
    /// The fact that caused it.
    pub cause: u64,
    /// What it is about.
    pub kind: PostingKind,
    /// The conversion it concerns.
    pub conversion_id: Option<FactId>,
    /// The rule.
    pub rule: Option<Arc<str>>,
    /// The version of the terms.
    pub terms_version: Option<Arc<str>>,
    /// The partner it concerns.
    pub partner: Slug,
    /// The currency of its entries.
    pub currency: Currency,
    /// The payout it belongs to, or that had carried what it claws back.
    pub payout_id: Option<FactId>,
    /// When it takes effect.
    pub effective_at: Instant,
    /// When its cause was recorded.
    pub recorded_at: Instant,
    /// The month in whose books it stands.
    pub period: InPeriod,
    /// Its sides; their sum is zero.
    pub entries: Vec<Entry>,
    /// What it does to the memo totals.
    pub memo: Memo,
}
