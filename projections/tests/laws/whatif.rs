//! Laws of what-ifs: what they say is what adopting posts, and neither depends on how much of the book
//! they look at.

use std::{collections::BTreeMap, sync::Arc};

use postbook_projections::{
    Book,
    posted::Cause,
    rows::{Account, Posting, PostingKind},
    whatif::{LineKind, Row, compare},
};
use postbook_schemas::{
    Currency, Envelope, Exact, Fact, FactId, Instant, Slug, Source, whatif::WhatifAdopted,
};
use proptest::prelude::*;

use super::{
    folding::{Folded, fold},
    generated::{Story, story},
    with_closes,
};

/// Changes of the rules: definitions of another story, the terms among them bent at random.
fn drafts() -> impl Strategy<Value = Vec<Fact>> {
    let bends = proptest::collection::vec((0_u8..9, any::<u8>()), 0..4);
    (story(), bends, any::<u8>(), 1_usize..4).prop_map(|(story, bends, skip, count)| {
        let mut drafts: Vec<Fact> = definitions(&story);
        let skipped = usize::from(skip) % drafts.len();
        drafts.rotate_left(skipped);
        drafts.truncate(count);
        for fact in &mut drafts {
            for &(how, by) in &bends {
                bend(fact, how, by);
            }
        }
        drafts
    })
}

fn definitions(story: &Story) -> Vec<Fact> {
    let facts = story.facts.iter().map(|envelope| envelope.fact.clone());
    let wanted = facts.filter(|fact| {
        matches!(
            fact,
            Fact::TermsPublished(_)
                | Fact::CouponDefined(_)
                | Fact::FxRateRecorded(_)
                | Fact::OfferDefined(_)
        )
    });
    wanted.collect()
}

fn bend(fact: &mut Fact, how: u8, by: u8) {
    let Fact::TermsPublished(published) = fact else {
        return;
    };
    let terms = &mut published.terms;
    let place = usize::from(by) % terms.rules.len().max(1);
    match (how, terms.rules.get_mut(place)) {
        (0, Some(_)) => drop(terms.rules.remove(place)),
        (1, Some(rule)) => rule.cap = None,
        (2, Some(rule)) => rule.tiers = None,
        (3, Some(rule)) if rule.cpa.is_some() => {
            rule.cpa = Some(Exact::parse(&format!("{by}.25")).expect("a number"));
        }
        (4, Some(rule)) => rule.hold_days = Some(u32::from(by % 40)),
        (5, Some(rule)) => rule.clawback_days = Some(u32::from(by % 20)),
        (6, Some(rule)) => rule.when = None,
        (7, _) => {
            let day = 86_400_000_000 * i64::from(by % 40);
            let at = terms.effective_from.plus_micros(day);
            terms.effective_from = at;
        }
        _ => terms.rules.rotate_left(place),
    }
    published.version = format!("{}-{how}-{by}", published.version);
}

/// What adopting appends: the adoption and its definitions, after all others.
fn adopted(facts: &[Envelope], drafts: &[Fact]) -> Vec<Envelope> {
    let id =
        |place: usize| FactId::from_u128(0x01ff_0000_0000_7000_8000_0000_0000_0000 + place as u128);
    let last = facts.last().map_or(Instant::EPOCH, |fact| fact.recorded_at);
    let envelope = |place: usize, fact: Fact| Envelope {
        id: id(place),
        occurred_at: last.plus_days(90),
        recorded_at: last.plus_days(90),
        actor: "test".to_owned(),
        source: Source::default(),
        reason: None,
        fact,
    };
    let adoption = Fact::WhatifAdopted(WhatifAdopted {
        hash: "00".to_owned(),
        at_position: 0,
        proposed_by: "test".to_owned(),
        proposed_at: last,
        reason: "r".to_owned(),
        facts: (1..=drafts.len()).map(id).collect(),
    });
    let definitions = drafts.iter().cloned();
    std::iter::once(adoption)
        .chain(definitions)
        .enumerate()
        .map(|(place, fact)| envelope(place, fact))
        .collect()
}

fn book_of(facts: &[Envelope]) -> (Folded, Book) {
    let (mut folded, mut book) = (Folded::default(), Book::new());
    for (position, envelope) in (1..).zip(facts) {
        folded.apply(&mut book, position, envelope, facts);
    }
    (folded, book)
}

type Lines = BTreeMap<(Option<FactId>, LineKind, Slug, Option<Arc<str>>, Currency), i64>;

/// What is posted, by line.
fn by_line<'a>(postings: impl Iterator<Item = &'a Posting>) -> Lines {
    let mut lines = Lines::new();
    for posting in postings {
        let line = match posting.kind {
            PostingKind::Receivable => LineKind::Receivable,
            PostingKind::Carryover => LineKind::Carryover,
            _ => LineKind::Earning,
        };
        let owed = posting.entries.iter().map(|entry| match &entry.account {
            Account::Pending(_) | Account::Approved(_) => -entry.amount_minor,
            Account::Receivable(_) => entry.amount_minor,
            _ => 0,
        });
        let key = (
            posting.conversion_id,
            line,
            posting.partner.clone(),
            posting.rule.clone(),
            posting.currency,
        );
        *lines.entry(key).or_default() += owed.sum::<i64>();
    }
    lines.retain(|_, minor| *minor != 0);
    lines
}

fn differences(rows: &[Row]) -> Lines {
    let mut lines = Lines::new();
    for row in rows.iter().filter(|row| row.line != LineKind::Attribution) {
        let partner = row.partner.clone().expect("lines are somebody's");
        let key = (
            row.conversion_id,
            row.line,
            partner,
            row.rule.clone(),
            row.currency,
        );
        *lines.entry(key).or_default() += row.difference_minor;
    }
    lines.retain(|_, minor| *minor != 0);
    lines
}

