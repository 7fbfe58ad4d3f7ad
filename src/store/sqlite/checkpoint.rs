//! Checkpoints: moving the write-ahead log into the file while appends go on.
//!
//! Left to itself, `SQLite` does this within a commit, and everybody in that group waits for the disk:
//! some 50 ms. Here a connection of its own copies beside the commits, and only starting the
//! write-ahead log over again takes the write lock, when next to nothing is left to copy.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use sqlx::{Connection, Row as _, SqliteConnection};
use tokio::time::Instant;

use super::{Shared, schema, upkeep::Bell};

/// A write-ahead log of this size is worth a checkpoint.
const BYTES: u64 = 16 << 20;
/// How often the write-ahead log is tried to be started over, if others are using it.
const TRIES: u32 = 20;
/// The time between two tries.
const BETWEEN_TRIES: Duration = Duration::from_millis(2);
/// After a failure it waits, since a full disk does not empty itself at once.
const PAUSE: Duration = Duration::from_secs(10);

/// What was committed since the last checkpoint, and who is to make the next.
#[derive(Debug, Default)]
pub(super) struct Committed {
    bytes: AtomicU64,
    /// Wakes [`run`].
    pub(super) bell: Arc<Bell>,
}

impl Committed {
    /// Takes notice of a commit.
    pub(super) fn add(&self, bytes: usize) {
        let before = self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        if before + bytes as u64 >= BYTES {
            self.bell.ring();
        }
    }
}

/// Makes a checkpoint whenever enough was committed, until the store is closed or dropped.
pub(super) async fn run(shared: Weak<Shared>, bell: Arc<Bell>, directory: PathBuf) {
    loop {
        bell.heard().await;
        let Some(store) = shared.upgrade().filter(|_| !bell.is_stopped()) else {
            return;
        };
        let bytes = store.committed.bytes.load(Ordering::Relaxed);
        if bytes < BYTES {
            continue;
        }
        match checkpoint(&directory).await {
            // What was committed meanwhile counts for the next one.
            Ok(()) => drop(store.committed.bytes.fetch_sub(bytes, Ordering::Relaxed)),
            Err(error) => {
                tracing::warn!(%error, "the write-ahead log was not moved into the log's file");
                drop(store);
                bell.rest_until(Instant::now() + PAUSE).await;
            }
        }
    }
}

async fn checkpoint(directory: &Path) -> sqlx::Result<()> {
    let options = schema::checkpoint_options(directory);
    let mut connection = SqliteConnection::connect_with(&options).await?;
    passive(&mut connection).await?;
    for _ in 0..TRIES {
        if restart(&mut connection).await? {
            break;
        }
        tokio::time::sleep(BETWEEN_TRIES).await;
    }
    // Next time, then: readers may hold on to what is in the write-ahead log.
    connection.close().await
}

/// Copies what can be copied without anybody waiting.
async fn passive(connection: &mut SqliteConnection) -> sqlx::Result<()> {
    let done = sqlx::query("PRAGMA wal_checkpoint(PASSIVE)");
    done.fetch_one(connection).await.map(drop)
}

/// Copies the rest and lets the next commit begin the write-ahead log again; false if somebody is
/// reading or writing it just now.
async fn restart(connection: &mut SqliteConnection) -> sqlx::Result<bool> {
    let done = sqlx::query("PRAGMA wal_checkpoint(RESTART)");
    let busy: i64 = done.fetch_one(connection).await?.try_get(0)?;
    Ok(busy == 0)
}
