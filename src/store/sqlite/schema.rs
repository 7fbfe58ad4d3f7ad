//! The file of the log: its connections, tables and the secrets that are kept with it.

use std::{path::Path, time::Duration};

use postbook_schemas::ClickIdKey;
use sqlx::{
    Connection, Row as _, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};

use super::row::COLUMNS;
use crate::store::{
    StoreError,
    layout::{bound, part::seated_bit, row::Row},
};

/// The log's file in the data directory.
pub(super) const FILE_NAME: &str = "log.sqlite";

/// Raised when the layout changes, so that an older program refuses the file.
const LAYOUT_VERSION: i64 = 1;

/// Small columns first and the clicks last: SQLite reads a long row page by page, and only as far
/// as the last column that a statement asks for.
const LAYOUT: &str = "
CREATE TABLE meta (
    name TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE groups (
    first_position INTEGER PRIMARY KEY, -- of the row's facts, which follow without gaps
    count INTEGER NOT NULL,
    recorded_from INTEGER NOT NULL,     -- microseconds since 1970
    recorded_to INTEGER NOT NULL,
    types INTEGER NOT NULL,             -- set of fact types, one bit each
    merged INTEGER NOT NULL,            -- 1 once merged to its final size
    seal BLOB NOT NULL,                 -- truncated SHA-256 over the other small columns and heads
    frontier BLOB NOT NULL,             -- Merkle tree after the row: roots of its perfect subtrees
    keys BLOB NOT NULL,                 -- 12 bytes a key: offset with a bit for unique keys, fingerprint
    places BLOB NOT NULL,               -- run lengths: facts, clicks with a seat, facts, …
    facts BLOB NOT NULL,                -- zstd: NDJSON of everything but clicks with a seat
    heads BLOB NOT NULL,                -- zstd: 16 bytes a click with a seat
    clicks BLOB NOT NULL                -- zstd: NDJSON of clicks with a seat
) STRICT;
";

/// How connections that only read are opened.
pub(super) fn read_options(directory: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(directory.join(FILE_NAME))
        .read_only(true)
        .busy_timeout(Duration::from_secs(10))
        // Rows are large: the reading thread must not run far ahead of who takes them.
        .row_buffer_size(4)
}

/// How the connection is opened that makes checkpoints: it never waits for others, who would then
/// wait for it.
pub(super) fn checkpoint_options(directory: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(directory.join(FILE_NAME))
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(Duration::ZERO)
}

/// Opens the one connection that writes, and lays the tables out in a new file.
pub(super) async fn open_to_write(directory: &Path) -> Result<SqliteConnection, StoreError> {
    let options = SqliteConnectOptions::new()
        .filename(directory.join(FILE_NAME))
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        // Checkpoints are made outside the commits' way.
        .pragma("wal_autocheckpoint", "0")
        .busy_timeout(Duration::from_secs(10));
    let mut connection = SqliteConnection::connect_with(&options)
        .await
        .map_err(opened)?;
    if version(&mut connection).await? == 0 {
        lay_out(&mut connection).await.map_err(opened)?;
    }
    check_version(&mut connection).await?;
    Ok(connection)
}

/// Opens a connection that only reads a log that is there.
pub(super) async fn open_to_read(directory: &Path) -> Result<SqliteConnection, StoreError> {
    let connection = SqliteConnection::connect_with(&read_options(directory)).await;
    let mut connection = connection.map_err(opened)?;
    check_version(&mut connection).await?;
    Ok(connection)
}

/// Refuses a file of another layout.
pub(super) async fn check_version(connection: &mut SqliteConnection) -> Result<(), StoreError> {
    match version(connection).await? {
        LAYOUT_VERSION => Ok(()),
        other => Err(StoreError::failed(
            "opened",
            format!("its layout is version {other}; this program knows version {LAYOUT_VERSION}"),
        )),
    }
}

/// The key of the fingerprints of keys, chosen at random when the file was made.
pub(super) async fn fingerprint_key(
    connection: &mut SqliteConnection,
) -> Result<[u8; 32], StoreError> {
    let row = sqlx::query("SELECT value FROM meta WHERE name = 'fingerprint_key'")
        .fetch_one(connection)
        .await
        .map_err(opened)?;
    <[u8; 32]>::try_from(row.get::<&[u8], _>(0))
        .map_err(|_| StoreError::failed("opened", "its fingerprint key has not 32 bytes"))
}

/// Refuses a log whose click ids are those of another key.
pub(super) async fn require_click_ids(
    connection: &mut SqliteConnection,
    click_ids: &ClickIdKey,
) -> Result<(), StoreError> {
    match click_id_of_0(connection).await? {
        Some(kept) => bound::require_key(&kept, click_ids),
        None => require_first_click(connection, click_ids).await,
    }
}

/// Refuses a log whose click ids are those of another key, and remembers the key if it does not yet.
pub(super) async fn bind_click_ids(
    connection: &mut SqliteConnection,
    click_ids: &ClickIdKey,
) -> Result<(), StoreError> {
    if let Some(kept) = click_id_of_0(connection).await? {
        return bound::require_key(&kept, click_ids);
    }
    require_first_click(connection, click_ids).await?;
    let bind = sqlx::query("INSERT INTO meta VALUES (?, ?)").bind(bound::CLICK_ID_OF_0);
    let bind = bind.bind(click_ids.encode(0).as_str().as_bytes());
    bind.execute(connection).await.map(drop).map_err(opened)
}

async fn click_id_of_0(connection: &mut SqliteConnection) -> Result<Option<Vec<u8>>, StoreError> {
    let kept = sqlx::query_scalar("SELECT value FROM meta WHERE name = ?");
    let kept = kept.bind(bound::CLICK_ID_OF_0).fetch_optional(connection);
    kept.await.map_err(opened)
}

async fn require_first_click(
    connection: &mut SqliteConnection,
    click_ids: &ClickIdKey,
) -> Result<(), StoreError> {
    let first = format!(
        "SELECT {COLUMNS} FROM groups WHERE types & ? <> 0 ORDER BY first_position LIMIT 1"
    );
    let first = sqlx::query(sqlx::AssertSqlSafe(first)).bind(seated_bit().cast_signed());
    let first = first.fetch_optional(connection).await.map_err(opened)?;
    match first.as_ref().map(Row::from_sql) {
        Some(Ok(row)) => bound::require_key_of(&row, click_ids),
        _ => Ok(()),
    }
}

/// Whether a log that is there has facts.
pub(super) async fn has_facts(connection: &mut SqliteConnection) -> Result<bool, StoreError> {
    let any = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM groups)");
    any.fetch_one(connection).await.map_err(opened)
}

async fn version(connection: &mut SqliteConnection) -> Result<i64, StoreError> {
    let row = sqlx::query("PRAGMA user_version")
        .fetch_one(connection)
        .await;
    Ok(row.map_err(opened)?.get(0))
}

async fn lay_out(connection: &mut SqliteConnection) -> sqlx::Result<()> {
    let mut transaction = connection.begin().await?;
    sqlx::raw_sql(LAYOUT).execute(&mut *transaction).await?;
    sqlx::query("INSERT INTO meta VALUES ('fingerprint_key', ?)")
        .bind(rand::random::<[u8; 32]>().to_vec())
        .execute(&mut *transaction)
        .await?;
    sqlx::raw_sql("PRAGMA user_version = 1")
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await
}

fn opened(error: sqlx::Error) -> StoreError {
    StoreError::failed("opened", error)
}
