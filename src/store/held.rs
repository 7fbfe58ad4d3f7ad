//! What the open log of a server holds on this machine: tasks that follow it, and the lock on the node's
//! data directory.

use std::sync::{Mutex, PoisonError};

use tokio::task::JoinHandle;

use super::lock::DirectoryLock;

/// Let go of when it is closed or dropped.
#[derive(Debug)]
pub(super) struct Held {
    /// They only read, and may end anywhere.
    tasks: Mutex<Vec<JoinHandle<()>>>,
    lock: Mutex<Option<DirectoryLock>>,
}

impl Held {
    pub(super) fn new(lock: Option<DirectoryLock>, tasks: Vec<JoinHandle<()>>) -> Self {
        Self {
            tasks: Mutex::new(tasks),
            lock: Mutex::new(lock),
        }
    }

    /// Ends the tasks.
    pub(super) fn stop(&self) {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.drain(..).for_each(|task| task.abort());
    }

    /// Lets another process have the directory.
    pub(super) fn unlock(&self) {
        let lock = self.lock.lock();
        drop(lock.unwrap_or_else(PoisonError::into_inner).take());
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.stop();
    }
}
