//! The laws of the book, over generated programmes and streams of facts.

mod folding;
mod generated;

use folding::{Folded, fold, identity_holds};
use generated::{Story, story};
use postbook_projections::{Book, posted::Cause};
use postbook_schemas::Instant;
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
