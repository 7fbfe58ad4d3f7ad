//! The laws of versions of the derivation: a new one changes nothing until it is adopted, then
//! everything that is open, and never what was posted.

#[path = "../laws/folding.rs"]
#[expect(dead_code, reason = "shared with the laws, which use more of it")]
mod folding;
#[path = "../laws/generated.rs"]
mod generated;

use folding::{Folded, identity_holds};
use generated::{Story, story};
use postbook_projections::{
    Book, BookError, Changes, derivation::Derivation, exact::Product, rows::Posting,
};
use postbook_schemas::{
    Envelope, Fact, FactId, Month, decision::PeriodClosed, derivation::DerivationAdopted,
};
use proptest::prelude::*;

/// A second version that gives twice as much: a change that nobody overlooks.
static TWO: &[Derivation] = &[
    Derivation::KNOWN[0],
    Derivation {
        version: 2,
        about: "gives twice as much",
        round: twice,
    },
];

fn twice(product: &Product) -> Option<i64> {
    product.rounded()?.checked_mul(2)
}

fn fold(facts: &[Envelope]) -> Folded {
    let (mut folded, mut book) = (Folded::default(), Book::with_derivations(TWO));
    for (position, envelope) in (1..).zip(facts) {
        folded.apply(&mut book, position, envelope, facts);
    }
    folded
}

/// After all others.
const LAST: usize = usize::MAX;

/// A fact like the one before its place, which says something else.
fn insert(facts: &mut Vec<Envelope>, place: usize, id: u128, fact: Fact) {
    let place = place.min(facts.len());
    let like = facts[place.saturating_sub(1)].clone();
    let id = FactId::from_u128(id);
    facts.insert(place, Envelope { id, fact, ..like });
}

fn adopted(version: u32) -> Fact {
    let reason = "r".to_owned();
    Fact::DerivationAdopted(DerivationAdopted { version, reason })
}

fn with_adoption(story: &Story, place: usize) -> Vec<Envelope> {
    let mut facts = story.facts.clone();
    insert(&mut facts, place, 0xd2, adopted(2));
    facts
}

fn of_month(postings: &[Posting], month: Month) -> Vec<&Posting> {
    let postings = postings.iter();
    postings
        .filter(|posting| posting.period.month == month)
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_version_that_nobody_adopted_changes_nothing(story in story()) {
        let (known, unknown) = (fold(&story.facts), folding::fold(&story.facts));
        prop_assert_eq!(known.conversions, unknown.conversions);
        prop_assert_eq!(known.postings, unknown.postings);
    }

    #[test]
    fn what_was_posted_before_an_adoption_stays_and_what_is_owed_after_is_the_new_versions(
        story in story(),
        place in 0_usize..60,
    ) {
        let before = fold(&story.facts);
        let facts = with_adoption(&story, place);
        let after = fold(&facts);
        let at = facts.iter().position(|fact| matches!(fact.fact, Fact::DerivationAdopted(_)));
        let at = u64::try_from(at.expect("it is there") + 1).expect("few facts");
        let earlier = |folded: &Folded| -> Vec<Posting> {
            let postings = folded.postings.iter().filter(|posting| posting.cause < at);
            postings.cloned().collect()
        };
        prop_assert_eq!(earlier(&after), earlier(&before));
        // As if the version had been in force from the first fact on.
        let from_the_start = fold(&with_adoption(&story, 0));
        prop_assert_eq!(&after.conversions, &from_the_start.conversions);
        prop_assert_eq!(after.trial_balance(), 0);
        prop_assert!(identity_holds(&after.balances()));
    }

    #[test]
    fn an_adoption_may_come_at_any_place_among_the_facts(story in story(), seed in any::<u64>()) {
        let straight = Story { facts: with_adoption(&story, 30) };
        let shuffled = fold(&straight.shuffled_and_repeated(seed));
        let straight = fold(&straight.facts);
        prop_assert_eq!(&straight.conversions, &shuffled.conversions);
        prop_assert_eq!(straight.balances(), shuffled.balances());
    }

    #[test]
    fn a_closed_month_stays_and_its_differences_name_it(story in story()) {
        let january: Month = "2026-01".parse().expect("a month");
        let mut facts = story.facts.clone();
        let closed = PeriodClosed { period: january, reason: "r".to_owned() };
        insert(&mut facts, LAST, 0xc1, Fact::PeriodClosed(closed));
        let frozen = fold(&facts);
        insert(&mut facts, LAST, 0xd2, adopted(2));
        let after = fold(&facts);
        prop_assert_eq!(of_month(&after.postings, january), of_month(&frozen.postings, january));
        let added = &after.postings[frozen.postings.len()..];
        for posting in added {
            prop_assert!(posting.period.month > january);
            prop_assert!(posting.period.corrects.is_none_or(|month| month <= january));
        }
    }

    #[test]
    fn going_back_to_the_version_before_undoes_it(story in story()) {
        let mut facts = story.facts.clone();
        let before = fold(&facts);
        insert(&mut facts, LAST, 0xd2, adopted(2));
        insert(&mut facts, LAST, 0xd3, adopted(1));
        let after = fold(&facts);
        prop_assert_eq!(&after.conversions, &before.conversions);
        prop_assert_eq!(after.trial_balance(), 0);
    }
}

#[test]
fn a_version_that_this_program_does_not_know_stops_the_fold() {
    use proptest::{strategy::ValueTree, test_runner::TestRunner};
    let story = story().new_tree(&mut TestRunner::deterministic());
    let mut facts = story.expect("stories are made").current().facts;
    insert(&mut facts, 0, 0xd3, adopted(3));
    let refused = Book::with_derivations(TWO).apply(1, &facts[0], &mut Changes::default());
    let BookError { position, what, .. } = refused.expect_err("it knows two");
    assert_eq!(position, 1);
    assert!(what.contains("version 3 of the derivation"), "{what}");
}

/// Guards the laws against saying nothing: most stories must earn something that is then twice as
/// much.
#[test]
fn the_second_version_differs() {
    use proptest::{strategy::ValueTree, test_runner::TestRunner};
    let mut runner = TestRunner::deterministic();
    let differs = |story: Story| {
        fold(&story.facts).postings.len() != fold(&with_adoption(&story, LAST)).postings.len()
    };
    let stories = (0..40).map(|_| story().new_tree(&mut runner).expect("stories are made"));
    let count = stories.filter(|tree| differs(tree.current())).count();
    assert!(count > 20, "{count} of 40");
}
