//! A store that is read in small pages, and whose readers can be stopped on their way.

use std::sync::Arc;

use futures_util::future::FutureExt;
use postbook::{
    hand_on,
    store::{Asked, Filter, LogStore, Page},
};
use tokio::sync::Semaphore;

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
    hand_on!(self to self.inner; append, head, follow, read_one, find, clicks, root, check, is_shared, look, close);

    fn read(&self, from: u64, to: u64, filter: Filter, bytes_max: usize) -> Asked<'_, Page> {
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
}
