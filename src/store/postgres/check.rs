//! Checking: everything is read again and compared with what was remembered of it.

use std::sync::Arc;

use sqlx::postgres::PgRow;
use tokio::task;

use super::{
    Shared,
    row::{COLUMNS, whole},
    tail::READ_MAX,
    trouble::{Patience, Trouble, in_time},
};
use crate::store::{
    StoreError,
    layout::{row::damaged, sound::Checked},
};

/// Rows that are read at a time.
const ROWS: i64 = 128;

impl Shared {
    /// Checks all rows; the error names the first position at which something is wrong.
    pub(super) async fn check(&self, progress: &(dyn Fn(u64) + Sync)) -> Result<(), StoreError> {
        let head = self.head();
        let mut checked = Checked::default();
        while checked.size() < head {
            let rows = self.rows_after(checked.size()).await?;
            if rows.is_empty() {
                let missing = checked.size() + 1;
                return Err(damaged(missing, "the facts from here on are missing"));
            }
            let (keys, click_ids) = (Arc::clone(&self.keys), Arc::clone(&self.click_ids));
            let checking = task::spawn_blocking(move || {
                for row in &rows {
                    if checked.size() < head {
                        checked.check(&whole(row)?, &keys, &click_ids)?;
                    }
                }
                Ok::<_, StoreError>(checked)
            });
            checked = checking
                .await
                .map_err(|error| StoreError::failed("read", error))??;
            progress(checked.size());
        }
        Ok(())
    }

    async fn rows_after(&self, position: u64) -> Result<Vec<PgRow>, StoreError> {
        let statement = format!(
            "SELECT {COLUMNS} FROM log_groups WHERE first_position > $1 \
             ORDER BY first_position LIMIT {ROWS}"
        );
        let patience = Patience::of(READ_MAX);
        loop {
            let rows = sqlx::query(sqlx::AssertSqlSafe(statement.clone()))
                .bind(position.cast_signed())
                .fetch_all(&self.readers);
            match in_time(rows).await {
                Ok(rows) => return Ok(rows),
                Err(error) => patience
                    .after(error)
                    .await
                    .map_err(|trouble: Trouble| trouble.told("read"))?,
            }
        }
    }
}
