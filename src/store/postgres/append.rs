//! Appending a group: encode, commit, and only then move on in memory.
//!
//! Most groups are one call, which succeeds if nobody else has appended meanwhile. Where somebody
//! has, where a group has several rows and after every failure, the lock of appends is taken first:
//! whoever holds it sees all that was committed, its own batches too whose answers were lost.

use std::{sync::Arc, time::Duration};

use postbook_schemas::Instant;
use sqlx::{Connection, PgConnection};
use tokio::task;

use super::{
    Shared, row, schema,
    tail::{Doubt, Tail, Writing},
    trouble::{Patience, Trouble},
};
use crate::store::{
    Append, Appended, StoreError,
    layout::{
        encode::{Encoded, encode},
        row::damaged,
    },
    line,
};

/// For how long a group is tried again while the server cannot be reached.
const APPEND_MAX: Duration = Duration::from_secs(10);

/// An answer that takes longer is taken for lost.
const ANSWER_MAX: Duration = Duration::from_secs(25);

/// Groups of more data than this are encoded apart, so that they do not hold up other tasks.
const ENCODE_APART_BYTES: usize = 256 << 10;

/// The store is closed or was opened for reading.
const NOT_WRITING: StoreError = StoreError::Closed("it was closed, or opened for reading only");

/// A group on its way, until it is known what became of it.
struct Attempt {
    group: Arc<Vec<Append>>,
    now: Instant,
    doubt: Doubt,
    /// As it was sent last.
    sent: Option<Encoded>,
}

impl Shared {
    /// Appends a group in one commit. While the server cannot be reached it is tried again for a
    /// while; who comes after that is refused at once.
    pub(super) async fn append(
        &self,
        group: Vec<Append>,
        now: Instant,
    ) -> Result<Vec<Appended>, StoreError> {
        group.iter().try_for_each(line::refuse_unfit)?;
        let mut tail = self.tail.lock().await;
        let mut attempt = Attempt {
            group: Arc::new(group),
            now,
            doubt: Doubt {
                batch: rand::random(),
                is_in_log: false,
            },
            sent: None,
        };
        let is_lost = matches!(tail.writing, Writing::Lost);
        let patience = Patience::of(if is_lost { Duration::ZERO } else { APPEND_MAX });
        loop {
            let trouble = match self.attempt(&mut tail, &mut attempt).await {
                Ok(appended) => return Ok(appended),
                Err(trouble) => trouble,
            };
            if let Err(trouble) = patience.after(trouble).await {
                if trouble.is_passing() {
                    tail.writing = Writing::Lost;
                }
                return Err(trouble.told("written"));
            }
        }
    }

    async fn attempt(
        &self,
        tail: &mut Tail,
        attempt: &mut Attempt,
    ) -> Result<Vec<Appended>, Trouble> {
        // The connection is put back only when all is known: should this future be dropped or fail,
        // the next append asks over a new one what became of it.
        let taken = std::mem::replace(&mut tail.writing, Writing::Apart);
        let (mut connection, is_new) = match taken {
            Writing::Never => {
                tail.writing = Writing::Never;
                return Err(NOT_WRITING.into());
            }
            Writing::Over(connection) => (connection, false),
            Writing::Apart | Writing::Lost => (Box::new(self.connect_to_append().await?), true),
        };
        let answers = tokio::time::timeout(ANSWER_MAX, async {
            if !is_new
                && let Some(appended) = self.append_at_once(&mut connection, tail, attempt).await?
            {
                return Ok(appended);
            }
            self.append_in_turn(&mut connection, tail, attempt, is_new)
                .await
        });
        let appended = answers.await.map_err(|_| sqlx::Error::PoolTimedOut)??;
        tail.writing = Writing::Over(connection);
        Ok(appended)
    }

    async fn connect_to_append(&self) -> Result<PgConnection, Trouble> {
        let mut connection = self.server.connect().await?;
        schema::prepare_to_append(&mut connection).await?;
        Ok(connection)
    }

