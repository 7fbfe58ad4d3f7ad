//! Reading on: pages of lines from a position, only such as a filter asks for.

use futures_util::TryStreamExt;
use sqlx::{Row as _, sqlite::SqliteRow};

use super::{Shared, load::read_failed, row::first_position};
use crate::store::{
    Filter, Page, StoreError,
    layout::{
        lines::unpacked_bytes,
        part::{Part, Wanted, fill_apart, first_page, seated_bit},
    },
};

/// Rows from the one that holds a position on. Columns that are not asked for are not read.
const ROWS_FROM: &str = "\
    SELECT first_position, count, types, places, \
        CASE WHEN types & ?3 THEN facts END, \
        CASE WHEN types & ?4 THEN clicks END \
    FROM groups \
    WHERE first_position >= (SELECT max(first_position) FROM groups WHERE first_position <= ?1) \
        AND first_position <= ?2 AND (types & ?3 OR types & ?4) \
    ORDER BY first_position";

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
        first_page(wanted, |wanted| self.next_page(wanted)).await
    }

    /// Lines of the next rows; perhaps none, but then of what comes before `next`.
    async fn next_page(&self, wanted: Wanted) -> Result<Page, StoreError> {
        let bits = wanted.filter.bits();
        let mut rows = sqlx::query(ROWS_FROM)
            .bind(wanted.from.cast_signed())
            .bind(wanted.to.cast_signed())
            .bind((bits & !seated_bit()).cast_signed())
            .bind((bits & seated_bit()).cast_signed())
            .fetch(&self.readers);
        let (mut batch, mut bytes) = (Vec::new(), 0_u64);
        let mut last = wanted.to;
        while let Some(row) = rows.try_next().await.map_err(read_failed)? {
            for column in [4, 5] {
                let blob: Option<&[u8]> = row.try_get(column).map_err(read_failed)?;
                bytes = bytes.saturating_add(blob.map_or(0, unpacked_bytes));
            }
            let end = row.last_position();
            batch.push(row);
            if bytes >= wanted.bytes_max as u64 {
                last = end.min(wanted.to);
                break;
            }
        }
        drop(rows);
        let page = Page {
            next: last + 1,
            ..Page::default()
        };
        fill_apart(page, batch, wanted, bytes).await
    }
}

/// A row of [`ROWS_FROM`].
impl Part for SqliteRow {
    fn first_position(&self) -> u64 {
        first_position(self)
    }

    fn count(&self) -> u32 {
        self.get(1)
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
