//! What work behind the appends waits for: to be wanted, and to be told to end.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::{
    sync::Notify,
    time::{Instant, timeout_at},
};

/// Wakes one task. It outlives the store that it belongs to, so that its task need not hold the store
/// while it waits.
#[derive(Debug, Default)]
pub(super) struct Bell {
    rung: Notify,
    stopped: AtomicBool,
}

impl Bell {
    /// Says that there may be something to do.
    pub(super) fn ring(&self) {
        self.rung.notify_one();
    }

    /// Tells the task to end.
    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
        self.ring();
    }

    /// Whether the task is to end.
    pub(super) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    /// Waits until it is rung; at once if it was since the last time.
    pub(super) async fn heard(&self) {
        self.rung.notified().await;
    }

    /// Waits until then, however often it is rung, or until the task is to end.
    pub(super) async fn rest_until(&self, until: Instant) {
        while !self.is_stopped() {
            if timeout_at(until, self.heard()).await.is_err() {
                return;
            }
        }
    }
}
