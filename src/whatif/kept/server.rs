//! What-ifs in a table on the server that nodes share.

use sqlx::{PgPool, Row, postgres::PgRow};

use super::{COUNT_MAX, KeptError, packed, unpacked};
use crate::{store::postgres::Server, whatif::Whatif};

const THERE: &str = "SELECT to_regclass('whatifs') IS NOT NULL";

const MAKE: &str = "CREATE TABLE IF NOT EXISTS whatifs \
    (hash TEXT PRIMARY KEY, made_at BIGINT NOT NULL, packed BYTEA NOT NULL)";

/// Removes the oldest if there are too many.
const MAKE_ROOM: &str = "DELETE FROM whatifs WHERE hash IN \
    (SELECT hash FROM whatifs ORDER BY made_at DESC, hash OFFSET $1)";

/// The what-ifs on a server.
#[derive(Clone, Debug)]
pub(super) struct Table(PgPool);

impl Table {
    pub(super) fn of(server: &Server) -> Self {
        Self(server.pool(1))
    }

    async fn is_there(&self) -> Result<bool, KeptError> {
        Ok(sqlx::query_scalar(THERE).fetch_one(&self.0).await?)
    }

    pub(super) async fn keep(&self, whatif: Whatif) -> Result<Whatif, KeptError> {
        if !self.is_there().await? {
            sqlx::raw_sql(MAKE).execute(&self.0).await?;
        }
        let bytes = apart(whatif.clone(), |whatif| packed(&whatif)).await??;
        let insert = "INSERT INTO whatifs VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
        let inserted = sqlx::query(insert)
            .bind(&whatif.hash)
            .bind(whatif.made_at.micros())
            .bind(bytes)
            .execute(&self.0)
            .await?;
        if inserted.rows_affected() == 0 {
            // Whoever made it first has made it.
            return Ok(self.read(&whatif.hash).await?.unwrap_or(whatif));
        }
        let most = i64::try_from(COUNT_MAX).unwrap_or(i64::MAX);
        sqlx::query(MAKE_ROOM).bind(most).execute(&self.0).await?;
        Ok(whatif)
    }

    /// The only what-if whose hash begins so.
    pub(super) async fn find(&self, hash: &str) -> Result<Option<Whatif>, KeptError> {
        if !self.is_there().await? {
            return Ok(None);
        }
        let select = "SELECT hash FROM whatifs WHERE starts_with(hash, $1) LIMIT 2";
        let like: Vec<String> = sqlx::query_scalar(select)
            .bind(hash)
            .fetch_all(&self.0)
            .await?;
        match &like[..] {
            [] => Ok(None),
            [only] => self.read(only).await,
            _ => Err(KeptError::Ambiguous(hash.to_owned())),
        }
    }

    pub(super) async fn all(&self) -> Result<Vec<Whatif>, KeptError> {
        if !self.is_there().await? {
            return Ok(Vec::new());
        }
        let rows = sqlx::query("SELECT hash, packed FROM whatifs");
        let rows = rows.fetch_all(&self.0).await?;
        apart(rows, |rows| rows.iter().map(read).collect()).await?
    }

    async fn read(&self, hash: &str) -> Result<Option<Whatif>, KeptError> {
        let row = sqlx::query("SELECT hash, packed FROM whatifs WHERE hash = $1").bind(hash);
        let Some(row) = row.fetch_optional(&self.0).await? else {
            return Ok(None);
        };
        apart(row, |row| read(&row)).await?.map(Some)
    }
}

fn read(row: &PgRow) -> Result<Whatif, KeptError> {
    unpacked(row.try_get(0)?, row.try_get(1)?)
}

/// Packs or unpacks on a thread that may take its time.
async fn apart<T: Send + 'static, R: Send + 'static>(
    what: T,
    work: impl FnOnce(T) -> R + Send + 'static,
) -> Result<R, KeptError> {
    Ok(tokio::task::spawn_blocking(move || work(what)).await?)
}
