//! Fields of queries and JSON bodies, taken one by one; what is left over or cannot be used is
//! refused by name.

use std::{collections::BTreeMap, fmt::Display, str::FromStr};

use axum::{
    extract::{FromRequest, FromRequestParts, Request},
    http::request::Parts,
};
use postbook_schemas::{FactId, Instant};
use serde_json::Value;

use super::{super::problem::Problem, parts::Whole};
use crate::tables::query::Slice;

/// How many rows a page has unless asked otherwise, and at most.
pub(super) const LIMIT_DEFAULT: u32 = 100;
pub(super) const LIMIT_MAX: u32 = 1000;

/// The longest reason and other free text, in characters.
const TEXT_MAX: usize = 1000;

/// The parameters of a query.
#[derive(Clone, Debug)]
pub(super) struct Params(BTreeMap<String, String>);

impl<S: Send + Sync> FromRequestParts<S> for Params {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let mut params = BTreeMap::new();
        let query = parts.uri.query().unwrap_or_default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let name = name.into_owned();
            if params.insert(name.clone(), value.into_owned()).is_some() {
                return Err(Problem::invalid(name, "given twice"));
            }
        }
        Ok(Self(params))
    }
}

impl Params {
    /// A text; an empty one counts as not given.
    pub(super) fn text(&mut self, name: &'static str) -> Option<String> {
        self.0.remove(name).filter(|value| !value.is_empty())
    }

    /// A value that is read from its text.
    pub(super) fn parsed<T: FromStr<Err: Display>>(
        &mut self,
        name: &'static str,
    ) -> Result<Option<T>, Problem> {
        self.text(name)
            .map(|text| {
                text.parse()
                    .map_err(|error: T::Err| Problem::invalid(name, error.to_string()))
            })
            .transpose()
    }

    /// One word of a list.
    pub(super) fn word<T>(
        &mut self,
        name: &'static str,
        parse: impl Fn(&str) -> Option<T>,
        expected: &'static str,
    ) -> Result<Option<T>, Problem> {
        self.text(name)
            .map(|text| parse(&text).ok_or_else(|| Problem::invalid(name, expected)))
            .transpose()
    }

    /// A time: RFC 3339, or seconds or milliseconds since 1970.
    pub(super) fn time(&mut self, name: &'static str) -> Result<Option<Instant>, Problem> {
        self.word(
            name,
            Instant::parse_timestamp,
            "not a time: write RFC 3339, as 2026-01-31T12:00:00Z",
        )
    }

    /// Yes or no.
    pub(super) fn flag(&mut self, name: &'static str) -> Result<bool, Problem> {
        let flag = self.word(name, |text| text.parse().ok(), "write true or false")?;
        Ok(flag.unwrap_or(false))
    }

    /// How many rows.
    pub(super) fn limit(&mut self) -> Result<u32, Problem> {
        let limit = self.word(
            "limit",
            |text| {
                text.parse()
                    .ok()
                    .filter(|limit| (1..=LIMIT_MAX).contains(limit))
            },
            "a whole number from 1 to 1000",
        )?;
        Ok(limit.unwrap_or(LIMIT_DEFAULT))
    }

    /// Which part of a list.
    pub(super) fn slice(&mut self) -> Result<Slice, Problem> {
        let after = self.word(
            "cursor",
            parse_cursor,
            "not a cursor that was given out here",
        )?;
        Ok(Slice {
            after: after.unwrap_or(0),
            limit: self.limit()?,
        })
    }

    /// Refuses what nobody took.
    pub(super) fn done(self) -> Result<(), Problem> {
        match self.0.into_keys().next() {
            Some(name) => Err(Problem::invalid(name, "there is no such parameter here")),
            None => Ok(()),
        }
    }
}

/// A cursor: opaque to callers, the key of the last row to us.
pub(super) fn cursor(after: u64) -> String {
    format!("c{after:x}")
}

fn parse_cursor(text: &str) -> Option<u64> {
    let digits = text.strip_prefix('c')?;
    // A sign is none of ours.
    let are_digits = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    u64::from_str_radix(digits, 16)
        .ok()
        .filter(|_| are_digits)
        .filter(|&after| i64::try_from(after).is_ok())
}

