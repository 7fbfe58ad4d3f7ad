//! Rows of a log on a server as they are, for copying it from or to another store.

use futures_util::future::{BoxFuture, FutureExt};
use sqlx::{Connection, PgConnection};

use super::{
    row::{self, COLUMNS, whole},
    schema::{self, Opened},
    server::Server,
    trouble::Trouble,
};
use crate::store::{
    StoreError,
    layout::row::Row,
    transport::{Rows, TakesRows},
};

/// Rows that are read at a time.
const ROWS: u32 = 64;

/// The tables of a log.
#[derive(Debug)]
pub(in crate::store) struct ServerRows {
    connection: PgConnection,
    known: Opened,
}

impl ServerRows {
    /// A log that is there.
    pub(in crate::store) async fn of(server: &Server) -> Result<Self, StoreError> {
        let mut connection = server.reach().await?;
        let known = schema::open_to_read(&mut connection).await?;
        Ok(Self { connection, known })
    }

    /// A log that rows can be added to; its tables are made if they are not there.
    pub(in crate::store) async fn to_add(server: &Server) -> Result<Self, StoreError> {
        let mut connection = server.reach().await?;
        let known = schema::open_to_write(&mut connection).await?;
        let prepared = schema::prepare_to_append(&mut connection).await;
        prepared.map_err(told("opened"))?;
        Ok(Self { connection, known })
    }

    async fn begins_at(&mut self) -> sqlx::Result<u64> {
        let begins_at: i64 = sqlx::query_scalar("SELECT log_next()")
            .fetch_one(&mut self.connection)
            .await?;
        Ok(begins_at.cast_unsigned())
    }

    async fn add(&mut self, rows: &[Row]) -> Result<(), Trouble> {
        let mut transaction = self.connection.begin().await?;
        let lock = sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(self.known.lock_key);
        lock.execute(&mut *transaction).await?;
        let begins_at: i64 = sqlx::query_scalar("SELECT log_next()")
            .fetch_one(&mut *transaction)
            .await?;
        if rows.first().map(|row| row.first_position) != Some(begins_at.cast_unsigned()) {
            let what = "somebody else appends to it";
            return Err(StoreError::failed("written", what).into());
        }
        for row in rows {
            row::insert(&mut transaction, row, &[0; 16]).await?;
        }
        Ok(transaction.commit().await?)
    }
}

impl Rows for ServerRows {
    fn fingerprint_key(&mut self) -> BoxFuture<'_, Result<[u8; 32], StoreError>> {
        std::future::ready(Ok(self.known.fingerprint_key)).boxed()
    }

    fn head(&mut self) -> BoxFuture<'_, Result<u64, StoreError>> {
        async {
            let begins_at = self.begins_at().await;
            Ok(begins_at.map_err(told("read"))?.saturating_sub(1))
        }
        .boxed()
    }

    fn after(&mut self, position: u64) -> BoxFuture<'_, Result<Vec<Row>, StoreError>> {
        async move {
            let statement = format!(
                "SELECT {COLUMNS} FROM log_groups WHERE first_position >= coalesce( \
                 (SELECT max(first_position) FROM log_groups WHERE first_position <= $1), 0) \
                 ORDER BY first_position LIMIT {ROWS}"
            );
            let rows = sqlx::query(sqlx::AssertSqlSafe(statement))
                .bind((position + 1).cast_signed())
                .fetch_all(&mut self.connection)
                .await;
            rows.map_err(told("read"))?.iter().map(whole).collect()
        }
        .boxed()
    }
}

impl TakesRows for ServerRows {
    fn take_key(&mut self, key: [u8; 32]) -> BoxFuture<'_, Result<(), StoreError>> {
        async move {
            schema::put_fingerprint_key(&mut self.connection, &key).await?;
            self.known.fingerprint_key = key;
            Ok(())
        }
        .boxed()
    }

    fn take(&mut self, rows: Vec<Row>) -> BoxFuture<'_, Result<(), StoreError>> {
        async move {
            let added = self.add(&rows).await;
            added.map_err(|trouble| trouble.told("written"))
        }
        .boxed()
    }
}

fn told(doing: &'static str) -> impl Fn(sqlx::Error) -> StoreError {
    move |error| StoreError::failed(doing, error)
}
