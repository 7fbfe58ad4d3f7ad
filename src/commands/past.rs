//! How things were: terms and conversions as of one time, as known at another.
//!
//! Terms are read from their facts. A conversion's credit, status and refunds are folded again from the
//! facts that concern it and were recorded by then; what it earns is the sum of what was posted by then.

use std::collections::{BTreeMap, BTreeSet};

use postbook_projections::{
    Book, Changes,
    rows::{Account, ConversionRow, EarningLine, LineState, Posting},
};
use postbook_schemas::{
    Envelope, Fact, FactId, FactType, Instant, OfferRef, Slug, configuration::TermsPublished,
    envelope::Recorded, terms::PartnerScope,
};

use super::{
    explain::Sources,
    record::{self, CommandError},
};
use crate::{
    projector::Projector,
    store::{Filter, LogStore},
    tables::query::{
        Slice, balances::AsOf, conversions::ConversionFilter, postings::PostingFilter,
    },
};

/// How much of the log is read at a time.
const PAGE_BYTES: usize = 1 << 20;

/// The facts that say how things are, whatever they concern.
const DEFINITIONS: &[FactType] = &[
    FactType::OfferDefined,
    FactType::PartnerDefined,
    FactType::CouponDefined,
    FactType::TermsPublished,
    FactType::FxRateRecorded,
    FactType::WhatifAdopted,
    FactType::DerivationAdopted,
];

const ALL: Slice = Slice {
    after: 0,
    limit: u32::MAX,
};

/// Terms, with where and when they were published.
#[derive(Clone, Debug)]
pub struct Published {
    /// Where.
    pub position: u64,
    /// When it became known.
    pub recorded_at: Instant,
    /// By whom.
    pub actor: String,
    /// Why, if that was said.
    pub reason: Option<String>,
    /// The terms.
    pub published: TermsPublished,
}

/// The terms that price conversions of a time, as known at another: for each offer and scope the newest
/// effective version. Of one partner both its own and those for all.
///
/// # Errors
/// The log cannot be read.
pub async fn terms(
    store: &dyn LogStore,
    offer: Option<&OfferRef>,
    partner: Option<&Slug>,
    as_of: AsOf,
) -> Result<Vec<Published>, CommandError> {
    let mut held = BTreeMap::new();
    let facts = read(
        store,
        Filter::only(&[FactType::TermsPublished]),
        as_of.known,
    )
    .await?;
    for Recorded { position, envelope } in facts {
        let Fact::TermsPublished(published) = envelope.fact else {
            continue;
        };
        let terms = &published.terms;
        let is_asked = offer.is_none_or(|offer| *offer == terms.offer)
            && match (&terms.partner, partner) {
                (_, None) | (PartnerScope::All, _) => true,
                (PartnerScope::One(one), Some(asked)) => one == asked,
            };
        if !is_asked || terms.effective_from > as_of.effective {
            continue;
        }
        let key = (terms.offer.clone(), terms.partner.clone());
        let stamp = (terms.effective_from, envelope.occurred_at, envelope.id);
        let is_newer = held.get(&key).is_none_or(|(known, _)| *known < stamp);
        if is_newer {
            let found = Published {
                position,
                recorded_at: envelope.recorded_at,
                actor: envelope.actor,
                reason: envelope.reason,
                published,
            };
            held.insert(key, (stamp, found));
        }
    }
    Ok(held.into_values().map(|(_, found)| found).collect())
}

async fn read(
    store: &dyn LogStore,
    filter: Filter,
    known: Instant,
) -> Result<Vec<Recorded>, CommandError> {
    let (mut from, head) = (1, store.head());
    let mut facts = Vec::new();
    while from <= head {
        let page = store.read(from, head, filter, PAGE_BYTES).await?;
        for (position, line) in page.lines() {
            let envelope = Envelope::decode(line)
                .map_err(|source| CommandError::Unreadable { position, source })?;
            // Recorded in order: nothing after this was known.
            if envelope.recorded_at > known {
                return Ok(facts);
            }
            facts.push(Recorded { position, envelope });
        }
        from = if page.ends.is_empty() {
            head + 1
        } else {
            page.next.max(from + 1)
        };
    }
    Ok(facts)
}

/// A conversion as of one time, as known at another; `None` if it was not known or had not happened.
///
/// # Errors
/// The log or the read models cannot be read.
pub async fn conversion(
    sources: Sources<'_>,
    projector: &Projector,
    row: &ConversionRow,
    as_of: AsOf,
) -> Result<Option<ConversionRow>, CommandError> {
    let rows = std::slice::from_ref(row);
    Ok(conversions(sources, projector, rows, as_of).await?.pop())
}

/// Conversions as of one time, as known at another, in the same order, without those that were not known
/// or had not happened.
///
/// # Errors
/// The log or the read models cannot be read.
pub async fn conversions(
    sources: Sources<'_>,
    projector: &Projector,
    rows: &[ConversionRow],
    as_of: AsOf,
) -> Result<Vec<ConversionRow>, CommandError> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let definitions = read(sources.store, Filter::only(DEFINITIONS), as_of.known).await?;
    let mut facts: BTreeMap<u64, Envelope> = BTreeMap::new();
    facts.extend(definitions.into_iter().map(|it| (it.position, it.envelope)));
    let mut positions = BTreeSet::new();
    for row in rows {
        positions.extend(concerning(sources, row).await?);
    }
    for position in positions {
        let Recorded { envelope, .. } = record::read_from(sources.store, position).await?;
        if envelope.recorded_at <= as_of.known && envelope.occurred_at <= as_of.effective {
            facts.insert(position, envelope);
        }
    }
    let mut folded = fold(projector, &facts).await?;
    let mut found = Vec::new();
    for row in rows {
        let Some(mut then) = folded.remove(&row.id) else {
            continue;
        };
        let filter = PostingFilter {
            conversion_id: Some(row.id),
            ..PostingFilter::default()
        };
        let mut postings = sources.tables.postings(&filter, ALL).await?;
        postings.retain(|it| it.effective_at <= as_of.effective && it.recorded_at <= as_of.known);
        then.earnings = earnings(&then.earnings, &postings);
        found.push(then);
    }
    Ok(found)
}

