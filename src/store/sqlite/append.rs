//! Appending a group: encode, commit, and only then move on in memory.

use std::sync::Arc;

use postbook_schemas::Instant;
use sqlx::{Connection, Row as _, SqliteConnection};
use tokio::{runtime::Handle, task};

use super::{Shared, load::read_failed};
use crate::store::{
    Append, Appended, StoreError,
    layout::{
        encode::{Encoder, encode},
        row::{Row, damaged},
    },
    merkle::Frontier,
};

/// Groups of more facts or more data than this are appended apart: encoding, hashing and compressing
/// them would hold up the requests to come. For a few facts the way to another thread costs more.
const APART_FACTS: usize = 8;
const APART_BYTES: usize = 16 << 10;

/// What only the holder of the write lock may use.
#[derive(Debug)]
pub(super) struct Writing {
    pub(super) connection: SqliteConnection,
    /// The tree over all facts.
    pub(super) frontier: Frontier,
    pub(super) recorded_to: Option<Instant>,
    encoder: Encoder,
    /// Set while a commit is under way: if it fails or nobody waits for its end, the file says what
    /// became of it.
    pub(super) unsure: bool,
}

impl Writing {
    /// A connection whose log has not been read yet.
    pub(super) fn new(connection: SqliteConnection) -> Self {
        Self {
            connection,
            frontier: Frontier::default(),
            recorded_to: None,
            encoder: Encoder::default(),
            unsure: true,
        }
    }

    /// Takes over the end of the log from the file.
    pub(super) async fn catch_up(&mut self, shared: &Shared) -> Result<(), StoreError> {
        let head = shared.load(&mut self.connection).await?;
        let last = sqlx::query(
            "SELECT frontier, recorded_to FROM groups ORDER BY first_position DESC LIMIT 1",
        );
        let last = last.fetch_optional(&mut self.connection).await;
        if let Some(last) = last.map_err(read_failed)? {
            let frontier: &[u8] = last.try_get(0).map_err(read_failed)?;
            self.frontier = Frontier::from_bytes(head, frontier)
                .ok_or_else(|| damaged(head, "the tree after the last fact is of another size"))?;
            let micros = last.try_get(1).map_err(read_failed)?;
            self.recorded_to = Some(Instant::from_micros(micros));
        }
        self.unsure = false;
        Ok(())
    }

    /// Closes the connection.
    pub(super) async fn close(self) -> sqlx::Result<()> {
        self.connection.close().await
    }

    async fn write(&mut self, rows: Vec<Row>) -> sqlx::Result<()> {
        match <[Row; 1]>::try_from(rows) {
            // A statement of its own is a transaction of its own.
            Ok([row]) => row.insert(&mut self.connection).await,
            Err(rows) => {
                let mut transaction = self.connection.begin().await?;
                for row in rows {
                    row.insert(&mut transaction).await?;
                }
                transaction.commit().await
            }
        }
    }
}

/// Appends a group in one commit, large ones on a thread that may take its time.
pub(super) async fn append(
    shared: Arc<Shared>,
    group: Vec<Append>,
    now: Instant,
) -> Result<Vec<Appended>, StoreError> {
    let bytes: usize = group.iter().map(|append| append.draft.data.len()).sum();
    if group.len() <= APART_FACTS && bytes <= APART_BYTES {
        return shared.append(group, now).await;
    }
    let runtime = Handle::current();
    let appending = task::spawn_blocking(move || runtime.block_on(shared.append(group, now)));
    appending
        .await
        .map_err(|error| StoreError::failed("written", error))?
}

impl Shared {
    async fn append(&self, group: Vec<Append>, now: Instant) -> Result<Vec<Appended>, StoreError> {
        let mut writing = self.writing.lock().await;
        let writing = writing.as_mut().ok_or(NOT_WRITING)?;
        if writing.unsure {
            writing.catch_up(self).await?;
        }
        let recorded_at = writing.recorded_to.map_or(now, |last| last.max(now));
        let mut encoded = encode(
            &mut writing.encoder,
            &group,
            recorded_at,
            writing.frontier.clone(),
            &self.keys,
            &self.click_ids,
        )?;
        if encoded.rows.is_empty() {
            return Ok(encoded.appended);
        }
        let rows = std::mem::take(&mut encoded.rows);
        let waiting: Vec<_> = rows.iter().map(Row::waiting).collect();
        writing.unsure = true;
        let written = writing.write(rows).await;
        written.map_err(|error| StoreError::failed("written", error))?;
        for (fingerprint, position, unique) in encoded.keys {
            self.keys.insert(fingerprint, position, unique);
        }
        for heads in encoded.heads {
            self.heads.insert(Arc::new(heads));
        }
        for row in waiting {
            self.committed.add(row.bytes);
            self.backlog.add(row);
        }
        writing.recorded_to = Some(encoded.recorded_at);
        writing.frontier = encoded.frontier;
        writing.unsure = false;
        self.move_head(writing.frontier.size());
        Ok(encoded.appended)
    }
}

/// The store is closed or was opened for reading.
pub(super) const NOT_WRITING: StoreError =
    StoreError::Closed("it was closed, or opened for reading only");
