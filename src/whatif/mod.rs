//! What-ifs as documents: what was tried, what it would change, and who tried it, as JSON, CSV and a page.

mod csv;
mod html;
mod json;
pub mod kept;

use postbook_projections::whatif::{Report, Totals};
use postbook_schemas::{DecodeError, Fact, FactType, Instant};
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub(crate) use json::row as row_json;

/// A what-if: a report, and who asked for it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Whatif {
    /// Its name: that of the report.
    pub hash: String,
    /// Who tried it first; another person adopts it.
    pub made_by: String,
    /// When.
    pub made_at: Instant,
    /// What was tried and what it would change.
    pub report: Report,
}

/// The forms in which a what-if is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For programs.
    Json,
    /// A row for each line, for spreadsheets.
    Csv,
    /// A page to read and print.
    Html,
}

impl Format {
    /// The format that a word names.
    pub fn from_word(word: &str) -> Option<Self> {
        match word {
            "json" => Some(Self::Json),
            "csv" => Some(Self::Csv),
            "html" => Some(Self::Html),
            _ => None,
        }
    }

    /// Its media type.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Csv => "text/csv; charset=utf-8; header=present",
            Self::Html => "text/html; charset=utf-8",
        }
    }
}

impl Whatif {
    /// A what-if that somebody made now.
    pub fn new(report: Report, made_by: String, made_at: Instant) -> Self {
        Self {
            hash: report.hash(),
            made_by,
            made_at,
            report,
        }
    }

    /// The facts that define what was tried, in the order in which they are appended.
    ///
    /// # Errors
    /// The file was written by a version that knew other facts.
    pub fn facts(&self) -> Result<Vec<Fact>, DecodeError> {
        let definitions = self.report.definitions.iter();
        let facts = definitions.map(|definition| {
            let name = definition.fact_type.as_str();
            let version = FactType::from_name(name).map_or(0, FactType::version);
            Fact::decode(name, version, &definition.data)
        });
        facts.collect()
    }

    /// Its totals. Every report that is made has totals that fit.
    pub fn totals(&self) -> Totals {
        self.report.totals().unwrap_or_default()
    }

    /// As a document. JSON has all rows.
    pub fn document(&self, format: Format) -> Vec<u8> {
        match format {
            Format::Json => self.to_json(0, usize::MAX).to_string().into_bytes(),
            Format::Csv => csv::document(self),
            Format::Html => html::document(self).into_bytes(),
        }
    }

    /// As JSON, with the rows after the first `skip`, at most so many.
    pub fn to_json(&self, skip: usize, limit: usize) -> Value {
        json::document(self, skip, limit)
    }
}
