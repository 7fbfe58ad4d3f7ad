//! The file that holds keys and the hashes of tokens and offer secrets.

use std::{fs, io, path::Path};

use postbook_schemas::{Instant, OfferRef, Slug};
use sqlx::{
    Row, SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteRow},
};

use super::{OfferSecretInfo, Role, Scope, SecretsError, TokenInfo, plain};

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
";

pub(super) struct TokenRow {
    pub(super) info: TokenInfo,
    pub(super) hash: plain::Hash,
}

pub(super) struct SecretRow {
    pub(super) info: OfferSecretInfo,
    pub(super) hash: plain::Hash,
}

pub(super) struct SecretsFile {
    pool: SqlitePool,
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
        // A rollback journal keeps everything in the one file, and is gone after each change.
        let options = SqliteConnectOptions::new()
            .filename(&path)
            .journal_mode(SqliteJournalMode::Delete);
        let opening = |source| SecretsError::Database {
            doing: "opened",
            source,
        };
        let pool = SqlitePoolOptions::new()
            .max_connections(1)
            .connect_with(options)
            .await
            .map_err(opening)?;
        sqlx::raw_sql(SCHEMA)
            .execute(&pool)
            .await
            .map_err(opening)?;
        Ok(Self { pool })
    }

    /// The key of this name; it is made when it is first asked for.
    pub(super) async fn key(&self, name: &str) -> Result<[u8; 32], SecretsError> {
        let made = plain::new_key();
        sqlx::query("INSERT INTO keys (name, bytes) VALUES (?, ?) ON CONFLICT DO NOTHING")
            .bind(name)
            .bind(&made[..])
            .execute(&self.pool)
            .await
            .map_err(writing)?;
        let bytes: Vec<u8> = sqlx::query_scalar("SELECT bytes FROM keys WHERE name = ?")
            .bind(name)
            .fetch_one(&self.pool)
            .await
            .map_err(reading)?;
        bytes
            .try_into()
            .map_err(|_| SecretsError::Damaged("a key is not 32 bytes long"))
    }

    pub(super) async fn add_token(
        &self,
        token: &TokenInfo,
        hash: &plain::Hash,
    ) -> Result<(), SecretsError> {
        let (offer, partner) = match &token.scope {
            Scope::All => (None, None),
            Scope::Offer(offer) => (Some(offer.as_str()), None),
            Scope::Partner(partner) => (None, Some(partner.as_str())),
        };
        sqlx::query(
            "INSERT INTO tokens (id, hash, name, role, offer, partner, created_at)
             VALUES (?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(&*token.id)
        .bind(&hash[..])
        .bind(&*token.name)
        .bind(token.role.code())
        .bind(offer)
        .bind(partner)
        .bind(token.created_at.micros())
        .execute(&self.pool)
        .await
        .map(drop)
        .map_err(writing)
    }

    pub(super) async fn revoke_token(&self, id: &str, now: Instant) -> Result<(), SecretsError> {
        sqlx::query("UPDATE tokens SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL")
            .bind(now.micros())
            .bind(id)
            .execute(&self.pool)
            .await
            .map(drop)
            .map_err(writing)
    }

    /// Adds a secret and ends those before it at `until` (unless they end sooner).
    pub(super) async fn add_secret(
        &self,
        secret: &OfferSecretInfo,
        hash: &plain::Hash,
        until: Instant,
    ) -> Result<(), SecretsError> {
        let mut change = self.pool.begin().await.map_err(writing)?;
        sqlx::query(
            "UPDATE offer_secrets SET valid_until = min(coalesce(valid_until, ?1), ?1)
             WHERE offer = ?2",
        )
        .bind(until.micros())
        .bind(secret.offer.as_str())
        .execute(&mut *change)
        .await
        .map_err(writing)?;
        sqlx::query("INSERT INTO offer_secrets (id, hash, offer, created_at) VALUES (?, ?, ?, ?)")
            .bind(&*secret.id)
            .bind(&hash[..])
            .bind(secret.offer.as_str())
            .bind(secret.created_at.micros())
            .execute(&mut *change)
            .await
            .map_err(writing)?;
        change.commit().await.map_err(writing)
    }

    pub(super) async fn tokens(&self) -> Result<Vec<TokenRow>, SecretsError> {
        let rows = sqlx::query("SELECT * FROM tokens ORDER BY id")
            .fetch_all(&self.pool)
            .await
            .map_err(reading)?;
        rows.iter().map(token_row).collect()
    }

    pub(super) async fn secrets(&self) -> Result<Vec<SecretRow>, SecretsError> {
        let rows = sqlx::query("SELECT * FROM offer_secrets ORDER BY offer, created_at, id")
            .fetch_all(&self.pool)
            .await
            .map_err(reading)?;
        rows.iter().map(secret_row).collect()
    }
}

fn token_row(row: &SqliteRow) -> Result<TokenRow, SecretsError> {
    let damaged = SecretsError::Damaged;
    let offer: Option<String> = row.try_get("offer").map_err(reading)?;
    let partner: Option<String> = row.try_get("partner").map_err(reading)?;
    let scope = match (offer, partner) {
        (Some(offer), _) => OfferRef::try_new(&offer)
            .map(Scope::Offer)
            .map_err(|_| damaged("a token's offer"))?,
        (None, Some(partner)) => Slug::try_new(&partner)
            .map(Scope::Partner)
            .map_err(|_| damaged("a token's partner"))?,
        (None, None) => Scope::All,
    };
    let role: String = row.try_get("role").map_err(reading)?;
    let info = TokenInfo {
        id: row.try_get::<String, _>("id").map_err(reading)?.into(),
        name: row.try_get::<String, _>("name").map_err(reading)?.into(),
        role: role
            .parse::<Role>()
            .map_err(|_| damaged("a token's role"))?,
        scope,
        created_at: instant(row, "created_at")?.ok_or(damaged("a token's time"))?,
        revoked_at: instant(row, "revoked_at")?,
    };
    let hash = hash(row)?;
    Ok(TokenRow { info, hash })
}

fn secret_row(row: &SqliteRow) -> Result<SecretRow, SecretsError> {
    let damaged = SecretsError::Damaged;
    let offer: String = row.try_get("offer").map_err(reading)?;
    let info = OfferSecretInfo {
        id: row.try_get::<String, _>("id").map_err(reading)?.into(),
        offer: OfferRef::try_new(&offer).map_err(|_| damaged("a secret's offer"))?,
        created_at: instant(row, "created_at")?.ok_or(damaged("a secret's time"))?,
        valid_until: instant(row, "valid_until")?,
    };
    let hash = hash(row)?;
    Ok(SecretRow { info, hash })
}

fn instant(row: &SqliteRow, column: &str) -> Result<Option<Instant>, SecretsError> {
    let micros: Option<i64> = row.try_get(column).map_err(reading)?;
    Ok(micros.map(Instant::from_micros))
}

fn hash(row: &SqliteRow) -> Result<plain::Hash, SecretsError> {
    let bytes: Vec<u8> = row.try_get("hash").map_err(reading)?;
    bytes
        .try_into()
        .map_err(|_| SecretsError::Damaged("a hash is not 32 bytes long"))
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
