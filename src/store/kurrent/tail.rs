//! The end of the log as this node knows it, and how it takes notice of what others have appended.

use std::time::Duration;

use eventstore::RecordedEvent;
use postbook_schemas::Instant;
use tokio::task;

use super::{
    Shared,
    append::Doubt,
    event::{self, Batch},
    trouble::{Patience, Trouble},
};
use crate::store::{
    StoreError,
    layout::{
        kept::{Kept, Laid, lay},
        row::damaged,
    },
    merkle::Frontier,
    sqlite::{Mark, Mirrored},
};

/// For how long a server that cannot be reached is asked again by whoever reads.
pub(super) const READ_MAX: Duration = Duration::from_secs(5);

/// Events that are read at a time.
pub(super) const EVENTS: usize = 4_096;

/// A server that goes down ends what it was answering in order, as if that were all.
pub(super) const ENDED_EARLY: Trouble = Trouble::NoAnswer("the server has ended an answer early");

/// More than this is laid out apart, so that it does not hold up other tasks.
const LAY_APART_BYTES: usize = 256 << 10;

/// The end of the log. Whoever holds it is the only one of this node to move it.
#[derive(Debug)]
pub(super) struct Tail {
    /// The tree over all facts that are known here.
    pub(super) frontier: Frontier,
    pub(super) recorded_to: Option<Instant>,
    reader: Reader,
    /// Set while something is under way: if it fails or nobody waits for its end, the mirror and the
    /// server say what became of it.
    pub(super) unsure: bool,
    pub(super) writing: Writing,
}

/// Whether this node appends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Writing {
    /// It was opened for reading only, or is closed.
    Never,
    /// It does.
    Yes,
    /// The server could not be reached for long.
    Lost,
}

/// Puts groups together out of events. A group that needs several appends to the stream counts once all
/// its events are there, one after the other; what is followed by something else before is void.
#[derive(Debug, Default)]
pub(super) struct Reader {
    /// The last event that was read.
    pub(super) seen: Option<Mark>,
    begun: Option<Begun>,
}

/// The beginning of a group.
#[derive(Debug)]
struct Begun {
    batch: Batch,
    of: u32,
    facts: Vec<Kept>,
}

/// A group that is whole.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) batch: Batch,
    pub(super) facts: Vec<Kept>,
}

impl Reader {
    /// A reader that goes on after an event.
    pub(super) fn after(seen: Option<Mark>) -> Self {
        Self { seen, begun: None }
    }

    /// How many events there are up to here.
    pub(super) fn count(&self) -> u64 {
        self.seen.map_or(0, |mark| mark.revision + 1)
    }

    /// How many events of a group were read that is not whole yet.
    pub(super) fn begun(&self, batch: Batch) -> Option<usize> {
        let begun = self.begun.as_ref().filter(|begun| begun.batch == batch);
        begun.map(|begun| begun.facts.len())
    }

    /// From where to read: the last event known comes again, to see that it is still there.
    pub(super) fn from(&self) -> u64 {
        self.seen.map_or(0, |mark| mark.revision)
    }

