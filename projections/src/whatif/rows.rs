//! The rows of a what-if: each line that would change, before and after.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use postbook_schemas::{Currency, Envelope, FactId, Instant, Kind, Month, OfferRef, Slug};
use serde::{Deserialize, Serialize};

use super::{Before, reasons::reasons};
use crate::{
    Book, Changes,
    conversion::Conversion,
    posted::{Owed, PostedLine},
    rows::{Account, CarryoverRow, Posting, PostingKind},
};

/// What kind of line a row is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LineKind {
    /// What a rule gives a partner.
    Earning,
    /// What ends a partner's month below zero.
    Carryover,
    /// What the advertiser owes.
    Receivable,
    /// Only who is credited changes.
    Attribution,
}

impl LineKind {
    /// The word used in answers.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Earning => "earning",
            Self::Carryover => "carryover",
            Self::Receivable => "receivable",
            Self::Attribution => "attribution",
        }
    }
}

/// Why a line would change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The conversion is one that a corrected mapping would bring.
    New,
    /// Somebody else is credited.
    Attribution,
    /// Other terms price it.
    Terms,
    /// Another exchange rate.
    Rate,
    /// Another version of the derivation.
    Derivation,
    /// What others in its tiers, cap or advance do, or the partner below.
    Others,
    /// The lines of the month differ.
    Month,
}

impl Reason {
    /// The word used in answers.
    pub const fn code(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Attribution => "attribution",
            Self::Terms => "terms",
            Self::Rate => "rate",
            Self::Derivation => "derivation",
            Self::Others => "others",
            Self::Month => "month",
        }
    }
}

/// The version of the terms that price a line, if any do.
pub(super) type Version = Option<Arc<str>>;

/// One line that would change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// Where the conversion was reported; absent of months and of conversions that are not there yet.
    pub position: Option<u64>,
    /// The conversion; of one that is not there yet the attempt that would become it.
    pub conversion_id: Option<FactId>,
    /// Its offer.
    pub offer: Option<OfferRef>,
    /// Its kind.
    pub kind: Option<Kind>,
    /// The advertiser's transaction.
    pub txn_id: Option<String>,
    /// When it takes effect.
    pub effective_at: Instant,
    /// What kind of line.
    pub line: LineKind,
    /// Whose line.
    pub partner: Option<Slug>,
    /// The rule.
    pub rule: Option<Arc<str>>,
    /// The currency.
    pub currency: Currency,
    /// What is posted for it now.
    pub old_minor: i64,
    /// What would be.
    pub new_minor: i64,
    /// What would be posted.
    pub difference_minor: i64,
    /// How it would be called: `earning`, `reversal`, `clawback`, …
    pub posting: Option<PostingKind>,
    /// The payout that had carried what is clawed back.
    pub payout_id: Option<FactId>,
    /// The month it belongs to.
    pub period: Month,
    /// The month in whose books it would be posted: the first open one if its own is closed.
    pub posted_in: Month,
    /// Why.
    pub reasons: BTreeSet<Reason>,
    /// Who is credited now, and who would be, if that differs.
    pub credited: Option<(Option<Slug>, Option<Slug>)>,
    /// The version of the terms now, and what it would be, if that differs.
    pub terms: Option<(Version, Version)>,
}

impl Row {
    /// Whether its month is closed: it would be corrected in an open one.
    pub fn is_closed(&self) -> bool {
        self.period != self.posted_in
    }
}

/// What tells one line from another: of a month, also when it ends.
type Key = (
    Option<FactId>,
    LineKind,
    Slug,
    Option<Arc<str>>,
    Currency,
    Option<Instant>,
);

/// The rows, in the order of the conversions in the log; `None` if a sum does not fit.
pub(super) fn rows(
    before: &[Before],
    book: &Book,
    changes: &Changes,
    facts: &[Envelope],
) -> Option<Vec<Row>> {
    let mut lines = BTreeMap::<Key, Vec<&Posting>>::new();
    for posting in &changes.postings {
        lines.entry(key(posting)).or_default().push(posting);
    }
    let conversions: BTreeMap<FactId, (Option<&Before>, &Conversion)> = book
        .conversions()
        .enumerate()
        .map(|(number, conversion)| (conversion.id(), (before.get(number), conversion)))
        .collect();
    let mut rows = Vec::with_capacity(lines.len());
    let mut told = BTreeSet::new();
    for (key, postings) in &lines {
        told.extend(key.0);
        let found = key.0.and_then(|id| conversions.get(&id).copied());
        rows.push(row(key, postings, found, changes, facts)?);
    }
    for id in changes
        .conversions
        .iter()
        .map(|row| row.id)
        .collect::<BTreeSet<_>>()
    {
        if let Some((Some(before), after)) = conversions.get(&id)
            && !told.contains(&id)
            && before.attribution.partner != after.attribution.partner
        {
            rows.push(attribution_row(book, before, after));
        }
    }
    rows.sort_by(|a, b| {
        let place = |row: &Row| (row.position.unwrap_or(u64::MAX), row.effective_at);
        let line = |row: &Row| {
            (
                row.conversion_id,
                row.line,
                row.partner.clone(),
                row.rule.clone(),
            )
        };
        place(a).cmp(&place(b)).then_with(|| line(a).cmp(&line(b)))
    });
    Some(rows)
}

