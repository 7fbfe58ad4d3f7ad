//! JSON bodies: one object of scalars. Numbers are taken by their text, never through a float.

use std::{borrow::Cow, fmt, ops::Range};

use serde::{
    Deserialize, Deserializer as _,
    de::{self, MapAccess, Visitor},
};
use serde_json::value::RawValue;

use super::{Fault, Fields, Value};
use crate::intake::{
    personal,
    redact::{self, Cleaner, REDACTED},
};

const NOT_JSON: Fault = Fault::new("the body is not one JSON object");

/// Adds the members of a JSON object to the fields.
pub(super) fn read<'r>(text: &'r str, fields: &mut Fields<'r>) -> Result<(), Fault> {
    walk(text, |name, value| {
        let nested = match &value {
            Value::Object(raw) if fields.leads_below(&name) => Some(*raw),
            _ => None,
        };
        fields.add(&name, value)?;
        nested.map_or(Ok(()), |raw| read_below(raw, &name, fields))
    })
}

/// Adds what a mapping's paths name below a member.
fn read_below<'r>(text: &'r str, path: &str, fields: &mut Fields<'r>) -> Result<(), Fault> {
    walk(text, |name, value| {
        let path = format!("{path}.{name}");
        fields.add_mapped(&path, &value)?;
        match value {
            Value::Object(raw) if fields.leads_below(&path) => read_below(raw, &path, fields),
            _ => Ok(()),
        }
    })
}

/// Adds the members of the `metadata` object; what is deeper stays as its JSON text.
pub(super) fn read_metadata<'r>(text: &'r str, fields: &mut Fields<'r>) -> Result<(), Fault> {
    walk(text, |name, value| match value {
        Value::Empty => Ok(()),
        Value::Scalar(text) => fields.add_metadata(name, text),
        Value::Object(text) => fields.add_metadata(name, Cow::Borrowed(text)),
        Value::List(_) => Err(Fault::of("metadata holds single values", "metadata")),
    })
}

/// What must not be kept of a JSON text: where it stands, in order, and the JSON that takes its
/// place; `None` if the text cannot be read.
pub(crate) fn replacements(
    text: &str,
    cleaner: &Cleaner<'_>,
) -> Option<Vec<(Range<usize>, String)>> {
    let mut found = Found {
        whole: text,
        cleaner,
        replacements: Vec::new(),
    };
    found.value(text.trim(), "", 0)?;
    Some(found.replacements)
}

/// Whether personal data stands anywhere in a JSON value, by its form.
pub(super) fn holds_personal_data(raw: &str) -> bool {
    let nobody = Cleaner::new(None, None);
    // What cannot be read is taken to hold some.
    replacements(raw, &nobody).is_none_or(|found| !found.is_empty())
}

/// Objects and lists deeper than this are left out whole if they hold anything sensitive.
const DEPTH_MAX: usize = 16;

struct Found<'t, 'c> {
    whole: &'t str,
    cleaner: &'c Cleaner<'c>,
    replacements: Vec<(Range<usize>, String)>,
}