    /// Those of these events that are new.
    pub(super) fn new_of<'e>(
        &self,
        events: &'e [RecordedEvent],
        head: u64,
    ) -> Result<&'e [RecordedEvent], Trouble> {
        let Some(seen) = self.seen else {
            return Ok(events);
        };
        let Some((known, new)) = events.split_first() else {
            return Err(ENDED_EARLY);
        };
        if known.revision == seen.revision && *known.id.as_bytes() == seen.id {
            return Ok(new);
        }
        Err(another(seen.revision, head).into())
    }

    /// Refuses another event than the one that was seen, if it is the same number.
    fn agrees_with(&self, event: Option<&RecordedEvent>, head: u64) -> Result<(), StoreError> {
        match (self.seen, event) {
            (Some(seen), Some(event))
                if seen.revision == event.revision && seen.id != *event.id.as_bytes() =>
            {
                Err(another(seen.revision, head))
            }
            _ => Ok(()),
        }
    }

    /// Takes the next event; the group that it completes. `position` is that of the next fact.
    pub(super) fn take(
        &mut self,
        event: &RecordedEvent,
        position: u64,
    ) -> Result<Option<Group>, StoreError> {
        if event.revision != self.count() {
            let what = format!("event {} is missing from the stream", self.count());
            return Err(damaged(position, what));
        }
        self.seen = Some(Mark {
            revision: event.revision,
            id: *event.id.as_bytes(),
        });
        let begun = self.begun.take();
        let position = position + begun.as_ref().map_or(0, |begun| begun.facts.len() as u64);
        let Some(read) = event::read(event, position)? else {
            tracing::warn!(
                event = event.revision,
                "an event of the log's stream is not Postbook's, and is passed over"
            );
            return Ok(None);
        };
        let mut begun = match begun {
            _ if read.at == 0 => Begun {
                batch: read.batch,
                of: read.of,
                facts: Vec::new(),
            },
            Some(begun)
                if begun.batch == read.batch
                    && begun.of == read.of
                    && u32::try_from(begun.facts.len()) == Ok(read.at) =>
            {
                begun
            }
            _ => {
                let what = format!("event {} goes on with nothing", event.revision);
                return Err(damaged(position, what));
            }
        };
        begun.facts.push(read.kept);
        if u32::try_from(begun.facts.len()) == Ok(begun.of) {
            return Ok(Some(Group {
                batch: begun.batch,
                facts: begun.facts,
            }));
        }
        self.begun = Some(begun);
        Ok(None)
    }
}

fn another(revision: u64, head: u64) -> StoreError {
    let what = format!(
        "the server has another event {revision} than this node has seen: it was restored from an older \
         copy, or events were removed"
    );
    damaged(head, what)
}

impl Tail {
    /// The end of a mirror.
    pub(super) fn new(mirrored: Mirrored, writing: Writing) -> Self {
        let mut tail = Self {
            frontier: Frontier::default(),
            recorded_to: None,
            reader: Reader::default(),
            unsure: false,
            writing,
        };
        tail.go_back_to(mirrored);
        tail
    }

    fn go_back_to(&mut self, mirrored: Mirrored) {
        self.frontier = mirrored.frontier;
        self.recorded_to = mirrored.recorded_to;
        self.reader = Reader::after(mirrored.last);
    }

    /// The position of the last fact that is known here.
    pub(super) fn head(&self) -> u64 {
        self.frontier.size()
    }

    pub(super) fn reader(&self) -> &Reader {
        &self.reader
    }

    /// Moves on behind facts that are in the mirror now.
    pub(super) fn follows(&mut self, frontier: Frontier, at: Option<Instant>, last: Mark) {
        self.frontier = frontier;
        self.recorded_to = at;
        self.reader = Reader::after(Some(last));
    }
}

/// Lays facts out, apart if there are many.
pub(super) async fn lay_out(tail: &Tail, facts: Vec<Kept>) -> Result<Laid, StoreError> {
    let (frontier, recorded_to) = (tail.frontier.clone(), tail.recorded_to);
    let bytes: usize = facts.iter().map(|fact| fact.line.len()).sum();
    if bytes <= LAY_APART_BYTES {
        return lay(&facts, frontier, recorded_to);
    }
    let laying = task::spawn_blocking(move || lay(&facts, frontier, recorded_to));
    laying
        .await
        .map_err(|error| StoreError::failed("read", error))?
}

