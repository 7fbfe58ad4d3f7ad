//! Which debts are given up: the oldest, as payouts would recover them, but for what open payouts
//! recover already.

use std::collections::BTreeMap;

use postbook_schemas::{Currency, payout::PayoutLine};

use super::{super::record::CommandError, Amount};
use crate::{
    service::Service,
    tables::query::{balances::AsOf, clawbacks::ClawbackFilter},
};

/// The oldest debts of a partner that add up to an amount, which is at most what is outstanding and
/// recovered by no open payout.
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
    let due = service.tables.due(&amount.partner, currency, AsOf::ALL);
    let due = due.await?;
    let mut owed = BTreeMap::<_, i64>::new();
    for line in due.lines {
        let of_line = owed.entry((line.subject_id, line.rule)).or_default();
        *of_line = of_line.saturating_sub(line.amount_minor);
    }
    let mut left = amount.amount_minor;
    let mut nameable = 0;
    let mut lines = Vec::new();
    for debt in service.tables.clawed_back(&of_partner).await? {
        let line = (debt.conversion_id, Some(debt.rule.clone()));
        let owed_minor = owed.get(&line).copied().unwrap_or_default();
        if debt.currency != currency || owed_minor <= 0 {
            continue;
        }
        nameable += i128::from(owed_minor);
        let amount_minor = left.min(owed_minor);
        if amount_minor == 0 {
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
        "of the {} outstanding, {} can be given up: open payouts recover the rest",
        currency.format_money(due.balance.outstanding_minor()),
        currency.format_major(nameable)
    )))
}
