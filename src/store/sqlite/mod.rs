//! The embedded log: one SQLite file, a row per commit group, merged into larger rows later.
//!
//! Only `append` and merging write, both through one connection behind one lock. Everybody else
//! reads through a small pool; a reader sees rows before or after a merge and the same facts either
//! way. What is in memory (keys, head, tree) moves on only after the commit.

mod append;
mod check;
mod checkpoint;
mod load;
mod merge;
#[cfg(feature = "kurrentdb")]
mod mirror;
mod page;
mod read;
mod row;
mod schema;
mod transport;
mod upkeep;

use std::{
    path::Path,
    sync::{Arc, PoisonError},
};

use futures_util::future::{BoxFuture, FutureExt};
use postbook_schemas::{ClickIdKey, Instant};
use sqlx::{SqliteConnection, SqlitePool, sqlite::SqlitePoolOptions};
use tokio::{
    sync::{Mutex, watch},
    task::JoinHandle,
};

#[cfg(feature = "kurrentdb")]
pub(super) use self::mirror::{Mark, Mirrored, mark_of};
pub(super) use self::transport::FileRows;
use self::{append::Writing, checkpoint::Committed, merge::Backlog};
use super::{
    Append, Appended, Asked, ClickHead, Filter, Head, LogStore, Page, StoreError,
    layout::{heads::Heads, keys::KeyIndex, lines::HeldLines, spans::Spans},
    lock::DirectoryLock,
};

/// Whether the log in a data directory, which is there, has facts.
pub(super) async fn has_facts(directory: &Path) -> Result<bool, StoreError> {
    let mut connection = schema::open_to_read(directory).await?;
    schema::has_facts(&mut connection).await
}

/// Memory for index entries of clicks: four million of them.
const HEADS_BYTES: usize = 64 << 20;
/// Memory for unpacked lines of each kind, for reading single facts.
const LINES_BYTES: usize = 16 << 20;
/// Statements that can read at the same time.
const READERS: u32 = 4;

/// The embedded log.
#[derive(Debug)]
pub struct SqliteStore {
    shared: Arc<Shared>,
    /// Merging and making checkpoints.
    upkeep: Mutex<Vec<JoinHandle<()>>>,
}

/// What appending, reading and merging share.
#[derive(Debug)]
struct Shared {
    click_ids: Arc<ClickIdKey>,
    keys: Arc<KeyIndex>,
    readers: SqlitePool,
    /// Taken out when the store is closed; never there if it was opened for reading.
    writing: Mutex<Option<Writing>>,
    head: watch::Sender<u64>,
    heads: Spans<Heads>,
    facts: Spans<HeldLines>,
    clicks: Spans<HeldLines>,
    backlog: Backlog,
    committed: Committed,
    lock: std::sync::Mutex<Option<DirectoryLock>>,
}

impl SqliteStore {
    /// Opens the log in a data directory, which is made if it is not there, and locks it.
    ///
    /// # Errors
    /// Another process has it open, its click ids are those of another key, or its file cannot be read or
    /// is damaged.
    pub async fn open(directory: &Path, click_ids: Arc<ClickIdKey>) -> Result<Self, StoreError> {
        let lock = DirectoryLock::take(directory)?;
        let mut connection = schema::open_to_write(directory).await?;
        schema::bind_click_ids(&mut connection, &click_ids).await?;
        Self::start(directory, click_ids, connection, lock).await
    }

    async fn start(
        directory: &Path,
        click_ids: Arc<ClickIdKey>,
        mut connection: SqliteConnection,
        lock: DirectoryLock,
    ) -> Result<Self, StoreError> {
        let secret = schema::fingerprint_key(&mut connection).await?;
        let shared = Shared::new(directory, click_ids, &secret, Some(lock));
        let mut writing = Writing::new(connection);
        writing.catch_up(&shared).await?;
        *shared.writing.lock().await = Some(writing);
        let shared = Arc::new(shared);
        let weak = || Arc::downgrade(&shared);
        let merging = merge::run(weak(), Arc::clone(&shared.backlog.bell));
        let bell = Arc::clone(&shared.committed.bell);
        let checkpoints = checkpoint::run(weak(), bell, directory.to_owned());
        let upkeep = vec![tokio::spawn(merging), tokio::spawn(checkpoints)];
        Ok(Self {
            shared,
            upkeep: Mutex::new(upkeep),
        })
    }

    /// Opens the log for reading, also while another process writes it. What that one appends
    /// later is seen after [`Self::refresh`].
    ///
    /// # Errors
    /// There is no log, its click ids are those of another key, or its file cannot be read or is damaged.
    pub async fn open_to_read(
        directory: &Path,
        click_ids: Arc<ClickIdKey>,
    ) -> Result<Self, StoreError> {
        let mut connection = schema::open_to_read(directory).await?;
        schema::require_click_ids(&mut connection, &click_ids).await?;
        let secret = schema::fingerprint_key(&mut connection).await?;
        let shared = Shared::new(directory, click_ids, &secret, None);
        shared.load(&mut connection).await?;
        Ok(Self {
            shared: Arc::new(shared),
            upkeep: Mutex::default(),
        })
    }

