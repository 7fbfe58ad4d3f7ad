//! Where sums come from: a balance, a line of a statement, a payout, each down to the facts.

use postbook_schemas::{
    Currency, FactId, Month, Slug,
    envelope::Recorded,
    statement::{StatementEntry, StatementLine},
};

use super::{Explanation, Step, money, posted::owed_minor};
use crate::rows::{Account, PayoutRow, Posting, PostingKind};

/// How many postings or lines of a sum are named one by one.
const NAMED_MAX: usize = 1_000;

/// What a balance is explained from.
#[derive(Clone, Debug)]
pub struct BalanceEvidence {
    /// Whose.
    pub partner: Slug,
    /// The currency.
    pub currency: Currency,
    /// The buckets and memo totals by name.
    pub parts: Vec<(&'static str, i128)>,
    /// What is posted, by sort.
    pub sorts: Vec<Sort>,
}

/// Postings of one sort.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sort {
    /// In the books of this month.
    pub period: Month,
    /// The closed month that they correct.
    pub corrects: Option<Month>,
    /// What they are about.
    pub kind: String,
    /// The rule.
    pub rule: Option<String>,
    /// How many.
    pub count: u64,
    /// What they add to what the partner has coming.
    pub amount_minor: i128,
    /// The first fact that caused one.
    pub first: u64,
    /// The last.
    pub last: u64,
}

/// Explains a balance: its buckets, and the postings that add up to them, by sort.
pub fn balance(evidence: &BalanceEvidence) -> Explanation {
    let currency = evidence.currency;
    let of = |name: &str| {
        let part = evidence.parts.iter().find(|(part, _)| *part == name);
        part.map_or(0, |(_, minor)| *minor)
    };
    let has = of("pending")
        .saturating_add(of("held"))
        .saturating_add(of("payable"));
    let last = evidence.sorts.iter().map(|sort| sort.last).max();
    let parts = evidence.parts.iter().map(|(name, minor)| {
        let says = format!("{} {}", name.replace('_', " "), money(*minor, currency));
        let mut step = Step::new(name, says).comes_to(*minor, currency);
        step.position = last;
        step
    });
    let says = format!("{} has {} coming", evidence.partner, money(has, currency));
    let mut total = Step::new("balance", says).comes_to(has, currency);
    total.position = last;
    let mut steps = vec![total.with(parts.collect())];
    steps.extend(evidence.sorts.iter().map(|sort| sort_step(sort, currency)));
    Explanation {
        conversion_id: None,
        subject: format!("balance of {} in {currency}", evidence.partner),
        steps,
    }
}

fn sort_step(sort: &Sort, currency: Currency) -> Step {
    let rule = sort.rule.as_deref();
    let rule = rule.map_or_else(String::new, |rule| format!(" of {rule}"));
    let corrects = sort.corrects;
    let corrects = corrects.map_or_else(String::new, |month| format!(", correcting {month}"));
    let says = format!(
        "{} {} postings{rule} in {}{corrects}: {}",
        sort.count,
        sort.kind,
        sort.period,
        money(sort.amount_minor, currency)
    );
    let ends = [("first", sort.first), ("last", sort.last)];
    let ends = ends.map(|(which, position)| {
        Step::new("cause", format!("the {which} is caused by")).at(position)
    });
    Step::new("postings", says)
        .at(sort.last)
        .comes_to(sort.amount_minor, currency)
        .with(ends.to_vec())
}

/// Explains a line of a statement: the postings that it sums.
pub fn statement_line(
    statement: (FactId, u64, &Slug, Month, Currency),
    line: &StatementLine,
    postings: &[Posting],
) -> Explanation {
    let (id, position, partner, period, currency) = statement;
    let summed = postings
        .iter()
        .filter(|it| it.period.month == period && it.currency == currency && is_of(it, line));
    let mut sum = 0_i128;
    let mut named = Vec::new();
    for posting in summed {
        let minor = owed_minor(posting).unwrap_or(0);
        sum = sum.saturating_add(i128::from(minor));
        if minor != 0 && named.len() < NAMED_MAX {
            let about = posting.conversion_id;
            let about = about.map_or_else(String::new, |id| format!(" for conversion {id}"));
            let says = format!(
                "posting {}{about}: {}",
                posting.number,
                money(minor, currency)
            );
            named.push(
                Step::new("posting", says)
                    .at(posting.cause)
                    .comes_to(minor, currency),
            );
        }
    }
    let rule = line.rule.as_deref().unwrap_or("no rule");
    let says = format!(
        "{} of {rule}: {} in {} postings",
        line.entry.code(),
        money(line.amount_minor, currency),
        line.postings
    );
    let told = Step::new("statement_line", says)
        .at(position)
        .comes_to(line.amount_minor, currency);
    let says = format!("the postings come to {}", money(sum, currency));
    let mut posted = Step::new("postings", says)
        .comes_to(sum, currency)
        .with(named);
    posted.position = Some(position);
    Explanation {
        conversion_id: None,
        subject: format!("statement {id} of {partner} for {period}"),
        steps: vec![told, posted],
    }
}

