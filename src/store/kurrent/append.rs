//! Appending a group: encode it as what follows the last fact known, and let the server refuse it if
//! that was not the last.
//!
//! Every append says how many events the stream has, so one that was sent once can be done at most
//! once, and only there. After a conflict and after every failure the stream is read first: it says what
//! others have appended, and what became of what was sent.

use std::time::Duration;

use postbook_schemas::{ClickIdKey, Instant};

use super::{
    Shared,
    event::{self, Batch},
    tail::{Tail, Writing, lay_out},
    trouble::{Patience, Trouble},
};
use crate::store::{
    Append, Appended, StoreError,
    layout::{
        kept::{self, Kept},
        keys::KeyIndex,
    },
    line,
    sqlite::Mark,
};

/// For how long a group is tried again while the server cannot be reached or others are faster.
const APPEND_MAX: Duration = Duration::from_secs(10);

/// A server takes a mebibyte in one append unless it is told otherwise; larger groups take several.
const APPEND_BYTES: usize = 960 << 10;

/// The store is closed or was opened for reading.
const NOT_WRITING: StoreError = StoreError::Closed("it was closed, or opened for reading only");

/// What is to be appended.
#[derive(Debug)]
enum Facts {
    /// A group that nobody has seen.
    New { group: Vec<Append>, now: Instant },
    /// Facts of another log, which follow each other from a position on.
    Copied { facts: Vec<Kept>, first: u64 },
}

/// A group as it was sent.
#[derive(Debug)]
struct Sent {
    batch: Batch,
    /// How many events the stream had.
    there: u64,
    facts: Vec<Kept>,
    appended: Vec<Appended>,
}

/// A group on its way, until it is known what became of it.
#[derive(Debug)]
pub(super) struct Doubt {
    facts: Facts,
    /// In every form in which it may have reached the stream.
    sent: Vec<Sent>,
    /// The form that did.
    landed: Option<usize>,
}

impl Doubt {
    fn of(facts: Facts) -> Self {
        Self {
            facts,
            sent: Vec::new(),
            landed: None,
        }
    }

    /// Takes notice of a group in the stream.
    pub(super) fn has_seen(&mut self, batch: Batch) {
        let landed = self.sent.iter().position(|sent| sent.batch == batch);
        self.landed = self.landed.or(landed);
    }

    /// The form in which to send it now. While the stream ends where it did, or with a part of it, it is
    /// sent again as it was: whichever of the two arrives, it is the same.
    fn form(
        &mut self,
        tail: &Tail,
        keys: &KeyIndex,
        click_ids: &ClickIdKey,
    ) -> Result<usize, StoreError> {
        let reader = tail.reader();
        let is_fit =
            |sent: &Sent| sent.there == reader.count() || reader.begun(sent.batch).is_some();
        if let Some(form) = self.sent.iter().rposition(is_fit) {
            return Ok(form);
        }
        let first_position = tail.head() + 1;
        let (facts, appended) = match &self.facts {
            Facts::New { group, now } => {
                let recorded_at = tail.recorded_to.map_or(*now, |last| last.max(*now));
                kept::admit(group, first_position, recorded_at, keys, click_ids)
            }
            Facts::Copied { facts, first } if *first == first_position => {
                (facts.clone(), Vec::new())
            }
            Facts::Copied { .. } => {
                let what = "somebody else appends to it";
                return Err(StoreError::failed("written", what));
            }
        };
        self.sent.push(Sent {
            batch: uuid::Builder::from_random_bytes(rand::random()).into_uuid(),
            there: reader.count(),
            facts,
            appended,
        });
        Ok(self.sent.len() - 1)
    }
}

impl Shared {
    /// Appends a group. While the server cannot be reached it is tried again for a while; who comes after
    /// that is refused at once.
    pub(super) async fn append(
        &self,
        group: Vec<Append>,
        now: Instant,
    ) -> Result<Vec<Appended>, StoreError> {
        group.iter().try_for_each(line::refuse_unfit)?;
        self.append_facts(Facts::New { group, now }).await
    }

    /// Appends facts of another log, which follow those that are here.
    pub(super) async fn append_copied(
        &self,
        facts: Vec<Kept>,
        first: u64,
    ) -> Result<(), StoreError> {
        self.append_facts(Facts::Copied { facts, first })
            .await
            .map(drop)
    }

    async fn append_facts(&self, facts: Facts) -> Result<Vec<Appended>, StoreError> {
        let mut tail = self.tail.lock().await;
        let mut doubt = Doubt::of(facts);
        let is_lost = tail.writing == Writing::Lost;
        let patience = Patience::of(if is_lost { Duration::ZERO } else { APPEND_MAX });
        loop {
            let trouble = match self.attempt(&mut tail, &mut doubt).await {
                Ok(appended) => {
                    tail.writing = Writing::Yes;
                    return Ok(appended);
                }
                Err(trouble) => trouble,
            };
            let is_conflict = matches!(trouble, Trouble::Conflict);
            if let Err(trouble) = patience.after(trouble).await {
                if trouble.is_passing() && !is_conflict {
                    tail.writing = Writing::Lost;
                }
                return Err(trouble.told("written"));
            }
        }
    }

    async fn attempt(&self, tail: &mut Tail, doubt: &mut Doubt) -> Result<Vec<Appended>, Trouble> {
        if tail.writing == Writing::Never {
            return Err(NOT_WRITING.into());
        }
        if tail.unsure {
            self.catch_up_held(tail, None, Some(doubt)).await?;
            if let Some(landed) = doubt.landed {
                return Ok(std::mem::take(&mut doubt.sent[landed].appended));
            }
        }
        let form = doubt.form(tail, self.mirror.keys(), &self.click_ids)?;
        let sent = &mut doubt.sent[form];
        if sent.facts.is_empty() {
            return Ok(std::mem::take(&mut sent.appended));
        }
        let started = tokio::time::Instant::now();
        let begun = tail.reader().begun(sent.batch).unwrap_or(0);
        tail.unsure = true;
        self.send(sent, begun, tail.reader().count()).await?;
        let last = Mark {
            revision: tail.reader().count() + (sent.facts.len() - begun) as u64 - 1,
            id: event::id(sent.batch, sent.facts.len() - 1),
        };
        // It is in the log now: should the mirror fail, the next append reads it from there.
        let laid = lay_out(tail, std::mem::take(&mut sent.facts)).await?;
        let (frontier, recorded_to) = (laid.frontier.clone(), laid.recorded_to);
        self.mirror.mirror(laid, last).await?;
        tail.follows(frontier, recorded_to, last);
        tail.unsure = false;
        self.fresh.is_as_of(started);
        Ok(std::mem::take(&mut sent.appended))
    }

    /// Sends the events of a group from one on, in as many appends as their size asks for.
    async fn send(&self, sent: &Sent, begun: usize, mut there: u64) -> Result<(), Trouble> {
        let of = sent.facts.len();
        let (mut events, mut size) = (Vec::new(), 0);
        for (at, fact) in sent.facts.iter().enumerate().skip(begun) {
            let (event, bytes) = event::write(sent.batch, at, of, fact)?;
            if !events.is_empty() && size + bytes > APPEND_BYTES {
                let full: Vec<_> = std::mem::take(&mut events);
                let count = full.len() as u64;
                self.source.append(there, full).await?;
                there += count;
                size = 0;
            }
            events.push(event);
            size += bytes;
        }
        self.source.append(there, events).await
    }
}
