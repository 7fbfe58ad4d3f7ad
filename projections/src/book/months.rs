//! Carryover: posts what ends months below zero, when the months' lines change.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use postbook_schemas::{
    Currency, FactId, Instant, Slug,
    terms::{Carryover, Fence as Fenced},
};

use super::{Book, pay::simple_posting};
use crate::{
    conversion::Conversion,
    exact::minor_rounded_up,
    months::{Ended, Fence, FenceAround, FencedMonth, Player},
    order::short,
    payable::lasting,
    posted::{Cause, Overflow, PostedLine, Standing},
    rows::{Account, CarryoverRow, Changes, Entry, InPeriod, Memo, Posting, PostingKind},
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
        for line in before {
            if let Some((month, minor, available_at)) = counts(line) {
                let fence = self.fence(month);
                fence.remove(month, minor, available_at);
                fences.insert(month.around.scope);
            }
        }
        for line in after {
            if let Some((month, minor, available_at)) = counts(line) {
                let fence = self.fence(month);
                fence.add(month, minor, available_at);
                fences.insert(month.around.scope);
            }
        }
    }

    fn fence(&mut self, month: &Arc<FencedMonth>) -> &mut Fence {
        let fence = self.fences.entry(month.around.scope);
        fence.or_insert_with(|| Fence::new(Arc::clone(month)))
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
            for ended in fence.settle() {
                let around = &fence.around.around;
                let id = carryover_id(*scope, ended.ends_at);
                let carried_minor = self.carriers.sum(id);
                let posting = posting(around, &ended, carried_minor, cause)?;
                changes.postings.push(posting);
                changes.carryovers.push(CarryoverRow {
                    id,
                    partner: around.partner.clone(),
                    currency: around.currency,
                    offer: around.offer.clone(),
                    month: around.month(ended.ends_at),
                    amount_minor: ended.after.minor,
                    ends_at: ended.ends_at,
                    available_at: ended.after.available_at,
                });
            }
        }
        Ok(())
    }
}

/// The posting that brings the end of a month to what it is to be. What payouts carry of it stays payable.
fn posting(
    around: &FenceAround,
    ended: &Ended,
    carried_minor: i64,
    cause: &Cause,
) -> Result<Posting, Overflow> {
    let mut slots = BTreeMap::<_, i64>::new();
    let before = ended.before.map_or(0, |before| before.minor);
    // Owed: what was posted is a debit now, what is to stand a credit.
    for (end, sign) in [(ended.before, 1), (Some(ended.after), -1)] {
        let Some(end) = end else {
            continue;
        };
        let lasting = lasting(end.minor, carried_minor);
        let rest = end.minor.checked_sub(lasting).ok_or(Overflow)?;
        for (at, minor) in [(ended.ends_at, lasting), (end.available_at, rest)] {
            let slot = slots.entry(at).or_insert(0);
            let signed = minor.checked_mul(sign).ok_or(Overflow)?;
            *slot = slot.checked_add(signed).ok_or(Overflow)?;
        }
    }
    slots.retain(|_, amount| *amount != 0);
    let more_minor = ended.after.minor.checked_sub(before).ok_or(Overflow)?;
    let memo = Memo {
        adjusted_minor: more_minor,
        ..Memo::default()
    };
    let owed = (around.partner.clone(), around.currency, more_minor);
    let (kind, other) = (PostingKind::Carryover, Account::CarryoverReset);
    let mut posting = simple_posting(cause, kind, other, owed, memo)?;
    posting.effective_at = cause.effective_at(ended.ends_at);
    posting.period = InPeriod {
        month: around.month(posting.effective_at),
        // If it is closed: who closes a month is not known here.
        corrects: Some(around.month(ended.ends_at)),
    };
    let others = posting.entries.drain(..).skip(1);
    let others: Vec<Entry> = others.filter(|entry| entry.amount_minor != 0).collect();
    let approved = slots.into_iter().map(|(available_at, amount_minor)| Entry {
        account: Account::Approved(around.partner.clone()),
        amount_minor,
        available_at: Some(available_at),
    });
    posting.entries = approved.chain(others).collect();
    Ok(posting)
}

/// The month in which a line counts, how much of it, and when that is payable: what is approved, or will
/// be by itself, counts, and of what waits for somebody what was paid or recovered.
fn counts(line: &PostedLine) -> Option<(&Arc<FencedMonth>, i64, Instant)> {
    let month = line.carry.as_ref()?;
    match line.standing {
        Standing::Approved { available_at }
        | Standing::Pending {
            approves: Some((_, available_at)),
        } => Some((month, line.amount_minor, available_at)),
        Standing::Pending { approves: None } => {
            let lasting = line.lasting_minor();
            (lasting != 0).then_some((month, lasting, Instant::MIN))
        }
    }
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
    let customer = conversion.keys.customer.or(conversion.keys.click);
    let customer = customer.map_or_else(String::new, |key| format!("{key:x}"));
    let (offer, customer) = match terms.fence {
        Fenced::Partner if resets => (None, ""),
        Fenced::Partner => return None,
        Fenced::Offer => (Some(&conversion.offer), ""),
        Fenced::Customer => (Some(&conversion.offer), customer.as_str()),
    };
    let mode = if resets { "reset" } else { "carry" };
    let zone = terms.time_zone.name();
    let scope = short(&[
        "month",
        mode,
        partner.as_str(),
        currency.code(),
        zone,
        offer.map_or("", AsRef::as_ref),
        customer,
    ]);
    let player = terms
        .high_roller_from
        .filter(|_| resets)
        .map(|from| Player {
            name: player_name(conversion),
            from_minor: i64::try_from(minor_rounded_up(from, currency.exponent()))
                .unwrap_or(i64::MAX),
        });
    Some(Arc::new(FencedMonth {
        player,
        around: FenceAround {
            scope,
            partner: partner.clone(),
            currency,
            offer: offer.cloned(),
            time_zone: terms.time_zone,
            resets,
        },
        ends_at: terms.month_end(conversion.occurred_at()),
    }))
}

/// Who a conversion's customer is, among all customers.
fn player_name(conversion: &Conversion) -> Option<Box<str>> {
    let named = &conversion.references;
    let customer = named.customer_id.as_ref().map(|id| ("customer", id));
    let (what, id) = customer.or_else(|| named.click_id.as_ref().map(|id| ("click", id)))?;
    Some(format!("{} {what} {id}", conversion.offer).into())
}