    /// Appends a group that has one row, in one call; nothing if others have appended meanwhile.
    async fn append_at_once(
        &self,
        connection: &mut PgConnection,
        tail: &mut Tail,
        attempt: &mut Attempt,
    ) -> Result<Option<Vec<Appended>>, Trouble> {
        let started = tokio::time::Instant::now();
        let encoded = self.encode(tail, attempt).await?;
        let row = match &encoded.rows[..] {
            [] => return Ok(Some(encoded.appended)),
            [row] => row.clone(),
            _ => return Ok(None),
        };
        attempt.sent = Some(encoded);
        let begins_at = row::append(connection, self.lock_key, &row, &attempt.doubt.batch).await?;
        if begins_at == row.first_position {
            return Ok(self.committed(tail, attempt, started));
        }
        attempt.sent = None;
        require_known(begins_at, tail)?;
        Ok(None)
    }

    /// Appends a group when its turn has come, after all that was committed before.
    async fn append_in_turn(
        &self,
        connection: &mut PgConnection,
        tail: &mut Tail,
        attempt: &mut Attempt,
        is_new: bool,
    ) -> Result<Vec<Appended>, Trouble> {
        let mut transaction = connection.begin().await?;
        let lock = sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(self.lock_key);
        lock.execute(&mut *transaction).await?;
        let started = tokio::time::Instant::now();
        if is_new {
            let begins_at = sqlx::query_scalar("SELECT log_next()");
            let begins_at: i64 = begins_at.fetch_one(&mut *transaction).await?;
            require_known(begins_at.cast_unsigned(), tail)?;
        }
        tail.catch_up(self, &mut transaction, Some(&mut attempt.doubt))
            .await?;
        if attempt.doubt.is_in_log
            && let Some(sent) = attempt.sent.take()
        {
            // It is known now, whatever becomes of the connection.
            if let Err(error) = transaction.rollback().await {
                tracing::debug!(%error, "the log's server has gone again");
            }
            return Ok(sent.appended);
        }
        let encoded = self.encode(tail, attempt).await?;
        if encoded.rows.is_empty() {
            transaction.rollback().await?;
            return Ok(encoded.appended);
        }
        for row in &encoded.rows {
            row::insert(&mut transaction, row, &attempt.doubt.batch).await?;
        }
        attempt.sent = Some(encoded);
        transaction.commit().await?;
        Ok(self.committed(tail, attempt, started).unwrap_or_default())
    }

    /// Moves on in memory, now that what was sent is in the log.
    fn committed(
        &self,
        tail: &mut Tail,
        attempt: &mut Attempt,
        started: tokio::time::Instant,
    ) -> Option<Vec<Appended>> {
        let sent = attempt.sent.take()?;
        for (fingerprint, position, unique) in sent.keys {
            self.keys.insert(fingerprint, position, unique);
        }
        for heads in sent.heads {
            self.heads.insert(Arc::new(heads));
        }
        tail.recorded_to = Some(sent.recorded_at);
        tail.frontier = sent.frontier;
        self.fresh.is_as_of(started);
        self.move_head(tail.head());
        self.news.notify_one();
        Some(sent.appended)
    }

    async fn encode(&self, tail: &mut Tail, attempt: &Attempt) -> Result<Encoded, StoreError> {
        let now = attempt.now;
        let recorded_at = tail.recorded_to.map_or(now, |last| last.max(now));
        let frontier = tail.frontier.clone();
        let (keys, click_ids) = (Arc::clone(&self.keys), Arc::clone(&self.click_ids));
        let group = Arc::clone(&attempt.group);
        let bytes: usize = group.iter().map(|append| append.draft.data.len()).sum();
        if bytes <= ENCODE_APART_BYTES {
            let encoder = &mut tail.encoder;
            return encode(encoder, &group, recorded_at, frontier, &keys, &click_ids);
        }
        let mut encoder = std::mem::take(&mut tail.encoder);
        let encoding = task::spawn_blocking(move || {
            let encoded = encode(
                &mut encoder,
                &group,
                recorded_at,
                frontier,
                &keys,
                &click_ids,
            );
            (encoded, encoder)
        });
        let joined = encoding.await;
        let (encoded, encoder) = joined.map_err(|error| StoreError::failed("written", error))?;
        tail.encoder = encoder;
        encoded
    }
}

/// A server that has lost what it had confirmed was restored, or is an older copy: going on would give
/// positions away a second time.
fn require_known(begins_at: u64, tail: &Tail) -> Result<(), StoreError> {
    if begins_at > tail.head() {
        return Ok(());
    }
    let what = format!(
        "the server's log ends before it, although this node has seen facts up to {}: it was restored \
         from an older copy, or failed over to one",
        tail.head()
    );
    Err(damaged(begins_at, what))
}
