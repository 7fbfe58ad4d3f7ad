//! Queries and forms: `name=value` pairs, strictly decoded.

use std::borrow::Cow;

use super::{Fault, Fields, Value};

const BROKEN: Fault = Fault::new("broken percent-encoding");

/// Adds the pairs of a query or form to the fields.
pub(super) fn read<'r>(text: &'r str, fields: &mut Fields<'r>) -> Result<(), Fault> {
    for (name, value) in split(text) {
        let name = decode(name).ok_or(BROKEN)?;
        let value = decode(value).ok_or_else(|| Fault {
            field: super::Name::parse(&name).map(|known| known.as_str().into()),
            ..BROKEN
        })?;
        let value = if value.is_empty() {
            Value::Empty
        } else {
            Value::Scalar(value)
        };
        fields.add(&name, value)?;
    }
    Ok(())
}

/// The pairs of a query or form, still encoded.
pub(crate) fn split(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

/// Decodes percent-encoding and `+`, once; `None` if it is broken or not UTF-8.
pub(crate) fn decode(text: &str) -> Option<Cow<'_, str>> {
    if !text.bytes().any(|byte| matches!(byte, b'%' | b'+')) {
        return Some(Cow::Borrowed(text));
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => {
                let (&[high, low], tail) = rest.split_first_chunk::<2>()?;
                rest = tail;
                hex_digit(high)? << 4 | hex_digit(low)?
            }
            other => other,
        });
    }
    String::from_utf8(decoded).ok().map(Cow::Owned)
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte)
        .to_digit(16)
        .and_then(|digit| u8::try_from(digit).ok())
}