/// The fields of a JSON object.
#[derive(Clone, Debug)]
pub(super) struct Fields(serde_json::Map<String, Value>);

impl<S: Send + Sync> FromRequest<S> for Fields {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let Whole(body) = Whole::from_request(request, state).await?;
        if body.is_empty() {
            return Ok(Self(serde_json::Map::new()));
        }
        match serde_json::from_slice(&body) {
            Ok(Value::Object(fields)) => Ok(Self(fields)),
            Ok(_) => Err(Problem::invalid("body", "not a JSON object")),
            Err(error) => Err(Problem::invalid("body", format!("not JSON: {error}"))),
        }
    }
}

impl Fields {
    /// A text, without spaces around it; an empty one counts as not given.
    pub(super) fn text(&mut self, name: &'static str) -> Result<Option<String>, Problem> {
        match self.0.remove(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => free_text(name, &text),
            Some(_) => Err(Problem::invalid(name, "not a text")),
        }
    }

    /// A text that must be there.
    pub(super) fn required(&mut self, name: &'static str) -> Result<String, Problem> {
        self.text(name)?
            .ok_or_else(|| Problem::missing(name, format!("`{name}` is missing")))
    }

    /// Why: whatever changes money says so.
    pub(super) fn reason(&mut self) -> Result<String, Problem> {
        self.text("reason")?
            .ok_or_else(|| Problem::missing("reason", "say why: `reason` is kept with the change"))
    }

    /// A value that is read from its text.
    pub(super) fn parsed<T: FromStr<Err: Display>>(
        &mut self,
        name: &'static str,
    ) -> Result<Option<T>, Problem> {
        self.text(name)?
            .map(|text| {
                text.parse()
                    .map_err(|error: T::Err| Problem::invalid(name, error.to_string()))
            })
            .transpose()
    }

    /// A value that is read from its text and must be there.
    pub(super) fn required_parsed<T: FromStr<Err: Display>>(
        &mut self,
        name: &'static str,
    ) -> Result<T, Problem> {
        self.parsed(name)?
            .ok_or_else(|| Problem::missing(name, format!("`{name}` is missing")))
    }

    /// A whole number of minor units.
    pub(super) fn minor(&mut self, name: &'static str) -> Result<Option<i64>, Problem> {
        use postbook_schemas::money::AMOUNT_MINOR_MAX;
        match self.0.remove(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => value
                .as_i64()
                .filter(|minor| (-AMOUNT_MINOR_MAX..=AMOUNT_MINOR_MAX).contains(minor))
                .map(Some)
                .ok_or_else(|| {
                    let detail =
                        format!("not a whole number of at most {AMOUNT_MINOR_MAX} minor units");
                    Problem::invalid(name, detail)
                }),
        }
    }

    /// A value of any form.
    pub(super) fn value(&mut self, name: &'static str) -> Option<Value> {
        self.0.remove(name)
    }

    /// Yes or no; no if it is not given.
    pub(super) fn flag(&mut self, name: &'static str) -> Result<bool, Problem> {
        match self.0.remove(name) {
            None | Some(Value::Null) => Ok(false),
            Some(Value::Bool(flag)) => Ok(flag),
            Some(_) => Err(Problem::invalid(name, "write true or false")),
        }
    }

    /// All that nobody took.
    pub(super) fn rest(self) -> serde_json::Map<String, Value> {
        self.0
    }

    /// Refuses what nobody took.
    pub(super) fn done(self) -> Result<(), Problem> {
        match self.0.into_iter().next() {
            Some((name, _)) => Err(Problem::invalid(name, "there is no such field here")),
            None => Ok(()),
        }
    }
}

/// What people write, without spaces around it; an empty text counts as not given.
pub(super) fn free_text(name: &'static str, text: &str) -> Result<Option<String>, Problem> {
    let text = text.trim();
    if text.chars().count() > TEXT_MAX {
        let detail = format!("at most {TEXT_MAX} characters");
        return Err(Problem::invalid(name, detail));
    }
    Ok(Some(text.to_owned()).filter(|text| !text.is_empty()))
}

/// An id in a path.
pub(super) fn id(text: &str) -> Result<FactId, Problem> {
    text.parse()
        .map_err(|_| Problem::not_found(format!("`{text}` is not an id")))
}
