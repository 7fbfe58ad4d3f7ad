//! A second, naive model of earnings, and whether the book agrees with it on every generated story.
//!
//! The model is written from SPEC sections 3.4, 5 and 6: plain loops over all facts for every
//! question, no groups, no increments, nothing remembered.

#[path = "../laws/folding.rs"]
#[expect(dead_code, reason = "shared with the laws, which use more of it")]
mod folding;
#[path = "../laws/generated.rs"]
#[expect(dead_code, reason = "shared with the laws, which use more of it")]
mod generated;

mod earnings;
mod history;
mod volume;

use std::collections::BTreeMap;

use earnings::Line;
use folding::{Folded, fold};
use generated::{Story, story};
use history::History;
use postbook_projections::rows::Account;
use postbook_schemas::{
    Currency, Fact, FactId, Slug,
    terms::{Terms, Totals, When},
};
use proptest::prelude::*;

/// Conversion, partner, rule and currency to what it earns.
type Earnings = BTreeMap<(FactId, Slug, String, Currency), i64>;

fn of_the_book(folded: &Folded) -> Earnings {
    let mut earnings = Earnings::new();
    for row in folded.conversions.values() {
        for line in row.earnings.iter().filter(|line| line.amount_minor != 0) {
            let rule = line.rule.clone().expect("what earns has a rule");
            let partner = line.partner.clone().expect("what earns is somebody's");
            let currency = line.currency.expect("an amount has a currency");
            earnings.insert(
                (row.id, partner, rule.to_string(), currency),
                line.amount_minor,
            );
        }
    }
    earnings
}

fn of_the_model(history: &History<'_>) -> Earnings {
    let mut earnings = Earnings::new();
    for conversion in &history.conversions {
        for Line {
            partner,
            rule,
            currency,
            net,
            ..
        } in earnings::lines(history, conversion)
        {
            if net != 0 {
                earnings.insert((conversion.id, partner, rule, currency), net);
            }
        }
    }
    earnings
}

/// What the ends of months have added to balances.
fn carried(folded: &Folded) -> BTreeMap<(Slug, Currency), i64> {
    let mut sums = BTreeMap::new();
    for posting in &folded.postings {
        for entry in &posting.entries {
            if entry.account == Account::CarryoverReset {
                let key = (posting.partner.clone(), posting.currency);
                *sums.entry(key).or_default() += entry.amount_minor;
            }
        }
    }
    sums.retain(|_, sum| *sum != 0);
    sums
}

/// What the advertisers owe.
fn receivable(folded: &Folded) -> BTreeMap<Currency, i64> {
    let mut sums = BTreeMap::new();
    for posting in &folded.postings {
        for entry in &posting.entries {
            if matches!(entry.account, Account::Receivable(_)) {
                *sums.entry(posting.currency).or_default() += entry.amount_minor;
            }
        }
    }
    sums.retain(|_, sum| *sum != 0);
    sums
}

proptest! {
    #[test]
    fn the_book_earns_what_the_naive_model_earns(story in story()) {
        let folded = fold(&story.facts);
        let history = History::of(&story.facts);
        prop_assert_eq!(of_the_book(&folded), of_the_model(&history));
        prop_assert_eq!(carried(&folded), earnings::carryovers(&history));
        prop_assert_eq!(receivable(&folded), earnings::receivable(&history));
    }
}

/// Guards the comparison against saying nothing.
#[test]
fn the_stories_earn() {
    use proptest::{strategy::ValueTree, test_runner::TestRunner};
    let mut runner = TestRunner::deterministic();
    let mut rules = BTreeMap::<String, u32>::new();
    for _ in 0..200 {
        let story: Story = story()
            .new_tree(&mut runner)
            .expect("stories are made")
            .current();
        let history = History::of(&story.facts);
        for (_, _, rule, _) in of_the_model(&history).into_keys() {
            *rules.entry(rule).or_default() += 1;
        }
    }
    for wanted in [
        "ftd",
        "sale",
        "sale-cpa",
        "above",
        "revenue",
        "revenue-above",
        "trade",
        "registration",
    ] {
        assert!(
            rules.contains_key(wanted),
            "no story earns by `{wanted}`: {rules:?}"
        );
    }
}

/// Guards the comparison against conditions that decide nothing: without them many stories end otherwise.
#[test]
fn totals_and_high_rollers_decide_what_is_earned() {
    use proptest::{strategy::ValueTree, test_runner::TestRunner};
    let mut runner = TestRunner::deterministic();
    let without = |story: &Story, change: fn(&mut Terms)| {
        let mut facts = story.facts.clone();
        for envelope in &mut facts {
            if let Fact::TermsPublished(published) = &mut envelope.fact {
                change(&mut published.terms);
            }
        }
        facts
    };
    let (mut totals, mut high_rollers) = (0, 0);
    for _ in 0..400 {
        let tree = story().new_tree(&mut runner).expect("stories are made");
        let story: Story = tree.current();
        let history = History::of(&story.facts);
        let facts = without(&story, |terms| {
            for rule in &mut terms.rules {
                rule.when = rule.when.take().map(|when| When {
                    total_at_least: Totals::default(),
                    ..when
                });
            }
        });
        totals += usize::from(of_the_model(&History::of(&facts)) != of_the_model(&history));
        let facts = without(&story, |terms| terms.high_roller_from = None);
        let changed = earnings::carryovers(&History::of(&facts)) != earnings::carryovers(&history);
        high_rollers += usize::from(changed);
    }
    assert!(
        totals > 10 && high_rollers > 3,
        "{totals} and {high_rollers} of 400"
    );
}
