//! What is bound to statements, as either database takes it.

use std::borrow::Cow;

use postbook_schemas::FactId;
use sqlx::{
    Arguments, Encode, Postgres, Sqlite, Type, postgres::PgArguments, sqlite::SqliteArguments,
};

/// A server's texts hold every character but NUL. This one is no character of any script, and stands
/// before what stands for a NUL or for itself.
const ESCAPE: char = '\u{FDD0}';

/// A value in a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::tables) enum Value {
    Number(i64),
    Text(Option<String>),
    Bytes(Vec<u8>),
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Self {
        Self::Number(i64::from(number))
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(Some(text))
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(Some(text.to_owned()))
    }
}

impl From<Option<&str>> for Value {
    fn from(text: Option<&str>) -> Self {
        Self::Text(text.map(str::to_owned))
    }
}

impl From<FactId> for Value {
    fn from(id: FactId) -> Self {
        Self::Bytes(id.as_bytes().to_vec())
    }
}

impl From<&[u8]> for Value {
    fn from(bytes: &[u8]) -> Self {
        Self::Bytes(bytes.to_vec())
    }
}

/// Values as SQLite takes them.
pub(super) fn for_file(values: Vec<Value>) -> SqliteArguments {
    let mut arguments = SqliteArguments::default();
    for value in values {
        match value {
            Value::Number(number) => add_to_file(&mut arguments, number),
            Value::Text(text) => add_to_file(&mut arguments, text),
            Value::Bytes(bytes) => add_to_file(&mut arguments, bytes),
        }
    }
    arguments
}

/// Values as PostgreSQL takes them.
pub(super) fn for_server(values: Vec<Value>) -> PgArguments {
    let mut arguments = PgArguments::default();
    for value in values {
        match value {
            Value::Number(number) => add_to_server(&mut arguments, number),
            Value::Text(text) => {
                let text = text.map(|text| without_nul(&text).into_owned());
                add_to_server(&mut arguments, text);
            }
            Value::Bytes(bytes) => add_to_server(&mut arguments, bytes),
        }
    }
    arguments
}

/// Adds a value.
pub(in crate::tables) fn add_to_file<'t, T>(arguments: &mut SqliteArguments, value: T)
where
    T: Encode<'t, Sqlite> + Type<Sqlite>,
{
    let added = arguments.add(value);
    added.expect("numbers, texts and bytes can always be handed to SQLite");
}

/// Adds a value.
pub(in crate::tables) fn add_to_server<'t, T>(arguments: &mut PgArguments, value: T)
where
    T: Encode<'t, Postgres> + Type<Postgres>,
{
    let added = arguments.add(value);
    added.expect("numbers, texts and bytes can always be handed to PostgreSQL");
}

/// A text as a server keeps it.
pub(in crate::tables) fn without_nul(text: &str) -> Cow<'_, str> {
    if !text.contains(['\0', ESCAPE]) {
        return Cow::Borrowed(text);
    }
    let mut kept = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        match character {
            '\0' => kept.extend([ESCAPE, '0']),
            ESCAPE => kept.extend([ESCAPE, ESCAPE]),
            other => kept.push(other),
        }
    }
    Cow::Owned(kept)
}

/// A text that a server has kept, as it was.
pub(super) fn with_nul(kept: &str) -> Cow<'_, str> {
    if !kept.contains(ESCAPE) {
        return Cow::Borrowed(kept);
    }
    let mut text = String::with_capacity(kept.len());
    let mut characters = kept.chars();
    while let Some(character) = characters.next() {
        match (character, character == ESCAPE) {
            (_, true) => text.extend(characters.next().map(|next| match next {
                '0' => '\0',
                other => other,
            })),
            (other, false) => text.push(other),
        }
    }
    Cow::Owned(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_text_comes_back_and_none_is_kept_with_a_nul(
            text in r"([\x00\u{FDD0}0ab]|\PC){0,20}"
        ) {
            let kept = without_nul(&text);
            prop_assert!(!kept.contains('\0'));
            prop_assert_eq!(with_nul(&kept), text.as_str());
        }
    }
}