impl Shared {
    /// Takes notice of the events after those that are known, up to one; without one, up to the first
    /// page that is not full, and of what became of an append: if there is more, the next is refused.
    pub(super) async fn catch_up_held(
        &self,
        tail: &mut Tail,
        goal: Option<u64>,
        mut doubt: Option<&mut Doubt>,
    ) -> Result<(), Trouble> {
        if tail.unsure {
            tail.go_back_to(self.mirror.mirrored().await?);
        }
        loop {
            if goal.is_some_and(|goal| tail.reader.count() > goal) {
                break;
            }
            let events = self.source.page_after(&tail.reader, tail.head()).await?;
            let new = tail.reader.new_of(&events, tail.head())?;
            self.take(tail, new, doubt.as_deref_mut()).await?;
            match goal {
                None if new.len() + 1 < EVENTS => break,
                Some(_) if new.is_empty() => return Err(ENDED_EARLY),
                _ => {}
            }
        }
        tail.unsure = false;
        Ok(())
    }

    /// Takes notice of events that follow.
    async fn take(
        &self,
        tail: &mut Tail,
        events: &[RecordedEvent],
        mut doubt: Option<&mut Doubt>,
    ) -> Result<(), Trouble> {
        tail.unsure = true;
        let (mut facts, mut last) = (Vec::new(), None);
        for event in events {
            let position = tail.head() + facts.len() as u64 + 1;
            if let Some(group) = tail.reader.take(event, position)? {
                if let Some(doubt) = doubt.as_deref_mut() {
                    doubt.has_seen(group.batch);
                }
                facts.extend(group.facts);
                last = tail.reader.seen;
            }
        }
        if let Some(last) = last {
            let laid = lay_out(tail, facts).await?;
            let (frontier, recorded_to) = (laid.frontier.clone(), laid.recorded_to);
            self.mirror.mirror(laid, last).await?;
            tail.frontier = frontier;
            tail.recorded_to = recorded_to;
        }
        tail.unsure = false;
        Ok(())
    }

    /// Takes notice of what other nodes have appended, unless that was done since then.
    pub(super) async fn catch_up(&self, since: tokio::time::Instant) -> Result<(), StoreError> {
        let patience = Patience::of(READ_MAX);
        loop {
            if self.fresh.is_since(since) {
                return Ok(());
            }
            if let Err(trouble) = self.look().await {
                let passed = patience.after(trouble).await;
                passed.map_err(|trouble| trouble.told("read"))?;
            }
        }
    }

    /// Asks the server for its last event, and takes notice of all up to there.
    pub(super) async fn look(&self) -> Result<(), Trouble> {
        let now = tokio::time::Instant::now();
        let (before, head) = self.known().await;
        let last = self.source.last().await?;
        let goal = last.as_ref().map(|last| last.revision);
        if before.seen.map(|seen| seen.revision) > goal {
            return Err(self.source.lost(head).into());
        }
        let Some(goal) = goal else {
            self.fresh.is_as_of(now);
            return Ok(());
        };
        loop {
            // Read before the tail is held: an append must not wait for somebody who finds no server.
            let (known, head) = self.known().await;
            let events = if known.count() > goal {
                Vec::new()
            } else {
                self.source.page_after(&known, head).await?
            };
            let mut tail = self.tail.lock().await;
            if tail.unsure {
                self.catch_up_held(&mut tail, Some(goal), None).await?;
            }
            if tail.reader.count() > goal {
                tail.reader.agrees_with(last.as_ref(), tail.head())?;
                self.fresh.is_as_of(now);
                return Ok(());
            }
            let new = known.new_of(&events, head)?;
            let first = new.first().ok_or(ENDED_EARLY)?.revision;
            // Some of them may have come by another way meanwhile; or the end of the log was lost from
            // view after a failure, and is found again.
            let taken = tail.reader.count().checked_sub(first).ok_or(ENDED_EARLY)?;
            let taken = usize::try_from(taken).unwrap_or(usize::MAX);
            let new = new.get(taken..).unwrap_or_default();
            self.take(&mut tail, new, None).await?;
        }
    }

    async fn known(&self) -> (Reader, u64) {
        let tail = self.tail.lock().await;
        (Reader::after(tail.reader.seen), tail.head())
    }
}
