//! Stories in which amounts, quantities, rates and terms are as large as their types let them be.

use postbook_schemas::{
    AMOUNT_MINOR_MAX, Envelope, Exact, Fact, configuration::TermsPublished, programme::Programme,
};

use crate::generated::Story;

/// At, around and far beyond what an amount may be.
const AMOUNTS: &[i64] = &[
    i64::MAX,
    i64::MIN,
    i64::MIN + 1,
    AMOUNT_MINOR_MAX,
    AMOUNT_MINOR_MAX + 1,
    -AMOUNT_MINOR_MAX,
    -AMOUNT_MINOR_MAX - 1,
    i64::MAX / 2,
    1,
    0,
    -1,
    10_000,
];

/// At both ends of what exact numbers may be.
const EXACT: &[&str] = &[
    "1000000000000000",
    "0.000000000001",
    "999999999999999.999999999999",
    "1",
    "1.5",
];

/// A picker of values, for each story its own.
struct Picks(u64);

impl Picks {
    fn number(&mut self) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        usize::try_from(self.0 >> 33).expect("31 bits")
    }

    fn amount(&mut self, given: i64) -> i64 {
        let place = self.number() % (AMOUNTS.len() * 2);
        AMOUNTS.get(place).copied().unwrap_or(given)
    }

    fn exact(&mut self) -> Exact {
        let text = EXACT[self.number() % EXACT.len()];
        Exact::parse(text).expect("within what exact numbers may be")
    }
}

/// The story with other amounts.
pub(crate) fn inflated(story: &Story, seed: u64) -> Vec<Envelope> {
    let mut picks = Picks(seed | 1);
    let mut facts = story.facts.clone();
    for envelope in &mut facts {
        inflate(&mut envelope.fact, &mut picks);
    }
    facts
}

fn inflate(fact: &mut Fact, picks: &mut Picks) {
    match fact {
        Fact::RegistrationReported(report)
        | Fact::FtdReported(report)
        | Fact::RevenueReported(report)
        | Fact::GoalReported(report)
        | Fact::ReactivationReported(report) => {
            report.amount_minor = report.amount_minor.map(|minor| picks.amount(minor));
            report.payout_minor = report.payout_minor.map(|minor| picks.amount(minor));
            report.quantity = report.quantity.map(|_| picks.exact());
        }
        Fact::RefundReported(change)
        | Fact::ChargebackReported(change)
        | Fact::ChargebackWon(change) => {
            change.amount_minor = change.amount_minor.map(|minor| picks.amount(minor));
        }
        Fact::AdjustmentPosted(data) => data.amount_minor = picks.amount(data.amount_minor),
        Fact::BalanceWrittenOff(data) => data.amount_minor = picks.amount(data.amount_minor),
        Fact::PayoutProposed(proposed) => {
            // In production the lines of a payout add up to it.
            for line in &mut proposed.lines {
                line.amount_minor = picks.amount(line.amount_minor);
            }
            let amounts = proposed.lines.iter().map(|line| line.amount_minor);
            proposed.amount_minor = amounts.fold(0, i64::saturating_add);
        }
        Fact::FxRateRecorded(rate) => rate.rate = picks.exact(),
        Fact::TermsPublished(published) => *published = greedy(published, picks),
        _ => {}
    }
}

/// The terms with prices and steps as high as they go.
fn greedy(published: &TermsPublished, picks: &mut Picks) -> TermsPublished {
    let mut terms = published.terms.clone();
    let whole = |picks: &mut Picks| {
        let texts = ["10000000000000.00", "0.01", "92233720368547.58", "5.00"];
        Exact::parse(texts[picks.number() % texts.len()]).expect("an amount")
    };
    for rule in &mut terms.rules {
        rule.cpa = rule.cpa.map(|_| whole(picks));
        rule.per_unit = rule.per_unit.map(|_| picks.exact());
        rule.max = rule.max.map(|_| whole(picks));
        rule.chargeback_fee = rule.chargeback_fee.map(|_| whole(picks));
        if let Some(cap) = &mut rule.cap {
            cap.amount = cap.amount.map(|_| whole(picks));
            cap.count = cap.count.map(|_| [1, u64::MAX, 0][picks.number() % 3]);
        }
        if let Some(tiers) = &mut rule.tiers {
            for step in &mut tiers.steps {
                step.from = picks.exact();
                step.per_unit = step.per_unit.map(|_| picks.exact());
            }
            tiers.steps.sort_by_key(|step| step.from.decimal());
        }
        if let Some(when) = &mut rule.when {
            when.amount_at_least = when.amount_at_least.map(|_| picks.exact());
        }
    }
    TermsPublished {
        version: published.version.clone(),
        terms,
    }
}

/// Guards the law against saying nothing: terms of the greedy kind are read.
#[test]
fn the_highest_amounts_can_be_written() {
    for text in ["10000000000000.00", "92233720368547.58"] {
        let terms = format!(
            "[[terms]]\noffer = 'acme/o0'\neffective_from = 2026-01-01T00:00:00Z\n\
             [[terms.rule]]\nid = 'r'\non = 'sale'\ncpa = '{text}'"
        );
        let result = Programme::parse(&terms);
        result.expect("they are within range");
    }
}
