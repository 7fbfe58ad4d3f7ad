//! Connections to the file of a generation, as what it is there for asks for.

use std::{path::Path, time::Duration};

use sqlx::{
    Connection, SqliteConnection, SqlitePool,
    sqlite::{
        SqliteConnectOptions, SqliteJournalMode, SqliteLockingMode, SqlitePoolOptions,
        SqliteSynchronous,
    },
};

use super::{analysis::Analysis, boot, error::TablesError};

/// Connections for reading at the same time.
const READERS: u32 = 4;

/// How a generation is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Building {
    /// While others read it.
    Live,
    /// Out of everybody's sight, by one connection, without indexes yet.
    Beside,
}

impl Building {
    /// When the planner is told of what is written so.
    pub(super) const fn analysis(self) -> Analysis {
        match self {
            Self::Live => Analysis::SOON,
            Self::Beside => Analysis::NEVER,
        }
    }
}

/// A connection that writes.
pub(super) async fn writing(
    path: &Path,
    building: Building,
) -> Result<SqliteConnection, TablesError> {
    let options = match building {
        // Not FULL: what a crash of the machine takes with it is derived again.
        Building::Live => options(path)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Normal),
        // A rollback journal holds only the pages that were there before, and most are new: a
        // rebuild that is killed goes on where it was. It waits for no disk before the end, unless
        // it could not be told that the machine went down meanwhile.
        Building::Beside => options(path)
            .journal_mode(SqliteJournalMode::Truncate)
            .synchronous(match boot::number() {
                Some(_) => SqliteSynchronous::Off,
                None => SqliteSynchronous::Normal,
            })
            // One besides that of the connection, while indexes are sorted.
            .pragma("threads", "1")
            // Beside a whole book there is no room for the sorting of indexes.
            .pragma("temp_store", "file")
            .locking_mode(SqliteLockingMode::Exclusive),
    };
    SqliteConnection::connect_with(&options)
        .await
        .map_err(TablesError::sql("opened"))
}

/// A connection that only looks, also at a file that is none of ours.
pub(super) async fn looking(path: &Path) -> Result<SqliteConnection, TablesError> {
    let options = options(path).pragma("query_only", "1");
    SqliteConnection::connect_with(&options)
        .await
        .map_err(TablesError::sql("opened"))
}

/// Connections that read.
pub(super) async fn readers(path: &Path) -> Result<SqlitePool, TablesError> {
    pool()
        .connect_with(options(path).pragma("query_only", "1"))
        .await
        .map_err(TablesError::sql("opened"))
}

/// As [`readers`], opened when they are first needed: of a file that may not be readable.
pub(super) fn readers_later(path: &Path) -> SqlitePool {
    pool().connect_lazy_with(options(path).pragma("query_only", "1"))
}

fn pool() -> SqlitePoolOptions {
    SqlitePoolOptions::new().max_connections(READERS)
}

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .busy_timeout(Duration::from_secs(10))
        .pragma("cache_size", "-32768")
        .pragma("temp_store", "memory")
}
