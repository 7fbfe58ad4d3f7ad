//! Reading: pages of lines, single lines, index entries of clicks, and roots.

use std::sync::Arc;

use postbook_schemas::FactType;
use sqlx::{Row as _, sqlite::SqliteRow};
use tokio::task;

use super::{
    Shared,
    heads::Heads,
    lines::{HeldLines, Unpacker},
    load::read_failed,
    places::{Place, Places},
    row::{damaged, first_position, parse_places},
    spans::Spans,
};
use crate::store::{
    ClickHead, StoreError,
    merkle::{Frontier, Hash, leaf_hash},
};

/// The row that holds a position, with these columns.
macro_rules! row_of {
    ($columns:literal) => {
        concat!(
            "SELECT first_position, count, ",
            $columns,
            " FROM groups WHERE first_position <= ? ORDER BY first_position DESC LIMIT 1"
        )
    };
}

impl Shared {
    /// The line at a position.
    pub(super) async fn read_one(&self, position: u64) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(row) = self.heads_of(position).await? else {
            return Ok(None);
        };
        let seated = matches!(row.place(position), Some(Place::Seated(_)));
        let lines = if seated { &self.clicks } else { &self.facts };
        let held = match lines.get(position) {
            Some(held) => held,
            None => self.hold_lines(position, seated, lines).await?,
        };
        let line = held.get(position).map(<[u8]>::to_vec);
        line.map(Some)
            .ok_or_else(|| damaged(position, "its line is missing from its row"))
    }

    /// The index entries of clicks.
    pub(super) async fn clicks_at(
        &self,
        positions: Vec<u64>,
    ) -> Result<Vec<Option<ClickHead>>, StoreError> {
        let mut found = Vec::with_capacity(positions.len());
        for position in positions {
            let row = self.heads_of(position).await?;
            found.push(row.and_then(|row| row.get(position)));
        }
        Ok(found)
    }

    /// The tree hash over the first `size` lines.
    pub(super) async fn root(&self, size: u64) -> Result<Hash, StoreError> {
        let head = self.head();
        if size == 0 {
            return Ok(Frontier::default().root());
        }
        if size > head {
            return Err(StoreError::beyond_head(size, head));
        }
        let row = self.row_of(row_of!("frontier"), size).await?;
        let end = first_position(&row) + u64::from(row.get::<u32, _>(1));
        if end == size + 1 {
            let frontier = Frontier::from_bytes(size, row.get(2));
            let frontier = frontier.ok_or_else(|| damaged(size, "the tree is of another size"))?;
            return Ok(frontier.root());
        }
        // The position was the end of a group before its row was merged with others.
        let row = self
            .row_of(
                row_of!(
                    "places, facts, clicks, (SELECT frontier FROM groups AS earlier \
                     WHERE earlier.first_position < groups.first_position \
                     ORDER BY earlier.first_position DESC LIMIT 1)"
                ),
                size,
            )
            .await?;
        let hashing = task::spawn_blocking(move || root_within(&row, size));
        hashing
            .await
            .map_err(|error| StoreError::failed("read", error))?
    }

    /// Index entries and places of the row that holds a position; `None` beyond the log.
    async fn heads_of(&self, position: u64) -> Result<Option<Arc<Heads>>, StoreError> {
        if position == 0 || position > self.head() {
            return Ok(None);
        }
        if let Some(held) = self.heads.get(position) {
            return Ok(Some(held));
        }
        let row = self.row_of(row_of!("places, heads"), position).await?;
        let first = first_position(&row);
        let entries = Unpacker::new()?.unpack_bytes(row.get(3));
        let entries = entries.map_err(|what| damaged(first, what))?;
        let heads = Heads::new(first, places(&row)?, &entries)
            .map(Arc::new)
            .ok_or_else(|| damaged(first, "index entries and places do not fit"))?;
        self.heads.insert(Arc::clone(&heads));
        Ok(Some(heads))
    }

    async fn hold_lines(
        &self,
        position: u64,
        seated: bool,
        lines: &Spans<HeldLines>,
    ) -> Result<Arc<HeldLines>, StoreError> {
        let statement = if seated {
            row_of!("places, clicks")
        } else {
            row_of!("places, facts")
        };
        let row = self.row_of(statement, position).await?;
        let unpacking = task::spawn_blocking(move || {
            let (first, places) = (first_position(&row), places(&row)?);
            let unseated = places.count() - places.seated();
            let count = if seated { places.seated() } else { unseated };
            let unpacked = Unpacker::new()?.unpack(row.get(3), count);
            let unpacked = unpacked.map_err(|what| damaged(first, what))?;
            Ok(Arc::new(HeldLines::new(first, places, unpacked)))
        });
        let held = unpacking
            .await
            .map_err(|error| StoreError::failed("read", error))??;
        lines.insert(Arc::clone(&held));
        Ok(held)
    }

    async fn row_of(
        &self,
        statement: &'static str,
        position: u64,
    ) -> Result<SqliteRow, StoreError> {
        let row = sqlx::query(statement)
            .bind(position.cast_signed())
            .fetch_optional(&self.readers)
            .await;
        row.map_err(read_failed)?
            .ok_or_else(|| damaged(position, "its row is missing"))
    }
}

/// The places in the third column of a selected row.
fn places(row: &SqliteRow) -> Result<Places, StoreError> {
    parse_places(first_position(row), row.get(1), row.get(2))
}

/// The tree hash up to a position within a row.
fn root_within(row: &SqliteRow, size: u64) -> Result<Hash, StoreError> {
    let (first, places) = (first_position(row), places(row)?);
    let before: Option<&[u8]> = row.get(5);
    let mut frontier = Frontier::from_bytes(first - 1, before.unwrap_or_default())
        .ok_or_else(|| damaged(first, "the tree before it is of another size"))?;
    let mut unpacker = Unpacker::new()?;
    let mut unpack = |column: usize, count| {
        let unpacked = unpacker.unpack(row.get(column), count);
        unpacked.map_err(|what| damaged(first, what))
    };
    let facts = unpack(3, places.count() - places.seated())?;
    let clicks = unpack(4, places.seated())?;
    for place in places.iter() {
        if frontier.size() == size {
            break;
        }
        let line = match place {
            Place::Seated(index) => clicks.get(index),
            Place::Unseated(index) => facts.get(index),
        };
        let line = line.ok_or_else(|| damaged(frontier.size() + 1, "its line is missing"))?;
        frontier.push(leaf_hash(line));
    }
    Ok(frontier.root())
}

/// The bit of clicks with a seat.
pub(super) fn seated_bit() -> u64 {
    crate::store::Filter::bit(FactType::ClickRecorded)
}
