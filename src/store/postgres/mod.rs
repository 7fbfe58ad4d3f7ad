//! The log on PostgreSQL: a row per commit group, appended by any number of nodes in turn.
//!
//! Groups are encoded by the nodes and committed one after the other, under a lock that the server
//! holds until the commit: positions are in the order of commits. Each node keeps the keys in
//! memory, takes notice of what others have appended before it appends itself, and is refused by the
//! server if it has not; so a key is exact over all nodes, and costs the server nothing.

mod append;
mod check;
mod follow;
mod inspect;
mod read;
mod row;
mod schema;
mod server;
mod tail;
mod transport;
mod trouble;

use std::{path::Path, sync::Arc};

use futures_util::future::{BoxFuture, FutureExt, ready};
use postbook_schemas::{ClickIdKey, Instant};
use sqlx::{Connection, PgPool};
use tokio::sync::{Mutex, Notify, watch};

pub(crate) use self::server::is_away;
pub(super) use self::transport::ServerRows;
pub use self::{
    inspect::{Seen, look},
    server::Server,
};
use self::{
    schema::Opened,
    tail::{Tail, Writing},
    trouble::Trouble,
};
use super::{
    Append, Appended, Asked, ClickHead, Filter, Head, LogStore, Page, StoreError,
    fresh::Fresh,
    held::Held,
    layout::{heads::Heads, keys::KeyIndex, lines::HeldLines, spans::Spans},
    lock::DirectoryLock,
};

/// Memory for index entries of clicks: four million of them.
const HEADS_BYTES: usize = 64 << 20;
/// Memory for unpacked lines of each kind, for reading single facts.
const LINES_BYTES: usize = 16 << 20;
/// Statements that can read at the same time.
const READERS: u32 = 4;
/// The log on a server.
#[derive(Debug)]
pub struct PostgresStore {
    shared: Arc<Shared>,
    held: Held,
}

/// What appending, reading and following share.
#[derive(Debug)]
struct Shared {
    server: Server,
    click_ids: Arc<ClickIdKey>,
    keys: Arc<KeyIndex>,
    readers: PgPool,
    lock_key: i64,
    channel: String,
    tail: Mutex<Tail>,
    fresh: Fresh,
    is_followed: bool,
    head: watch::Sender<u64>,
    /// Rung after each append of this node.
    news: Notify,
    heads: Spans<Heads>,
    facts: Spans<HeldLines>,
    clicks: Spans<HeldLines>,
}

impl PostgresStore {
    /// Opens the log on a server to append to it, beside other nodes; its tables are made where they
    /// are missing. A node's data directory is locked for as long as the store is open, so that no
    /// second process works on its read models.
    ///
    /// # Errors
    /// The server cannot be reached, forgets what it has confirmed, or its log is damaged or has click ids
    /// of another key; or another process has the data directory.
    pub async fn open(
        server: Server,
        data: Option<&Path>,
        click_ids: Arc<ClickIdKey>,
    ) -> Result<Self, StoreError> {
        let lock = data.map(DirectoryLock::take).transpose()?;
        let mut connection = server.reach().await?;
        let known = schema::open_to_write(&mut connection).await?;
        schema::bind_click_ids(&mut connection, &click_ids).await?;
        connection.close().await.map_err(opened)?;
        let shared = Arc::new(Shared::new(server, click_ids, known, Writing::Apart));
        shared.catch_up(tokio::time::Instant::now()).await?;
        let tasks = vec![
            tokio::spawn(follow::listen(Arc::clone(&shared))),
            tokio::spawn(follow::tell(Arc::clone(&shared))),
        ];
        Ok(Self {
            shared,
            held: Held::new(lock, tasks),
        })
    }