impl<'t> Found<'t, '_> {
    fn replace(&mut self, raw: &'t str, text: &str) {
        let start = raw.as_ptr().addr() - self.whole.as_ptr().addr();
        let json = serde_json::Value::from(text).to_string();
        self.replacements.push((start..start + raw.len(), json));
    }

    /// Looks into the value of a path.
    fn value(&mut self, raw: &'t str, path: &str, depth: usize) -> Option<()> {
        match raw.as_bytes().first()? {
            b'{' | b'[' if depth >= DEPTH_MAX => {
                let is_below = redact::is_personal(path);
                if is_below || redact::names_any(raw) || personal::find(raw).is_some() {
                    self.replace(raw, REDACTED);
                }
            }
            b'{' => {
                let mut members = Vec::new();
                let mut json = serde_json::Deserializer::from_str(raw);
                let read = json.deserialize_map(RawMembers(&mut members));
                read.and_then(|()| json.end()).ok()?;
                for (name, value) in members {
                    let Text(decoded) = serde_json::from_str(name).ok()?;
                    if personal::find(&decoded).is_some() {
                        self.replace(name, REDACTED);
                    }
                    let path = match path {
                        "" => decoded.into_owned(),
                        _ => format!("{path}.{decoded}"),
                    };
                    self.value(value, &path, depth + 1)?;
                }
            }
            b'[' => {
                let elements: Vec<&'t RawValue> = serde_json::from_str(raw).ok()?;
                for element in elements {
                    self.value(element.get(), path, depth + 1)?;
                }
            }
            b'"' => {
                let Text(text) = serde_json::from_str(raw).ok()?;
                if let Some(instead) = self.cleaner.value(path, &text) {
                    self.replace(raw, &instead);
                }
            }
            b'n' => {}
            _ => {
                if let Some(instead) = self.cleaner.value(path, raw) {
                    self.replace(raw, &instead);
                }
            }
        }
        Some(())
    }
}

struct RawMembers<'v, 'r>(&'v mut Vec<(&'r str, &'r str)>);

impl<'r> Visitor<'r> for RawMembers<'_, 'r> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'r>>(self, mut members: A) -> Result<(), A::Error> {
        while let Some((name, value)) = members.next_entry::<&'r RawValue, &'r RawValue>()? {
            self.0.push((name.get(), value.get()));
        }
        Ok(())
    }
}

/// Calls `each` with the members of a JSON object in order, repeated ones too.
fn walk<'r>(
    text: &'r str,
    mut each: impl FnMut(Cow<'r, str>, Value<'r>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    walk_raw(text, |name, raw| {
        let value = value_of(raw).ok_or(NOT_JSON)?;
        each(name, value)
    })
}

fn walk_raw<'r>(
    text: &'r str,
    each: impl FnMut(Cow<'r, str>, &'r str) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let mut fault = None;
    let mut json = serde_json::Deserializer::from_str(text);
    let members = Members {
        each,
        fault: &mut fault,
    };
    let read = json.deserialize_map(members).and_then(|()| json.end());
    match fault {
        Some(fault) => Err(fault),
        None => read.map_err(|_| NOT_JSON),
    }
}

struct Members<'f, F> {
    each: F,
    fault: &'f mut Option<Fault>,
}

#[derive(Deserialize)]
#[serde(transparent)]
struct Text<'r>(#[serde(borrow)] Cow<'r, str>);

impl<'r, F> Visitor<'r> for Members<'_, F>
where
    F: FnMut(Cow<'r, str>, &'r str) -> Result<(), Fault>,
{
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'r>>(mut self, mut members: A) -> Result<(), A::Error> {
        while let Some((Text(name), raw)) = members.next_entry::<Text<'r>, &'r RawValue>()? {
            if let Err(fault) = (self.each)(name, raw.get()) {
                *self.fault = Some(fault);
                return Err(de::Error::custom("a fault in a field"));
            }
        }
        Ok(())
    }
}

fn value_of(raw: &str) -> Option<Value<'_>> {
    Some(match raw.as_bytes().first()? {
        b'"' => {
            let text = text_of(raw)?;
            if text.is_empty() {
                Value::Empty
            } else {
                Value::Scalar(text)
            }
        }
        b'n' => Value::Empty,
        b'[' => Value::List(raw),
        b'{' => Value::Object(raw),
        _ => Value::Scalar(Cow::Borrowed(raw)),
    })
}

/// The text that a JSON string stands for; the string has been read as one before.
fn text_of(raw: &str) -> Option<Cow<'_, str>> {
    let between = raw.strip_prefix('"')?.strip_suffix('"')?;
    if memchr::memchr(b'\\', between.as_bytes()).is_none() {
        return Some(Cow::Borrowed(between));
    }
    let Text(text) = serde_json::from_str(raw).ok()?;
    Some(text)
}
