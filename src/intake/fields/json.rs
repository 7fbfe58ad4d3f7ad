//! JSON bodies: one object of scalars. Numbers are taken by their text, never through a float.

use std::{borrow::Cow, fmt, ops::Range};

use serde::{
    Deserialize, Deserializer as _,
    de::{self, MapAccess, Visitor},
};
use serde_json::value::RawValue;

use super::{Fault, Fields, Value};
use crate::intake::redact;

const NOT_JSON: Fault = Fault::new("the body is not one JSON object");

/// Adds the members of a JSON object to the fields.
pub(super) fn read<'r>(text: &'r str, fields: &mut Fields<'r>) -> Result<(), Fault> {
    walk(text, |name, value| fields.add(&name, value))
}

/// Adds the members of the `metadata` object; what is deeper stays as its JSON text.
pub(super) fn read_metadata<'r>(text: &'r str, fields: &mut Fields<'r>) -> Result<(), Fault> {
    walk(text, |name, value| match value {
        Value::Empty => Ok(()),
        Value::Scalar(text) => fields.add_metadata(name, text),
        Value::Object(text) => fields.add_metadata(name, Cow::Borrowed(text)),
        Value::List => Err(Fault::of("metadata holds single values", "metadata")),
    })
}

/// Where in a JSON text the values stand that must not be kept, in order; `None` if it cannot be
/// read. Lists are not looked into: one that names anything sensitive is left out whole.
pub(crate) fn sensitive_ranges(text: &str) -> Option<Vec<Range<usize>>> {
    let mut ranges = Vec::new();
    collect_ranges(text, text, 0, &mut ranges)?;
    Some(ranges)
}

/// Objects deeper than this are left out whole if they name anything sensitive.
const DEPTH_MAX: usize = 16;

fn collect_ranges(
    whole: &str,
    object: &str,
    depth: usize,
    ranges: &mut Vec<Range<usize>>,
) -> Option<()> {
    let mut nested = Vec::new();
    walk_raw(object, |name, raw| {
        let start = raw.as_ptr().addr() - whole.as_ptr().addr();
        nested.push((redact::is_sensitive(&name), start..start + raw.len()));
        Ok(())
    })
    .ok()?;
    for (sensitive, range) in nested {
        let raw = &whole[range.clone()];
        let names_any = raw.starts_with(['{', '[']) && redact::names_any(raw);
        if !sensitive && names_any && raw.starts_with('{') && depth < DEPTH_MAX {
            collect_ranges(whole, raw, depth + 1, ranges)?;
        } else if sensitive || names_any {
            ranges.push(range);
        }
    }
    Some(())
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
            let Text(text) = serde_json::from_str(raw).ok()?;
            if text.is_empty() {
                Value::Empty
            } else {
                Value::Scalar(text)
            }
        }
        b'n' => Value::Empty,
        b'[' => Value::List,
        b'{' => Value::Object(raw),
        _ => Value::Scalar(Cow::Borrowed(raw)),
    })
}
