//! Which column carries which field, and rows as the lines that intake takes.

use std::{collections::BTreeMap, fs, str::FromStr};

use postbook_schemas::{OfferRef, traffic::Click};
use serde::Deserialize;
use serde_json::{Map, Value, json, value::RawValue};
use sha2::{Digest, Sha256};

use super::super::exit::{CliError, Exit};
use crate::rows::{Cells, Row};

/// The fields of a click but its parameters.
const CLICK_FIELDS: &[&str] = &[
    "click_id",
    "link",
    "offer",
    "partner",
    "occurred_at",
    "campaign",
    "country",
    "device",
    "user_agent",
    "referrer",
    "address",
];

/// `field=column`.
#[derive(Clone, Debug)]
pub(super) struct Column {
    field: String,
    column: String,
}

impl FromStr for Column {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((field, column)) if !field.is_empty() && !column.is_empty() => Ok(Self {
                field: field.to_owned(),
                column: column.to_owned(),
            }),
            _ => Err(format!("`{text}` is not FIELD=COLUMN")),
        }
    }
}

/// The fields by the columns that carry them; other columns keep their names.
#[derive(Clone, Debug, Default)]
pub(super) struct Columns(BTreeMap<String, String>);

/// What `--mapping` says.
#[derive(Clone, Debug, Default)]
pub(super) enum Mapping {
    /// The columns go by their names, under the mapping of the offer if it has one.
    #[default]
    Current,
    /// Which column carries which field.
    Columns(BTreeMap<String, String>),
    /// The text of a programme file with the mapping that the rows are read under.
    Own(String),
}

impl Mapping {
    /// Reads `--mapping`.
    pub(super) fn read(given: Option<&str>) -> Result<Self, CliError> {
        let usage = |message: String| CliError::new(Exit::Usage, message);
        let Some(path) = given.filter(|given| *given != "current") else {
            return Ok(Self::Current);
        };
        let text = fs::read_to_string(path)
            .map_err(|error| usage(format!("{path} cannot be read: {error}")))?;
        let table: toml::Table =
            toml::from_str(&text).map_err(|error| usage(format!("{path}: {error}")))?;
        if table.contains_key("mapping") {
            return Ok(Self::Own(text));
        }
        let file: ColumnsFile = table.try_into().map_err(|error| {
            usage(format!(
                "{path} has neither [columns] nor a [[mapping]] of the offer: {error}"
            ))
        })?;
        Ok(Self::Columns(file.columns))
    }

    /// The programme file that is sent along, if there is one.
    pub(super) fn own(&self) -> Option<&str> {
        match self {
            Self::Own(text) => Some(text),
            Self::Current | Self::Columns(_) => None,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ColumnsFile {
    columns: BTreeMap<String, String>,
}

impl Columns {
    /// What `--mapping` and `--column` say; the latter wins.
    pub(super) fn new(given: &[Column], mapping: &Mapping) -> Self {
        let mut columns = BTreeMap::new();
        if let Mapping::Columns(named) = mapping {
            let named = named.iter();
            columns.extend(named.map(|(field, column)| (column.clone(), field.clone())));
        }
        for one in given {
            columns.retain(|_, field| *field != one.field);
            columns.insert(one.column.clone(), one.field.clone());
        }
        Self(columns)
    }

    /// What tells one reading of a file from another; `None` if nothing is said.
    pub(super) fn fingerprint(&self, mapping: &Mapping) -> Option<String> {
        let own = mapping.own();
        if self.0.is_empty() && own.is_none() {
            return None;
        }
        let mut hash = Sha256::new();
        for (column, field) in &self.0 {
            hash.update(format!("{column}\u{1f}{field}\u{1e}"));
        }
        hash.update(own.unwrap_or_default());
        Some(hex::encode(hash.finalize()))
    }

    fn field<'f>(&'f self, column: &'f str) -> &'f str {
        self.0.get(column).map_or(column, String::as_str)
    }

    /// The fields of a row, without empty cells, by their JSON.
    fn fields(&self, row: &Row) -> Result<BTreeMap<String, Box<RawValue>>, String> {
        let mut fields = BTreeMap::new();
        let mut add = |column: &str, value: Box<RawValue>| {
            let field = self.field(column).to_owned();
            match fields.insert(field, value) {
                None => Ok(()),
                Some(_) => Err(format!(
                    "{}: two columns carry this field",
                    self.field(column)
                )),
            }
        };
        match row.cells.as_ref().map_err(Clone::clone)? {
            Cells::Columns(cells) => {
                for (column, text) in cells.iter().filter(|(_, text)| !text.is_empty()) {
                    let value = serde_json::value::to_raw_value(text);
                    add(column, value.map_err(|error| error.to_string())?)?;
                }
            }
            Cells::Object(text) => {
                let members: BTreeMap<String, Box<RawValue>> =
                    serde_json::from_str(text).map_err(|error| error.to_string())?;
                for (column, value) in members {
                    add(&column, value)?;
                }
            }
        }
        Ok(fields)
    }

    /// A row as a postback's line.
    pub(super) fn postback(&self, row: &Row) -> Result<String, String> {
        // Numbers keep their text: 49.90 stays 49.90.
        let fields = match &row.cells {
            Ok(Cells::Object(text)) if self.0.is_empty() => text.clone(),
            _ => {
                let fields = self.fields(row)?;
                serde_json::to_string(&fields).map_err(|error| error.to_string())?
            }
        };
        Ok(format!("{{\"row\":{},\"fields\":{fields}}}", row.number))
    }

    /// A row as a click's line: columns that a click does not have are left out.
    pub(super) fn click(&self, row: &Row, offer: Option<&OfferRef>) -> Result<String, String> {
        let (mut click, mut parameters) = (Map::new(), Map::new());
        let is_object = matches!(row.cells, Ok(Cells::Object(_)));
        for (field, value) in self.fields(row)? {
            let value: Value =
                serde_json::from_str(value.get()).map_err(|error| error.to_string())?;
            if CLICK_FIELDS.contains(&&*field) || is_object && field == "parameters" {
                click.insert(field, value);
            } else if Click::keeps_parameter(&field) {
                parameters.insert(field, value);
            } else if is_object {
                return Err(format!("{field}: a click has no such field"));
            }
        }
        if !parameters.is_empty() {
            match click.entry("parameters").or_insert_with(|| json!({})) {
                Value::Object(own) => own.extend(parameters),
                _ => return Err("parameters: not an object".to_owned()),
            }
        }
        if let Some(offer) = offer.filter(|_| !click.contains_key("link")) {
            click.entry("offer").or_insert_with(|| json!(offer));
        }
        Ok(Value::Object(click).to_string())
    }
}
