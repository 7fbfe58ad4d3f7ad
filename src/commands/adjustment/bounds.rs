//! How far from zero people may bring what a partner has coming.

use postbook_schemas::{AMOUNT_MINOR_MAX, BALANCE_MINOR_MAX, Currency};

use super::{
    super::record::{self, CommandError},
    Amount,
};
use crate::{service::Service, tables::query::balances::AsOf};

/// Refuses an adjustment that would bring a partner's balance, or the sum of its adjustments, beyond
/// [`BALANCE_MINOR_MAX`]: what is in the log stays there, and sums of it must fit the ledger. What brings
/// it nearer to zero is taken. Many at once may come a little beyond it, which leaves room enough.
///
/// # Errors
/// It would, or the tables cannot be read.
pub(super) async fn check(
    service: &Service,
    amount: &Amount,
    currency: Currency,
) -> Result<(), CommandError> {
    // Only large amounts could pass the bound before the read models show them.
    if amount.amount_minor.unsigned_abs() > AMOUNT_MINOR_MAX.unsigned_abs() / 1_000 {
        record::catch_up(service).await?;
    }
    let balances = service.tables.balances(&amount.partner, AsOf::ALL).await?;
    let balance = balances.get(currency.code()).copied().unwrap_or_default();
    let has = balance.pending_minor + balance.held_minor + balance.payable_minor;
    for (what, before) in [("balance", has), ("adjustments", balance.adjusted_minor)] {
        let after = before + i128::from(amount.amount_minor);
        let most = i128::from(BALANCE_MINOR_MAX);
        if after.abs() > most && after.abs() > before.abs() {
            return Err(CommandError::Invalid {
                field: "amount_minor",
                detail: format!(
                    "the partner's {what} would come to {}: at most {} either way",
                    currency.format_money(after),
                    currency.format_major(BALANCE_MINOR_MAX)
                ),
            });
        }
    }
    Ok(())
}
