//! The log on KurrentDB: one stream, an event per fact, appended to by any number of nodes in turn.
//!
//! A node encodes a group as what follows the last event it knows and appends it on condition that the
//! stream still ends there; otherwise it takes notice of what others have appended, and encodes it again.
//! So positions, click ids and keys are exact over all nodes, and a group is there whole or not at all.
//! Each node keeps a mirror of the stream in its data directory, in the form of the embedded log, and
//! reads from there.

mod append;
mod check;
mod connection;
mod event;
mod reader;
mod server;
mod settings;
mod sockets;
mod source;
mod tail;
mod transport;
mod trouble;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use futures_util::future::{BoxFuture, FutureExt};
use postbook_schemas::{ClickIdKey, Instant};
use tokio::{sync::Mutex, time::sleep};

pub use self::server::Server;
pub(super) use self::transport::{StreamRows, mirror_of};
use self::{
    connection::Connection,
    reader::KurrentReader,
    settings::Settings,
    source::Source,
    tail::{Tail, Writing},
    trouble::Trouble,
};
use super::{
    Append, Appended, Asked, ClickHead, LogStore, StoreError,
    fresh::Fresh,
    held::Held,
    lock::DirectoryLock,
    sqlite::{Mark, SqliteStore, mark_of},
};
use crate::hand_on;

/// The mirror's place in the data directory.
const MIRROR: &str = "mirror";

/// How often the stream is looked at for what others have appended.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// For how long to wait for another process that brings the mirror up to date.
const BESIDE_MAX: Duration = Duration::from_secs(10);

/// The log on a server, seen through the mirror of a node.
#[derive(Debug)]
pub struct KurrentStore {
    shared: Arc<Shared>,
    held: Held,
}

/// What appending, reading and following share.
#[derive(Debug)]
struct Shared {
    source: Source,
    click_ids: Arc<ClickIdKey>,
    mirror: SqliteStore,
    tail: Mutex<Tail>,
    fresh: Fresh,
    is_followed: bool,
}

impl KurrentStore {
    /// Opens the log on a server to append to it, beside other nodes; it is made if it is not there. The
    /// node's data directory, which has the mirror, is locked for as long as the store is open.
    ///
    /// # Errors
    /// The server cannot be reached, or its log is damaged, in another form or not the one of the mirror;
    /// or another process has the data directory.
    pub async fn open(
        server: Server,
        data: &Path,
        click_ids: Arc<ClickIdKey>,
    ) -> Result<Self, StoreError> {
        let lock = DirectoryLock::take(data)?;
        let connection = server.connection();
        let settings_stream = server.settings_stream();
        let settings = settings::read_or_make(&connection, &settings_stream, None).await?;
        settings::bind_click_ids(&connection, &settings_stream, &click_ids).await?;
        let known = (server, connection, settings);
        let shared = Shared::open(known, data, click_ids, Writing::Yes).await?;
        let following = tokio::spawn(follow(Arc::clone(&shared)));
        Ok(Self {
            shared,
            held: Held::new(Some(lock), vec![following]),
        })
    }

    /// Opens the log for reading, and locks the data directory as [`Self::open`] does. It shows what was
    /// there when it was opened.
    ///
    /// # Errors
    /// As [`Self::open`]; or the server has no log.
    pub async fn open_alone(
        server: Server,
        data: &Path,
        click_ids: Arc<ClickIdKey>,
    ) -> Result<Self, StoreError> {
        let lock = DirectoryLock::take(data)?;
        let (connection, settings) = existing(&server, Some(&*click_ids)).await?;
        let known = (server, connection, settings);
        Ok(Self {
            shared: Shared::open(known, data, click_ids, Writing::Never).await?,
            held: Held::new(Some(lock), Vec::new()),
        })
    }
}

impl Shared {
    async fn open(
        (server, connection, settings): (Server, Connection, Settings),
        data: &Path,
        click_ids: Arc<ClickIdKey>,
        writing: Writing,
    ) -> Result<Arc<Self>, StoreError> {
        let (key, mirror) = (settings.fingerprint_key()?, data.join(MIRROR));
        let mirror = SqliteStore::open_mirror(&mirror, Arc::clone(&click_ids), &key).await?;
        let tail = Tail::new(mirror.mirrored().await?, writing);
        let shared = Arc::new(Self {
            source: Source::new(server, connection),
            click_ids,
            mirror,
            tail: Mutex::new(tail),
            fresh: Fresh::never(),
            is_followed: writing == Writing::Yes,
        });
        shared.catch_up(tokio::time::Instant::now()).await?;
        Ok(shared)
    }

    /// Looks at the server unless that was done just now: what is not known here may have been appended
    /// by another node.
    async fn be_fresh(&self) -> Result<(), StoreError> {
        match Fresh::enough() {
            Some(since) if self.is_followed => self.catch_up(since).await,
            _ => Ok(()),
        }
    }

    async fn find(&self, key: String) -> Result<Option<u64>, StoreError> {
        if let Some(found) = self.mirror.find(&key).await? {
            return Ok(Some(found));
        }
        self.be_fresh().await?;
        self.mirror.find(&key).await
    }

