//! An offer's mapping as intake applies it: which parameter is which field, and what words mean.

mod time;

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

use postbook_schemas::{
    Instant, Status,
    mapping::{AmountUnit, DecimalSeparator, Field, Mapping},
};
use sha2::{Digest, Sha256};

pub use self::time::TimeFormat;
use super::{fields::Name, personal::is_personal_name};

/// Where a mapping is from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The `mapping.defined` at this position.
    Position(u64),
    /// Nothing in the log: the SHA-256 of what it says.
    Draft(String),
}

/// A mapping, ready to be applied.
#[derive(Clone, Debug)]
pub struct Rules {
    origin: Origin,
    /// Parameter to the fields it may fill, each with its rank: the lower is preferred.
    parameters: BTreeMap<String, Vec<(Name, usize)>>,
    taken: BTreeSet<&'static str>,
    /// Where a signature is looked for in queries; `None`: under its standard name.
    signature: Option<Vec<String>>,
    amount_unit: Option<AmountUnit>,
    is_decimal_comma: bool,
    /// By the sender's word in small letters.
    events: BTreeMap<String, String>,
    statuses: BTreeMap<String, Status>,
    time: Option<TimeFormat>,
    defaults: Vec<(Name, String)>,
    repeat_changes_status: bool,
    names_persons: bool,
}

impl Rules {
    /// The rules of a mapping that is not in the log.
    pub fn draft(mapping: &Mapping) -> Self {
        let text = serde_json::to_vec(mapping).unwrap_or_default();
        Self::new(mapping, Origin::Draft(hex::encode(Sha256::digest(text))))
    }

    /// The rules of a mapping.
    pub fn new(mapping: &Mapping, origin: Origin) -> Self {
        let mut parameters: BTreeMap<String, Vec<(Name, usize)>> = BTreeMap::new();
        let mut taken = BTreeSet::new();
        for (field, names) in &mapping.fields {
            let Some(name) = Name::of_field(*field) else {
                continue;
            };
            taken.insert(name.as_str());
            for (rank, parameter) in names.0.iter().enumerate() {
                let fields = parameters.entry(parameter.clone()).or_default();
                fields.push((name, rank));
            }
        }
        let names_persons = parameters.iter().any(|(parameter, fields)| {
            is_personal_name(parameter) && fields.iter().any(|(name, _)| name.is_reference())
        });
        let lower = |word: &String| word.to_lowercase();
        let events = mapping.events.iter();
        let statuses = mapping.statuses.iter();
        let defaults = mapping.defaults.iter();
        Self {
            origin,
            parameters,
            taken,
            signature: mapping
                .fields
                .get(&Field::Signature)
                .map(|names| names.0.clone()),
            amount_unit: mapping.amount_unit,
            is_decimal_comma: mapping.decimal_separator == Some(DecimalSeparator::Comma),
            events: events
                .map(|(word, event)| (lower(word), event.clone()))
                .collect(),
            statuses: statuses
                .map(|(word, status)| (lower(word), *status))
                .collect(),
            time: TimeFormat::of(mapping),
            defaults: defaults
                .filter_map(|(field, value)| Some((Name::of_field(*field)?, value.clone())))
                .collect(),
            repeat_changes_status: mapping.repeat_changes_status == Some(true),
            names_persons,
        }
    }

    /// Where the mapping is from.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The fields that a parameter may fill; `None` for one that the mapping does not name.
    pub fn fields_of(&self, parameter: &str) -> Option<&[(Name, usize)]> {
        self.parameters.get(parameter).map(Vec::as_slice)
    }

    /// Whether the field has parameters of its own, so that its standard name says nothing.
    pub fn takes(&self, name: Name) -> bool {
        self.taken.contains(name.as_str())
    }

    /// Whether a parameter's path leads below this one.
    pub fn leads_below(&self, path: &str) -> bool {
        let below = format!("{path}.");
        let mut from = self.parameters.range(below.clone()..);
        from.next()
            .is_some_and(|(parameter, _)| parameter.starts_with(&below))
    }

