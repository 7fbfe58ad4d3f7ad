//! The one writer: gathers what is waiting into a group, appends it in one commit, answers all.

use std::sync::Arc;

use super::{Append, Appended, LogStore, StoreError};
use crate::clock::Clock;

/// A handle to the log: appends go through its one writer, reads go to the store.
#[derive(Clone, Debug)]
pub struct Log {
    store: Arc<dyn LogStore>,
}

impl Log {
    /// Starts the writer of a store.
    pub fn start(store: Arc<dyn LogStore>, clock: Arc<dyn Clock>) -> Self {
        _ = clock;
        Self { store }
    }

    /// Appends one fact; returns once it is durable.
    ///
    /// # Errors
    /// The group it was in could not be written, or too many requests are waiting.
    pub async fn append(&self, append: Append) -> Result<Appended, StoreError> {
        _ = append;
        Err(StoreError::Closed("not written yet"))
    }

    /// Appends facts that belong together in one group.
    ///
    /// # Errors
    /// As [`Self::append`].
    pub async fn append_all(&self, appends: Vec<Append>) -> Result<Vec<Appended>, StoreError> {
        _ = appends;
        Err(StoreError::Closed("not written yet"))
    }

    /// The store, for reading.
    pub fn store(&self) -> &Arc<dyn LogStore> {
        &self.store
    }

    /// Takes no more facts, finishes those that wait, and closes the store.
    pub async fn shut_down(&self) {}
}
