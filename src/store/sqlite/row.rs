//! A row of the log's table: a stretch of facts as it is kept.

use postbook_schemas::Instant;
use sha2::{Digest, Sha256};
use sqlx::{Row as _, SqliteConnection, sqlite::SqliteRow};

use super::{merge::Waiting, places::Places};
use crate::store::StoreError;

/// Rows grow to about this many facts when they are merged; larger groups are cut to it.
pub(super) const ROW_FACTS: usize = 4_096;

/// The columns of a whole row, in the order in which [`Row::from_sql`] takes them.
pub(super) const COLUMNS: &str = "first_position, count, recorded_from, recorded_to, types, merged, \
                                  seal, frontier, keys, places, facts, heads, clicks";

/// A whole row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) first_position: u64,
    pub(super) count: u32,
    pub(super) recorded_from: Instant,
    pub(super) recorded_to: Instant,
    pub(super) types: u64,
    pub(super) merged: bool,
    pub(super) frontier: Vec<u8>,
    pub(super) keys: Vec<u8>,
    pub(super) places: Vec<u8>,
    pub(super) facts: Vec<u8>,
    pub(super) heads: Vec<u8>,
    pub(super) clicks: Vec<u8>,
}

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

    /// Which facts have seats.
    pub(super) fn places(&self) -> Result<Places, StoreError> {
        parse_places(self.first_position, self.count, &self.places)
    }

    /// What protects the columns that no leaf hash covers. The lines themselves are proven by the
    /// tree, whose state is sealed here.
    fn seal(&self) -> Vec<u8> {
        let mut hasher = Sha256::new();
        hasher.update(self.first_position.to_le_bytes());
        hasher.update(self.count.to_le_bytes());
        hasher.update(self.recorded_from.micros().to_le_bytes());
        hasher.update(self.recorded_to.micros().to_le_bytes());
        hasher.update(self.types.to_le_bytes());
        for column in [&self.frontier, &self.keys, &self.places, &self.heads] {
            hasher.update((column.len() as u64).to_le_bytes());
            hasher.update(column);
        }
        let hash: [u8; 32] = hasher.finalize().into();
        hash[..16].to_vec()
    }
}

/// The position in the first column of a selected row.
pub(super) fn first_position(row: &SqliteRow) -> u64 {
    row.get::<i64, _>(0).cast_unsigned()
}

/// Reads the places of a row of `count` facts.
pub(super) fn parse_places(first: u64, count: u32, bytes: &[u8]) -> Result<Places, StoreError> {
    Places::from_bytes(bytes)
        .filter(|places| places.count() == count)
        .ok_or_else(|| damaged(first, "the places of the row do not fit its count"))
}

/// Damage at a position.
pub(super) fn damaged(position: u64, what: impl Into<String>) -> StoreError {
    StoreError::Damaged {
        position,
        what: what.into(),
    }
}
