//! Every log store there is, each with a way to close it and open it again.

use std::{sync::Arc, time::Duration};

use futures_util::future::{BoxFuture, FutureExt, ready};
use postbook::store::{
    Filter, LogStore,
    memory::MemoryStore,
    postgres::{PostgresStore, Server},
    sqlite::SqliteStore,
    writer::Scrub,
};
use postbook_schemas::{ClickIdKey, Instant, envelope::Draft};

use super::postgres::Schema;
#[cfg(feature = "kurrentdb")]
use super::stream::Stream;

/// Of a log whose facts hold nothing that must not be kept.
#[derive(Debug)]
pub(crate) struct Unscrubbed;

impl Scrub for Unscrubbed {
    fn scrub(&self, _: &mut Draft) {}
}

/// A store under test.
pub(crate) struct Subject {
    pub(crate) store: Arc<dyn LogStore>,
    reopen: Box<dyn Fn() -> BoxFuture<'static, Arc<dyn LogStore>> + Send + Sync>,
    keeps: Keeps,
}

/// What a store is kept in, and goes with the test.
enum Keeps {
    Nothing,
    Directory {
        _directory: tempfile::TempDir,
    },
    Schema {
        _schema: Schema,
    },
    #[cfg(feature = "kurrentdb")]
    Stream(Arc<Stream>),
}

impl Subject {
    /// A store in memory, which stays the same when it is opened again.
    pub(crate) fn memory() -> Self {
        let store: Arc<dyn LogStore> = Arc::new(MemoryStore::new(click_ids()));
        let same = Arc::clone(&store);
        Self {
            store,
            reopen: Box::new(move || ready(Arc::clone(&same)).boxed()),
            keeps: Keeps::Nothing,
        }
    }

    /// An embedded store in a directory of its own.
    pub(crate) async fn sqlite() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        let path = directory.path().to_owned();
        let open = move || {
            let path = path.clone();
            async move {
                let store = SqliteStore::open(&path, click_ids()).await;
                Arc::new(store.expect("the log opens")) as Arc<dyn LogStore>
            }
            .boxed()
        };
        Self {
            store: open().await,
            reopen: Box::new(open),
            keeps: Keeps::Directory {
                _directory: directory,
            },
        }
    }

    /// A store in a schema of its own; `None` without a server.
    pub(crate) async fn postgres() -> Option<Self> {
        let schema = Schema::make().await?;
        let server = Server::parse(&schema.url()).expect("the URL is one");
        let open = move || {
            let server = server.clone();
            async move {
                let store = PostgresStore::open(server, None, click_ids()).await;
                Arc::new(store.expect("the log opens")) as Arc<dyn LogStore>
            }
            .boxed()
        };
        Some(Self {
            store: open().await,
            reopen: Box::new(open),
            keeps: Keeps::Schema { _schema: schema },
        })
    }

    /// A store in a stream of a fake KurrentDB server of its own.
    #[cfg(feature = "kurrentdb")]
    pub(crate) async fn fake_kurrentdb() -> Self {
        Self::in_stream(Stream::on_a_fake().await).await
    }

    /// A store in a stream of its own on a KurrentDB server; `None` without one.
    #[cfg(feature = "kurrentdb")]
    pub(crate) async fn kurrentdb() -> Option<Self> {
        match Stream::on_a_server() {
            Some(stream) => Some(Self::in_stream(stream).await),
            None => None,
        }
    }

    #[cfg(feature = "kurrentdb")]
    async fn in_stream(stream: Stream) -> Self {
        let stream = Arc::new(stream);
        let data = stream.data();
        let open = {
            let stream = Arc::clone(&stream);
            move || {
                let (stream, data) = (Arc::clone(&stream), data.clone());
                async move { stream.open(&data).await as Arc<dyn LogStore> }.boxed()
            }
        };
        Self {
            store: open().await,
            reopen: Box::new(open),
            keeps: Keeps::Stream(stream),
        }
    }

    /// Another node on the same log: of a log on a server a store of its own.
    pub(crate) async fn another_node(&self) -> Arc<dyn LogStore> {
        match &self.keeps {
            Keeps::Schema { .. } => (self.reopen)().await,
            #[cfg(feature = "kurrentdb")]
            Keeps::Stream(stream) => stream.open(&stream.data()).await,
            Keeps::Nothing | Keeps::Directory { .. } => Arc::clone(&self.store),
        }
    }

    /// Closes the store and opens it again.
    pub(crate) async fn reopen(&mut self) {
        if !matches!(self.keeps, Keeps::Nothing) {
            self.store.close().await;
        }
        self.store = (self.reopen)().await;
    }
}

/// The key of click ids in tests.
pub(crate) fn click_ids() -> Arc<ClickIdKey> {
    Arc::new(ClickIdKey::new(&[7; 32]))
}

/// A time in tests, this many seconds after the first.
pub(crate) fn at(seconds: i64) -> Instant {
    Instant::from_micros(1_800_000_000_000_000 + seconds * 1_000_000)
}

/// Waits until a store has seen a position.
pub(crate) async fn seen(store: &dyn LogStore, position: u64) {
    let mut head = store.follow();
    let arrived = head.wait_for(|&head| head >= position);
    let arrived = tokio::time::timeout(Duration::from_secs(20), arrived).await;
    let arrived = arrived.expect("the node hears of it").map(drop);
    arrived.expect("the store is open");
}

/// The numbers of the facts in a log, by position.
pub(crate) async fn numbers(store: &dyn LogStore) -> Vec<u64> {
    let (mut next, mut numbers) = (1, Vec::new());
    while next <= store.head() {
        let page = store.read(next, u64::MAX, Filter::ALL, 1 << 20).await;
        let page = page.expect("the log can be read");
        for (position, line) in page.lines() {
            assert_eq!(position, numbers.len() as u64 + 1, "nothing is missed");
            let line: serde_json::Value = serde_json::from_slice(line).expect("a line is JSON");
            numbers.push(line["data"]["number"].as_u64().expect("it has a number"));
        }
        next = page.next;
    }
    numbers
}