    /// Opens the log for reading. It shows what was there when it was opened. A node's data directory
    /// is locked as by [`Self::open`].
    ///
    /// # Errors
    /// The server cannot be reached, has no log, or it is damaged or has click ids of another key; or
    /// another process has the data directory.
    pub async fn open_to_read(
        server: Server,
        data: Option<&Path>,
        click_ids: Arc<ClickIdKey>,
    ) -> Result<Self, StoreError> {
        let lock = data.map(DirectoryLock::take).transpose()?;
        let mut connection = server.reach().await?;
        let known = schema::open_to_read(&mut connection).await?;
        schema::require_click_ids(&mut connection, &click_ids).await?;
        connection.close().await.map_err(opened)?;
        let shared = Shared::new(server, click_ids, known, Writing::Never);
        shared.catch_up(tokio::time::Instant::now()).await?;
        Ok(Self {
            shared: Arc::new(shared),
            held: Held::new(lock, Vec::new()),
        })
    }
}

impl Shared {
    fn new(server: Server, click_ids: Arc<ClickIdKey>, known: Opened, writing: Writing) -> Self {
        Self {
            readers: server.pool(READERS),
            server,
            click_ids,
            keys: Arc::new(KeyIndex::new(&known.fingerprint_key)),
            lock_key: known.lock_key,
            channel: known.channel,
            is_followed: matches!(writing, Writing::Apart),
            tail: Mutex::new(Tail::new(writing)),
            fresh: Fresh::never(),
            head: watch::Sender::new(0),
            news: Notify::new(),
            heads: Spans::new(HEADS_BYTES),
            facts: Spans::new(LINES_BYTES),
            clicks: Spans::new(LINES_BYTES),
        }
    }

    fn head(&self) -> u64 {
        *self.head.borrow()
    }

    fn move_head(&self, head: u64) {
        self.head.send_if_modified(|seen| {
            let moved = head > *seen;
            *seen = head.max(*seen);
            moved
        });
    }

    /// Looks at the server unless that was done just now: what is not known here may have been
    /// appended by another node.
    async fn be_fresh(&self) -> Result<(), StoreError> {
        match Fresh::enough() {
            Some(since) if self.is_followed => self.catch_up(since).await,
            _ => Ok(()),
        }
    }

    fn find_here(&self, key: &str) -> Option<u64> {
        let unique = self.keys.first(self.keys.of_unique(key), &[]);
        let reference = self.keys.first(self.keys.of_reference(key), &[]);
        unique.into_iter().chain(reference).min()
    }

    async fn close(&self) {
        let writing = {
            let mut tail = self.tail.lock().await;
            std::mem::replace(&mut tail.writing, Writing::Never)
        };
        if let Writing::Over(connection) = writing
            && let Err(error) = connection.close().await
        {
            tracing::debug!(%error, "the log's server was not told that this node goes");
        }
        self.readers.close().await;
    }
}

/// Whether the server has a log in the current schema; nothing is made.
pub(super) async fn is_there(server: &Server) -> Result<bool, StoreError> {
    let mut connection = server.reach().await?;
    let is_there = schema::is_there(&mut connection).await?;
    connection.close().await.map_err(opened)?;
    Ok(is_there)
}

/// Whether the server has a log with facts in the current schema; nothing is made.
pub(super) async fn has_facts(server: &Server) -> Result<bool, StoreError> {
    let mut connection = server.reach().await?;
    let has_facts = schema::has_facts(&mut connection).await?;
    connection.close().await.map_err(opened)?;
    Ok(has_facts)
}

fn opened(error: sqlx::Error) -> StoreError {
    Trouble::from(error).told("opened")
}

impl LogStore for PostgresStore {
    fn append(&self, group: Vec<Append>, now: Instant) -> Asked<'_, Vec<Appended>> {
        self.shared.append(group, now).boxed()
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
        if let Some(found) = self.shared.find_here(key) {
            return ready(Ok(Some(found))).boxed();
        }
        let key = key.to_owned();
        async move {
            self.shared.be_fresh().await?;
            Ok(self.shared.find_here(&key))
        }
        .boxed()
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

    fn is_shared(&self) -> bool {
        true
    }

    fn look(&self) -> Asked<'_, ()> {
        self.shared.catch_up(tokio::time::Instant::now()).boxed()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        async {
            self.held.stop();
            self.shared.close().await;
            self.held.unlock();
        }
        .boxed()
    }
}
