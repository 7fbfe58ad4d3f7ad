//! Merging: small rows become one of about 4,096 facts, compressed better, while appends go on.
//!
//! What is merged is read, checked against the tree and compressed outside the write lock; only
//! the exchange of the rows, one transaction, holds up appends. A crash leaves the old rows or the
//! new one. Freed pages are used again by later groups.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::TryStreamExt;
use sqlx::{Connection, Row as _, SqliteConnection};
use tokio::{task, time::Instant};

use super::{Shared, load::read_failed, row::COLUMNS, upkeep::Bell};
use crate::store::{
    StoreError,
    layout::{
        heads::Heads,
        keys::KeptKey,
        lines::{Packer, Unpacker},
        places::{Place, Places},
        row::{ROW_FACTS, Row, damaged},
    },
    merkle::{Frontier, leaf_hash},
};

/// A row is also large enough at this many compressed bytes.
const ROW_BYTES: usize = 768 << 10;
/// Merged rows are compressed once and read for ever.
const LEVEL: i32 = 9;
/// Under load, merging rests this many times as long as it has worked.
const REST: u32 = 29;
/// After a failure it waits, since a full disk does not empty itself at once.
const PAUSE: Duration = Duration::from_secs(10);

/// Rows that wait to be merged, in order.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    rows: Mutex<VecDeque<Waiting>>,
    appended: AtomicU64,
    /// Wakes [`run`].
    pub(super) bell: Arc<Bell>,
}

/// A row that waits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waiting {
    /// Where it begins.
    pub(super) first_position: u64,
    /// How many facts it has.
    pub(super) count: u64,
    /// Its compressed lines.
    pub(super) bytes: usize,
}

/// Rows that are to become one.
#[derive(Clone, Copy, Debug)]
struct Run {
    first_position: u64,
    end: u64,
    rows: usize,
}

impl Backlog {
    /// Adds a row.
    pub(super) fn add(&self, row: Waiting) {
        self.appended.fetch_add(1, Ordering::Relaxed);
        self.rows().push_back(row);
        self.bell.ring();
    }

    /// The first rows, if together they are large enough.
    fn first_run(&self) -> Option<Run> {
        let rows = self.rows();
        let first_position = rows.front()?.first_position;
        let (mut count, mut bytes) = (0, 0);
        for (index, row) in rows.iter().enumerate() {
            count += row.count;
            bytes += row.bytes;
            if count >= ROW_FACTS as u64 || bytes >= ROW_BYTES {
                return Some(Run {
                    first_position,
                    end: row.first_position + row.count,
                    rows: index + 1,
                });
            }
        }
        None
    }

    fn remove(&self, run: Run) {
        self.rows().retain(|row| row.first_position >= run.end);
    }

    fn rows(&self) -> MutexGuard<'_, VecDeque<Waiting>> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Merges whenever there is enough to merge, until the store is closed or dropped.
pub(super) async fn run(shared: Weak<Shared>, bell: Arc<Bell>) {
    while let Some(store) = shared.upgrade().filter(|_| !bell.is_stopped()) {
        let (started, appended) = (
            Instant::now(),
            store.backlog.appended.load(Ordering::Relaxed),
        );
        let merged = store.merge_next().await;
        let is_busy = store.backlog.appended.load(Ordering::Relaxed) != appended;
        drop(store);
        match merged {
            Ok(true) if is_busy => {
                let rest = started.elapsed() * REST;
                bell.rest_until(Instant::now() + rest).await;
            }
            Ok(true) => {}
            Ok(false) => bell.heard().await,
            Err(error) => {
                tracing::warn!(%error, "rows of the log were not merged");
                bell.rest_until(Instant::now() + PAUSE).await;
            }
        }
    }
}

impl Shared {
    /// Merges the first rows that are large enough together; false if there are none.
    pub(super) async fn merge_next(&self) -> Result<bool, StoreError> {
        let Some(run) = self.backlog.first_run() else {
            return Ok(false);
        };
        let rows = self.rows_of(run).await?;
        if rows.len() != run.rows || rows.iter().any(|row| row.merged) {
            // An earlier exchange was committed although its answer was lost.
            self.backlog.remove(run);
            return Ok(true);
        }
        let before = self.frontier_before(run.first_position).await?;
        let merging = task::spawn_blocking(move || merge(before, &rows));
        let (merged, heads) = merging
            .await
            .map_err(|error| StoreError::failed("written", error))??;
        let bytes = merged.waiting().bytes;
        let mut writing = self.writing.lock().await;
        let Some(writing) = writing.as_mut() else {
            return Ok(false);
        };
        let exchanged = exchange(&mut writing.connection, run, merged).await;
        exchanged.map_err(|error| StoreError::failed("written", error))?;
        self.committed.add(bytes);
        self.backlog.remove(run);
        self.heads.insert(Arc::new(heads));
        Ok(true)
    }

