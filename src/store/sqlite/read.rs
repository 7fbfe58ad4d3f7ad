//! Reading: pages of lines, single lines, index entries of clicks, and roots.

use std::sync::Arc;

use sqlx::{Row as _, sqlite::SqliteRow};
use tokio::task;

use super::{Shared, load::read_failed};
use crate::store::{
    ClickHead, StoreError,
    layout::{
        heads::Heads,
        lines::HeldLines,
        part::{self, Part},
        places::Place,
        row::damaged,
        spans::Spans,
    },
    merkle::{Frontier, Hash},
};

/// The row that holds a position, with these columns.
macro_rules! row_of {
    ($columns:literal) => {
        concat!(
            "SELECT first_position, count, types, places, ",
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
        let row = self.row_of(row_of!("NULL, NULL, frontier"), size).await?;
        if row.last_position() == size {
            let frontier = Frontier::from_bytes(size, row.get(6));
            let frontier = frontier.ok_or_else(|| damaged(size, "the tree is of another size"))?;
            return Ok(frontier.root());
        }
        // The position was the end of a group before its row was merged with others.
        let row = self
            .row_of(
                row_of!(
                    "facts, clicks, (SELECT frontier FROM groups AS earlier \
                     WHERE earlier.first_position < groups.first_position \
                     ORDER BY earlier.first_position DESC LIMIT 1)"
                ),
                size,
            )
            .await?;
        let hashing = task::spawn_blocking(move || {
            let before: Option<&[u8]> = row.get(6);
            part::root_within(&row, before.unwrap_or_default(), size)
        });
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
        let row = self.row_of(row_of!("NULL, NULL, heads"), position);
        let row = row.await?;
        let heads = Arc::new(part::heads(&row, row.get(6))?);
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
            row_of!("NULL, clicks")
        } else {
            row_of!("facts, NULL")
        };
        let row = self.row_of(statement, position).await?;
        let unpacking = task::spawn_blocking(move || part::hold(&row, seated).map(Arc::new));
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
