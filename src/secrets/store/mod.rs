//! What holds keys, the hashes of tokens, and offers' keys: a file, or tables beside the log's.
//!
//! Statements are those that both databases understand, so that there is one of each.

mod copy;
mod file;
mod offer_keys;
mod server;
mod tokens;
mod unrecorded;

use std::{fmt, path::PathBuf};

use postbook_schemas::Instant;
use sqlx::{PgPool, Row, SqlitePool, postgres::PgRow, sqlite::SqliteRow};

pub(super) use self::{offer_keys::OfferKeyRow, tokens::TokenRow};
use super::{SecretsError, plain};
use crate::store::{StoreError, open::Location, postgres::Server};

/// The name of the key that turns positions into click ids.
pub(super) const CLICK_ID_KEY: &str = "click_id";

/// Where secrets are kept.
#[derive(Clone, Debug)]
pub enum Place {
    /// In a file of a data directory.
    Directory(PathBuf),
    /// On the server that has the log, for all nodes.
    Server(Server),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory(data) => write!(f, "in {}", data.join(file::FILE_NAME).display()),
            Self::Server(server) => write!(f, "at {server}"),
        }
    }
}

impl Place {
    /// Beside the log; beside the read models of several nodes where the log's server has no place for
    /// them; in the data directory of a node without either.
    ///
    /// # Errors
    /// The URL of the read models cannot be understood.
    pub fn beside(
        log: &Location,
        projections: Option<&str>,
        data: &std::path::Path,
    ) -> Result<Self, StoreError> {
        if let Location::Directory(directory) = log {
            return Ok(Self::Directory(directory.clone()));
        }
        if let Some(server) = log.postgres() {
            return Ok(Self::Server(server.clone()));
        }
        let is_on_server =
            |url: &&str| url.starts_with("postgres:") || url.starts_with("postgresql:");
        let projections = projections.filter(is_on_server);
        match projections.filter(|_| log.server_name().is_some()) {
            Some(url) => Ok(Self::Server(Server::parse(url)?)),
            None => Ok(Self::Directory(data.to_owned())),
        }
    }
}

/// What holds secrets.
pub(super) enum SecretsStore {
    /// A file.
    File(SqlitePool),
    /// Tables on a server.
    Server(PgPool),
}

/// Does the same over either database.
macro_rules! over {
    ($store:expr, $pool:ident => $body:expr) => {
        match $store {
            $crate::secrets::store::SecretsStore::File($pool) => $body,
            $crate::secrets::store::SecretsStore::Server($pool) => $body,
        }
    };
}

/// Executes a statement with what is bound to it.
macro_rules! execute {
    ($on:expr, $statement:expr $(, $bound:expr)*) => {
        sqlx::query($statement)$(.bind($bound))*.execute($on).await.map(drop)
            .map_err($crate::secrets::store::writing)
    };
}

use {execute, over};

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

impl SecretsStore {
    pub(super) async fn open(place: &Place) -> Result<Self, SecretsError> {
        match place {
            Place::Directory(data) => file::open(data).await.map(Self::File),
            Place::Server(server) => server::open(server).await.map(Self::Server),
        }
    }

    /// Whether the key of click ids is in a place; nothing is made there.
    pub(super) async fn has_keys(place: &Place) -> Result<bool, SecretsError> {
        let is_there = match place {
            Place::Directory(data) => file::is_there(data),
            Place::Server(server) => server::is_there(server).await?,
        };
        if !is_there {
            return Ok(false);
        }
        let key = Self::open(place).await?.existing_key(CLICK_ID_KEY).await?;
        Ok(key.is_some())
    }

    /// A number that changes whenever another process has changed something.
    pub(super) async fn version(&self) -> Result<i64, SecretsError> {
        let version = match self {
            Self::File(pool) => sqlx::query_scalar(file::VERSION).fetch_one(pool).await,
            Self::Server(pool) => sqlx::query_scalar(server::VERSION).fetch_one(pool).await,
        };
        version.map_err(reading)
    }

    /// The key of this name; it is made when it is first asked for.
    pub(super) async fn key(&self, name: &str) -> Result<[u8; 32], SecretsError> {
        if let Some(key) = self.existing_key(name).await? {
            return fixed(key, "a key is not 32 bytes long");
        }
        let made = plain::new_key();
        let insert = "INSERT INTO keys (name, bytes) VALUES ($1, $2) ON CONFLICT DO NOTHING";
        over!(self, pool => execute!(pool, insert, name, &made[..]))?;
        let kept = self.existing_key(name).await?;
        fixed(kept.unwrap_or_default(), "a key is not 32 bytes long")
    }

    /// The bytes under this name, if there are any.
    pub(super) async fn existing_key(&self, name: &str) -> Result<Option<Vec<u8>>, SecretsError> {
        let select = "SELECT bytes FROM keys WHERE name = $1";
        over!(self, pool => {
            let bytes = sqlx::query_scalar(select).bind(name).fetch_optional(pool).await;
            bytes.map_err(reading)
        })
    }
}

/// A row of either database.
trait Columns {
    fn text(&self, column: &str) -> Result<String, SecretsError>;
    fn optional_text(&self, column: &str) -> Result<Option<String>, SecretsError>;
    fn optional_bytes(&self, column: &str) -> Result<Option<Vec<u8>>, SecretsError>;
    fn instant(&self, column: &str) -> Result<Option<Instant>, SecretsError>;

    fn hash(&self) -> Result<plain::Hash, SecretsError> {
        let bytes = self.optional_bytes("hash")?.unwrap_or_default();
        fixed(bytes, "a hash is not 32 bytes long")
    }
}

macro_rules! columns_of {
    ($row:ty) => {
        impl Columns for $row {
            fn text(&self, column: &str) -> Result<String, SecretsError> {
                self.try_get(column).map_err(reading)
            }

            fn optional_text(&self, column: &str) -> Result<Option<String>, SecretsError> {
                self.try_get(column).map_err(reading)
            }

            fn optional_bytes(&self, column: &str) -> Result<Option<Vec<u8>>, SecretsError> {
                self.try_get(column).map_err(reading)
            }

            fn instant(&self, column: &str) -> Result<Option<Instant>, SecretsError> {
                let micros: Option<i64> = self.try_get(column).map_err(reading)?;
                Ok(micros.map(Instant::from_micros))
            }
        }
    };
}

columns_of!(SqliteRow);
columns_of!(PgRow);

fn fixed(bytes: Vec<u8>, what: &'static str) -> Result<[u8; 32], SecretsError> {
    bytes.try_into().map_err(|_| SecretsError::Damaged(what))
}

#[cfg(all(test, feature = "kurrentdb"))]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn secrets_of_nodes_on_kurrentdb_are_beside_their_read_models() {
        let data = Path::new("data");
        let place = |log, projections| {
            let log = Location::choose(log, data).unwrap();
            Place::beside(&log, projections, data).unwrap()
        };
        let tables = Some("postgres://db.example/tables");
        let name = |place| match place {
            Place::Server(server) => server.to_string(),
            Place::Directory(directory) => directory.display().to_string(),
        };
        let on_kurrentdb = Some("kurrentdb://db.example");
        assert_eq!(name(place(on_kurrentdb, tables)), "db.example:5432/tables");
        assert_eq!(name(place(on_kurrentdb, None)), "data");
        assert_eq!(name(place(None, tables)), "data");
        let on_postgres = Some("postgres://db.example/log");
        assert_eq!(name(place(on_postgres, tables)), "db.example:5432/log");
    }
}
