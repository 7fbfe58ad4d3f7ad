//! The laws of the book, over generated programmes and streams of facts.

mod folding;
mod generated;
mod whatif;

use folding::{Folded, fold, identity_holds};
use generated::{Story, story};
use postbook_projections::{Book, posted::Cause, rows::Posting};
use postbook_schemas::{Envelope, Fact, FactId, Instant, Month, decision::PeriodClosed};
use proptest::prelude::*;

proptest! {
    /// SPEC 3.4: any permutation and any repetition of the facts ends in the same attribution,
    /// earnings and balances.
    #[test]
    fn order_and_repetition_of_the_facts_do_not_matter(
        story in story(),
        seed in any::<u64>(),
    ) {
        let straight = fold(&story.facts);
        let shuffled = fold(&story.shuffled_and_repeated(seed));
        prop_assert_eq!(&straight.conversions, &shuffled.conversions);
        prop_assert_eq!(&straight.balances(), &shuffled.balances());
    }

    /// SPEC 7: every posting balances, so the whole book does, at every position; and for every
    /// partner and currency pending + held + payable + paid = earned − reversed − clawed back +
    /// written off + adjusted.
    #[test]
    fn the_book_balances_and_the_identity_holds_at_every_position(story in story()) {
        let mut folded = Folded::default();
        let mut book = Book::new();
        for (position, envelope) in (1..).zip(&story.facts) {
            folded.apply(&mut book, position, envelope, &story.facts);
            prop_assert_eq!(folded.trial_balance(), 0, "at {}", position);
            prop_assert!(identity_holds(&folded.balances()), "at {}: {:?}", position, folded.balances());
        }
    }

    /// The one principle (SPEC 6): what is posted is what the facts say, so deriving everything
    /// again posts nothing; incremental and from scratch agree.
    #[test]
    fn deriving_again_posts_nothing(story in story()) {
        let mut folded = Folded::default();
        let mut book = Book::new();
        for (position, envelope) in (1..).zip(&story.facts) {
            folded.apply(&mut book, position, envelope, &story.facts);
            let cause = Cause { position, recorded_at: Instant::EPOCH, happened_at: None };
            let again = book.clone().rederive(&cause).expect("the amounts are small");
            prop_assert_eq!(again.postings, vec![], "after {} {:?}", position, envelope);
            for row in again.conversions {
                prop_assert_eq!(folded.row(&row), Some(folding::comparable(&row)));
            }
        }
    }

    /// A book that stopped anywhere and went on says the same as one that did not.
    #[test]
    fn going_on_from_anywhere_equals_no_interruption(story in story(), cut in 0_usize..60) {
        let cut = cut.min(story.facts.len());
        let mut folded = Folded::default();
        let mut first = Book::new();
        for (position, envelope) in (1..).zip(&story.facts[..cut]) {
            folded.apply(&mut first, position, envelope, &story.facts);
        }
        // The state is never written down: the second book folds the same facts again.
        let mut second = Book::new();
        let mut silent = Folded::default();
        for (position, envelope) in (1..).zip(&story.facts[..cut]) {
            silent.apply(&mut second, position, envelope, &story.facts);
        }
        for (position, envelope) in (1..).zip(&story.facts).skip(cut) {
            folded.apply(&mut second, position, envelope, &story.facts);
        }
        let whole = fold(&story.facts);
        prop_assert_eq!(folded.conversions, whole.conversions);
        prop_assert_eq!(folded.postings, whole.postings);
    }

    /// SPEC 9: a closed month stays as it was. What takes effect in it later stands in an open one
    /// and names it; nothing is lost, and what anybody has coming is what it would be without.
    #[test]
    fn a_closed_month_gets_no_more_postings(story in story(), first in 0_usize..60, then in 0_usize..60) {
        let (facts, january, february) = with_closes(&story, first, then);
        let (mut folded, mut book) = (Folded::default(), Book::new());
        let mut frozen = Vec::new();
        for (position, envelope) in (1..).zip(&facts) {
            folded.apply(&mut book, position, envelope, &facts);
            if let Fact::PeriodClosed(closed) = &envelope.fact {
                frozen.push((closed.period, of_month(&folded, closed.period)));
            }
        }
        prop_assert_eq!(frozen.iter().map(|(month, _)| *month).collect::<Vec<_>>(), [january, february]);
        for (month, postings) in frozen {
            prop_assert_eq!(of_month(&folded, month), postings, "{}", month);
        }
        for posting in &folded.postings {
            let effect = Month::of(posting.effective_at);
            match posting.period.corrects {
                None => prop_assert_eq!(posting.period.month, effect),
                Some(corrected) => {
                    prop_assert_eq!(corrected, effect);
                    prop_assert!(posting.period.month > corrected);
                }
            }
        }
        prop_assert_eq!(folded.balances(), fold(&story.facts).balances());
    }
}

/// A story in which January and February are closed somewhere.
fn with_closes(story: &Story, first: usize, then: usize) -> (Vec<Envelope>, Month, Month) {
    let mut facts = story.facts.clone();
    let months = [
        (first.min(then), "2026-01", 0xc1),
        (first.max(then), "2026-02", 0xc2),
    ];
    let [january, february] = months.map(|(_, month, _)| month.parse().expect("a month"));
    for (place, month, id) in months.into_iter().rev() {
        let place = place.min(story.facts.len());
        let Some(before) = facts.get(place.saturating_sub(1)).cloned() else {
            continue;
        };
        let period = month.parse().expect("a month");
        let reason = "r".to_owned();
        facts.insert(
            place,
            Envelope {
                id: FactId::from_u128(id),
                fact: Fact::PeriodClosed(PeriodClosed { period, reason }),
                ..before
            },
        );
    }
    (facts, january, february)
}

fn of_month(folded: &Folded, month: Month) -> Vec<Posting> {
    let postings = folded.postings.iter();
    postings
        .filter(|posting| posting.period.month == month)
        .cloned()
        .collect()
}

/// Guards the laws against saying nothing: the generated stories must reach what they are about.
#[test]
fn the_stories_reach_what_the_laws_are_about() {
    use proptest::{strategy::ValueTree, test_runner::TestRunner};
    let mut runner = TestRunner::deterministic();
    let mut seen = std::collections::BTreeMap::<&str, u32>::new();
    for _ in 0..300 {
        let story: Story = story()
            .new_tree(&mut runner)
            .expect("stories are made")
            .current();
        let folded = fold(&story.facts);
        for posting in &folded.postings {
            *seen.entry(posting.kind.code()).or_default() += 1;
        }
        for row in folded.conversions.values() {
            for line in &row.earnings {
                let is_override = line.rule.as_deref() == Some("above");
                if is_override && line.amount_minor != 0 {
                    *seen.entry("override").or_default() += 1;
                }
                *seen
                    .entry(line.reason.map_or("earns", |reason| reason.code()))
                    .or_default() += 1;
            }
            *seen.entry(row.status.code()).or_default() += 1;
        }
    }
    for wanted in [
        "earning",
        "approval",
        "reversal",
        "clawback",
        "restoration",
        "payout",
        "adjustment",
        "carryover",
        "receivable",
        "override",
        "earns",
        "no_rule",
        "condition_unmet",
        "over_cap",
        "within_advance",
        "rejected",
        "outside_window",
        "awaiting_fx",
        "unattributed",
        "refunded",
        "charged_back",
        "abuse",
        "pending",
        "approved",
        "reversed",
    ] {
        assert!(
            seen.contains_key(wanted),
            "no story reached `{wanted}`: {seen:?}"
        );
    }
}
