//! The report of a what-if: what it defines, what that changes, totals, and the hash of it.

use std::collections::BTreeMap;

use postbook_schemas::{Currency, Fact, Month};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::rows::{LineKind, Row};

/// The form of reports; part of what is hashed.
const FORM: u32 = 1;

/// One definition that is tried.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Definition {
    /// The type of its fact.
    #[serde(rename = "type")]
    pub fact_type: String,
    /// What it is, as `coupon SAVE10 of acme/shop`.
    pub subject: String,
    /// What differs from what holds now, for people.
    pub details: Vec<String>,
    /// Where the definition is that it takes the place of.
    pub replaces: Option<u64>,
    /// Its data.
    pub data: Box<RawValue>,
}

impl Definition {
    /// A definition as it would be published.
    ///
    /// # Errors
    /// Never in practice: facts can be written as JSON.
    pub fn try_new(
        fact: &Fact,
        subject: String,
        details: Vec<String>,
        replaces: Option<u64>,
    ) -> Result<Self, serde_json::Error> {
        Ok(Self {
            fact_type: fact.fact_type().name().to_owned(),
            subject,
            details,
            replaces,
            data: serde_json::from_slice(&fact.to_json())?,
        })
    }
}

/// What was tried, and what it would change.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    /// How far the log went.
    pub at_position: u64,
    /// What is tried.
    pub definitions: Vec<Definition>,
    /// What would change.
    pub rows: Vec<Row>,
}

/// Sums over some rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sums {
    /// How many lines.
    pub lines: u64,
    /// What is posted for them now.
    pub old_minor: i64,
    /// What would be.
    pub new_minor: i64,
    /// What would be posted.
    pub difference_minor: i64,
}

impl Sums {
    fn add(&mut self, row: &Row) -> Option<()> {
        self.lines = self.lines.checked_add(1)?;
        self.old_minor = self.old_minor.checked_add(row.old_minor)?;
        self.new_minor = self.new_minor.checked_add(row.new_minor)?;
        self.difference_minor = self.difference_minor.checked_add(row.difference_minor)?;
        Some(())
    }
}

/// Sums of one currency and kind of line, of open months apart from closed ones.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Total {
    /// Of whom or what: a partner, an offer, a month; absent in the totals of all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
    /// The kind of line.
    pub line: LineKind,
    /// The currency.
    pub currency: Currency,
    /// In months that are open.
    pub open: Sums,
    /// In months that are closed, posted as corrections in an open one.
    pub closed: Sums,
}

/// Totals of a report.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Of all.
    pub all: Vec<Total>,
    /// By partner.
    pub partners: Vec<Total>,
    /// By offer.
    pub offers: Vec<Total>,
    /// By the month that the lines belong to.
    pub periods: Vec<Total>,
    /// How many conversions.
    pub conversions: u64,
    /// In whose books closed months would be corrected.
    pub posted_in: Option<Month>,
}

impl Report {
    /// The SHA-256 of what is tried and what it changes, in hexadecimal. How far the log went is not
    /// in it: facts that change nothing of this do not change the hash. What is replaced is: a what-if
    /// that is adopted, undone and tried again is another.
    ///
    /// # Panics
    /// Never: reports hold texts, numbers and lists.
    pub fn hash(&self) -> String {
        let hashed = (FORM, &self.definitions, &self.rows);
        let json = serde_json::to_vec(&hashed).expect("reports hold texts, numbers and lists");
        let digest = Sha256::digest(json);
        digest
            .iter()
            .fold(String::with_capacity(64), |mut text, byte| {
                for nibble in [byte >> 4, byte & 0xf] {
                    text.extend(char::from_digit(u32::from(nibble), 16));
                }
                text
            })
    }

    /// Its totals; `None` if a sum does not fit 64 bits.
    pub fn totals(&self) -> Option<Totals> {
        let conversions: std::collections::BTreeSet<_> = self
            .rows
            .iter()
            .filter_map(|row| row.conversion_id)
            .collect();
        let closed = self.rows.iter().filter(|row| row.is_closed());
        Some(Totals {
            all: totals(&self.rows, |_| Some(None))?,
            partners: totals(&self.rows, |row| {
                Some(Some(row.partner.as_ref()?.to_string()))
            })?,
            offers: totals(&self.rows, |row| {
                Some(Some(row.offer.as_ref()?.to_string()))
            })?,
            periods: totals(&self.rows, |row| Some(Some(row.period.to_string())))?,
            conversions: u64::try_from(conversions.len()).ok()?,
            posted_in: closed.map(|row| row.posted_in).max(),
        })
    }
}

fn totals(rows: &[Row], of: impl Fn(&Row) -> Option<Option<String>>) -> Option<Vec<Total>> {
    let mut sums = BTreeMap::<_, (Sums, Sums)>::new();
    for row in rows {
        let Some(of) = of(row) else { continue };
        let (open, closed) = sums.entry((of, row.line, row.currency)).or_default();
        if row.is_closed() { closed } else { open }.add(row)?;
    }
    let totals = sums
        .into_iter()
        .map(|((of, line, currency), (open, closed))| Total {
            of,
            line,
            currency,
            open,
            closed,
        });
    Some(totals.collect())
}
