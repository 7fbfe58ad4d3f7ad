//! A store that is read in small pages, and whose readers can be stopped on their way.

use std::sync::Arc;

use futures_util::future::{BoxFuture, FutureExt};
use postbook::store::{Append, Appended, ClickHead, Filter, LogStore, Page, StoreError};
use postbook_schemas::Instant;
use tokio::sync::{Semaphore, watch};

/// About how many bytes a page holds.
const PAGE_BYTES: usize = 4_000;

/// A store around another.
#[derive(Debug)]
pub(crate) struct GatedStore {
    inner: Arc<dyn LogStore>,
    gate: u64,
    arrived: Semaphore,
    opened: Semaphore,
}

impl GatedStore {
    /// A store whose pages from this position on are waited for.
    pub(crate) fn new(inner: Arc<dyn LogStore>, gate: u64) -> Self {
        Self {
            inner,
            gate,
            arrived: Semaphore::new(0),
            opened: Semaphore::new(0),
        }
    }

    /// Waits until somebody reads from the gate on.
    pub(crate) async fn somebody_waits(&self) {
        let arrived = self.arrived.acquire().await;
        arrived.expect("it is never closed").forget();
    }

    /// Lets everybody through.
    pub(crate) fn open(&self) {
        self.opened.add_permits(Semaphore::MAX_PERMITS / 2);
    }
}

impl LogStore for GatedStore {
    fn append(
        &self,
        group: Vec<Append>,
        now: Instant,
    ) -> BoxFuture<'_, Result<Vec<Appended>, StoreError>> {
        self.inner.append(group, now)
    }

    fn head(&self) -> u64 {
        self.inner.head()
    }

    fn follow(&self) -> watch::Receiver<u64> {
        self.inner.follow()
    }

    fn read(
        &self,
        from: u64,
        to: u64,
        filter: Filter,
        bytes_max: usize,
    ) -> BoxFuture<'_, Result<Page, StoreError>> {
        async move {
            if from >= self.gate {
                self.arrived.add_permits(1);
                let opened = self.opened.acquire().await;
                opened.expect("it is never closed").forget();
            }
            let bytes_max = bytes_max.min(PAGE_BYTES);
            self.inner.read(from, to, filter, bytes_max).await
        }
        .boxed()
    }

    fn read_one(&self, position: u64) -> BoxFuture<'_, Result<Option<Vec<u8>>, StoreError>> {
        self.inner.read_one(position)
    }

    fn find(&self, key: &str) -> BoxFuture<'_, Result<Option<u64>, StoreError>> {
        self.inner.find(key)
    }

    fn clicks(
        &self,
        positions: Vec<u64>,
    ) -> BoxFuture<'_, Result<Vec<Option<ClickHead>>, StoreError>> {
        self.inner.clicks(positions)
    }

    fn root(&self, size: u64) -> BoxFuture<'_, Result<[u8; 32], StoreError>> {
        self.inner.root(size)
    }

    fn check<'a>(
        &'a self,
        progress: &'a (dyn Fn(u64) + Sync),
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        self.inner.check(progress)
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.inner.close()
    }
}
