//! The laws of the book, over generated programmes and streams of facts.

mod desk;
mod extremes;
mod flood;
mod folding;
mod generated;
mod whatif;

use desk::orders;
use folding::{Folded, fold, identity_holds};
use generated::{Story, story};
use std::collections::BTreeMap;

use postbook_projections::{
    Book,
    posted::Cause,
    rows::{Account, Memo, Posting, PostingKind},
};
use postbook_schemas::{
    AMOUNT_MINOR_MAX, Currency, Envelope, Fact, FactId, Instant, Month, Slug,
    decision::PeriodClosed,
};
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

    /// SPEC 8, 9: no payout is above what is payable, nothing is paid twice, what comes back is
    /// payable again; and what is due line by line is what the ledger says anybody has coming.
    #[test]
    fn what_is_paid_was_payable_and_lines_and_ledger_agree(story in story(), orders in orders()) {
        let told = desk::tell(&story, &orders);
        let balances = told.folded.balances();
        prop_assert!(identity_holds(&balances));
        let nothing = (0, 0, Memo::default());
        for partner in 0..4 {
            let partner = Slug::try_new(&format!("p{partner}")).expect("a slug");
            for currency in [Currency::USD, Currency::EUR] {
                let due = told.due(&partner, currency).into_iter();
                let due: i64 = due.map(|line| line.amount_minor).sum();
                let key = (partner.clone(), currency);
                let (pending, approved, _) = balances.get(&key).unwrap_or(&nothing);
                prop_assert_eq!(
                    due + told.written_off(&partner, currency),
                    pending + approved,
                    "{:?}: {:#?}", key, told.due(&partner, currency)
                );
            }
        }
    }

    /// SPEC 6: overflow is an error, not a wrap, and never a panic. Only facts that move an amount
    /// which no amount may be are refused, by name, and the book goes on as if they were not there.
    #[test]
    fn extreme_amounts_are_refused_or_out_of_range(story in story(), seed in any::<u64>()) {
        let facts = extremes::inflated(&story, seed);
        let (mut folded, mut book) = (Folded::default(), Book::new());
        let mut kept = Vec::new();
        for (position, envelope) in (1..).zip(&facts) {
            match folded.try_apply(&mut book, position, envelope, &facts) {
                Ok(()) => kept.push(envelope.clone()),
                Err(error) => prop_assert!(error.what.contains("is out of range"), "{}", error),
            }
        }
        prop_assert_eq!(folded.trial_balance(), 0);
        prop_assert!(identity_holds(&folded.balances()));
        for line in folded.conversions.values().flat_map(|row| &row.earnings) {
            prop_assert!(line.amount_minor.unsigned_abs() <= AMOUNT_MINOR_MAX.unsigned_abs());
        }
        let cause = Cause { position: 1, recorded_at: Instant::EPOCH, happened_at: None };
        prop_assert_eq!(book.clone().rederive(&cause).expect("it fits").postings, vec![]);
        let shuffled = Story { facts: kept }.shuffled_and_repeated(seed);
        let shuffled = fold(&shuffled);
        prop_assert_eq!(&folded.conversions, &shuffled.conversions);
        prop_assert_eq!(folded.balances(), shuffled.balances());
    }

    /// SPEC 9: a closed month stays as it was. What takes effect in it later stands in an open one
    /// and names it; nothing is lost, and what anybody has coming is what it would be without.
    #[test]
    fn a_closed_month_gets_no_more_postings(story in story(), first in 0_usize..60, then in 0_usize..60) {
        let (facts, january, february) = with_closes(&story, first, then);
        let (mut folded, mut book) = (Folded::default(), Book::new());
        let mut frozen = Vec::new();
        let mut told = Vec::new();
        let mut closed_through = None;
        for (position, envelope) in (1..).zip(&facts) {
            let before = folded.postings.len();
            folded.apply(&mut book, position, envelope, &facts);
            for posting in &folded.postings[before..] {
                prop_assert!(is_in_its_month(posting, &folded, closed_through), "{:?}", posting);
            }
            if let Fact::PeriodClosed(closed) = &envelope.fact {
                closed_through = closed_through.max(Some(closed.period));
                frozen.push((closed.period, of_month(&folded, closed.period)));
                told.push(owed(&folded, |month| month <= closed.period));
            }
        }
        prop_assert_eq!(frozen.iter().map(|(month, _)| *month).collect::<Vec<_>>(), [january, february]);
        for (month, postings) in frozen {
            prop_assert_eq!(of_month(&folded, month), postings, "{}", month);
        }
        prop_assert_eq!(folded.balances(), fold(&story.facts).balances());
        // What a statement closes with, and what moves in the months after, is the next closing.
        let last = |month| month <= january;
        prop_assert_eq!(&told[0], &owed(&folded, last), "what was told stands");
        prop_assert_eq!(&told[1], &owed(&folded, |month| month <= february));
        let mut chained = told[0].clone();
        for (key, moved) in owed(&folded, |month| january < month && month <= february) {
            *chained.entry(key).or_default() += moved;
        }
        chained.retain(|_, sum| *sum != 0);
        prop_assert_eq!(&chained, &told[1]);
    }
}

