//! Reading: pages of lines, single lines, index entries of clicks, and roots.

use std::sync::Arc;

use sqlx::{Row as _, postgres::PgRow};
use tokio::task;

use super::{
    Shared,
    tail::READ_MAX,
    trouble::{Patience, Trouble, in_time},
};
use crate::store::{
    ClickHead, Filter, Page, StoreError,
    layout::{
        heads::Heads,
        lines::{HeldLines, unpacked_bytes},
        part::{self, Part, Wanted, seated_bit},
        places::Place,
        row::damaged,
        spans::Spans,
    },
    merkle::{Frontier, Hash},
};

/// Rows that are looked at for one page.
const ROWS: u16 = 1_024;

/// Lines get about this much smaller when they are compressed.
const COMPRESSION: i64 = 6;

/// Rows from the one that holds a position on, so many that their compressed lines reach a size.
/// Columns that are not asked for are not read. The last column says how many rows there were to
/// choose from.
const ROWS_FROM: &str = "\
    SELECT first_position, count, types, places, facts, clicks, listed FROM ( \
        SELECT first_position, count, types, places, facts, clicks, count(*) OVER () AS listed, \
            sum(coalesce(octet_length(facts), 0) + coalesce(octet_length(clicks), 0)) OVER ( \
                ORDER BY first_position ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before \
        FROM ( \
            SELECT first_position, count, types, places, \
                CASE WHEN types & $3 <> 0 THEN facts END AS facts, \
                CASE WHEN types & $4 <> 0 THEN clicks END AS clicks \
            FROM log_groups \
            WHERE first_position <= $2 AND types & ($3 | $4) <> 0 AND first_position >= coalesce( \
                (SELECT max(first_position) FROM log_groups WHERE first_position <= $1), 1) \
            ORDER BY first_position LIMIT $6) AS candidates) AS summed \
    WHERE before IS NULL OR before < $5 ORDER BY first_position";

/// The row that holds a position, with these columns after those of a [`Part`].
macro_rules! row_of {
    ($columns:literal) => {
        concat!(
            "SELECT first_position, count, types, places, ",
            $columns,
            " FROM log_groups WHERE first_position <= $1 ORDER BY first_position DESC LIMIT 1"
        )
    };
}

impl Shared {
    /// Lines from a position on.
    pub(super) async fn read(
        &self,
        from: u64,
        to: u64,
        filter: Filter,
        bytes_max: usize,
    ) -> Result<Page, StoreError> {
        let wanted = Wanted {
            from: from.max(1),
            to: to.min(self.head()),
            filter,
            bytes_max,
        };
        part::first_page(wanted, |wanted| self.next_page(wanted)).await
    }

    /// Lines of the next rows; perhaps none, but then of what comes before `next`.
    async fn next_page(&self, wanted: Wanted) -> Result<Page, StoreError> {
        let rows = self.rows_from(wanted).await?;
        let listed: i64 = rows.last().map_or(0, |row| row.get(6));
        let is_all = listed < i64::from(ROWS) && i64::try_from(rows.len()) == Ok(listed);
        let last = match rows.last() {
            Some(row) if !is_all => row.last_position().min(wanted.to),
            _ => wanted.to,
        };
        let page = Page {
            next: last + 1,
            ..Page::default()
        };
        let blobs = rows.iter().flat_map(|row| [row.facts(), row.clicks()]);
        let bytes = blobs
            .flatten()
            .map(unpacked_bytes)
            .fold(0, u64::saturating_add);
        part::fill_apart(page, rows, wanted, bytes).await
    }

    async fn rows_from(&self, wanted: Wanted) -> Result<Vec<PgRow>, StoreError> {
        let bits = wanted.filter.bits();
        let bytes_max = i64::try_from(wanted.bytes_max).unwrap_or(i64::MAX);
        let patience = Patience::of(READ_MAX);
        loop {
            let rows = sqlx::query(ROWS_FROM)
                .bind(wanted.from.cast_signed())
                .bind(wanted.to.cast_signed())
                .bind((bits & !seated_bit()).cast_signed())
                .bind((bits & seated_bit()).cast_signed())
                .bind(bytes_max / COMPRESSION + 1)
                .bind(i64::from(ROWS))
                .fetch_all(&self.readers);
            match in_time(rows).await {
                Ok(rows) => return Ok(rows),
                Err(error) => patience.after(error).await.map_err(read_failed)?,
            }
        }
    }

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
        if positions.iter().any(|&position| position > self.head()) {
            self.be_fresh().await?;
        }
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
        let row = row_of!("NULL::bytea, NULL::bytea, frontier");
        let row = self.row_of(row, size).await?;
        if row.last_position() == size {
            let frontier = Frontier::from_bytes(size, row.get(6));
            let frontier = frontier.ok_or_else(|| damaged(size, "the tree is of another size"))?;
            return Ok(frontier.root());
        }
        let row = row_of!(
            "facts, clicks, (SELECT frontier FROM log_groups AS earlier \
             WHERE earlier.first_position < log_groups.first_position \
             ORDER BY earlier.first_position DESC LIMIT 1)"
        );
        let row = self.row_of(row, size).await?;
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
        let row = row_of!("NULL::bytea, NULL::bytea, heads");
        let row = self.row_of(row, position).await?;
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
            row_of!("NULL::bytea, clicks")
        } else {
            row_of!("facts, NULL::bytea")
        };
        let row = self.row_of(statement, position).await?;
        let unpacking = task::spawn_blocking(move || part::hold(&row, seated).map(Arc::new));
        let held = unpacking
            .await
            .map_err(|error| StoreError::failed("read", error))??;
        lines.insert(Arc::clone(&held));
        Ok(held)
    }

    async fn row_of(&self, statement: &'static str, position: u64) -> Result<PgRow, StoreError> {
        let patience = Patience::of(READ_MAX);
        let row = loop {
            let row = sqlx::query(statement).bind(position.cast_signed());
            match in_time(row.fetch_optional(&self.readers)).await {
                Ok(row) => break row,
                Err(error) => patience.after(error).await.map_err(read_failed)?,
            }
        };
        row.ok_or_else(|| damaged(position, "its row is missing"))
    }
}

/// A statement that reads has failed, again and again.
fn read_failed(trouble: Trouble) -> StoreError {
    trouble.told("read")
}
