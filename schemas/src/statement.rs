//! Statements: what a partner is told about a closed month, once and for all.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Currency, FactId, Instant, OfferRef, Slug, month::Month};

/// What a line of a statement is about.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum StatementEntry {
    /// Lines that earned for the first time, or more than before.
    Earning,
    /// Lines that earned less before a payout carried them.
    Reversal,
    /// Lines that earned less after a payout carried them.
    Clawback,
    /// Lines that had earned less and got it back.
    Restoration,
    /// Negative months that were not carried over.
    CarryoverReset,
    /// An amount that a person posted.
    Adjustment,
    /// A debt that was given up.
    WriteOff,
    /// Money that was sent.
    Payout,
    /// Money that was sent and came back.
    PayoutReturned,
}

impl StatementEntry {
    /// All, in the order in which statements show them.
    pub const ALL: [Self; 9] = [
        Self::Earning,
        Self::Reversal,
        Self::Clawback,
        Self::Restoration,
        Self::CarryoverReset,
        Self::Adjustment,
        Self::WriteOff,
        Self::Payout,
        Self::PayoutReturned,
    ];

    /// The word used in facts and answers.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Earning => "earning",
            Self::Reversal => "reversal",
            Self::Clawback => "clawback",
            Self::Restoration => "restoration",
            Self::CarryoverReset => "carryover_reset",
            Self::Adjustment => "adjustment",
            Self::WriteOff => "write_off",
            Self::Payout => "payout",
            Self::PayoutReturned => "payout_returned",
        }
    }

    /// The entry with this word.
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|entry| entry.code() == code)
    }
}

/// One line of a statement. Earnings are summed by offer and rule; what people did stands singly.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StatementLine {
    /// What it is about.
    pub entry: StatementEntry,
    /// The closed month whose books it corrects, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub corrects: Option<Month>,
    /// The offer, of earnings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offer: Option<OfferRef>,
    /// The rule, of earnings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// The payout, or the fact of an adjustment or write-off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject_id: Option<FactId>,
    /// When, of what people did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Instant>,
    /// Why, of what people did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// How many postings it sums.
    pub postings: u64,
    /// Minor units of the statement's currency; positive in the partner's favour.
    pub amount_minor: i64,
}

/// Data of `statement.issued`: what a partner is told about a closed month in one currency. The
/// lines add up: opening plus lines is closing, and the next statement opens with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StatementIssued {
    /// By which rules it is shown as CSV and HTML; a form is never changed.
    pub form: u32,
    /// The partner.
    pub partner: Slug,
    /// The partner's statements, counted from 1 without gaps.
    pub number: u64,
    /// The partner's name then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partner_name: Option<String>,
    /// The currency.
    pub currency: Currency,
    /// The month.
    pub period: Month,
    /// The position of its `period.closed`: all facts before it are in the statement.
    pub closed_at_position: u64,
    /// When the month was closed.
    pub closed_at: Instant,
    /// What the partner had coming before.
    pub opening_minor: i64,
    /// What changed it.
    pub lines: Vec<StatementLine>,
    /// What the partner has coming after: the three below.
    pub closing_minor: i64,
    /// Of this: not approved yet.
    pub pending_minor: i64,
    /// Of this: approved, but held for now.
    pub held_minor: i64,
    /// Of this: payable at the end of the month; negative if the partner owes.
    pub payable_minor: i64,
}

impl StatementIssued {
    /// The form that is written now.
    pub const FORM: u32 = 3;

    /// Its name for people: the partner and its number, `p1-0007`.
    pub fn name(&self) -> String {
        format!("{}-{:04}", self.partner, self.number)
    }

    /// Whether opening, lines and closing add up.
    pub fn adds_up(&self) -> bool {
        // So few amounts of 64 bits cannot leave 128.
        let add = |sum: i128, amount: i64| sum.saturating_add(i128::from(amount));
        let lines = self.lines.iter().map(|line| line.amount_minor);
        let told = lines.fold(i128::from(self.opening_minor), add);
        let split = [self.pending_minor, self.held_minor, self.payable_minor];
        let closing = i128::from(self.closing_minor);
        told == closing && split.into_iter().fold(0, add) == closing
    }
}
