//! The file that holds keys, the hashes of tokens, and offers' keys.

mod offer_keys;
mod tokens;
mod unrecorded;

use std::{fs, io, path::Path};

use postbook_schemas::Instant;
use sqlx::{
    Row, SqliteConnection, SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteRow},
};

pub(super) use self::{offer_keys::OfferKeyRow, tokens::TokenRow};
use super::{SecretsError, plain};

const FILE_NAME: &str = "secrets.sqlite";

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

pub(super) struct SecretsFile {
    pool: SqlitePool,
}

fn opening(source: sqlx::Error) -> SecretsError {
    let doing = "opened";
    SecretsError::Database { doing, source }
}

fn reading(source: sqlx::Error) -> SecretsError {
    let doing = "read";
    SecretsError::Database { doing, source }
}

fn writing(source: sqlx::Error) -> SecretsError {
    let doing = "written";
    SecretsError::Database { doing, source }
}

impl SecretsFile {
    pub(super) async fn open(data: &Path) -> Result<Self, SecretsError> {
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
        // One connection, for ever: `version` is told per connection.
        let pool = SqlitePoolOptions::new()
            .max_connections(1)
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_with(options)
            .await
            .map_err(opening)?;
        let file = Self { pool };
        file.bring_up_to_date().await?;
        Ok(file)
    }

    async fn bring_up_to_date(&self) -> Result<(), SecretsError> {
        let mut change = self
            .pool
            .begin_with("BEGIN IMMEDIATE")
            .await
            .map_err(opening)?;
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

    /// A number that changes whenever another process has changed the file.
    pub(super) async fn version(&self) -> Result<i64, SecretsError> {
        sqlx::query_scalar("PRAGMA data_version")
            .fetch_one(&self.pool)
            .await
            .map_err(reading)
    }

    /// The key of this name; it is made when it is first asked for.
    pub(super) async fn key(&self, name: &str) -> Result<[u8; 32], SecretsError> {
        if let Some(key) = self.existing_key(name).await? {
            return fixed(key, "a key is not 32 bytes long");
        }
        let made = plain::new_key();
        sqlx::query("INSERT INTO keys (name, bytes) VALUES (?, ?) ON CONFLICT DO NOTHING")
            .bind(name)
            .bind(&made[..])
            .execute(&self.pool)
            .await
            .map_err(writing)?;
        let kept = self.existing_key(name).await?;
        fixed(kept.unwrap_or_default(), "a key is not 32 bytes long")
    }

    /// The bytes under this name, if there are any.
    pub(super) async fn existing_key(&self, name: &str) -> Result<Option<Vec<u8>>, SecretsError> {
        sqlx::query_scalar("SELECT bytes FROM keys WHERE name = ?")
            .bind(name)
            .fetch_optional(&self.pool)
            .await
            .map_err(reading)
    }
}

async fn put_key(
    change: &mut SqliteConnection,
    name: &str,
    bytes: Option<&[u8]>,
) -> Result<(), SecretsError> {
    let put = match bytes {
        Some(bytes) => sqlx::query(
            "INSERT INTO keys (name, bytes) VALUES (?1, ?2)
             ON CONFLICT (name) DO UPDATE SET bytes = ?2",
        )
        .bind(name)
        .bind(bytes),
        None => sqlx::query("DELETE FROM keys WHERE name = ?").bind(name),
    };
    put.execute(change).await.map(drop).map_err(writing)
}

fn text(row: &SqliteRow, column: &str) -> Result<String, SecretsError> {
    row.try_get(column).map_err(reading)
}

fn instant(row: &SqliteRow, column: &str) -> Result<Option<Instant>, SecretsError> {
    let micros: Option<i64> = row.try_get(column).map_err(reading)?;
    Ok(micros.map(Instant::from_micros))
}

fn hash(row: &SqliteRow) -> Result<plain::Hash, SecretsError> {
    let bytes: Vec<u8> = row.try_get("hash").map_err(reading)?;
    fixed(bytes, "a hash is not 32 bytes long")
}

fn fixed(bytes: Vec<u8>, what: &'static str) -> Result<[u8; 32], SecretsError> {
    bytes.try_into().map_err(|_| SecretsError::Damaged(what))
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
