//! A row of the log's table in SQL.

use postbook_schemas::Instant;
use sqlx::{
    PgConnection, Postgres, Row as _,
    postgres::{PgArguments, PgRow},
    query::Query,
};

use crate::store::{
    StoreError,
    layout::{
        part::Part,
        row::{Row, damaged},
    },
};

/// Which append of which node a row comes from.
pub(super) type Batch = [u8; 16];

/// The columns of a whole row, in the order in which [`whole`] takes them.
pub(super) const COLUMNS: &str = "first_position, count, recorded_from, recorded_to, types, seal, \
                                  frontier, keys, places, facts, heads, clicks";

/// Appends a row if it follows the last one; says where it would have to begin if it does not.
pub(super) async fn append(
    connection: &mut PgConnection,
    lock_key: i64,
    row: &Row,
    batch: &Batch,
) -> sqlx::Result<u64> {
    let append = sqlx::query(
        "SELECT log_append($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
    );
    // All of the answer is waited for: its row comes before the commit, its end after it.
    let answer = bind(append.bind(lock_key), row, batch).fetch_all(connection);
    let answer = answer.await?;
    let begins_at = answer.first().ok_or(sqlx::Error::RowNotFound)?;
    Ok(begins_at.try_get::<i64, _>(0)?.cast_unsigned())
}

/// Adds a row within a transaction that holds the lock of appends.
pub(super) async fn insert(
    connection: &mut PgConnection,
    row: &Row,
    batch: &Batch,
) -> sqlx::Result<()> {
    let insert = sqlx::query(
        "INSERT INTO log_groups VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
    );
    bind(insert, row, batch).execute(connection).await.map(drop)
}

fn bind<'q>(
    statement: Query<'q, Postgres, PgArguments>,
    row: &'q Row,
    batch: &'q Batch,
) -> Query<'q, Postgres, PgArguments> {
    statement
        .bind(row.first_position.cast_signed())
        .bind(row.count.cast_signed())
        .bind(row.recorded_from.micros())
        .bind(row.recorded_to.micros())
        .bind(row.types.cast_signed())
        .bind(&batch[..])
        .bind(row.seal())
        .bind(&row.frontier)
        .bind(&row.keys)
        .bind(&row.places)
        .bind(&row.facts)
        .bind(&row.heads)
        .bind(&row.clicks)
}

/// Reads a row that was selected with [`COLUMNS`], and checks its seal.
pub(super) fn whole(row: &PgRow) -> Result<Row, StoreError> {
    let first_position = row.first_position();
    let read = || -> sqlx::Result<(Row, Vec<u8>)> {
        let read = Row {
            first_position,
            count: row.try_get::<i32, _>(1)?.cast_unsigned(),
            recorded_from: Instant::from_micros(row.try_get(2)?),
            recorded_to: Instant::from_micros(row.try_get(3)?),
            types: row.try_get::<i64, _>(4)?.cast_unsigned(),
            merged: false,
            frontier: row.try_get(6)?,
            keys: row.try_get(7)?,
            places: row.try_get(8)?,
            facts: row.try_get(9)?,
            heads: row.try_get(10)?,
            clicks: row.try_get(11)?,
        };
        Ok((read, row.try_get(5)?))
    };
    let (read, seal) = read().map_err(|error| damaged(first_position, error.to_string()))?;
    if read.seal() == seal {
        Ok(read)
    } else {
        Err(damaged(first_position, "the seal of the row does not fit"))
    }
}

/// A row that was selected as position, count, types, places, lines of facts and lines of clicks.
impl Part for PgRow {
    fn first_position(&self) -> u64 {
        self.get::<i64, _>(0).cast_unsigned()
    }

    fn count(&self) -> u32 {
        self.get::<i32, _>(1).cast_unsigned()
    }

    fn types(&self) -> u64 {
        self.get::<i64, _>(2).cast_unsigned()
    }

    fn places(&self) -> &[u8] {
        self.get(3)
    }

    fn facts(&self) -> Option<&[u8]> {
        self.get(4)
    }

    fn clicks(&self) -> Option<&[u8]> {
        self.get(5)
    }
}
