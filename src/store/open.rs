//! Choosing a log store: the one place that names them all.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use postbook_schemas::ClickIdKey;

#[cfg(feature = "kurrentdb")]
use super::kurrent::{self, KurrentStore, StreamRows};
use super::{
    LogStore, StoreError,
    memory::MemoryStore,
    postgres::{self, PostgresStore, Server, ServerRows},
    sqlite::{self, FileRows, SqliteStore},
    transport::{self, Rows, TakesRows},
};

/// Which log store, and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// The embedded log in a data directory.
    Directory(PathBuf),
    /// A log in memory, gone with its process.
    Memory,
    /// A log on a PostgreSQL server, of a node with this data directory.
    Server(Server, PathBuf),
    /// A log on a KurrentDB server or cluster, of a node with this data directory.
    #[cfg(feature = "kurrentdb")]
    Kurrent(kurrent::Server, PathBuf),
}

impl Location {
    /// The store of a URL (`sqlite:DIRECTORY`, `postgres://HOST/DATABASE`, `kurrentdb://HOST`, `memory:`),
    /// or the embedded one in the data directory if no URL is given.
    ///
    /// # Errors
    /// The URL names no store that this program has.
    pub fn choose(url: Option<&str>, data: &Path) -> Result<Self, StoreError> {
        let Some(url) = url else {
            return Ok(Self::Directory(data.to_owned()));
        };
        let refuse = |why: &str| Err(StoreError::Url(why.to_owned()));
        match url.split_once(':') {
            Some(("sqlite", path)) => match path.strip_prefix("//").unwrap_or(path) {
                "" => refuse("`sqlite:` must be followed by a directory"),
                directory => Ok(Self::Directory(directory.into())),
            },
            Some(("memory", _)) => Ok(Self::Memory),
            // Not more of the URL is repeated than its scheme: the rest may hold a password.
            Some(("postgres" | "postgresql", _)) => {
                Ok(Self::Server(Server::parse(url)?, data.to_owned()))
            }
            Some(("kurrentdb" | "kurrentdb+discover" | "esdb" | "esdb+discover", _)) => {
                on_kurrentdb(url, data)
            }
            _ => {
                refuse("its URL must begin with `sqlite:`, `postgres:`, `kurrentdb:` or `memory:`")
            }
        }
    }

    /// The PostgreSQL server that has the log, if one has.
    pub fn postgres(&self) -> Option<&Server> {
        match self {
            Self::Server(server, _) => Some(server),
            _ => None,
        }
    }

    /// The KurrentDB server that has the log, if one has.
    #[cfg(feature = "kurrentdb")]
    pub fn kurrentdb(&self) -> Option<&kurrent::Server> {
        match self {
            Self::Kurrent(server, _) => Some(server),
            _ => None,
        }
    }

    /// The name of the server that has the log, if one has.
    pub fn server_name(&self) -> Option<String> {
        match self {
            Self::Directory(_) | Self::Memory => None,
            Self::Server(server, _) => Some(server.to_string()),
            #[cfg(feature = "kurrentdb")]
            Self::Kurrent(server, _) => Some(server.to_string()),
        }
    }
}

#[cfg(feature = "kurrentdb")]
fn on_kurrentdb(url: &str, data: &Path) -> Result<Location, StoreError> {
    Ok(Location::Kurrent(
        kurrent::Server::parse(url)?,
        data.to_owned(),
    ))
}

#[cfg(not(feature = "kurrentdb"))]
fn on_kurrentdb(_: &str, _: &Path) -> Result<Location, StoreError> {
    let what = "this program was built without KurrentDB: build it with `--features kurrentdb`";
    Err(StoreError::Url(what.to_owned()))
}

/// Whether there is a log; nothing is made.
///
/// # Errors
/// Its server cannot be asked.
pub async fn is_there(location: &Location) -> Result<bool, StoreError> {
    match location {
        Location::Directory(directory) => Ok(directory.join("log.sqlite").exists()),
        Location::Memory => Ok(true),
        Location::Server(server, _) => postgres::is_there(server).await,
        #[cfg(feature = "kurrentdb")]
        Location::Kurrent(server, _) => kurrent::is_there(server).await,
    }
}

/// Whether there is a log that has facts; nothing is made.
///
/// # Errors
/// It cannot be asked.
pub async fn has_facts(location: &Location) -> Result<bool, StoreError> {
    match location {
        Location::Directory(directory) => {
            Ok(is_there(location).await? && sqlite::has_facts(directory).await?)
        }
        Location::Memory => Ok(false),
        Location::Server(server, _) => postgres::has_facts(server).await,
        // Its settings are made by the first node, whose secrets are there before them.
        #[cfg(feature = "kurrentdb")]
        Location::Kurrent(server, _) => kurrent::is_there(server).await,
    }
}

