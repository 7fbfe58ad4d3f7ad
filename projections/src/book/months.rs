//! Carryover: posts what ends months below zero, when the months' lines change.

use std::{collections::BTreeSet, sync::Arc};

use postbook_schemas::{
    Currency, FactId, Instant, Slug,
    terms::{Carryover, Fence as Fenced},
};

use super::{Book, pay::simple_posting};
use crate::{
    conversion::Conversion,
    months::{Fence, FencedMonth},
    order::short,
    posted::{Cause, Overflow, PostedLine, Standing},
    rows::{Account, CarryoverRow, Changes, Memo, PostingKind},
    rules::CompiledTerms,
};

impl Book {
    /// Takes the lines of a conversion out of their months, and puts others in; names the fences.
    pub(super) fn count_in_months(
        &mut self,
        before: &[PostedLine],
        after: &[PostedLine],
        fences: &mut BTreeSet<u128>,
    ) {
        for (lines, sign) in [(before, -1), (after, 1)] {
            for line in lines {
                let Some(month) = line.carry.as_ref().filter(|_| counts(line)) else {
                    continue;
                };
                let fence = self.fences.entry(month.scope).or_insert_with(|| {
                    Fence::new(line.partner.clone(), line.currency, month.resets)
                });
                fence.add(
                    month.ends_at,
                    i128::from(line.amount_minor).saturating_mul(sign),
                );
                fences.insert(month.scope);
            }
        }
    }

    /// Posts what ends the months of these fences now.
    pub(super) fn end_months(
        &mut self,
        fences: &BTreeSet<u128>,
        cause: &Cause,
        changes: &mut Changes,
    ) -> Result<(), Overflow> {
        for scope in fences {
            let Some(fence) = self.fences.get_mut(scope) else {
                continue;
            };
            for (ends_at, amount_minor, more_minor) in fence.settle()? {
                let owed = (fence.partner.clone(), fence.currency, more_minor);
                let memo = Memo {
                    adjusted_minor: more_minor,
                    ..Memo::default()
                };
                let (kind, other) = (PostingKind::Carryover, Account::CarryoverReset);
                let mut posting = simple_posting(cause, kind, other, owed, memo)?;
                posting.effective_at = cause.effective_at(ends_at);
                for entry in &mut posting.entries {
                    let is_owed = matches!(entry.account, Account::Approved(_));
                    entry.available_at = Some(ends_at).filter(|_| is_owed);
                }
                changes.postings.push(posting);
                changes.carryovers.push(CarryoverRow {
                    id: carryover_id(*scope, ends_at),
                    partner: fence.partner.clone(),
                    currency: fence.currency,
                    amount_minor,
                    ends_at,
                });
            }
        }
        Ok(())
    }
}

/// What is approved, or will be by itself, is in its month.
fn counts(line: &PostedLine) -> bool {
    !matches!(line.standing, Standing::Pending { approves: None })
}

fn carryover_id(scope: u128, ends_at: Instant) -> FactId {
    FactId::from_u128(short(&[
        "carryover",
        &format!("{scope:x}"),
        &ends_at.micros().to_string(),
    ]))
}

/// The month in which a line counts; `None` where a month below zero is simply a balance below zero.
pub(super) fn fenced_month(
    terms: &CompiledTerms,
    conversion: &Conversion,
    partner: &Slug,
    currency: Currency,
) -> Option<Arc<FencedMonth>> {
    let resets = terms.carryover == Carryover::Reset;
    let offer = conversion.offer.as_str();
    let customer = conversion.keys.customer.or(conversion.keys.click);
    let customer = customer.map_or_else(String::new, |key| format!("{key:x}"));
    let (offer, customer) = match terms.fence {
        Fenced::Partner if resets => ("", ""),
        Fenced::Partner => return None,
        Fenced::Offer => (offer, ""),
        Fenced::Customer => (offer, customer.as_str()),
    };
    let mode = if resets { "reset" } else { "carry" };
    let zone = terms.time_zone.name();
    let scope = short(&[
        "month",
        mode,
        partner.as_str(),
        currency.code(),
        zone,
        offer,
        customer,
    ]);
    Some(Arc::new(FencedMonth {
        scope,
        ends_at: terms.month_end(conversion.occurred_at()),
        resets,
    }))
}