    /// Takes notice of what another process has appended to a log that was opened for reading.
    ///
    /// # Errors
    /// The file cannot be read or is damaged.
    pub async fn refresh(&self) -> Result<(), StoreError> {
        let connection = self.shared.readers.acquire().await;
        let mut connection = connection.map_err(|error| StoreError::failed("read", error))?;
        self.shared.load(&mut connection).await.map(|_| ())
    }

    /// Lets the file grow to this many pages only, or without a limit: how tests fill a disk.
    ///
    /// # Errors
    /// The store is closed, or its file cannot be used.
    #[doc(hidden)]
    pub async fn limit_pages(&self, pages_max: Option<u32>) -> Result<(), StoreError> {
        let pages_max = pages_max.unwrap_or(u32::MAX - 1);
        let mut writing = self.shared.writing.lock().await;
        let writing = writing.as_mut().ok_or(append::NOT_WRITING)?;
        let statement = format!("PRAGMA max_page_count = {pages_max}");
        let limited = sqlx::query(sqlx::AssertSqlSafe(statement))
            .execute(&mut writing.connection)
            .await;
        limited
            .map(|_| ())
            .map_err(|error| StoreError::failed("opened", error))
    }

    /// Merges everything that can be merged now.
    ///
    /// # Errors
    /// The file cannot be read or written, or is damaged.
    pub async fn merge(&self) -> Result<(), StoreError> {
        while self.shared.merge_next().await? {}
        Ok(())
    }
}

impl Shared {
    fn new(
        directory: &Path,
        click_ids: Arc<ClickIdKey>,
        secret: &[u8; 32],
        lock: Option<DirectoryLock>,
    ) -> Self {
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS)
            .connect_lazy_with(schema::read_options(directory));
        Self {
            click_ids,
            keys: Arc::new(KeyIndex::new(secret)),
            readers,
            writing: Mutex::new(None),
            head: watch::Sender::new(0),
            heads: Spans::new(HEADS_BYTES),
            facts: Spans::new(LINES_BYTES),
            clicks: Spans::new(LINES_BYTES),
            backlog: Backlog::default(),
            committed: Committed::default(),
            lock: std::sync::Mutex::new(lock),
        }
    }

    fn head(&self) -> u64 {
        *self.head.borrow()
    }

    fn stop_upkeep(&self) {
        self.backlog.bell.stop();
        self.committed.bell.stop();
    }

    fn move_head(&self, head: u64) {
        self.head.send_if_modified(|seen| {
            let moved = head > *seen;
            *seen = head.max(*seen);
            moved
        });
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        self.shared.stop_upkeep();
    }
}

impl LogStore for SqliteStore {
    fn append(&self, group: Vec<Append>, now: Instant) -> Asked<'_, Vec<Appended>> {
        append::append(Arc::clone(&self.shared), group, now).boxed()
    }

    fn head(&self) -> u64 {
        self.shared.head()
    }

    fn follow(&self) -> Head {
        self.shared.head.subscribe()
    }

    fn read(&self, from: u64, to: u64, filter: Filter, bytes_max: usize) -> Asked<'_, Page> {
        self.shared.read(from, to, filter, bytes_max).boxed()
    }

    fn read_one(&self, position: u64) -> Asked<'_, Option<Vec<u8>>> {
        self.shared.read_one(position).boxed()
    }

    fn find(&self, key: &str) -> Asked<'_, Option<u64>> {
        let keys = &self.shared.keys;
        let unique = keys.first(keys.of_unique(key), &[]);
        let reference = keys.first(keys.of_reference(key), &[]);
        let first = unique.into_iter().chain(reference).min();
        std::future::ready(Ok(first)).boxed()
    }

    fn clicks(&self, positions: Vec<u64>) -> Asked<'_, Vec<Option<ClickHead>>> {
        self.shared.clicks_at(positions).boxed()
    }

    fn root(&self, size: u64) -> Asked<'_, [u8; 32]> {
        self.shared.root(size).boxed()
    }

    fn check<'a>(&'a self, progress: &'a (dyn Fn(u64) + Sync)) -> Asked<'a, ()> {
        self.shared.check(progress).boxed()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        async {
            self.shared.stop_upkeep();
            for upkeep in std::mem::take(&mut *self.upkeep.lock().await) {
                if let Err(error) = upkeep.await {
                    tracing::error!(%error, "the upkeep of the log has failed");
                }
            }
            let writing = self.shared.writing.lock().await.take();
            // The connection that writes goes last: it then moves the write-ahead log into the file.
            self.shared.readers.close().await;
            if let Some(writing) = writing
                && let Err(error) = writing.close().await
            {
                tracing::error!(%error, "the log was not closed in order");
            }
            let lock = self.shared.lock.lock();
            drop(lock.unwrap_or_else(PoisonError::into_inner).take());
        }
        .boxed()
    }
}