/// Opens a log to append to it. The key gives clicks their ids.
///
/// # Errors
/// Another process has it open, its click ids are those of another key, or it cannot be read or is
/// damaged.
pub async fn open(
    location: &Location,
    click_ids: Arc<ClickIdKey>,
) -> Result<Arc<dyn LogStore>, StoreError> {
    Ok(match location {
        Location::Directory(directory) => Arc::new(SqliteStore::open(directory, click_ids).await?),
        Location::Memory => Arc::new(MemoryStore::new(click_ids)),
        Location::Server(server, data) => {
            Arc::new(PostgresStore::open(server.clone(), Some(data), click_ids).await?)
        }
        #[cfg(feature = "kurrentdb")]
        Location::Kurrent(server, data) => {
            Arc::new(KurrentStore::open(server.clone(), data, click_ids).await?)
        }
    })
}

/// Opens a log for reading, and keeps other processes from the data directory. Where nobody else can
/// append then, it is the log as it is; of a log on a server it shows what was there when it was opened.
///
/// # Errors
/// As [`open`].
pub async fn open_alone(
    location: &Location,
    click_ids: Arc<ClickIdKey>,
) -> Result<Arc<dyn LogStore>, StoreError> {
    match location {
        Location::Directory(_) | Location::Memory => open(location, click_ids).await,
        Location::Server(server, data) => {
            let store = PostgresStore::open_to_read(server.clone(), Some(data), click_ids);
            Ok(Arc::new(store.await?))
        }
        #[cfg(feature = "kurrentdb")]
        Location::Kurrent(server, data) => {
            let store = KurrentStore::open_alone(server.clone(), data, click_ids);
            Ok(Arc::new(store.await?))
        }
    }
}

/// Opens a log for reading only, also while another process appends to it. It shows what was there
/// when it was opened.
///
/// # Errors
/// There is no log, its click ids are those of another key, or it cannot be read or is damaged.
pub async fn open_to_read(
    location: &Location,
    click_ids: Arc<ClickIdKey>,
) -> Result<Arc<dyn LogStore>, StoreError> {
    Ok(match location {
        Location::Directory(directory) => {
            Arc::new(SqliteStore::open_to_read(directory, click_ids).await?)
        }
        Location::Memory => Arc::new(MemoryStore::new(click_ids)),
        Location::Server(server, _) => {
            Arc::new(PostgresStore::open_to_read(server.clone(), None, click_ids).await?)
        }
        #[cfg(feature = "kurrentdb")]
        Location::Kurrent(server, data) => {
            Arc::new(kurrent::open_to_read(server, data, click_ids).await?)
        }
    })
}

/// Copies what a log has and another has not, row by row: positions, bytes, hashes and keys stay the
/// same. What was interrupted goes on. Returns up to where both are the same.
///
/// # Errors
/// One cannot be opened, the other holds something else, or somebody appends to it.
pub async fn copy(
    from: &Location,
    to: &Location,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<u64, StoreError> {
    let mut from: Box<dyn Rows> = match from {
        Location::Directory(directory) => Box::new(FileRows::of(directory).await?),
        Location::Server(server, _) => Box::new(ServerRows::of(server).await?),
        #[cfg(feature = "kurrentdb")]
        Location::Kurrent(server, data) => Box::new(kurrent::mirror_of(server, data).await?),
        Location::Memory => return Err(NOTHING_TO_COPY),
    };
    let mut to: Box<dyn TakesRows> = match to {
        Location::Directory(directory) => Box::new(FileRows::alone(directory).await?),
        Location::Server(server, _) => Box::new(ServerRows::to_add(server).await?),
        #[cfg(feature = "kurrentdb")]
        Location::Kurrent(server, data) => Box::new(StreamRows::to_add(server, data).await?),
        Location::Memory => return Err(NOTHING_TO_COPY),
    };
    let copied = transport::copy(&mut *from, &mut *to, progress).await;
    to.finish().await;
    copied
}

/// A log in memory is gone with its process.
const NOTHING_TO_COPY: StoreError = StoreError::Closed("a log in memory cannot be copied");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_choose_stores_and_others_are_refused_without_repeating_secrets() {
        let data = Path::new("data");
        let choose = |url| Location::choose(url, data);
        assert_eq!(choose(None).unwrap(), Location::Directory(data.into()));
        for url in ["sqlite:/var/log", "sqlite:///var/log"] {
            let location = choose(Some(url)).unwrap();
            assert_eq!(location, Location::Directory("/var/log".into()));
        }
        assert_eq!(choose(Some("memory:")).unwrap(), Location::Memory);
        let server = choose(Some("postgres://me:hush@host/db")).unwrap();
        assert!(!format!("{server:?}").contains("hush"));
        // Chosen, or refused where the program is built without it.
        let cluster = choose(Some("kurrentdb://me:hush@host"));
        assert_eq!(cluster.is_ok(), cfg!(feature = "kurrentdb"));
        assert!(!format!("{cluster:?}").contains("hush"));
        for url in ["postgres://me:hush@host:port/db", "hush", "sqlite:"] {
            let error = choose(Some(url)).unwrap_err().to_string();
            assert!(!error.contains("hush"), "{error}");
        }
    }
}
