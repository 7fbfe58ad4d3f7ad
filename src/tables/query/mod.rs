//! What is asked of the tables.

pub mod attempts;
pub mod balances;
pub mod clawbacks;
pub mod conversions;
pub mod due;
pub mod parked;
pub mod payouts;
pub mod periods;
pub mod postings;
mod running;
mod sorts;
pub mod timeline;

use postbook_schemas::FactId;
use sqlx::{QueryBuilder, Sqlite, SqliteConnection, Transaction, sqlite::SqliteRow};

use super::{Tables, error::TablesError};

/// A part of a list: what comes after a key, at most so many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slice {
    /// The key of the last row that is known already; 0 to begin.
    pub after: u64,
    /// How many rows at most.
    pub limit: u32,
}

impl Slice {
    /// The whole list.
    pub const ALL: Self = Self {
        after: 0,
        limit: u32::MAX,
    };
}

impl Tables {
    async fn fetch(&self, mut query: QueryBuilder<Sqlite>) -> Result<Vec<SqliteRow>, TablesError> {
        query
            .build()
            .fetch_all(&*self.readers())
            .await
            .map_err(TablesError::sql("read"))
    }

    /// The tables as they are at one moment, for several queries.
    async fn snapshot(&self) -> Result<Transaction<'static, Sqlite>, TablesError> {
        let begun = self.readers().begin().await;
        begun.map_err(TablesError::sql("read"))
    }
}

async fn fetch_from(
    connection: &mut SqliteConnection,
    mut query: QueryBuilder<Sqlite>,
) -> Result<Vec<SqliteRow>, TablesError> {
    let rows = query.build().fetch_all(connection).await;
    rows.map_err(TablesError::sql("read"))
}

/// A query that can be given conditions one by one.
fn select(sql: &'static str) -> QueryBuilder<Sqlite> {
    QueryBuilder::new(sql)
}

/// Adds a condition if there is a value for it; `sql` ends where the value goes.
fn and<'v, T>(query: &mut QueryBuilder<Sqlite>, sql: &'static str, value: Option<T>)
where
    T: sqlx::Encode<'v, Sqlite> + sqlx::Type<Sqlite> + 'v,
{
    if let Some(value) = value {
        query.push(" AND ").push(sql).push_bind(value);
    }
}

fn id_bytes(id: FactId) -> Vec<u8> {
    id.as_bytes().to_vec()
}

/// Adds `column IN (…)` with numbers.
fn and_in(query: &mut QueryBuilder<Sqlite>, column: &'static str, numbers: &[u64]) {
    query.push(" AND ").push(column).push(" IN (");
    let mut list = query.separated(",");
    for number in numbers {
        list.push_bind(number.cast_signed());
    }
    query.push(")");
}
