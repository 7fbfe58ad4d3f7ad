//! Which debts are given up: the oldest, as payouts would recover them.

use postbook_schemas::{Currency, payout::PayoutLine};

use super::{super::record::CommandError, Amount};
use crate::{service::Service, tables::query::clawbacks::ClawbackFilter};

/// The oldest debts of a partner that add up to an amount, which is at most what is outstanding.
///
/// # Errors
/// The debts that can be named are less, or the tables cannot be read.
pub(super) async fn oldest(
    service: &Service,
    amount: &Amount,
    currency: Currency,
) -> Result<Vec<PayoutLine>, CommandError> {
    let of_partner = ClawbackFilter {
        partner: Some(amount.partner.clone()),
        offer: None,
    };
    let mut left = amount.amount_minor;
    let mut lines = Vec::new();
    for debt in service.tables.clawed_back(&of_partner).await? {
        let open = debt.clawed_back_minor - debt.recovered_minor - debt.written_off_minor;
        let amount_minor = open.min(left);
        if debt.currency != currency || amount_minor <= 0 {
            continue;
        }
        left -= amount_minor;
        lines.push(PayoutLine {
            subject_id: debt.conversion_id,
            rule: Some(debt.rule),
            amount_minor,
        });
    }
    if left == 0 {
        return Ok(lines);
    }
    Err(CommandError::Conflict(format!(
        "the debts that are left are {left} {currency} minor units less"
    )))
}
