//! Payouts, adjustments and write-offs: what moves money besides earning lines.

use std::collections::BTreeSet;

use postbook_schemas::{Currency, Envelope, Fact, FactId, Slug};

use super::Book;
use crate::{
    numbers::ConversionNumber,
    posted::{Cause, Overflow},
    rows::{Account, Changes, Entry, Memo, PayoutRow, Posting, PostingKind},
};

type Touched = BTreeSet<ConversionNumber>;

impl Book {
    /// Books a payout's lines once its money is on the way, and takes them out if it came back;
    /// touches the conversions it carries.
    pub(super) fn carry(&mut self, payout_id: FactId, touched: &mut Touched) {
        let Some(payout) = self.payouts.get_mut(&payout_id) else {
            return;
        };
        let carried = payout.should_be_carried();
        let Some((order, _, proposed)) = payout.proposed.as_ref() else {
            return;
        };
        if carried == payout.is_carried {
            return;
        }
        payout.is_carried = carried;
        self.carriers.set(order, proposed, carried);
        touched.extend(
            proposed
                .lines
                .iter()
                .filter_map(|line| self.ids.get(&line.subject_id)),
        );
        self.turned = Some(payout_id);
    }

    /// Posts what a fact moves besides earning lines: payouts, adjustments, write-offs.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "all other facts move no money by themselves"
    )]
    pub(super) fn pay(
        &mut self,
        envelope: &Envelope,
        cause: &Cause,
        first_posting: usize,
        changes: &mut Changes,
    ) -> Result<(), Overflow> {
        if let Some(payout_id) = self.turned.take() {
            self.post_payout(payout_id, cause, first_posting, changes)?;
        }
        if let Some(row) = self.payout_row(&envelope.fact) {
            changes.payouts.push(row);
        }
        let posting = match &envelope.fact {
            Fact::AdjustmentPosted(data) => {
                let memo = Memo {
                    adjusted_minor: data.amount_minor,
                    ..Memo::default()
                };
                let owed = (data.partner.clone(), data.currency, data.amount_minor);
                simple_posting(
                    cause,
                    PostingKind::Adjustment,
                    Account::Adjustment,
                    owed,
                    memo,
                )?
            }
            // What names its lines is posted with them.
            Fact::BalanceWrittenOff(data) if data.lines.is_empty() => {
                let memo = Memo {
                    written_off_minor: data.amount_minor,
                    ..Memo::default()
                };
                let owed = (data.partner.clone(), data.currency, data.amount_minor);
                simple_posting(cause, PostingKind::WriteOff, Account::WriteOff, owed, memo)?
            }
            _ => return Ok(()),
        };
        changes.postings.push(posting);
        Ok(())
    }

    /// The posting of a payout; what it does to the memo totals of the lines it carries is part of
    /// it, and those lines need no postings of their own.
    fn post_payout(
        &self,
        payout_id: FactId,
        cause: &Cause,
        first_posting: usize,
        changes: &mut Changes,
    ) -> Result<(), Overflow> {
        let Some(payout) = self.payouts.get(&payout_id) else {
            return Ok(());
        };
        let Some((_, _, proposed)) = &payout.proposed else {
            return Ok(());
        };
        let paid = if payout.is_carried {
            proposed.amount_minor
        } else {
            proposed.amount_minor.checked_neg().ok_or(Overflow)?
        };
        let mut memo = Memo {
            paid_minor: paid,
            ..Memo::default()
        };
        let mut kept = changes.postings.split_off(first_posting);
        kept.retain(|posting| {
            let is_its = is_of_payout(posting, &proposed.partner, proposed.currency);
            // What would leave 64 bits together stays by itself.
            let sum = memo.plus(&posting.memo).filter(|_| is_its);
            memo = sum.unwrap_or(memo);
            sum.is_none()
        });
        changes.postings.append(&mut kept);
        let kind = if payout.is_carried {
            PostingKind::Payout
        } else {
            PostingKind::PayoutReturned
        };
        let owed = (
            proposed.partner.clone(),
            proposed.currency,
            paid.checked_neg().ok_or(Overflow)?,
        );
        let mut posting = simple_posting(cause, kind, Account::PayoutClearing, owed, memo)?;
        posting.payout_id = Some(payout_id);
        changes.postings.push(posting);
        Ok(())
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "all other facts concern no payout"
    )]
    fn payout_row(&self, fact: &Fact) -> Option<PayoutRow> {
        let payout_id = match fact {
            Fact::PayoutProposed(proposed) => proposed.payout_id,
            Fact::PayoutApproved(moved)
            | Fact::PayoutSent(moved)
            | Fact::PayoutSettled(moved)
            | Fact::PayoutFailed(moved)
            | Fact::PayoutReturned(moved) => moved.payout_id,
            _ => return None,
        };
        let payout = self.payouts.get(&payout_id)?;
        let (order, position, proposed) = payout.proposed.as_ref()?;
        let recovered = |total: i64, amount: i64| total.saturating_sub(amount.min(0));
        let last = payout.last_move();
        Some(PayoutRow {
            id: payout_id,
            position: *position,
            partner: proposed.partner.clone(),
            currency: proposed.currency,
            amount_minor: proposed.amount_minor,
            recovered_minor: proposed
                .lines
                .iter()
                .map(|line| line.amount_minor)
                .fold(0, recovered),
            lines: u64::try_from(proposed.lines.len()).unwrap_or(u64::MAX),
            state: payout.state(),
            reference: payout.reference().cloned(),
            proposed_at: order.occurred_at,
            changed_at: last.map_or(order.occurred_at, |(order, _, _)| order.occurred_at),
        })
    }
}

fn is_of_payout(posting: &Posting, partner: &Slug, currency: Currency) -> bool {
    posting.kind == PostingKind::Reclassification
        && posting.partner == *partner
        && posting.currency == currency
}

/// A posting between what a partner is owed and another account.
pub(super) fn simple_posting(
    cause: &Cause,
    kind: PostingKind,
    other: Account,
    (partner, currency, owed_minor): (Slug, Currency, i64),
    memo: Memo,
) -> Result<Posting, Overflow> {
    let credit = owed_minor.checked_neg().ok_or(Overflow)?;
    let approved = Account::Approved(partner.clone());
    Ok(Posting {
        number: 0,
        cause: cause.position,
        kind,
        conversion_id: None,
        rule: None,
        terms_version: None,
        partner,
        currency,
        payout_id: None,
        effective_at: cause.happened_at.unwrap_or(cause.recorded_at),
        recorded_at: cause.recorded_at,
        period: cause.period(),
        entries: vec![
            Entry {
                account: approved,
                amount_minor: credit,
                available_at: None,
            },
            Entry {
                account: other,
                amount_minor: owed_minor,
                available_at: None,
            },
        ],
        memo,
    })
}
