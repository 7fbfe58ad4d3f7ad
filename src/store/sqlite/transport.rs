//! Rows of the embedded log as they are, for copying it from or to another store.

use std::path::Path;

use futures_util::future::{BoxFuture, FutureExt};
use sqlx::{Connection, SqliteConnection};

use super::{
    load::read_failed,
    row::COLUMNS,
    schema::{self, fingerprint_key},
};
use crate::store::{
    StoreError,
    layout::row::Row,
    lock::DirectoryLock,
    transport::{Rows, TakesRows},
};

/// Rows that are read at a time.
const ROWS: u32 = 64;

/// The file of a log.
#[derive(Debug)]
pub(in crate::store) struct FileRows {
    connection: SqliteConnection,
    _lock: Option<DirectoryLock>,
}

impl FileRows {
    /// A log that is there, also while a process appends to it.
    pub(in crate::store) async fn of(directory: &Path) -> Result<Self, StoreError> {
        Ok(Self {
            connection: schema::open_to_read(directory).await?,
            _lock: None,
        })
    }

    /// A log that nobody else has; it is made if it is not there.
    pub(in crate::store) async fn alone(directory: &Path) -> Result<Self, StoreError> {
        let lock = DirectoryLock::take(directory)?;
        Ok(Self {
            connection: schema::open_to_write(directory).await?,
            _lock: Some(lock),
        })
    }
}

impl Rows for FileRows {
    fn fingerprint_key(&mut self) -> BoxFuture<'_, Result<[u8; 32], StoreError>> {
        fingerprint_key(&mut self.connection).boxed()
    }

    fn head(&mut self) -> BoxFuture<'_, Result<u64, StoreError>> {
        async {
            let head: Option<i64> = sqlx::query_scalar(
                "SELECT first_position + count - 1 FROM groups ORDER BY first_position DESC LIMIT 1",
            )
            .fetch_optional(&mut self.connection)
            .await
            .map_err(read_failed)?;
            Ok(head.unwrap_or(0).cast_unsigned())
        }
        .boxed()
    }

    fn after(&mut self, position: u64) -> BoxFuture<'_, Result<Vec<Row>, StoreError>> {
        async move {
            let statement = format!(
                "SELECT {COLUMNS} FROM groups WHERE first_position >= coalesce( \
                 (SELECT max(first_position) FROM groups WHERE first_position <= ?), 0) \
                 ORDER BY first_position LIMIT {ROWS}"
            );
            let rows = sqlx::query(sqlx::AssertSqlSafe(statement))
                .bind((position + 1).cast_signed())
                .fetch_all(&mut self.connection)
                .await
                .map_err(read_failed)?;
            rows.iter().map(Row::from_sql).collect()
        }
        .boxed()
    }
}

impl TakesRows for FileRows {
    fn take_key(&mut self, key: [u8; 32]) -> BoxFuture<'_, Result<(), StoreError>> {
        async move {
            sqlx::query("UPDATE meta SET value = ? WHERE name = 'fingerprint_key'")
                .bind(key.to_vec())
                .execute(&mut self.connection)
                .await
                .map(drop)
                .map_err(|error| StoreError::failed("written", error))
        }
        .boxed()
    }

    fn take(&mut self, rows: Vec<Row>) -> BoxFuture<'_, Result<(), StoreError>> {
        async move {
            let written = |error| StoreError::failed("written", error);
            let mut transaction = self.connection.begin().await.map_err(written)?;
            for row in rows {
                row.insert(&mut transaction).await.map_err(written)?;
            }
            transaction.commit().await.map_err(written)
        }
        .boxed()
    }
}
