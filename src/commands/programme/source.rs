//! Programme files as read: their items, each with its place for error messages.

use std::{collections::BTreeMap, fmt, ops::Range};

use postbook_schemas::{Currency, Instant, Slug, programme::Programme, terms::Rule};
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};
use toml::de::{DeTable, DeValue};

/// The table of terms, and the name of a file that has nothing else.
const TERMS: &str = "terms";

/// What is wrong with a programme file, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The file.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// What it is about, as `offer acme/casino`; absent where the file cannot be read that far.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// What is wrong with it.
    pub detail: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: ", self.file, self.line)?;
        if let Some(subject) = &self.subject {
            write!(f, "{subject}: ")?;
        }
        if let Some(key) = &self.key {
            write!(f, "{key}: ")?;
        }
        f.write_str(&self.detail)
    }
}

/// A programme file that could be read.
#[derive(Clone, Debug)]
pub struct ProgrammeFile {
    name: String,
    programme: Programme,
    spans: Spans,
    text_hash: [u8; 32],
}

impl ProgrammeFile {
    /// Reads a file's text.
    ///
    /// # Errors
    /// It is not TOML of a programme's form.
    pub fn try_new(name: &str, text: &str) -> Result<Self, Problem> {
        let spans = Spans::of(text);
        let programme = Programme::parse(text).map_err(|error| {
            let start = error.span().map_or(0, |span| span.start);
            Problem {
                file: name.to_owned(),
                line: spans.line(start),
                subject: None,
                key: spans.innermost(start),
                detail: error.message().trim().replace('\n', " "),
            }
        })?;
        Ok(Self {
            name: name.to_owned(),
            programme,
            spans,
            text_hash: Sha256::digest(text).into(),
        })
    }

    /// A file of one `[[terms]]`, which are given as JSON with the same keys.
    ///
    /// # Errors
    /// They are not of the form of terms.
    pub fn of_terms(terms: serde_json::Map<String, Value>) -> Result<Self, Problem> {
        let unreadable = |detail: String| Problem {
            file: TERMS.to_owned(),
            line: 1,
            subject: None,
            key: None,
            detail,
        };
        let terms = without_nulls(Value::Object(terms));
        let file = toml::Table::try_from(BTreeMap::from([(TERMS, [terms])]));
        let text = file.and_then(|file| toml::to_string(&file));
        Self::try_new(TERMS, &text.map_err(|error| unreadable(error.to_string()))?)
    }

    /// The file's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The SHA-256 of its text.
    pub(super) fn text_hash(&self) -> &[u8; 32] {
        &self.text_hash
    }

    /// What it defines.
    pub fn programme(&self) -> &Programme {
        &self.programme
    }

    /// Makes terms and coupons hold from a time on, whatever they say.
    pub(crate) fn hold_from(&mut self, from: Instant) {
        for terms in &mut self.programme.terms {
            terms.effective_from = from;
        }
        for coupon in &mut self.programme.coupons {
            coupon.effective_from = Some(from);
        }
    }

    /// Gives offers that name no currency that of their brand, which only all files together tell.
    pub(super) fn fill_currencies(&mut self, brand: impl Fn(&Slug) -> Option<Currency>) {
        for (index, offer) in self.programme.offers.iter_mut().enumerate() {
            let is_written = self
                .spans
                .start(&format!("offer[{index}].currency"))
                .is_some();
            if !is_written && let Some(currency) = brand(&offer.brand) {
                offer.currency = currency;
            }
        }
    }

    /// Writes into each mapping what its preset says.
    pub(super) fn fill_presets(&mut self) {
        for mapping in &mut self.programme.mappings {
            *mapping = mapping.clone().with_preset();
        }
    }

    /// The place of the item with this index among those of a kind.
    pub(super) fn place(&self, table: &str, index: usize, subject: String) -> Place<'_> {
        Place {
            file: self,
            path: format!("{table}[{index}]"),
            key_prefix: String::new(),
            subject,
        }
    }
}

/// Fields that are null count as not given, as everywhere; TOML has no word for them.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let given = fields.into_iter().filter(|(_, value)| !value.is_null());
            let given = given.map(|(name, value)| (name, without_nulls(value)));
            Value::Object(given.collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(without_nulls).collect()),
        other => other,
    }
}

/// Where an item stands.
#[derive(Clone, Debug)]
pub(super) struct Place<'a> {
    file: &'a ProgrammeFile,
    path: String,
    key_prefix: String,
    subject: String,
}

