//! What definitions would change of what is posted already, in figures.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use postbook_schemas::{Currency, Envelope, FactId, Slug};

use super::{LineKind, Reason, Row, compare};
use crate::{Book, BookError};

/// What definitions would change of what is posted already.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// How many lines.
    pub lines: u64,
    /// How many of these belong to closed months.
    pub closed_lines: u64,
    /// How many of these a payout has carried.
    pub carried_lines: u64,
    /// The differences that would be posted for partners, by currency.
    pub differences: BTreeMap<Currency, i128>,
}

/// What tells one line that a payout carried from another.
type Carried = (FactId, Arc<str>, Slug, Currency);

/// What folding these facts after position `head` would change in a book, or in an
/// [excerpt](Book::excerpt) of it.
///
/// A line that had no exchange rate until now, and gets its first amount, is not one that changes.
///
/// # Errors
/// A sum leaves 64 bits.
pub fn reach(book: Book, head: u64, facts: &[Envelope]) -> Result<Reach, BookError> {
    let carried = carried(&book);
    let rows = compare(book, head, facts)?;
    let mut reach = Reach::default();
    for row in rows.iter().filter(|row| !is_first_amount(row)) {
        reach.add(row, &carried);
    }
    Ok(reach)
}

impl Reach {
    /// Whether nothing that is posted would change.
    pub fn is_nothing(&self) -> bool {
        self.lines == 0
    }

    /// Whether closed months or payouts have told of any of the lines.
    pub fn is_of_settled(&self) -> bool {
        self.closed_lines > 0 || self.carried_lines > 0
    }

    fn add(&mut self, row: &Row, carried: &BTreeSet<Carried>) {
        let line = row.conversion_id.zip(row.rule.clone());
        let line = line.zip(row.partner.clone());
        let is_carried = line.is_some_and(|((id, rule), partner)| {
            carried.contains(&(id, rule, partner, row.currency))
        });
        self.lines = self.lines.saturating_add(1);
        self.closed_lines = self.closed_lines.saturating_add(row.is_closed().into());
        self.carried_lines = self.carried_lines.saturating_add(is_carried.into());
        if matches!(row.line, LineKind::Earning | LineKind::Carryover) {
            let sum = self.differences.entry(row.currency).or_default();
            *sum = sum.saturating_add(row.difference_minor.into());
        }
    }
}

fn is_first_amount(row: &Row) -> bool {
    row.old_minor == 0 && row.reasons == BTreeSet::from([Reason::Rate])
}

fn carried(book: &Book) -> BTreeSet<Carried> {
    let mut carried = BTreeSet::new();
    for conversion in book.conversions() {
        for line in conversion.posted.iter().filter(|it| it.payout_id.is_some()) {
            let (rule, partner) = (Arc::clone(&line.rule), line.partner.clone());
            carried.insert((conversion.id(), rule, partner, line.currency));
        }
    }
    carried
}
