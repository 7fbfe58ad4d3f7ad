//! The tables on a server that hold secrets, for all nodes.

use sqlx::{Connection, PgPool};

use super::opening;
use crate::{secrets::SecretsError, store::postgres::Server};

/// Changes whenever anything in the tables has.
pub(super) const VERSION: &str = "SELECT version FROM secrets_version";

/// They are looked at once a second by one task, and changed by people.
const CONNECTIONS: u32 = 1;

/// Opens the tables; makes them where they are missing.
pub(super) async fn open(server: &Server) -> Result<PgPool, SecretsError> {
    let is_there = is_there(server).await?;
    let pool = server.pool(CONNECTIONS);
    if !is_there {
        make(&pool).await?;
    }
    Ok(pool)
}

/// Whether the tables are there.
pub(super) async fn is_there(server: &Server) -> Result<bool, SecretsError> {
    let mut connection = server.reach().await.map_err(SecretsError::Server)?;
    let there = "SELECT count(*) > 0 FROM pg_tables \
                 WHERE schemaname = current_schema() AND tablename = 'secrets_version'";
    let there = sqlx::query_scalar(there).fetch_one(&mut connection).await;
    connection.close().await.map_err(opening)?;
    there.map_err(opening)
}

async fn make(pool: &PgPool) -> Result<(), SecretsError> {
    let mut change = pool.begin().await.map_err(opening)?;
    // Two nodes that are started at once do it one after the other.
    let lock = "SELECT pg_advisory_xact_lock(hashtext('postbook secrets ' || current_schema()))";
    for statements in [lock, include_str!("server.sql")] {
        let done = sqlx::raw_sql(statements).execute(&mut *change).await;
        done.map_err(opening)?;
    }
    change.commit().await.map_err(opening)
}
