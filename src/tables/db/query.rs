//! A statement that both databases understand, with its values.

use std::fmt::{Display, Write as _};

use sqlx::{
    AssertSqlSafe, Postgres, Sqlite, postgres::PgArguments, query::Query as Built,
    sqlite::SqliteArguments,
};

use super::value::{self, Value};

/// A statement in what both dialects have in common; values are numbered (`$1`).
#[derive(Clone, Debug)]
pub(in crate::tables) struct Query {
    sql: String,
    values: Vec<Value>,
}

impl Query {
    pub(in crate::tables) fn new(sql: impl Into<String>) -> Self {
        Self {
            sql: sql.into(),
            values: Vec::new(),
        }
    }

    /// Adds text of this program, never of anybody else.
    pub(in crate::tables) fn push(&mut self, sql: impl Display) -> &mut Self {
        _ = write!(self.sql, "{sql}");
        self
    }

    /// Adds a value.
    pub(in crate::tables) fn push_bind(&mut self, value: impl Into<Value>) -> &mut Self {
        self.values.push(value.into());
        let number = self.values.len();
        self.push(format_args!("${number}"))
    }

    /// Binds a value to a place that the text names.
    pub(in crate::tables) fn bind(mut self, value: impl Into<Value>) -> Self {
        self.values.push(value.into());
        self
    }

    /// The same with words before it.
    pub(in crate::tables) fn after(mut self, words: &str) -> Self {
        self.sql.insert_str(0, words);
        self
    }

    pub(super) fn for_file(self) -> Built<'static, Sqlite, SqliteArguments> {
        sqlx::query_with(AssertSqlSafe(self.sql), value::for_file(self.values))
    }

    pub(super) fn for_server(self) -> Built<'static, Postgres, PgArguments> {
        sqlx::query_with(AssertSqlSafe(self.sql), value::for_server(self.values))
    }
}
