//! Conversions as they are answered.

use postbook_projections::rows::{ConversionRow, EarningLine, LineState, LosingCandidate};
use postbook_schemas::{Currency, Instant, Status, ZeroReason};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

/// A conversion as it stands.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(in super::super) struct Conversion {
    id: Uuid,
    position: u64,
    offer: String,
    kind: String,
    txn_id: Option<String>,
    click_id: Option<String>,
    customer_id: Option<String>,
    coupon_code: Option<String>,
    partner: Option<String>,
    #[schema(value_type = String)]
    status: Status,
    #[schema(value_type = Option<chrono::DateTime<chrono::Utc>>)]
    approves_at: Option<Instant>,
    amount_minor: Option<i64>,
    refunded_minor: i64,
    over_refunded_minor: i64,
    charged_back_minor: i64,
    #[schema(value_type = String)]
    currency: Currency,
    #[schema(value_type = chrono::DateTime<chrono::Utc>)]
    occurred_at: Instant,
    #[schema(value_type = chrono::DateTime<chrono::Utc>)]
    recorded_at: Instant,
    sandbox: bool,
    attribution: Attribution,
    earnings: Vec<Earning>,
}

/// Who is credited, and why.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(in super::super) struct Attribution {
    by: Option<String>,
    partner: Option<String>,
    click_id: Option<String>,
    reason: String,
    losers: Vec<Loser>,
}

/// A candidate that did not get the conversion.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(in super::super) struct Loser {
    by: String,
    partner: Option<String>,
    reason: String,
}

impl From<LosingCandidate> for Loser {
    fn from(loser: LosingCandidate) -> Self {
        Self {
            by: loser.by.code().to_owned(),
            partner: loser.partner.map(|partner| partner.to_string()),
            reason: loser.reason.into_owned(),
        }
    }
}

/// What one rule gives.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(in super::super) struct Earning {
    rule: Option<String>,
    terms_version: Option<String>,
    partner: Option<String>,
    amount_minor: i64,
    #[schema(value_type = Option<String>)]
    currency: Option<Currency>,
    state: &'static str,
    #[schema(value_type = Option<String>)]
    reason: Option<ZeroReason>,
    #[schema(value_type = Option<chrono::DateTime<chrono::Utc>>)]
    available_at: Option<Instant>,
    earned_minor: i64,
    reversed_minor: i64,
    clawed_back_minor: i64,
    recovered_minor: i64,
    written_off_minor: i64,
    paid_minor: i64,
    payout_id: Option<Uuid>,
}

impl Conversion {
    /// A conversion as it stands at a time: what was to be approved by itself until then is.
    pub(in super::super) fn at(row: ConversionRow, now: Instant) -> Self {
        let is_due = row.status == Status::Pending && row.approves_at.is_some_and(|at| at <= now);
        let status = if is_due { Status::Approved } else { row.status };
        let earnings = row.earnings.into_iter();
        Self {
            id: row.id,
            position: row.position,
            offer: row.offer.to_string(),
            kind: row.kind.code().to_owned(),
            txn_id: row.txn_id,
            click_id: row.click_id,
            customer_id: row.customer_id,
            coupon_code: row.coupon_code,
            partner: row.attribution.partner.as_ref().map(ToString::to_string),
            status,
            approves_at: row.approves_at,
            amount_minor: row.amount_minor,
            refunded_minor: row.refunded_minor,
            over_refunded_minor: row.over_refunded_minor,
            charged_back_minor: row.charged_back_minor,
            currency: row.currency,
            occurred_at: row.occurred_at,
            recorded_at: row.recorded_at,
            sandbox: row.sandbox,
            attribution: Attribution {
                by: row.attribution.by.and_then(|by| {
                    let word = serde_json::to_value(by).ok()?;
                    word.as_str().map(str::to_owned)
                }),
                partner: row.attribution.partner.map(|partner| partner.to_string()),
                click_id: row.attribution.click_id,
                reason: row.attribution.reason.into_owned(),
                losers: row
                    .attribution
                    .losers
                    .into_iter()
                    .map(Loser::from)
                    .collect(),
            },
            earnings: earnings.map(|line| Earning::new(line, is_due)).collect(),
        }
    }
}

impl Earning {
    fn new(line: EarningLine, is_due: bool) -> Self {
        let state = match line.state {
            // One without a time waits for somebody, whatever the others do.
            LineState::Pending if is_due && line.available_at.is_some() => LineState::Approved,
            LineState::Pending | LineState::Approved | LineState::Zero => line.state,
        };
        Self {
            rule: line.rule.as_deref().map(str::to_owned),
            terms_version: line.terms_version.as_deref().map(str::to_owned),
            partner: line.partner.map(|partner| partner.to_string()),
            amount_minor: line.amount_minor,
            currency: line.currency,
            state: state.code(),
            reason: line.reason,
            available_at: line.available_at,
            earned_minor: line.earned_minor,
            reversed_minor: line.reversed_minor,
            clawed_back_minor: line.clawed_back_minor,
            recovered_minor: line.recovered_minor,
            written_off_minor: line.written_off_minor,
            paid_minor: line.carried_minor,
            payout_id: line.payout_id,
        }
    }
}
