//! A stream on a KurrentDB server: on a fake one, or on the one that tests are given.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use fake_kurrentdb::FakeKurrentdb;
use postbook::store::{
    StoreError,
    kurrent::{KurrentStore, Server},
    open::Location,
};

use super::stores::click_ids;

/// The stream on a fake server.
pub(crate) const STREAM: &str = "postbook-test";

/// A stream, and data directories of nodes that use it.
pub(crate) struct Stream {
    /// The fake server, if it is one.
    pub(crate) fake: Option<FakeKurrentdb>,
    pub(crate) url: String,
    directories: Mutex<Vec<tempfile::TempDir>>,
}

impl Stream {
    /// A stream on a fake server of its own.
    pub(crate) async fn on_a_fake() -> Self {
        let fake = FakeKurrentdb::start().await;
        Self {
            url: fake.url(STREAM),
            fake: Some(fake),
            directories: Mutex::default(),
        }
    }

    /// A stream of its own on the server of `TEST_KURRENTDB_URL`; `None`, and a line that says so, if
    /// there is no server.
    #[expect(clippy::disallowed_methods, reason = "tests have no command line")]
    #[expect(clippy::print_stderr, reason = "what is left out is said")]
    pub(crate) fn on_a_server() -> Option<Self> {
        let Ok(server) = std::env::var("TEST_KURRENTDB_URL") else {
            eprintln!("SKIPPED on KurrentDB: TEST_KURRENTDB_URL is not set");
            return None;
        };
        let sign = if server.contains('?') { '&' } else { '?' };
        let name = format!("postbook-test-{:032x}", rand::random::<u128>());
        Some(Self {
            fake: None,
            url: format!("{server}{sign}stream={name}"),
            directories: Mutex::default(),
        })
    }

    /// The fake server.
    pub(crate) fn fake(&self) -> &FakeKurrentdb {
        self.fake.as_ref().expect("the stream is on a fake server")
    }

    /// A new data directory, which goes with the stream.
    pub(crate) fn data(&self) -> PathBuf {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        let path = directory.path().to_owned();
        let mut directories = self.directories.lock().expect("no test panics here");
        directories.push(directory);
        path
    }

    /// A node with this data directory.
    pub(crate) async fn open(&self, data: &Path) -> Arc<KurrentStore> {
        let store = self.try_open(data).await;
        Arc::new(store.expect("the log opens"))
    }

    /// The same, if it opens.
    pub(crate) async fn try_open(&self, data: &Path) -> Result<KurrentStore, StoreError> {
        KurrentStore::open(self.server(), data, click_ids()).await
    }

    /// A node with a new data directory.
    pub(crate) async fn node(&self) -> Arc<KurrentStore> {
        self.open(&self.data()).await
    }

    /// The log, for a node with this data directory.
    pub(crate) fn location(&self, data: &Path) -> Location {
        Location::Kurrent(self.server(), data.to_owned())
    }

    /// Server and stream.
    pub(crate) fn server(&self) -> Server {
        Server::parse(&self.url).expect("the URL is one")
    }
}
