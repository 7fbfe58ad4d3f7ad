//! The file that holds secrets.

use std::{fs, io, path::Path};

use sqlx::{
    SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions},
};

use super::opening;
use crate::secrets::SecretsError;

pub(super) const FILE_NAME: &str = "secrets.sqlite";

/// Changes whenever another process has changed the file.
pub(super) const VERSION: &str = "PRAGMA data_version";

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS keys (name TEXT PRIMARY KEY, bytes BLOB NOT NULL) STRICT;
    CREATE TABLE IF NOT EXISTS tokens (
        id TEXT PRIMARY KEY, hash BLOB NOT NULL, name TEXT NOT NULL, role TEXT NOT NULL,
        offer TEXT, partner TEXT, created_at INTEGER NOT NULL, revoked_at INTEGER
    ) STRICT;
    CREATE TABLE IF NOT EXISTS offer_secrets (
        id TEXT PRIMARY KEY, hash BLOB NOT NULL, offer TEXT NOT NULL,
        created_at INTEGER NOT NULL, valid_until INTEGER
    ) STRICT;
    CREATE TABLE IF NOT EXISTS unrecorded (id TEXT PRIMARY KEY, fact TEXT NOT NULL) STRICT;
";

/// Columns that files of the first version lack: their secrets have only a hash.
const LATER_COLUMNS: &[(&str, &str)] = &[
    (
        "kind",
        "ALTER TABLE offer_secrets ADD COLUMN kind TEXT NOT NULL DEFAULT 'secret'",
    ),
    ("kept", "ALTER TABLE offer_secrets ADD COLUMN kept BLOB"),
];

/// Whether a data directory has the file, and anything is in it.
pub(super) fn is_there(data: &Path) -> bool {
    fs::metadata(data.join(FILE_NAME)).is_ok_and(|file| file.len() > 0)
}

/// Opens the file of a data directory; makes both where they are missing.
pub(super) async fn open(data: &Path) -> Result<SqlitePool, SecretsError> {
    let path = data.join(FILE_NAME);
    prepare(data, &path).map_err(|source| SecretsError::Io {
        doing: "opened",
        source,
    })?;
    // A rollback journal keeps everything in the one file, and is gone after each change; what
    // is overwritten or deleted is overwritten with zeros.
    let options = SqliteConnectOptions::new()
        .filename(&path)
        .journal_mode(SqliteJournalMode::Delete)
        .pragma("secure_delete", "ON");
    // One connection, for ever: the version is told per connection.
    let pool = SqlitePoolOptions::new()
        .max_connections(1)
        .idle_timeout(None)
        .max_lifetime(None)
        .connect_with(options)
        .await
        .map_err(opening)?;
    bring_up_to_date(&pool).await?;
    Ok(pool)
}

async fn bring_up_to_date(pool: &SqlitePool) -> Result<(), SecretsError> {
    let mut change = pool.begin_with("BEGIN IMMEDIATE").await.map_err(opening)?;
    sqlx::raw_sql(SCHEMA)
        .execute(&mut *change)
        .await
        .map_err(opening)?;
    for (column, add) in LATER_COLUMNS {
        let there: bool = sqlx::query_scalar(
            "SELECT count(*) > 0 FROM pragma_table_info('offer_secrets') WHERE name = ?",
        )
        .bind(column)
        .fetch_one(&mut *change)
        .await
        .map_err(opening)?;
        if !there {
            sqlx::raw_sql(*add)
                .execute(&mut *change)
                .await
                .map_err(opening)?;
        }
    }
    change.commit().await.map_err(opening)
}

/// Makes directory and file for their owner only, before SQLite would make them for everybody.
#[cfg(unix)]
fn prepare(data: &Path, path: &Path) -> io::Result<()> {
    use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};

    if !data.is_dir() {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(data)?;
    }
    fs::OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))
}

#[cfg(not(unix))]
fn prepare(data: &Path, _path: &Path) -> io::Result<()> {
    fs::create_dir_all(data)
}
