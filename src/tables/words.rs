//! The words by which tables name what the core has as variants, and the way back.

use postbook_projections::rows::{Account, AttributedBy, LineState, PayoutState, PostingKind};
use postbook_schemas::{OfferRef, Slug, Status, ZeroReason};

/// The word of what decided an attribution.
pub(super) fn attributed_by(by: AttributedBy) -> &'static str {
    match by {
        AttributedBy::ClickId => "click_id",
        AttributedBy::CouponCode => "coupon_code",
        AttributedBy::CustomerId => "customer_id",
        AttributedBy::Correction => "correction",
    }
}

/// What decided an attribution, by its word.
pub(super) fn parse_attributed_by(word: &str) -> Option<AttributedBy> {
    [
        AttributedBy::ClickId,
        AttributedBy::CouponCode,
        AttributedBy::CustomerId,
        AttributedBy::Correction,
    ]
    .into_iter()
    .find(|&by| attributed_by(by) == word)
}

/// The status with this word.
pub(super) fn parse_status(word: &str) -> Option<Status> {
    Status::ALL
        .iter()
        .copied()
        .find(|status| status.code() == word)
}

/// The state of an earning line with this word.
pub(super) fn parse_line_state(word: &str) -> Option<LineState> {
    [LineState::Pending, LineState::Approved, LineState::Zero]
        .into_iter()
        .find(|state| state.code() == word)
}

/// The reason of a zero with this word.
pub(super) fn parse_zero_reason(word: &str) -> Option<ZeroReason> {
    serde_json::from_value(serde_json::Value::String(word.to_owned())).ok()
}

/// The kind of posting with this word.
pub(super) fn parse_posting_kind(word: &str) -> Option<PostingKind> {
    serde_json::from_value(serde_json::Value::String(word.to_owned())).ok()
}

/// The state of a payout with this word.
pub(super) fn parse_payout_state(word: &str) -> Option<PayoutState> {
    serde_json::from_value(serde_json::Value::String(word.to_owned())).ok()
}

/// The kind of an account.
pub(super) fn account_kind(account: &Account) -> &'static str {
    match account {
        Account::Pending(_) => "pending",
        Account::Approved(_) => "approved",
        Account::Commission(_) => "commission",
        Account::PayoutClearing => "payout_clearing",
        Account::WriteOff => "write_off",
        Account::Adjustment => "adjustment",
        Account::CarryoverReset => "carryover_reset",
        Account::Receivable(_) => "receivable",
        Account::Income(_) => "income",
    }
}

/// The partner of an account that has one.
pub(super) fn account_partner(account: &Account) -> Option<&str> {
    match account {
        Account::Pending(partner) | Account::Approved(partner) => Some(partner.as_str()),
        Account::Commission(_)
        | Account::PayoutClearing
        | Account::WriteOff
        | Account::Adjustment
        | Account::CarryoverReset
        | Account::Receivable(_)
        | Account::Income(_) => None,
    }
}

/// The offer of an account that has one.
pub(super) fn account_offer(account: &Account) -> Option<&str> {
    match account {
        Account::Commission(offer) | Account::Receivable(offer) | Account::Income(offer) => {
            Some(offer.as_str())
        }
        Account::Pending(_)
        | Account::Approved(_)
        | Account::PayoutClearing
        | Account::WriteOff
        | Account::Adjustment
        | Account::CarryoverReset => None,
    }
}

/// The account that kind, partner and offer name.
pub(super) fn parse_account(
    kind: &str,
    partner: Option<&str>,
    offer: Option<&str>,
) -> Option<Account> {
    let partner = || partner.and_then(|partner| Slug::try_new(partner).ok());
    let offer = || offer.and_then(|offer| OfferRef::try_new(offer).ok());
    Some(match kind {
        "pending" => Account::Pending(partner()?),
        "approved" => Account::Approved(partner()?),
        "commission" => Account::Commission(offer()?),
        "receivable" => Account::Receivable(offer()?),
        "income" => Account::Income(offer()?),
        "carryover_reset" => Account::CarryoverReset,
        "payout_clearing" => Account::PayoutClearing,
        "write_off" => Account::WriteOff,
        "adjustment" => Account::Adjustment,
        _ => return None,
    })
}