    /// Whether a parameter may carry the offer's secret.
    pub fn carries_secret(&self, parameter: &str) -> bool {
        let fields = self.fields_of(parameter).unwrap_or_default();
        fields.iter().any(|(name, _)| *name == Name::Secret)
    }

    /// The parameters of a query that may carry the signature, where they are not called so.
    pub fn signature_parameters(&self) -> Option<&[String]> {
        self.signature.as_deref()
    }

    /// Whether a parameter may carry the signature.
    pub fn carries_signature(&self, parameter: &str) -> bool {
        let names = self.signature.as_deref().unwrap_or_default();
        names.iter().any(|name| name == parameter)
    }

    /// Whether any parameter may carry the offer's secret or a signature under a name of the
    /// sender's.
    pub fn carries_secrets(&self) -> bool {
        self.takes(Name::Secret) || self.signature.is_some()
    }

    /// Whether a parameter that fills an id is named after a person.
    pub fn names_persons(&self) -> bool {
        self.names_persons
    }

    /// The parameters of a field, the preferred ones first; `None` if it goes by its standard name.
    pub fn parameters_of(&self, name: Name) -> Option<Vec<&str>> {
        if !self.takes(name) {
            return None;
        }
        let mut named: Vec<_> = self
            .parameters
            .iter()
            .filter_map(|(parameter, fields)| {
                let (_, rank) = fields.iter().find(|(field, _)| *field == name)?;
                Some((*rank, parameter.as_str()))
            })
            .collect();
        named.sort_unstable();
        Some(named.into_iter().map(|(_, parameter)| parameter).collect())
    }

    /// The sender's words for events or statuses, with their meaning, for messages.
    pub fn words(&self, name: Name) -> Vec<(&str, &str)> {
        let events = self.events.iter();
        let statuses = self.statuses.iter();
        match name {
            Name::Event => events
                .map(|(word, meaning)| (word.as_str(), meaning.as_str()))
                .collect(),
            Name::Status => statuses
                .map(|(word, status)| (word.as_str(), status.code()))
                .collect(),
            _ => Vec::new(),
        }
    }

    /// What a sender's word for an event means here.
    pub fn event(&self, word: &str) -> Option<&str> {
        self.events.get(&word.to_lowercase()).map(String::as_str)
    }

    /// What a sender's word for a status means here.
    pub fn status(&self, word: &str) -> Option<Status> {
        self.statuses.get(&word.to_lowercase()).copied()
    }

    /// The values of fields that the sender may leave out.
    pub fn defaults(&self) -> &[(Name, String)] {
        &self.defaults
    }

    /// The unit of a field that holds money.
    pub fn unit(&self, name: Name) -> AmountUnit {
        self.amount_unit.unwrap_or(standard_unit(name))
    }

    /// Whether a comma stands before decimals.
    pub fn is_decimal_comma(&self) -> bool {
        self.is_decimal_comma
    }

    /// A decimal number as it is written with a point; `None` if it has a point where the mapping
    /// says that a comma stands before decimals.
    pub fn decimal<'t>(&self, text: &'t str) -> Option<Cow<'t, str>> {
        match (self.is_decimal_comma, text.contains('.')) {
            (true, true) => None,
            (true, false) => Some(text.replacen(',', ".", 1).into()),
            (false, _) => Some(text.into()),
        }
    }

    /// A time as the sender writes it; `None` if it is none.
    pub fn time(&self, text: &str) -> Option<Instant> {
        match &self.time {
            Some(format) => format.parse(text),
            None => Instant::parse_timestamp(text),
        }
    }

    /// How times are written, for messages.
    pub fn time_form(&self) -> Option<&str> {
        self.time.as_ref().map(TimeFormat::as_str)
    }

    /// Whether a report that repeats another with another status changes the conversion's status.
    pub fn repeat_changes_status(&self) -> bool {
        self.repeat_changes_status
    }
}

/// The unit of a field that holds money where no mapping says otherwise.
pub fn standard_unit(name: Name) -> AmountUnit {
    if name == Name::Value {
        AmountUnit::Minor
    } else {
        AmountUnit::Major
    }
}
