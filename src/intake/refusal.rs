//! Why an attempt is refused: one outcome of the list, in words for the sender.

use std::borrow::Cow;

use postbook_schemas::Outcome;

use super::{fields::Name, mapping::Rules};

/// Why an attempt is refused. The words never quote the request, which may hold secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The outcome.
    pub outcome: Outcome,
    /// What the sender is told.
    pub detail: Cow<'static, str>,
    /// The field at fault.
    pub field: Option<Cow<'static, str>>,
}

impl Refusal {
    /// A refusal of the attempt as a whole.
    pub fn new(outcome: Outcome, detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            outcome,
            detail: detail.into(),
            field: None,
        }
    }

    /// A refusal for one field.
    pub fn of(outcome: Outcome, field: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            field: Some(field.into()),
            ..Self::new(outcome, detail)
        }
    }

    /// A refusal for a field whose value cannot be used.
    pub fn invalid(field: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::of(Outcome::InvalidValue, field, detail)
    }

    /// A refusal for a field that is missing.
    pub fn missing(field: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::of(Outcome::MissingField, field, detail)
    }

    /// Under a mapping it also names the sender's parameters.
    #[must_use]
    pub fn with_parameters(mut self, rules: Option<&Rules>) -> Self {
        let name = self.field.as_deref().and_then(Name::parse);
        let parameters = rules.zip(name);
        let parameters = parameters.and_then(|(rules, name)| rules.parameters_of(name));
        if let Some(parameters) = parameters.filter(|parameters| !parameters.is_empty()) {
            let parameters = parameters.join(", ");
            self.detail = format!("{} (read from {parameters})", self.detail).into();
        }
        self
    }
}