    async fn rows_of(&self, run: Run) -> Result<Vec<Row>, StoreError> {
        let statement = format!(
            "SELECT {COLUMNS} FROM groups WHERE first_position >= ? AND first_position < ? \
             ORDER BY first_position"
        );
        let mut selected = sqlx::query(sqlx::AssertSqlSafe(statement))
            .bind(run.first_position.cast_signed())
            .bind(run.end.cast_signed())
            .fetch(&self.readers);
        let mut rows = Vec::with_capacity(run.rows);
        while let Some(row) = selected.try_next().await.map_err(read_failed)? {
            rows.push(Row::from_sql(&row)?);
        }
        Ok(rows)
    }

    async fn frontier_before(&self, position: u64) -> Result<Frontier, StoreError> {
        let before = sqlx::query(
            "SELECT frontier FROM groups WHERE first_position < ? \
             ORDER BY first_position DESC LIMIT 1",
        );
        let before = before
            .bind(position.cast_signed())
            .fetch_optional(&self.readers)
            .await
            .map_err(read_failed)?;
        let bytes: &[u8] = before.as_ref().map_or(&[], |row| row.get(0));
        Frontier::from_bytes(position - 1, bytes)
            .ok_or_else(|| damaged(position, "the tree before it is of another size"))
    }
}

async fn exchange(connection: &mut SqliteConnection, run: Run, merged: Row) -> sqlx::Result<()> {
    let mut transaction = connection.begin().await?;
    sqlx::query("DELETE FROM groups WHERE first_position >= ? AND first_position < ?")
        .bind(run.first_position.cast_signed())
        .bind(run.end.cast_signed())
        .execute(&mut *transaction)
        .await?;
    merged.insert(&mut transaction).await?;
    transaction.commit().await
}

/// One row of all these, whose lines are checked against the tree on the way.
fn merge(mut frontier: Frontier, rows: &[Row]) -> Result<(Row, Heads), StoreError> {
    let mut unpacker = Unpacker::new()?;
    let mut packer = Packer::new(LEVEL)?;
    let (mut facts, mut clicks) = (Vec::new(), Vec::new());
    let (mut keys, mut heads) = (Vec::new(), Vec::new());
    let (mut places, mut types) = (Places::default(), 0);
    for row in rows {
        let first = row.first_position;
        let row_places = row.places()?;
        let (others, seated) = (
            row_places.count() - row_places.seated(),
            row_places.seated(),
        );
        let mut unpack = |blob: &[u8], count| {
            let unpacked = unpacker.unpack(blob, count);
            unpacked.map_err(|what| damaged(first, what))
        };
        let (row_facts, row_clicks) = (unpack(&row.facts, others)?, unpack(&row.clicks, seated)?);
        merge_keys(row, places.count(), &mut keys)?;
        for place in row_places.iter() {
            let line = match place {
                Place::Seated(index) => row_clicks.get(index),
                Place::Unseated(index) => row_facts.get(index),
            };
            let line = line.ok_or_else(|| damaged(first, "a line is missing"))?;
            frontier.push(leaf_hash(line));
            places.push(matches!(place, Place::Seated(_)));
        }
        if frontier.to_bytes() != row.frontier {
            return Err(damaged(first, "the lines do not fit the tree"));
        }
        facts.extend_from_slice(row_facts.bytes());
        clicks.extend_from_slice(row_clicks.bytes());
        let row_heads = unpacker.unpack_bytes(&row.heads);
        heads.extend_from_slice(&row_heads.map_err(|what| damaged(first, what))?);
        types |= row.types;
    }
    let (Some(first), Some(last)) = (rows.first(), rows.last()) else {
        return Err(damaged(frontier.size(), "there is nothing to merge"));
    };
    let row = Row {
        first_position: first.first_position,
        count: places.count(),
        recorded_from: first.recorded_from,
        recorded_to: last.recorded_to,
        types,
        merged: true,
        frontier: frontier.to_bytes(),
        keys,
        places: places.to_bytes(),
        facts: packer.pack(&facts)?,
        heads: packer.pack(&heads)?,
        clicks: packer.pack(&clicks)?,
    };
    let heads = Heads::new(row.first_position, places, &heads)
        .ok_or_else(|| damaged(row.first_position, "index entries and places do not fit"))?;
    Ok((row, heads))
}

/// The keys of a row, with offsets in the merged one.
fn merge_keys(row: &Row, before: u32, keys: &mut Vec<u8>) -> Result<(), StoreError> {
    let kept = KeptKey::read_all(&row.keys).ok_or_else(|| {
        damaged(
            row.first_position,
            "the keys of the row are no list of keys",
        )
    })?;
    for key in kept {
        let offset = key.offset + before;
        KeptKey { offset, ..key }.write(keys);
    }
    Ok(())
}
