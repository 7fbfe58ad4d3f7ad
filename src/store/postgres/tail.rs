//! The end of the log as this node knows it, and how it takes notice of what others have appended.

use std::time::Duration;

use sqlx::{PgConnection, Row as _, postgres::PgRow};
use tokio::time::Instant;

use super::{
    Shared,
    row::Batch,
    trouble::{Patience, Trouble, in_time},
};
use crate::store::{
    StoreError,
    layout::{encode::Encoder, part::Part, row::damaged},
    merkle::Frontier,
};

/// For how long a server that cannot be reached is asked again by whoever reads.
pub(super) const READ_MAX: Duration = Duration::from_secs(5);

/// Groups that are taken notice of at a time.
const GROUPS: u16 = 4_096;

/// Groups after a position. The columns are those of a [`Part`], without lines.
const GROUPS_AFTER: &str = "\
    SELECT first_position, count, types, places, NULL::bytea, NULL::bytea, keys, frontier, \
        recorded_to, batch \
    FROM log_groups WHERE first_position > $1 ORDER BY first_position LIMIT $2";

/// The end of the log. Whoever holds it is the only one of this node to move it.
#[derive(Debug)]
pub(super) struct Tail {
    /// The tree over all facts that are known here.
    pub(super) frontier: Frontier,
    pub(super) recorded_to: Option<postbook_schemas::Instant>,
    pub(super) encoder: Encoder,
    pub(super) writing: Writing,
}

/// Whether and how this node appends.
#[derive(Debug)]
pub(super) enum Writing {
    /// It was opened for reading only, or is closed.
    Never,
    /// It has no connection for it: at first, and after each failure.
    Apart,
    /// The server could not be reached for long.
    Lost,
    /// Over this connection, since the last append was answered.
    Over(Box<PgConnection>),
}

/// A batch of which it may be unknown whether it is in the log.
#[derive(Debug)]
pub(super) struct Doubt {
    pub(super) batch: Batch,
    /// It was seen there.
    pub(super) is_in_log: bool,
}

impl Tail {
    /// The end of an empty log.
    pub(super) fn new(writing: Writing) -> Self {
        Self {
            frontier: Frontier::default(),
            recorded_to: None,
            encoder: Encoder::default(),
            writing,
        }
    }

    /// The position of the last fact that is known here.
    pub(super) fn head(&self) -> u64 {
        self.frontier.size()
    }

    /// Takes notice of all groups after those that are known, and whether one is of a batch whose
    /// fate is not.
    pub(super) async fn catch_up(
        &mut self,
        shared: &Shared,
        connection: &mut PgConnection,
        mut doubt: Option<&mut Doubt>,
    ) -> Result<(), Trouble> {
        loop {
            let groups = sqlx::query(GROUPS_AFTER)
                .bind(self.head().cast_signed())
                .bind(i64::from(GROUPS));
            let groups = in_time(groups.fetch_all(&mut *connection)).await?;
            for group in &groups {
                self.follow(shared, group)?;
                if let Some(doubt) = &mut doubt {
                    doubt.is_in_log |= group.try_get::<&[u8], _>(9)? == doubt.batch;
                }
            }
            shared.move_head(self.head());
            if groups.len() < usize::from(GROUPS) {
                return Ok(());
            }
        }
    }

    /// Takes notice of the group that follows.
    fn follow(&mut self, shared: &Shared, group: &PgRow) -> Result<(), Trouble> {
        let (first, next) = (group.first_position(), self.head() + 1);
        if first != next {
            return Err(damaged(next, "the facts from here on are missing").into());
        }
        let keys: &[u8] = group.try_get(6)?;
        shared.keys.insert_row(first, group.count(), keys)?;
        let last = group.last_position();
        self.frontier = Frontier::from_bytes(last, group.try_get(7)?)
            .ok_or_else(|| damaged(last, "the tree after the fact is of another size"))?;
        let micros = group.try_get(8)?;
        self.recorded_to = Some(postbook_schemas::Instant::from_micros(micros));
        Ok(())
    }
}

impl Shared {
    /// Takes notice of what other nodes have appended, unless that was done since then.
    pub(super) async fn catch_up(&self, since: Instant) -> Result<(), StoreError> {
        if self.fresh.is_since(since) {
            return Ok(());
        }
        let patience = Patience::of(READ_MAX);
        loop {
            let Err(trouble) = self.look(since).await else {
                return Ok(());
            };
            let passed = patience.after(trouble).await;
            passed.map_err(|trouble| trouble.told("read"))?;
        }
    }

    async fn look(&self, since: Instant) -> Result<(), Trouble> {
        // Before the tail is held: an append must not wait for somebody who finds no server.
        let mut connection = self.readers.acquire().await?;
        let mut tail = self.tail.lock().await;
        if self.fresh.is_since(since) {
            return Ok(());
        }
        let now = Instant::now();
        let caught_up = tail.catch_up(self, &mut connection, None).await;
        if matches!(caught_up, Err(Trouble::Sql(_))) {
            // An answer may still be on its way: nobody else is to get it.
            drop(connection.detach());
        }
        caught_up?;
        self.fresh.is_as_of(now);
        Ok(())
    }
}