/// The facts about the conversion and about others of its customer and click: they share bonds and
/// conditions.
async fn concerning(
    sources: Sources<'_>,
    row: &ConversionRow,
) -> Result<BTreeSet<u64>, CommandError> {
    let mut positions = sources.tables.timeline(row).await?;
    let by_customer = row.customer_id.as_ref().map(|id| ConversionFilter {
        customer_id: Some(id.clone()),
        ..ConversionFilter::default()
    });
    let by_click = row.click_id.as_ref().map(|id| ConversionFilter {
        click_id: Some(id.clone()),
        ..ConversionFilter::default()
    });
    for filter in by_customer.into_iter().chain(by_click) {
        let filter = ConversionFilter {
            offer: Some(row.offer.clone()),
            ..filter
        };
        for other in sources.tables.conversions(&filter, ALL).await? {
            positions.extend(sources.tables.timeline(&other).await?);
        }
    }
    Ok(positions)
}

/// Folds the facts in a book of their own; the rows of the conversions at the end.
async fn fold(
    projector: &Projector,
    facts: &BTreeMap<u64, Envelope>,
) -> Result<BTreeMap<FactId, ConversionRow>, CommandError> {
    let mut book = Book::new();
    let mut then = BTreeMap::new();
    for (position, envelope) in facts {
        let failed = |what: String| {
            tracing::error!(what, "how conversions were cannot be folded");
            CommandError::Late
        };
        if let Some(id) = book.wanted_click(envelope).map(str::to_owned) {
            let click = projector.click(&id).await;
            let click = click.map_err(|error| failed(error.to_string()))?;
            if let Some(click) = click.filter(|click| click.position < *position) {
                book.see_click(click);
            }
        }
        let mut changes = Changes::default();
        book.apply(*position, envelope, &mut changes)
            .map_err(|error| failed(error.to_string()))?;
        for merged in &changes.merged {
            then.remove(merged);
        }
        then.extend(changes.conversions.into_iter().map(|row| (row.id, row)));
    }
    Ok(then)
}

/// What was posted, by line; what a line is called is as it was derived, where it was.
fn earnings(derived: &[EarningLine], postings: &[Posting]) -> Vec<EarningLine> {
    let mut lines = BTreeMap::new();
    for posting in postings {
        let key = (
            posting.partner.clone(),
            posting.rule.clone(),
            posting.currency,
        );
        let (pending, approved, memo, version, available_at) =
            lines.entry(key).or_insert((0, 0, [0; 4], None, None));
        for entry in &posting.entries {
            match entry.account {
                Account::Pending(_) => *pending -= entry.amount_minor,
                Account::Approved(_) => {
                    *approved -= entry.amount_minor;
                    *available_at = entry.available_at.or(*available_at);
                }
                _ => {}
            }
        }
        let of_posting = &posting.memo;
        for (sum, minor) in memo.iter_mut().zip([
            of_posting.earned_minor,
            of_posting.reversed_minor,
            of_posting.clawed_back_minor,
            of_posting.recovered_minor,
        ]) {
            *sum += minor;
        }
        *version = posting.terms_version.clone().or(version.take());
    }
    let posted = lines
        .into_iter()
        .filter_map(|((partner, rule, currency), sums)| {
            let (pending, approved, memo, terms_version, available_at) = sums;
            let amount_minor = pending + approved;
            let is_nothing = amount_minor == 0 && memo == [0; 4];
            (!is_nothing).then(|| EarningLine {
                rule,
                terms_version,
                partner: Some(partner),
                amount_minor,
                currency: Some(currency),
                state: match (amount_minor, pending) {
                    (0, _) => LineState::Zero,
                    (_, 0) => LineState::Approved,
                    _ => LineState::Pending,
                },
                reason: None,
                available_at: available_at.filter(|_| pending == 0 && amount_minor != 0),
                earned_minor: memo[0],
                reversed_minor: memo[1],
                clawed_back_minor: memo[2],
                recovered_minor: memo[3],
                written_off_minor: 0,
                carried_minor: 0,
                payout_id: None,
            })
        });
    let mut all: Vec<EarningLine> = posted.collect();
    give_up(&mut all, derived);
    let zeros = derived.iter().filter(|line| {
        let is_known = |it: &EarningLine| it.partner == line.partner && it.rule == line.rule;
        line.state == LineState::Zero && !all.iter().any(is_known)
    });
    let zeros: Vec<EarningLine> = zeros.cloned().collect();
    all.extend(zeros);
    all
}

/// A write-off is posted to the partner, not to the line: what is given up of it is as known now, and
/// never more than was owed then.
fn give_up(lines: &mut [EarningLine], derived: &[EarningLine]) {
    for line in lines {
        let is_it = |it: &&EarningLine| it.partner == line.partner && it.rule == line.rule;
        let known = derived.iter().find(is_it);
        let given_up = known.map_or(0, |it| it.written_off_minor);
        let owed = line.clawed_back_minor.saturating_sub(line.recovered_minor);
        line.written_off_minor = given_up.min(owed).max(0);
    }
}
