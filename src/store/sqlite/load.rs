//! Taking notice of rows: keys into the index, the head, and what waits to be merged.

use futures_util::TryStreamExt;
use sqlx::{Row as _, SqliteConnection};

use super::{Shared, merge::Waiting, row::first_position};
use crate::store::{StoreError, layout::row::damaged};

/// Rows from the one that holds the next position: while the log is only read, another process may
/// have merged rows on both sides of the head.
const ROWS_FROM: &str = "\
    SELECT first_position, count, merged, keys, length(facts) + length(clicks) \
    FROM groups \
    WHERE first_position >= \
        coalesce((SELECT max(first_position) FROM groups WHERE first_position <= ?), 0) \
    ORDER BY first_position";

impl Shared {
    /// Takes notice of all rows after the head, and returns the new head.
    pub(super) async fn load(&self, connection: &mut SqliteConnection) -> Result<u64, StoreError> {
        let mut head = self.head();
        let mut rows = sqlx::query(ROWS_FROM)
            .bind((head + 1).cast_signed())
            .fetch(connection);
        while let Some(row) = rows.try_next().await.map_err(read_failed)? {
            let first = first_position(&row);
            let count: u32 = row.try_get(1).map_err(read_failed)?;
            let end = first + u64::from(count);
            if end <= head + 1 {
                continue;
            }
            if first > head + 1 {
                return Err(damaged(head + 1, "the facts from here on are missing"));
            }
            let keys: &[u8] = row.try_get(3).map_err(read_failed)?;
            self.keys.insert_row(first, count, keys)?;
            if !row.try_get::<bool, _>(2).map_err(read_failed)? {
                let bytes: i64 = row.try_get(4).map_err(read_failed)?;
                let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
                self.backlog.add(Waiting {
                    first_position: first,
                    count: u64::from(count),
                    bytes,
                });
            }
            head = end - 1;
        }
        self.move_head(head);
        Ok(head)
    }
}

/// A statement that reads has failed.
pub(super) fn read_failed(error: sqlx::Error) -> StoreError {
    StoreError::failed("read", error)
}
