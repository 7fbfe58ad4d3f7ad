//! The file as a mirror of a log that is kept elsewhere: it takes rows that are confirmed there, and
//! remembers how far it has come.
//!
//! What is lost of it is taken again, so nothing waits for its disk.

use std::{path::Path, sync::Arc};

use postbook_schemas::{ClickIdKey, Instant};
use sqlx::{Connection, Row as _, SqliteConnection};

use super::{SqliteStore, append::NOT_WRITING, load::read_failed, schema};
use crate::store::{
    StoreError,
    layout::{kept::Laid, row::Row},
    lock::DirectoryLock,
    merkle::Frontier,
};

/// How far a mirror has come.
#[derive(Clone, Debug)]
pub(in crate::store) struct Mirrored {
    /// The tree over its facts.
    pub(in crate::store) frontier: Frontier,
    /// When the last of them was recorded.
    pub(in crate::store) recorded_to: Option<Instant>,
    /// The event after which to go on; none before the first.
    pub(in crate::store) last: Option<Mark>,
}

/// An event of the stream that is mirrored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) struct Mark {
    /// Its number in the stream.
    pub(in crate::store) revision: u64,
    /// Its id.
    pub(in crate::store) id: [u8; 16],
}

impl Mark {
    const BYTES: usize = 24;

    fn to_bytes(self) -> Vec<u8> {
        [&self.revision.to_le_bytes()[..], &self.id].concat()
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; Self::BYTES] = bytes.try_into().ok()?;
        let (revision, id) = bytes.split_first_chunk::<8>()?;
        Some(Self {
            revision: u64::from_le_bytes(*revision),
            id: id.try_into().ok()?,
        })
    }
}

const PUT_MARK: &str = "\
    INSERT INTO meta VALUES ('mirrored', ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value";

impl SqliteStore {
    /// Opens the mirror in a directory, which is made if it is not there, and locks it. `key` is that of
    /// the fingerprints of the log's keys.
    ///
    /// # Errors
    /// Another process has it open, it is the mirror of another log, or its file cannot be read or is
    /// damaged.
    pub(in crate::store) async fn open_mirror(
        directory: &Path,
        click_ids: Arc<ClickIdKey>,
        key: &[u8; 32],
    ) -> Result<Self, StoreError> {
        let lock = DirectoryLock::take(directory)?;
        let mut connection = schema::open_to_write(directory).await?;
        let relaxed = sqlx::raw_sql("PRAGMA synchronous = NORMAL");
        let relaxed = relaxed.execute(&mut connection).await;
        relaxed.map_err(|error| StoreError::failed("opened", error))?;
        if schema::fingerprint_key(&mut connection).await? != *key {
            adopt_key(&mut connection, directory, key).await?;
        }
        Self::start(directory, click_ids, connection, lock).await
    }

    /// How far it has come.
    pub(in crate::store) async fn mirrored(&self) -> Result<Mirrored, StoreError> {
        let mut writing = self.shared.writing.lock().await;
        let writing = writing.as_mut().ok_or(NOT_WRITING)?;
        if writing.unsure {
            writing.catch_up(&self.shared).await?;
        }
        Ok(Mirrored {
            frontier: writing.frontier.clone(),
            recorded_to: writing.recorded_to,
            last: mark(&mut writing.connection).await?,
        })
    }

    /// Takes facts that follow those it has, up to an event.
    pub(in crate::store) async fn mirror(&self, laid: Laid, last: Mark) -> Result<(), StoreError> {
        let mut writing = self.shared.writing.lock().await;
        let writing = writing.as_mut().ok_or(NOT_WRITING)?;
        if writing.unsure {
            writing.catch_up(&self.shared).await?;
        }
        let waiting: Vec<_> = laid.rows.iter().map(Row::waiting).collect();
        writing.unsure = true;
        let written = write(&mut writing.connection, laid.rows, last).await;
        written.map_err(|error| StoreError::failed("written", error))?;
        for (fingerprint, position, unique) in laid.keys {
            self.shared.keys.insert(fingerprint, position, unique);
        }
        for heads in laid.heads {
            self.shared.heads.insert(Arc::new(heads));
        }
        for row in waiting {
            self.shared.committed.add(row.bytes);
            self.shared.backlog.add(row);
        }
        writing.recorded_to = laid.recorded_to;
        writing.frontier = laid.frontier;
        writing.unsure = false;
        self.shared.move_head(writing.frontier.size());
        Ok(())
    }

    /// The index of its keys.
    pub(in crate::store) fn keys(&self) -> &crate::store::layout::keys::KeyIndex {
        &self.shared.keys
    }
}

/// How far the mirror in a directory has come, also while a process goes on with it; none if there is
/// no mirror of the log with this key.
pub(in crate::store) async fn mark_of(
    directory: &Path,
    key: &[u8; 32],
) -> Result<Option<Mark>, StoreError> {
    let options = schema::read_options(directory);
    let Ok(mut connection) = SqliteConnection::connect_with(&options).await else {
        return Ok(None);
    };
    schema::check_version(&mut connection).await?;
    if schema::fingerprint_key(&mut connection).await? != *key {
        return Ok(None);
    }
    let mark = mark(&mut connection).await?;
    connection.close().await.map_err(read_failed)?;
    Ok(mark)
}

async fn mark(connection: &mut SqliteConnection) -> Result<Option<Mark>, StoreError> {
    let row = sqlx::query("SELECT value FROM meta WHERE name = 'mirrored'");
    let row = row.fetch_optional(connection).await.map_err(read_failed)?;
    let Some(row) = row else {
        return Ok(None);
    };
    let mark = Mark::from_bytes(row.get(0));
    mark.map(Some)
        .ok_or_else(|| StoreError::failed("read", "its mirror does not say how far it has come"))
}

async fn write(connection: &mut SqliteConnection, rows: Vec<Row>, last: Mark) -> sqlx::Result<()> {
    let mut transaction = connection.begin().await?;
    for row in rows {
        row.insert(&mut transaction).await?;
    }
    let put = sqlx::query(PUT_MARK).bind(last.to_bytes());
    put.execute(&mut *transaction).await?;
    transaction.commit().await
}

/// Makes a mirror that is empty one of the log with this key.
async fn adopt_key(
    connection: &mut SqliteConnection,
    directory: &Path,
    key: &[u8; 32],
) -> Result<(), StoreError> {
    let is_empty = sqlx::query_scalar("SELECT count(*) = 0 FROM groups");
    let is_empty: bool = is_empty
        .fetch_one(&mut *connection)
        .await
        .map_err(read_failed)?;
    if !is_empty {
        let what = format!(
            "{} mirrors another log: choose another data directory, or remove it",
            directory.display()
        );
        return Err(StoreError::failed("opened", what));
    }
    let put = sqlx::query("UPDATE meta SET value = ? WHERE name = 'fingerprint_key'");
    let put = put.bind(key.to_vec()).execute(connection).await;
    put.map(drop)
        .map_err(|error| StoreError::failed("opened", error))
}