impl Place<'_> {
    /// The place of a rule of these terms.
    pub(super) fn rule(&self, index: usize, rule: &Rule) -> Self {
        Self {
            file: self.file,
            path: format!("{}.rule[{index}]", self.path),
            key_prefix: String::new(),
            subject: format!("{} rule {}", self.subject, rule.id),
        }
    }

    /// The place of a price of these terms.
    pub(super) fn price(&self, index: usize, price: &Rule) -> Self {
        Self {
            file: self.file,
            path: format!("{}.price[{index}]", self.path),
            key_prefix: String::new(),
            subject: format!("{} price {}", self.subject, price.id),
        }
    }

    /// The place of a table below this one, as `tiers.steps[2]`.
    pub(super) fn below(&self, key: &str) -> Self {
        Self {
            file: self.file,
            path: format!("{}.{key}", self.path),
            key_prefix: format!("{}{key}.", self.key_prefix),
            subject: self.subject.clone(),
        }
    }

    /// A problem with one key of the item; with the item itself if the key is empty.
    pub(super) fn problem(&self, key: &str, detail: impl Into<String>) -> Problem {
        Problem {
            file: self.file.name.clone(),
            line: self.line(key),
            subject: Some(self.subject.clone()),
            key: Some(format!("{}{key}", self.key_prefix))
                .map(|key| key.trim_end_matches('.').to_owned())
                .filter(|key| !key.is_empty()),
            detail: detail.into(),
        }
    }

    /// Where the item is, for other messages.
    pub(super) fn position(&self) -> String {
        format!("{}:{}", self.file.name, self.line(""))
    }

    fn line(&self, key: &str) -> usize {
        let mut path = format!("{}.{key}", self.path);
        // A key that is not written stands where the table that lacks it begins.
        loop {
            if let Some(start) = self.file.spans.start(&path) {
                return self.file.spans.line(start);
            }
            match path.rfind(['.', '[']) {
                Some(end) => path.truncate(end),
                None => return 1,
            }
        }
    }
}

/// Where the keys of a file stand, by path as `terms[0].rule[1].cpa`.
#[derive(Clone, Debug, Default)]
struct Spans {
    /// Path, start of the key, and the range of its value.
    paths: Vec<(String, usize, Range<usize>)>,
    line_starts: Vec<usize>,
}

impl Spans {
    fn of(text: &str) -> Self {
        let newlines = text.match_indices('\n').map(|(at, _)| at + 1);
        let mut spans = Self {
            paths: Vec::new(),
            line_starts: std::iter::once(0).chain(newlines).collect(),
        };
        // A text that is no TOML has no keys to point at; reading it says what is wrong.
        if let Ok(table) = DeTable::parse(text) {
            spans.walk_table("", table.get_ref());
        }
        spans
    }

    fn walk_table(&mut self, path: &str, table: &DeTable<'_>) {
        for (key, value) in table {
            let path = match path {
                "" => key.get_ref().to_string(),
                _ => format!("{path}.{}", key.get_ref()),
            };
            self.walk(path, key.span().start, value.span(), value.get_ref());
        }
    }

    fn walk(&mut self, path: String, start: usize, range: Range<usize>, value: &DeValue<'_>) {
        if let DeValue::Table(table) = value {
            self.walk_table(&path, table);
        }
        if let DeValue::Array(array) = value {
            for (index, element) in array.iter().enumerate() {
                let span = element.span();
                let path = format!("{path}[{index}]");
                self.walk(path, span.start, span, element.get_ref());
            }
        }
        self.paths.push((path, start, range));
    }

    fn start(&self, path: &str) -> Option<usize> {
        let found = self.paths.iter().find(|(known, ..)| known == path)?;
        Some(found.1)
    }

    fn line(&self, offset: usize) -> usize {
        self.line_starts.partition_point(|&start| start <= offset)
    }

    /// The key that stands at this place in the text, or the innermost whose value holds it.
    fn innermost(&self, offset: usize) -> Option<String> {
        let is_written_here = |(_, start, range): &&(String, usize, Range<usize>)| {
            *start == offset && range.start > offset
        };
        if let Some((path, ..)) = self.paths.iter().find(is_written_here) {
            return Some(path.clone());
        }
        self.paths
            .iter()
            .filter(|(_, _, range)| range.contains(&offset))
            .min_by_key(|(_, _, range)| range.len())
            .map(|(path, ..)| path.clone())
    }
}