fn key(posting: &Posting) -> Key {
    let line = match posting.kind {
        PostingKind::Receivable => LineKind::Receivable,
        PostingKind::Carryover => LineKind::Carryover,
        PostingKind::Earning
        | PostingKind::Approval
        | PostingKind::Reversal
        | PostingKind::Clawback
        | PostingKind::Restoration
        | PostingKind::Payout
        | PostingKind::PayoutReturned
        | PostingKind::Adjustment
        | PostingKind::WriteOff
        | PostingKind::Reclassification => LineKind::Earning,
    };
    let month_end = (line == LineKind::Carryover).then_some(posting.effective_at);
    (
        posting.conversion_id,
        line,
        posting.partner.clone(),
        posting.rule.clone(),
        posting.currency,
        month_end,
    )
}

/// What a posting adds to what is owed on its line.
fn owed_minor(posting: &Posting) -> Option<i64> {
    posting
        .entries
        .iter()
        .try_fold(0_i64, |sum, entry| match &entry.account {
            Account::Pending(_) | Account::Approved(_) => sum.checked_sub(entry.amount_minor),
            Account::Receivable(_) => sum.checked_add(entry.amount_minor),
            Account::Commission(_)
            | Account::PayoutClearing
            | Account::WriteOff
            | Account::Adjustment
            | Account::CarryoverReset
            | Account::Income(_) => Some(sum),
        })
}

fn row(
    key: &Key,
    postings: &[&Posting],
    found: Option<(Option<&Before>, &Conversion)>,
    changes: &Changes,
    facts: &[Envelope],
) -> Option<Row> {
    let (conversion_id, line, partner, rule, currency, _) = key;
    let first = postings.first()?;
    let difference_minor = postings
        .iter()
        .try_fold(0_i64, |sum, posting| sum.checked_add(owed_minor(posting)?))?;
    let of_line = |lines: &[PostedLine]| {
        let owed = match line {
            LineKind::Receivable => Owed::ByAdvertiser,
            LineKind::Earning | LineKind::Carryover | LineKind::Attribution => Owed::ToPartner,
        };
        let mut same = lines.iter().filter(|it| {
            it.owed == owed
                && it.partner == *partner
                && it.currency == *currency
                && Some(&*it.rule) == rule.as_deref()
        });
        same.next().cloned()
    };
    let old = found.and_then(|(before, _)| of_line(&before?.posted));
    let new = found.and_then(|(_, after)| of_line(&after.posted));
    let new_minor = if *line == LineKind::Carryover {
        let ends_at = first.effective_at;
        let is_it = |end: &&CarryoverRow| {
            end.partner == *partner && end.currency == *currency && end.ends_at == ends_at
        };
        // Fences of several offers may end here; of each the last row counts.
        let ends = changes.carryovers.iter().filter(is_it);
        let last: BTreeMap<FactId, i64> = ends.map(|end| (end.id, end.amount_minor)).collect();
        last.values()
            .try_fold(0_i64, |sum, minor| sum.checked_add(*minor))?
    } else {
        // What an advertiser owes is posted once it is approved.
        let old = old.as_ref().map_or(0, |line| line.amount_minor);
        if *line == LineKind::Receivable {
            old.checked_add(difference_minor)?
        } else {
            new.as_ref().map_or(0, |line| line.amount_minor)
        }
    };
    let credited = found.and_then(|(before, after)| {
        let (old, new) = (
            before?.attribution.partner.clone(),
            after.attribution.partner.clone(),
        );
        (old != new).then_some((old, new))
    });
    let version = |line: &Option<PostedLine>| line.as_ref().map(|it| Arc::clone(&it.terms_version));
    let terms = (version(&old), version(&new));
    Some(Row {
        position: found.and_then(|(before, after)| before.map(|_| after.position)),
        conversion_id: *conversion_id,
        offer: found.map(|(_, after)| after.offer.clone()),
        kind: found.map(|(_, after)| after.kind.clone()),
        txn_id: found.and_then(|(_, after)| after.references.txn_id.as_deref().map(str::to_owned)),
        effective_at: first.effective_at,
        line: *line,
        partner: Some(partner.clone()),
        rule: rule.clone(),
        currency: *currency,
        old_minor: new_minor.checked_sub(difference_minor)?,
        new_minor,
        difference_minor,
        posting: Some(first.kind),
        payout_id: first.payout_id,
        period: first.period.corrects.unwrap_or(first.period.month),
        posted_in: first.period.month,
        reasons: reasons(found, (old.as_ref(), new.as_ref()), *line, facts),
        credited,
        terms: (terms.0 != terms.1).then_some(terms),
    })
}

fn attribution_row(book: &Book, before: &Before, after: &Conversion) -> Row {
    let credited = (
        before.attribution.partner.clone(),
        after.attribution.partner.clone(),
    );
    let period = Month::of(after.occurred_at());
    let either = credited.1.clone().or_else(|| credited.0.clone());
    Row {
        position: Some(after.position),
        conversion_id: Some(after.id()),
        offer: Some(after.offer.clone()),
        kind: Some(after.kind.clone()),
        txn_id: after.references.txn_id.as_deref().map(str::to_owned),
        effective_at: after.occurred_at(),
        line: LineKind::Attribution,
        partner: either,
        rule: None,
        currency: after.currency,
        old_minor: 0,
        new_minor: 0,
        difference_minor: 0,
        posting: None,
        payout_id: None,
        period,
        posted_in: book.open_month(period),
        reasons: BTreeSet::from([Reason::Attribution]),
        credited: Some(credited),
        terms: None,
    }
}
