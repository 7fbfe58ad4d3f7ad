//! What can be told of a server that holds a log, for people who look for trouble.

use sqlx::{Connection, Row as _};

use super::server::Server;
use crate::store::StoreError;

/// A server as it is set up, seen by the role that asks.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "answers to questions that have nothing to do with each other"
)]
pub struct Seen {
    /// Its version.
    pub version: String,
    /// Whether what it confirms is on its disk.
    pub is_durable: bool,
    /// Whether a crash leaves whole pages on any disk.
    pub writes_full_pages: bool,
    /// Whether the connection is encrypted.
    pub is_encrypted: bool,
    /// Whether the connection leaves the machine.
    pub is_remote: bool,
    /// Whether the role could change or remove facts, if it went about it; unknown before there is a
    /// log.
    pub may_change: Option<bool>,
}

/// Looks at a server.
///
/// # Errors
/// It cannot be reached or asked.
pub async fn look(server: &Server) -> Result<Seen, StoreError> {
    let failed = |error| StoreError::failed("opened", error);
    let mut connection = server.reach().await?;
    let row = sqlx::query(
        "SELECT current_setting('server_version'), current_setting('fsync') = 'on', \
         current_setting('full_page_writes') = 'on', \
         coalesce((SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()), false), \
         coalesce(inet_server_addr() <<= '127.0.0.0/8'::inet \
             OR inet_server_addr() = '::1'::inet, true), \
         has_table_privilege(to_regclass('log_groups'), 'UPDATE, DELETE, TRUNCATE')",
    );
    let row = row.fetch_one(&mut connection).await.map_err(failed)?;
    connection.close().await.map_err(failed)?;
    Ok(Seen {
        version: row.get(0),
        is_durable: row.get(1),
        writes_full_pages: row.get(2),
        is_encrypted: row.get(3),
        is_remote: !row.get::<bool, _>(4),
        may_change: row.get(5),
    })
}
