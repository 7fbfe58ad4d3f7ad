//! What a refused attempt should have said, beside what it said.

mod received;
mod words;

use std::collections::BTreeMap;

use postbook_schemas::{Currency, Outcome, configuration::Offer, postback::Rejected};
use serde::Serialize;
use utoipa::ToSchema;

use crate::intake::{fields::Name, mapping::Rules, request::BODY_BYTES_MAX};

/// What is said of parameters that another mapping than one of the log gave their meaning.
const UNKEPT: &str = "what the mapping of its file says, which is not kept";

/// One parameter of a refused attempt: what was expected, and what came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Expected {
    /// The parameter, or the part of the request.
    pub parameter: String,
    /// The field that it fills, where a mapping gives it one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// What is expected there.
    pub expected: String,
    /// What came; absent where nothing did, or where it is not kept.
    pub received: Option<String>,
    /// Whether this is what the attempt was refused for.
    pub at_fault: bool,
}

impl Expected {
    /// The parameter with the field that it fills, as `sum (amount)`.
    pub fn label(&self) -> String {
        match &self.field {
            Some(field) => format!("{} ({field})", self.parameter),
            None => self.parameter.clone(),
        }
    }
}

/// Under what an attempt was read.
#[derive(Clone, Copy, Debug)]
pub enum Under<'r> {
    /// The standard names.
    Standard,
    /// A mapping.
    Mapping(&'r Rules),
    /// A mapping of a file, which is not kept.
    Unkept,
}

/// Everything that a refused attempt sent beside what was expected, what is at fault first.
pub fn beside_received(
    rejected: &Rejected,
    offer: Option<&Offer>,
    under: Under<'_>,
) -> Vec<Expected> {
    let rules = match under {
        Under::Mapping(rules) => Some(rules),
        Under::Standard | Under::Unkept => None,
    };
    let mut beside = Beside {
        offer,
        rules,
        currency: offer.map_or(Currency::USD, |offer| offer.currency),
        received: received::parameters(&rejected.attempt.request, rules),
        is_unkept: matches!(under, Under::Unkept),
    };
    let (_, given) = beside.of_field(Name::Currency);
    if let Some(currency) = given.and_then(|code| Currency::from_code(&code)) {
        beside.currency = currency;
    }
    let mut rows = at_the_door(rejected, &beside);
    let fault = rejected.field.as_deref();
    let is_new = |rows: &[Expected], row: &Expected| {
        let mut names = rows.iter().map(|row| &row.parameter);
        names.all(|name| *name != row.parameter)
    };
    for name in fault.into_iter().chain(missing(rejected).iter().copied()) {
        let mut row = beside.field_row(name);
        row.at_fault = fault == Some(name);
        if is_new(&rows, &row) {
            rows.push(row);
        }
    }
    for (name, value) in &beside.received {
        let row = beside.received_row(name, value);
        if is_new(&rows, &row) {
            rows.push(row);
        }
    }
    rows
}

/// What parameters are compared by.
struct Beside<'b> {
    offer: Option<&'b Offer>,
    rules: Option<&'b Rules>,
    currency: Currency,
    received: BTreeMap<String, String>,
    is_unkept: bool,
}

