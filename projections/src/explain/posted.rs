//! The steps from an amount to the bank: postings, statements, payouts.

use super::{Evidence, Step, Told, money};
use crate::rows::{Account, PayoutRow, Posting, PostingKind};

/// All postings, with their entries.
pub(super) fn postings(evidence: &Evidence) -> Step {
    let posted = evidence.postings.iter().map(|posting| {
        let entries = posting.entries.iter().map(|entry| {
            let amount = money(entry.amount_minor, posting.currency);
            Step::new("entry", format!("{} {amount}", entry.account))
                .at(posting.cause)
                .comes_to(entry.amount_minor, posting.currency)
        });
        let of = posting.rule.as_deref();
        let of = of.map_or_else(String::new, |rule| format!(" of {rule}"));
        let says = format!(
            "posting {}: {}{of}, effective {}, in {}",
            posting.number,
            posting.kind.code(),
            posting.effective_at,
            posting.period
        );
        Step::new("posting", says)
            .at(posting.cause)
            .with(entries.collect())
    });
    let says = format!("{} postings", evidence.postings.len());
    Step::new("postings", says).with(posted.collect())
}

/// The line of a statement that a conversion's postings are part of.
pub(super) fn statement(evidence: &Evidence, told: &Told) -> Option<Step> {
    let part_of_it = evidence.postings.iter().filter(|posting| {
        posting.partner == told.partner
            && posting.currency == told.currency
            && posting.period.month == told.period
            && posting.kind != PostingKind::Receivable
    });
    let mut lines = Vec::new();
    let mut total = 0_i64;
    for posting in part_of_it {
        let minor = owed_minor(posting)?;
        total = total.checked_add(minor)?;
        if minor != 0 {
            let rule = posting.rule.as_deref().unwrap_or("no rule");
            let corrects = posting.period.corrects;
            let corrects = corrects.map_or_else(String::new, |month| format!(", corrects {month}"));
            let says = format!(
                "{} of {rule}{corrects}: {}",
                posting.kind.code(),
                money(minor, told.currency)
            );
            let line = Step::new("statement_line", says).at(posting.cause);
            lines.push(line.comes_to(minor, told.currency));
        }
    }
    if lines.is_empty() {
        return None;
    }
    let says = format!(
        "statement {} of {} for {} (number {}) has {} of it",
        told.id,
        told.partner,
        told.period,
        told.number,
        money(total, told.currency)
    );
    let step = Step::new("statement", says).at(told.position);
    Some(step.comes_to(total, told.currency).with(lines))
}

/// What a posting adds to what its partner has coming.
pub(super) fn owed_minor(posting: &Posting) -> Option<i64> {
    let owed = posting
        .entries
        .iter()
        .filter(|entry| matches!(entry.account, Account::Pending(_) | Account::Approved(_)));
    owed.map(|entry| entry.amount_minor)
        .try_fold(0_i64, i64::checked_sub)
}

/// A payout that carries something of it.
pub(super) fn payout(payout: &PayoutRow) -> Step {
    let says = format!(
        "payout {} of {} to {}: {}",
        payout.id,
        money(payout.amount_minor, payout.currency),
        payout.partner,
        payout.state.code()
    );
    Step::new("payout", says)
        .at(payout.position)
        .comes_to(payout.amount_minor, payout.currency)
}
