//! What-ifs: what definitions that nobody has made yet would change, to the cent.
//!
//! Nothing is estimated and there is no second derivation: a copy of the book folds the very facts that
//! adopting would append, and what it would post is the report.

mod reach;
mod reasons;
mod report;
mod rows;

pub use reach::{Reach, reach};
pub use report::{Definition, Report, Sums, Total, Totals};
pub use rows::{LineKind, Reason, Row};

use postbook_schemas::Envelope;

use crate::{
    Book, BookError, Changes, conversion::Conversion, posted::PostedLine, rows::Attribution,
};

/// How a conversion stood before.
#[derive(Clone, Debug)]
struct Before {
    attribution: Attribution,
    posted: Vec<PostedLine>,
}

impl Before {
    fn of(conversion: &Conversion) -> Self {
        Self {
            attribution: conversion.attribution.clone(),
            posted: conversion.posted.clone(),
        }
    }
}

/// What folding these facts after position `head` would change in a book, or in an
/// [excerpt](Book::excerpt) of it: a row for each line whose amount or standing differs, in the order of
/// the conversions in the log.
///
/// # Errors
/// A sum leaves 64 bits.
pub fn compare(mut book: Book, head: u64, facts: &[Envelope]) -> Result<Vec<Row>, BookError> {
    let before: Vec<Before> = book.conversions().map(Before::of).collect();
    let mut changes = Changes::default();
    for (position, envelope) in (head.saturating_add(1)..).zip(facts) {
        book.apply(position, envelope, &mut changes)?;
    }
    rows::rows(&before, &book, &changes, facts).ok_or_else(|| BookError {
        position: head,
        id: facts
            .first()
            .map(|envelope| envelope.id)
            .unwrap_or_default(),
        what: "a difference does not fit 64 bits".to_owned(),
    })
}