/// Whether a posting stands in the first open month from that of its effect on, and names the closed month
/// that it corrects: that of its effect, else that of its conversion.
fn is_in_its_month(posting: &Posting, folded: &Folded, closed_through: Option<Month>) -> bool {
    // In the time zone of the terms; that of no terms is UTC.
    let months = |at: Instant| {
        let there = at.to_chrono().with_timezone(&chrono_tz::America::New_York);
        [Month::of(at), Month::of_date(&there)]
    };
    let is_closed = |month: &Month| Some(*month) <= closed_through;
    let effect = months(posting.effective_at);
    let conversion = posting
        .conversion_id
        .and_then(|id| folded.conversions.get(&id));
    let earned = conversion.map(|row| months(row.occurred_at));
    let changes_earnings = !matches!(
        posting.kind,
        PostingKind::WriteOff | PostingKind::Reclassification | PostingKind::Carryover
    );
    match posting.period.corrects {
        None => {
            effect.contains(&posting.period.month)
                && !is_closed(&posting.period.month)
                && !(changes_earnings && earned.is_some_and(|it| it.iter().all(is_closed)))
        }
        Some(month) => {
            let is_its = effect.contains(&month) || earned.is_some_and(|it| it.contains(&month));
            is_closed(&month)
                && !is_closed(&posting.period.month)
                && (is_its || posting.kind == PostingKind::Carryover)
        }
    }
}

/// What partners have coming by the postings of some months.
fn owed(folded: &Folded, wanted: impl Fn(Month) -> bool) -> BTreeMap<(Slug, Currency), i64> {
    let mut owed = BTreeMap::new();
    for posting in folded.postings.iter().filter(|it| wanted(it.period.month)) {
        for entry in &posting.entries {
            if matches!(entry.account, Account::Pending(_) | Account::Approved(_)) {
                let key = (posting.partner.clone(), posting.currency);
                *owed.entry(key).or_default() -= entry.amount_minor;
            }
        }
    }
    owed.retain(|_, sum| *sum != 0);
    owed
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
    let mut seen = BTreeMap::<&str, u32>::new();
    for _ in 0..300 {
        let story: Story = story()
            .new_tree(&mut runner)
            .expect("stories are made")
            .current();
        let asked = orders()
            .new_tree(&mut runner)
            .expect("orders are made")
            .current();
        count(&fold(&story.facts), &mut seen);
        let told = desk::tell(&story, &asked);
        count(&told.folded, &mut seen);
        *seen.entry("paid").or_default() += u32::try_from(told.paid).expect("few");
    }
    for wanted in [
        "earning",
        "approval",
        "reversal",
        "clawback",
        "restoration",
        "payout",
        "payout_returned",
        "write_off",
        "paid",
        "recovered",
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
            seen.get(wanted).is_some_and(|&times| times >= 5),
            "hardly a story reached `{wanted}`: {seen:?}"
        );
    }
}

/// Counts what there is in a book, by its words.
fn count(folded: &Folded, seen: &mut BTreeMap<&'static str, u32>) {
    let mut one = |word| *seen.entry(word).or_default() += 1;
    for posting in &folded.postings {
        one(posting.kind.code());
        if posting.memo.recovered_minor > 0 {
            one("recovered");
        }
    }
    for row in folded.conversions.values() {
        for line in &row.earnings {
            if line.rule.as_deref() == Some("above") && line.amount_minor != 0 {
                one("override");
            }
            one(line.reason.map_or("earns", |reason| reason.code()));
        }
        one(row.status.code());
    }
}