proptest! {
    /// A what-if looks only at the offers that its drafts can touch, and says what one that derives
    /// in the whole book says; and that is what adopting it posts, to the cent and to the month.
    #[test]
    fn scoped_equals_full_equals_adopted(
        story in story(),
        drafts in drafts(),
        first in 0_usize..60,
        then in 0_usize..60,
    ) {
        let (facts, ..) = with_closes(&story, first, then);
        let (mut folded, mut book) = book_of(&facts);
        let head = facts.len() as u64;
        let adoption = adopted(&facts, &drafts);
        let touching: Vec<&Fact> = drafts.iter().collect();
        let scoped = compare(book.excerpt(&touching), head, &adoption).expect("small amounts");
        let full = compare(book.clone(), head, &adoption).expect("small amounts");
        prop_assert_eq!(&scoped, &full);

        let before = folded.postings.len();
        let all: Vec<Envelope> = facts.iter().chain(&adoption).cloned().collect();
        for (position, envelope) in (head + 1..).zip(&adoption) {
            folded.apply(&mut book, position, envelope, &all);
        }
        let posted = &folded.postings[before..];
        prop_assert_eq!(differences(&scoped), by_line(posted.iter()));
        for posting in posted {
            prop_assert_eq!(posting.cause, head + 1, "one cause: the adoption");
        }
        for row in scoped.iter().filter(|row| row.line == LineKind::Earning) {
            let of_row = |posting: &&Posting| {
                (posting.conversion_id, Some(&posting.partner), &posting.rule)
                    == (row.conversion_id, row.partner.as_ref(), &row.rule)
                    && posting.kind != PostingKind::Receivable
            };
            prop_assert!(posted.iter().filter(of_row).any(|it| it.period.month == row.posted_in));
            let conversion = row.conversion_id.and_then(|id| folded.conversions.get(&id));
            let lines = conversion.into_iter().flat_map(|conversion| &conversion.earnings);
            let mut amounts = lines
                .filter(|line| (&line.partner, &line.rule) == (&row.partner, &row.rule))
                .map(|line| line.amount_minor);
            prop_assert_eq!(amounts.next().unwrap_or(0), row.new_minor, "{:?}", row);
        }
        let cause = Cause { position: head, recorded_at: Instant::EPOCH, happened_at: None };
        let again = book.rederive(&cause).expect("small amounts");
        prop_assert_eq!(again.postings, vec![]);
    }

    /// Adopting and building again is building with the change from the beginning.
    #[test]
    fn adopt_then_rebuild_equals_rebuild_with_the_change(story in story(), drafts in drafts()) {
        let adoption = adopted(&story.facts, &drafts);
        let after: Vec<Envelope> = story.facts.iter().chain(&adoption).cloned().collect();
        let before: Vec<Envelope> = adoption.iter().chain(&story.facts).cloned().collect();
        let (after, before) = (fold(&after), fold(&before));
        prop_assert_eq!(&after.conversions, &before.conversions);
        prop_assert_eq!(after.balances(), before.balances());
    }

    /// An excerpt is in the state of its book: deriving everything in it again posts nothing.
    #[test]
    fn deriving_again_in_an_excerpt_posts_nothing(story in story(), drafts in drafts()) {
        let (_, book) = book_of(&story.facts);
        let touching: Vec<&Fact> = drafts.iter().collect();
        let cause = Cause { position: 0, recorded_at: Instant::EPOCH, happened_at: None };
        let mut excerpt = book.excerpt(&touching);
        prop_assert_eq!(excerpt.rederive(&cause).expect("small amounts").postings, vec![]);
    }
}

/// Guards the laws against saying nothing.
#[test]
fn the_drafts_change_what_the_laws_are_about() {
    use proptest::{strategy::ValueTree, test_runner::TestRunner};
    let mut runner = TestRunner::deterministic();
    let mut seen = BTreeMap::<String, u32>::new();
    for round in 0..600 {
        let mut story = || {
            story()
                .new_tree(&mut runner)
                .expect("stories are made")
                .current()
        };
        let story = story();
        let facts = if round % 2 == 0 {
            with_closes(&story, 20, 40).0
        } else {
            story.facts
        };
        let drafts = drafts()
            .new_tree(&mut runner)
            .expect("drafts are made")
            .current();
        let (_, book) = book_of(&facts);
        let touching: Vec<&Fact> = drafts.iter().collect();
        let adoption = adopted(&facts, &drafts);
        let head = facts.len() as u64;
        let rows = compare(book.excerpt(&touching), head, &adoption).expect("small amounts");
        for row in rows {
            *seen.entry(row.line.code().to_owned()).or_default() += 1;
            *seen
                .entry(format!("closed {}", row.is_closed()))
                .or_default() += 1;
            for reason in &row.reasons {
                *seen.entry(reason.code().to_owned()).or_default() += 1;
            }
            let posting = row.posting.map_or("none", PostingKind::code);
            *seen.entry(format!("posted as {posting}")).or_default() += 1;
        }
    }
    for wanted in [
        "earning",
        "carryover",
        "receivable",
        "closed true",
        "closed false",
        "attribution",
        "terms",
        "rate",
        "others",
        "month",
        "posted as earning",
        "posted as reversal",
        "posted as clawback",
    ] {
        assert!(
            seen.contains_key(wanted),
            "no draft reached `{wanted}`: {seen:?}"
        );
    }
}
