//! Checking: everything is read again and compared with what was remembered of it.

use futures_util::TryStreamExt;
use tokio::task;

use super::{Shared, load::read_failed, row::COLUMNS};
use crate::store::{
    StoreError,
    layout::{
        row::{Row, damaged},
        sound::Checked,
    },
};

impl Shared {
    /// Checks all rows; the error names the first position at which something is wrong.
    pub(super) async fn check(&self, progress: &(dyn Fn(u64) + Sync)) -> Result<(), StoreError> {
        let head = self.head();
        let mut checked = Checked::default();
        let statement = format!("SELECT {COLUMNS} FROM groups ORDER BY first_position");
        let mut rows = sqlx::query(sqlx::AssertSqlSafe(statement)).fetch(&self.readers);
        while checked.size() < head
            && let Some(row) = rows.try_next().await.map_err(read_failed)?
        {
            let row = Row::from_sql(&row)?;
            let keys = std::sync::Arc::clone(&self.keys);
            let click_ids = std::sync::Arc::clone(&self.click_ids);
            let checking = task::spawn_blocking(move || {
                checked.check(&row, &keys, &click_ids).map(|()| checked)
            });
            checked = checking
                .await
                .map_err(|error| StoreError::failed("read", error))??;
            progress(checked.size());
        }
        if checked.size() < head {
            let missing = checked.size() + 1;
            return Err(damaged(missing, "the facts from here on are missing"));
        }
        Ok(())
    }
}