impl Beside<'_> {
    /// The parameter of a field, that which came if one did, with what came.
    fn of_field(&self, name: Name) -> (String, Option<String>) {
        let Some(names) = self.rules.and_then(|rules| rules.parameters_of(name)) else {
            let received = self.received.get(name.as_str()).cloned();
            return (name.as_str().to_owned(), received);
        };
        let came = names.iter().find_map(|name| {
            let value = self.received.get(*name)?;
            Some(((*name).to_owned(), Some(value.clone())))
        });
        came.unwrap_or_else(|| (self.sender_names(name), None))
    }

    /// What the sender calls a field.
    fn sender_names(&self, name: Name) -> String {
        match self.rules.and_then(|rules| rules.parameters_of(name)) {
            Some(names) if !names.is_empty() => names.join(" or "),
            _ => name.as_str().to_owned(),
        }
    }

    fn field_row(&self, field: &str) -> Expected {
        let name = Name::parse(field);
        let (parameter, received) = match name {
            Some(name) => self.of_field(name),
            None => (field.to_owned(), self.received.get(field).cloned()),
        };
        let is_mapped = parameter != field;
        Expected {
            expected: match name {
                _ if self.is_unkept => UNKEPT.to_owned(),
                Some(name) if self.is_never_read(name) => words::never_read(name),
                Some(name) => words::of_field(name, self),
                None => words::unknown(field, self),
            },
            field: is_mapped.then(|| field.to_owned()),
            parameter,
            received,
            at_fault: false,
        }
    }

    fn received_row(&self, parameter: &str, value: &str) -> Expected {
        let mapped = self.rules.and_then(|rules| rules.fields_of(parameter));
        let fields: Vec<Name> = mapped
            .into_iter()
            .flatten()
            .map(|(name, _)| *name)
            .collect();
        let (field, expected) = match fields.as_slice() {
            _ if self.is_unkept => (None, UNKEPT.to_owned()),
            [] => (None, self.unmapped(parameter)),
            [only] => (Some(only.as_str().to_owned()), words::of_field(*only, self)),
            several => {
                let names: Vec<_> = several.iter().map(|name| name.as_str()).collect();
                let texts = several
                    .iter()
                    .map(|name| format!("{}: {}", name.as_str(), words::of_field(*name, self)));
                let texts: Vec<_> = texts.collect();
                (Some(names.join(", ")), texts.join("; "))
            }
        };
        Expected {
            parameter: parameter.to_owned(),
            field: field.filter(|field| field != parameter),
            expected,
            received: Some(value.to_owned()),
            at_fault: false,
        }
    }

    /// What a parameter that no mapping names is expected to hold.
    fn unmapped(&self, parameter: &str) -> String {
        match Name::parse(parameter) {
            Some(name) if self.rules.is_some_and(|rules| rules.takes(name)) => {
                words::elsewhere(name, self)
            }
            Some(name) => words::of_field(name, self),
            None if self
                .rules
                .is_some_and(|rules| rules.carries_signature(parameter)) =>
            {
                words::SIGNATURE.to_owned()
            }
            None => words::unknown(parameter, self),
        }
    }

    /// Whether the mapping says that no parameter carries the field.
    fn is_never_read(&self, name: Name) -> bool {
        let names = self.rules.and_then(|rules| rules.parameters_of(name));
        names.is_some_and(|names| names.is_empty())
    }
}

/// Expectations of the request as a whole.
fn at_the_door(rejected: &Rejected, beside: &Beside<'_>) -> Vec<Expected> {
    let (request, offer) = (&rejected.attempt.request, beside.offer);
    let is_offer_path = request.path.starts_with("/api/postback/");
    let (parameter, expected, received) = match rejected.outcome {
        Outcome::PayloadTooLarge => (
            "body",
            format!("at most {BODY_BYTES_MAX} bytes"),
            request.body_bytes.map(|bytes| format!("{bytes} bytes")),
        ),
        Outcome::InsecureTransport => ("transport", "HTTPS".to_owned(), Some("HTTP".to_owned())),
        Outcome::AddressNotAllowed => {
            let allowed = offer
                .map(|offer| &*offer.allow_addresses)
                .unwrap_or_default();
            let list: Vec<_> = allowed.iter().map(ToString::to_string).collect();
            ("address", format!("one of {}", list.join(", ")), None)
        }
        Outcome::BadCredentials if is_offer_path => (
            "X-Postback-Secret",
            format!(
                "the offer's secret of 64 characters, as this header or as the parameter {}",
                beside.sender_names(Name::Secret)
            ),
            None,
        ),
        Outcome::BadCredentials => (
            "Authorization",
            "Bearer and a token with the role ingest, for this offer".to_owned(),
            None,
        ),
        Outcome::UnknownOffer if is_offer_path => (
            "path",
            "/api/postback/brand/offer with slugs that exist".to_owned(),
            Some(request.path.clone()),
        ),
        Outcome::Malformed if rejected.field.is_none() => (
            "body",
            "one JSON object, or a form, in UTF-8 and with the Content-Type to match".to_owned(),
            Some(format!(
                "Content-Type: {}",
                request.content_type.as_deref().unwrap_or("none")
            )),
        ),
        _ => return Vec::new(),
    };
    vec![Expected {
        parameter: parameter.to_owned(),
        field: None,
        expected,
        received,
        at_fault: true,
    }]
}

/// What could have stood in for a missing field.
fn missing(rejected: &Rejected) -> &'static [&'static str] {
    let needs_reference = rejected.outcome == Outcome::MissingField
        && rejected.field.as_deref() == Some(Name::ClickId.as_str());
    if needs_reference {
        &["coupon_code", "customer_id"]
    } else {
        &[]
    }
}

#[cfg(test)]
mod tests;