/// Whether a statement's line sums a posting.
fn is_of(posting: &Posting, line: &StatementLine) -> bool {
    let entry = match posting.kind {
        PostingKind::Earning => StatementEntry::Earning,
        PostingKind::Reversal => StatementEntry::Reversal,
        PostingKind::Clawback => StatementEntry::Clawback,
        PostingKind::Restoration => StatementEntry::Restoration,
        PostingKind::Carryover => StatementEntry::CarryoverReset,
        PostingKind::Adjustment => StatementEntry::Adjustment,
        PostingKind::WriteOff => StatementEntry::WriteOff,
        PostingKind::Payout => StatementEntry::Payout,
        PostingKind::PayoutReturned => StatementEntry::PayoutReturned,
        PostingKind::Approval | PostingKind::Receivable | PostingKind::Reclassification => {
            return false;
        }
    };
    let offer = posting.entries.iter().find_map(|entry| {
        if let Account::Commission(offer) = &entry.account {
            Some(offer)
        } else {
            None
        }
    });
    let is_subject = line.subject_id.is_none() || line.subject_id == posting.payout_id;
    let is_persons = matches!(entry, StatementEntry::Adjustment | StatementEntry::WriteOff);
    entry == line.entry
        && posting.period.corrects == line.corrects
        && posting.rule.as_deref() == line.rule.as_deref()
        && (line.offer.is_none() || line.offer.as_ref() == offer)
        && (is_subject || is_persons)
}

/// A line of a payout, with where its conversion was reported.
#[derive(Clone, Debug)]
pub struct PaidLine {
    /// The conversion, adjustment or end of a month.
    pub subject_id: FactId,
    /// Where that is.
    pub position: Option<u64>,
    /// The rule.
    pub rule: Option<String>,
    /// How much.
    pub amount_minor: i64,
}

/// Explains a payout: who moved it on, and the lines that it carries.
pub fn payout(row: &PayoutRow, moves: &[Recorded], lines: &[PaidLine]) -> Explanation {
    let currency = row.currency;
    let moved = moves.iter().map(|fact| {
        let envelope = &fact.envelope;
        let name = envelope.fact.fact_type().name();
        let says = format!("{name} by {} at {}", envelope.actor, envelope.recorded_at);
        Step::new("fact", says).at(fact.position)
    });
    let says = format!(
        "{} to {}: {}",
        money(row.amount_minor, currency),
        row.partner,
        row.state.code()
    );
    let head = Step::new("payout", says)
        .at(row.position)
        .comes_to(row.amount_minor, currency)
        .with(moved.collect());
    let carried = lines.iter().take(NAMED_MAX).map(|line| {
        let word = if line.amount_minor < 0 {
            "recovers"
        } else {
            "pays"
        };
        let rule = line.rule.as_deref().unwrap_or("no rule");
        let says = format!(
            "{word} {} of {rule} for {}",
            money(line.amount_minor, currency),
            line.subject_id
        );
        let mut step = Step::new("line", says).comes_to(line.amount_minor, currency);
        step.position = line.position.or(Some(row.position));
        step
    });
    let sum = lines.iter().fold(0_i128, |sum, line| {
        sum.saturating_add(i128::from(line.amount_minor))
    });
    let says = format!("{} lines come to {}", lines.len(), money(sum, currency));
    let lines = Step::new("lines", says)
        .at(row.position)
        .comes_to(sum, currency)
        .with(carried.collect());
    Explanation {
        conversion_id: None,
        subject: format!("payout {}", row.id),
        steps: vec![head, lines],
    }
}
