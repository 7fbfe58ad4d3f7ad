//! Every log store there is, each with a way to close it and open it again.

use std::sync::Arc;

use futures_util::future::{BoxFuture, FutureExt, ready};
use postbook::store::{LogStore, memory::MemoryStore, sqlite::SqliteStore};
use postbook_schemas::{ClickIdKey, Instant};

/// A store under test.
pub(crate) struct Subject {
    pub(crate) store: Arc<dyn LogStore>,
    reopen: Box<dyn Fn() -> BoxFuture<'static, Arc<dyn LogStore>> + Send + Sync>,
    pub(crate) directory: Option<tempfile::TempDir>,
}

impl Subject {
    /// A store in memory, which stays the same when it is opened again.
    pub(crate) fn memory() -> Self {
        let store: Arc<dyn LogStore> = Arc::new(MemoryStore::new(click_ids()));
        let same = Arc::clone(&store);
        Self {
            store,
            reopen: Box::new(move || ready(Arc::clone(&same)).boxed()),
            directory: None,
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
            directory: Some(directory),
        }
    }

    /// Closes the store and opens it again.
    pub(crate) async fn reopen(&mut self) {
        if self.directory.is_some() {
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
