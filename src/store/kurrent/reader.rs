//! The log on KurrentDB for reading only, through a mirror that was brought up to date.

use futures_util::future::{BoxFuture, FutureExt};
use postbook_schemas::Instant;
use tokio::sync::watch;

use super::{check::check, source::Source};
use crate::store::{
    Append, Appended, ClickHead, Filter, LogStore, Page, StoreError, sqlite::SqliteStore,
};

/// A mirror as it was when it was opened; only a check asks the server again.
#[derive(Debug)]
pub(in crate::store) struct KurrentReader {
    pub(super) source: Source,
    pub(super) mirror: SqliteStore,
}

impl LogStore for KurrentReader {
    fn append(
        &self,
        group: Vec<Append>,
        now: Instant,
    ) -> BoxFuture<'_, Result<Vec<Appended>, StoreError>> {
        // The mirror refuses: it was opened for reading.
        self.mirror.append(group, now)
    }

    fn head(&self) -> u64 {
        self.mirror.head()
    }

    fn follow(&self) -> watch::Receiver<u64> {
        self.mirror.follow()
    }

    fn read(
        &self,
        from: u64,
        to: u64,
        filter: Filter,
        bytes_max: usize,
    ) -> BoxFuture<'_, Result<Page, StoreError>> {
        self.mirror.read(from, to, filter, bytes_max)
    }

    fn read_one(&self, position: u64) -> BoxFuture<'_, Result<Option<Vec<u8>>, StoreError>> {
        self.mirror.read_one(position)
    }

    fn find(&self, key: &str) -> BoxFuture<'_, Result<Option<u64>, StoreError>> {
        self.mirror.find(key)
    }

    fn clicks(
        &self,
        positions: Vec<u64>,
    ) -> BoxFuture<'_, Result<Vec<Option<ClickHead>>, StoreError>> {
        self.mirror.clicks(positions)
    }

    fn root(&self, size: u64) -> BoxFuture<'_, Result<[u8; 32], StoreError>> {
        self.mirror.root(size)
    }

    fn check<'a>(
        &'a self,
        progress: &'a (dyn Fn(u64) + Sync),
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        check(&self.source, &self.mirror, progress).boxed()
    }

    fn is_shared(&self) -> bool {
        true
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.mirror.close()
    }
}
