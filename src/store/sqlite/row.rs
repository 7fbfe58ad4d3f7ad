//! A row of the log's table in SQL.

use postbook_schemas::Instant;
use sqlx::{Row as _, SqliteConnection, sqlite::SqliteRow};

use super::merge::Waiting;
use crate::store::{
    StoreError,
    layout::row::{Row, damaged},
};

/// The columns of a whole row, in the order in which [`Row::from_sql`] takes them.
pub(super) const COLUMNS: &str = "first_position, count, recorded_from, recorded_to, types, merged, \
                                  seal, frontier, keys, places, facts, heads, clicks";

impl Row {
    /// Writes the row.
    pub(super) async fn insert(self, connection: &mut SqliteConnection) -> sqlx::Result<()> {
        let seal = self.seal();
        sqlx::query("INSERT INTO groups VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")
            .bind(self.first_position.cast_signed())
            .bind(self.count)
            .bind(self.recorded_from.micros())
            .bind(self.recorded_to.micros())
            .bind(self.types.cast_signed())
            .bind(self.merged)
            .bind(seal)
            .bind(self.frontier)
            .bind(self.keys)
            .bind(self.places)
            .bind(self.facts)
            .bind(self.heads)
            .bind(self.clicks)
            .execute(connection)
            .await?;
        Ok(())
    }

    /// Reads a row that was selected with [`COLUMNS`], and checks its seal.
    pub(super) fn from_sql(row: &SqliteRow) -> Result<Self, StoreError> {
        let first_position = first_position(row);
        let read = || -> sqlx::Result<(Self, Vec<u8>)> {
            let read = Self {
                first_position,
                count: row.try_get(1)?,
                recorded_from: Instant::from_micros(row.try_get(2)?),
                recorded_to: Instant::from_micros(row.try_get(3)?),
                types: row.try_get::<i64, _>(4)?.cast_unsigned(),
                merged: row.try_get(5)?,
                frontier: row.try_get(7)?,
                keys: row.try_get(8)?,
                places: row.try_get(9)?,
                facts: row.try_get(10)?,
                heads: row.try_get(11)?,
                clicks: row.try_get(12)?,
            };
            Ok((read, row.try_get(6)?))
        };
        let (read, seal) = read().map_err(|error| damaged(first_position, error.to_string()))?;
        if read.seal() == seal {
            Ok(read)
        } else {
            Err(damaged(first_position, "the seal of the row does not fit"))
        }
    }

    /// What the merger must know of the row.
    pub(super) fn waiting(&self) -> Waiting {
        Waiting {
            first_position: self.first_position,
            count: u64::from(self.count),
            bytes: self.facts.len() + self.clicks.len(),
        }
    }
}

/// The position in the first column of a selected row.
pub(super) fn first_position(row: &SqliteRow) -> u64 {
    row.get::<i64, _>(0).cast_unsigned()
}
