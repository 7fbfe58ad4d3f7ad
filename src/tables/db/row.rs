//! A row of either database.

use std::borrow::Cow;

use sqlx::{Row as _, postgres::PgRow, sqlite::SqliteRow};

use super::value::with_nul;

/// A row of either database. Columns are taken by name; an absent value is `None`.
#[derive(Debug)]
pub(in crate::tables) enum Row {
    File(SqliteRow),
    Server(PgRow),
}

impl Row {
    /// A whole number. Literals and sums of a server may be narrower than columns.
    pub(in crate::tables) fn number(&self, column: &str) -> sqlx::Result<Option<i64>> {
        match self {
            Self::File(row) => row.try_get(column),
            Self::Server(row) => row.try_get(column).or_else(|error| {
                let narrow = row.try_get::<Option<i32>, _>(column);
                narrow
                    .map(|number| number.map(i64::from))
                    .map_err(|_| error)
            }),
        }
    }

    pub(in crate::tables) fn text(&self, column: &str) -> sqlx::Result<Option<Cow<'_, str>>> {
        match self {
            Self::File(row) => {
                let text: Option<&str> = row.try_get(column)?;
                Ok(text.map(Cow::Borrowed))
            }
            Self::Server(row) => {
                let text: Option<&str> = row.try_get(column)?;
                Ok(text.map(with_nul))
            }
        }
    }

    pub(in crate::tables) fn bytes(&self, column: &str) -> sqlx::Result<Option<&[u8]>> {
        match self {
            Self::File(row) => row.try_get(column),
            Self::Server(row) => row.try_get(column),
        }
    }

    /// The number in the first column, if there is one: what a row is known by.
    pub(in crate::tables) fn first_number(&self) -> Option<i64> {
        match self {
            Self::File(row) => row.try_get(0).ok(),
            Self::Server(row) => row.try_get(0).ok(),
        }
    }
}