    async fn clicks_at(&self, positions: Vec<u64>) -> Result<Vec<Option<ClickHead>>, StoreError> {
        let head = self.mirror.head();
        if positions.iter().any(|&position| position > head) {
            self.be_fresh().await?;
        }
        self.mirror.clicks(positions).await
    }
}

/// Takes notice of what other nodes append, for as long as it is polled.
async fn follow(shared: Arc<Shared>) {
    let mut is_told = false;
    loop {
        sleep(LOOK_EVERY).await;
        let now = tokio::time::Instant::now();
        if now
            .checked_sub(LOOK_EVERY)
            .is_some_and(|since| shared.fresh.is_since(since))
        {
            continue;
        }
        match shared.look().await {
            Ok(()) => is_told = false,
            Err(trouble) if !is_told => {
                tracing::warn!(error = ?trouble, "the log's server cannot be read just now");
                is_told = true;
            }
            Err(_) => {}
        }
    }
}

/// The settings of a log that is there.
async fn existing(
    server: &Server,
    click_ids: Option<&ClickIdKey>,
) -> Result<(Connection, Settings), StoreError> {
    let connection = server.connection();
    let settings = settings::read(&connection, &server.settings_stream()).await?;
    let settings = settings
        .ok_or_else(|| StoreError::failed("opened", format!("there is no log in {server}")))?;
    click_ids.map_or(Ok(()), |key| settings.require_click_ids(key))?;
    Ok((connection, settings))
}

/// Whether the server has the log; nothing is made.
pub(super) async fn is_there(server: &Server) -> Result<bool, StoreError> {
    let connection = server.connection();
    let settings = settings::read(&connection, &server.settings_stream()).await?;
    Ok(settings.is_some())
}

/// Opens the log for reading, also while another process of this node goes on with the mirror. It shows
/// what was there when it was opened, and holds no lock.
pub(super) async fn open_to_read(
    server: &Server,
    data: &Path,
    click_ids: Arc<ClickIdKey>,
) -> Result<KurrentReader, StoreError> {
    let mirror = bring_up_to_date(server, data, Some(&click_ids)).await?;
    Ok(KurrentReader {
        source: Source::new(server.clone(), server.connection()),
        mirror: SqliteStore::open_to_read(&mirror, click_ids).await?,
    })
}

/// Brings the mirror up to date, or waits until the process that has it has done so; says where it is.
async fn bring_up_to_date(
    server: &Server,
    data: &Path,
    click_ids: Option<&Arc<ClickIdKey>>,
) -> Result<PathBuf, StoreError> {
    let (connection, settings) = existing(server, click_ids.map(|key| &**key)).await?;
    let (key, mirror) = (settings.fingerprint_key()?, data.join(MIRROR));
    let told = |trouble: Trouble| trouble.told("read");
    let source = Source::new(server.clone(), server.connection());
    let last = source.last().await.map_err(told)?;
    let known = (server.clone(), connection, settings);
    let deadline = tokio::time::Instant::now() + BESIDE_MAX;
    // Bringing it up to date looks at no click ids.
    let click_ids = click_ids.map_or_else(transport::any_click_ids, Arc::clone);
    let in_use = match Shared::open(known, data, click_ids, Writing::Never).await {
        Ok(shared) => {
            shared.mirror.close().await;
            return Ok(mirror);
        }
        Err(StoreError::InUse(holder)) => holder,
        Err(error) => return Err(error),
    };
    let wanted = last.map(|last| last.revision);
    loop {
        let reached = mark_of(&mirror, &key).await?;
        let is_there = reached.map(|mark: Mark| mark.revision) >= wanted;
        if is_there || !source.has_facts_after(reached).await.map_err(told)? {
            return Ok(mirror);
        }
        if tokio::time::Instant::now() >= deadline {
            return Err(StoreError::InUse(in_use));
        }
        sleep(LOOK_EVERY / 4).await;
    }
}

/// What can be told of a server, for people who look for trouble: its version.
///
/// # Errors
/// It cannot be reached or asked.
pub async fn look(server: &Server) -> Result<String, StoreError> {
    let version = server.connection().version().await;
    version.map_err(|trouble| trouble.told("opened"))
}

impl LogStore for KurrentStore {
    hand_on!(self to self.shared.mirror; head, follow, read, read_one, root);

    fn append(&self, group: Vec<Append>, now: Instant) -> Asked<'_, Vec<Appended>> {
        self.shared.append(group, now).boxed()
    }

    fn find(&self, key: &str) -> Asked<'_, Option<u64>> {
        self.shared.find(key.to_owned()).boxed()
    }

    fn clicks(&self, positions: Vec<u64>) -> Asked<'_, Vec<Option<ClickHead>>> {
        self.shared.clicks_at(positions).boxed()
    }

    fn check<'a>(&'a self, progress: &'a (dyn Fn(u64) + Sync)) -> Asked<'a, ()> {
        check::check(&self.shared.source, &self.shared.mirror, progress).boxed()
    }

    fn is_shared(&self) -> bool {
        true
    }

    fn look(&self) -> Asked<'_, ()> {
        async { self.shared.catch_up(tokio::time::Instant::now()).await }.boxed()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        async {
            self.held.stop();
            self.shared.tail.lock().await.writing = Writing::Never;
            self.shared.mirror.close().await;
            self.held.unlock();
        }
        .boxed()
    }
}
