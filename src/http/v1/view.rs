//! Rows as they are answered (SPEC 18).

mod conversion;

use postbook_projections::rows::{ParkedRow, PayoutRow, Posting};
use postbook_schemas::{Currency, Instant};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::tables::{batch::CarriedLine, query::balances::Balance};

pub(super) use conversion::Conversion;

/// A partner's balance in one currency. Its amounts are sums, which may be beyond 64 bits.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Balance)]
pub(super) struct BalanceView {
    currency: String,
    pending_minor: i128,
    held_minor: i128,
    payable_minor: i128,
    paid_minor: i128,
    clawed_back_minor: i128,
    recovered_minor: i128,
    written_off_minor: i128,
    reversed_minor: i128,
    earned_minor: i128,
    adjusted_minor: i128,
    outstanding_minor: i128,
}

impl From<(String, Balance)> for BalanceView {
    fn from((currency, balance): (String, Balance)) -> Self {
        Self {
            currency,
            pending_minor: balance.pending_minor,
            held_minor: balance.held_minor,
            payable_minor: balance.payable_minor,
            paid_minor: balance.paid_minor,
            clawed_back_minor: balance.clawed_back_minor,
            recovered_minor: balance.recovered_minor,
            written_off_minor: balance.written_off_minor,
            reversed_minor: balance.reversed_minor,
            earned_minor: balance.earned_minor,
            adjusted_minor: balance.adjusted_minor,
            outstanding_minor: balance.outstanding_minor(),
        }
    }
}

/// A balanced movement.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Posting)]
pub(super) struct PostingView {
    number: u64,
    /// The position of the fact that caused it.
    cause: u64,
    kind: &'static str,
    conversion_id: Option<Uuid>,
    rule: Option<String>,
    terms_version: Option<String>,
    partner: String,
    #[schema(value_type = String)]
    currency: Currency,
    payout_id: Option<Uuid>,
    #[schema(value_type = chrono::DateTime<chrono::Utc>)]
    effective_at: Instant,
    #[schema(value_type = chrono::DateTime<chrono::Utc>)]
    recorded_at: Instant,
    /// The month in whose books it stands.
    period: String,
    /// The closed month in which it takes effect.
    corrects: Option<String>,
    entries: Vec<EntryView>,
}

/// One side of a movement: debit positive, credit negative.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Entry)]
pub(super) struct EntryView {
    account: String,
    amount_minor: i64,
    #[schema(value_type = Option<chrono::DateTime<chrono::Utc>>)]
    available_at: Option<Instant>,
}

impl From<Posting> for PostingView {
    fn from(posting: Posting) -> Self {
        let entries = posting.entries.into_iter().map(|entry| EntryView {
            account: entry.account.to_string(),
            amount_minor: entry.amount_minor,
            available_at: entry.available_at,
        });
        Self {
            number: posting.number,
            cause: posting.cause,
            kind: posting.kind.code(),
            conversion_id: posting.conversion_id,
            rule: posting.rule.as_deref().map(str::to_owned),
            terms_version: posting.terms_version.as_deref().map(str::to_owned),
            partner: posting.partner.to_string(),
            currency: posting.currency,
            payout_id: posting.payout_id,
            effective_at: posting.effective_at,
            recorded_at: posting.recorded_at,
            period: posting.period.month.to_string(),
            corrects: posting.period.corrects.map(|month| month.to_string()),
            entries: entries.collect(),
        }
    }
}

/// A change that waits for its conversion.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Parked)]
pub(super) struct ParkedView {
    position: u64,
    offer: String,
    change: String,
    txn_id: Option<String>,
    click_id: Option<String>,
    customer_id: Option<String>,
    #[schema(value_type = chrono::DateTime<chrono::Utc>)]
    recorded_at: Instant,
}

impl From<ParkedRow> for ParkedView {
    fn from(row: ParkedRow) -> Self {
        Self {
            position: row.position,
            offer: row.offer.to_string(),
            change: row.change,
            txn_id: row.txn_id,
            click_id: row.click_id,
            customer_id: row.customer_id,
            recorded_at: row.recorded_at,
        }
    }
}

/// Money on its way to a partner.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Payout)]
pub(super) struct PayoutView {
    id: Uuid,
    position: u64,
    partner: String,
    #[schema(value_type = String)]
    currency: Currency,
    amount_minor: i64,
    recovered_minor: i64,
    state: &'static str,
    reference: Option<String>,
    #[schema(value_type = chrono::DateTime<chrono::Utc>)]
    proposed_at: Instant,
    #[schema(value_type = chrono::DateTime<chrono::Utc>)]
    changed_at: Instant,
    line_count: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    lines: Option<Vec<PayoutLineView>>,
}

/// One amount that a payout carries.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = PayoutLine)]
pub(super) struct PayoutLineView {
    subject_id: Uuid,
    rule: Option<String>,
    amount_minor: i64,
}

impl From<PayoutRow> for PayoutView {
    fn from(row: PayoutRow) -> Self {
        Self {
            id: row.id,
            position: row.position,
            partner: row.partner.to_string(),
            currency: row.currency,
            amount_minor: row.amount_minor,
            recovered_minor: row.recovered_minor,
            state: row.state.code(),
            reference: row.reference,
            proposed_at: row.proposed_at,
            changed_at: row.changed_at,
            line_count: row.lines,
            lines: None,
        }
    }
}

impl PayoutView {
    /// With what it carries.
    pub(super) fn with_lines(mut self, lines: Vec<CarriedLine>) -> Self {
        let lines = lines.into_iter().map(|line| PayoutLineView {
            subject_id: line.subject_id,
            rule: line.rule,
            amount_minor: line.amount_minor,
        });
        self.lines = Some(lines.collect());
        self
    }
}
