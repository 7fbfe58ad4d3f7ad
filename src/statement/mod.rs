//! Statements as documents: the kept fact as JSON, and the same as CSV and as a page to print.
//!
//! A statement that was issued never changes, so neither does a form: whoever wants statements to
//! look different adds one, and those of earlier forms go on looking as they do. Golden files in the
//! tests hold each form byte for byte. As CSV all forms are alike so far.

mod csv;
mod html;

use postbook_schemas::{
    DecodeError, Fact, FactId,
    envelope::RawEnvelope,
    statement::{StatementEntry, StatementIssued, StatementLine},
};
use thiserror::Error;

use crate::store::{LogStore, StoreError};

/// In which form a statement is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// The kept fact's data, byte for byte.
    Json,
    /// A row per line.
    Csv,
    /// A page that can be printed.
    Html,
}

impl Format {
    /// The format with this word.
    pub fn from_word(word: &str) -> Option<Self> {
        match word {
            "json" => Some(Self::Json),
            "csv" => Some(Self::Csv),
            "html" => Some(Self::Html),
            _ => None,
        }
    }

    /// What HTTP calls it.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Csv => "text/csv; charset=utf-8",
            Self::Html => "text/html; charset=utf-8",
        }
    }
}

/// Why a statement cannot be shown.
#[derive(Debug, Error)]
pub enum StatementError {
    /// The log cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The fact cannot be read.
    #[error("the statement at position {position} cannot be read: {source}")]
    Unreadable {
        /// Where.
        position: u64,
        /// Why.
        source: DecodeError,
    },
    /// It is of a form that a later version of the program made.
    #[error("the statement at position {position} is of form {form}, which is not known here")]
    UnknownForm {
        /// Where.
        position: u64,
        /// Which.
        form: u32,
    },
    /// There is no statement where one should be.
    #[error("there is no statement at position {0}")]
    NoStatement(u64),
}

/// A statement as it was issued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issued {
    /// The id of its fact.
    pub id: FactId,
    /// What it says.
    pub statement: StatementIssued,
    /// The kept bytes of that.
    json: Vec<u8>,
}

impl Issued {
    /// Reads the statement that was issued at a position.
    ///
    /// # Errors
    /// The log cannot be read, or holds something else there.
    pub async fn read(store: &dyn LogStore, position: u64) -> Result<Self, StatementError> {
        let line = store.read_one(position).await?;
        let line = line.ok_or(StatementError::NoStatement(position))?;
        let unreadable = |source| StatementError::Unreadable { position, source };
        let raw: RawEnvelope<'_> = serde_json::from_slice(&line)
            .map_err(|error| unreadable(DecodeError::Envelope(error)))?;
        let fact = Fact::decode(&raw.fact_type, raw.version, raw.data).map_err(unreadable)?;
        let Fact::StatementIssued(statement) = fact else {
            return Err(StatementError::NoStatement(position));
        };
        let form = statement.form;
        if !(1..=StatementIssued::FORM).contains(&form) {
            return Err(StatementError::UnknownForm { position, form });
        }
        Ok(Self {
            id: raw.id,
            statement,
            json: raw.data.get().as_bytes().to_vec(),
        })
    }

    /// The document. The same statement always gives the same bytes.
    pub fn document(&self, format: Format) -> Vec<u8> {
        match format {
            Format::Json => self.json.clone(),
            Format::Csv => csv::document(&self.statement),
            Format::Html => html::document(self.id, &self.statement).into_bytes(),
        }
    }
}

/// A text that a spreadsheet does not take for a formula.
pub fn harmless(text: &str) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        return format!("'{text}");
    }
    text.to_owned()
}

/// The title of a line's section. From form 3 on clawbacks stand together, whatever month they correct:
/// what was paid is seldom of the month in which it is clawed back.
fn section(form: u32, line: &StatementLine) -> &'static str {
    let is_with_its_kind = form >= 3 && line.entry == StatementEntry::Clawback;
    if line.corrects.is_some() && !is_with_its_kind {
        return "Corrections of earlier months";
    }
    match line.entry {
        StatementEntry::Earning | StatementEntry::Restoration => "Earnings",
        StatementEntry::Reversal => "Reversals",
        StatementEntry::Clawback => "Clawbacks",
        StatementEntry::CarryoverReset => "Carryover",
        StatementEntry::Adjustment | StatementEntry::WriteOff => "Adjustments",
        StatementEntry::Payout | StatementEntry::PayoutReturned => "Payouts",
    }
}

/// The sections in their order.
const SECTIONS: [&str; 7] = [
    "Earnings",
    "Reversals",
    "Clawbacks",
    "Carryover",
    "Corrections of earlier months",
    "Adjustments",
    "Payouts",
];

/// The lines in the order of their sections.
fn in_sections(statement: &StatementIssued) -> Vec<(&'static str, &StatementLine)> {
    let of = |title: &'static str| {
        let lines = statement.lines.iter();
        lines.filter(move |line| section(statement.form, line) == title)
    };
    SECTIONS
        .into_iter()
        .flat_map(|title| of(title).map(move |line| (title, line)))
        .collect()
}
