//! Folds facts into the book, and gathers what changes into batches.

use std::time::Instant;

use postbook_projections::{Book, Changes};
use postbook_schemas::{Envelope, Fact};
use tokio::{runtime::Handle, sync::mpsc};

use super::{
    ProjectorError, Standing,
    ask::Question,
    pace::Work,
    prepare::{Prepared, Preparer},
};
use crate::tables::{
    batch::Batch,
    digest::{Digest, Running},
};

/// How many rows a batch gathers: enough to make a transaction's own cost small, few enough that
/// readers are not kept from the file for long.
const ROWS_MAX: usize = 10_000;

/// The book with all that was folded into it so far.
#[derive(Debug)]
pub(super) struct Folder {
    book: Book,
    running: Running,
    position: u64,
    changes: Changes,
    preparer: Preparer,
}

/// A batch and the digest of all rows once it is written.
pub(super) type Ready = (Batch, Digest);

impl Folder {
    pub(super) fn new(preparer: Preparer) -> Self {
        Self {
            book: Book::new(),
            running: Running::default(),
            position: 0,
            changes: Changes::default(),
            preparer,
        }
    }

    pub(super) fn standing(&self) -> Standing {
        Standing {
            position: self.position,
            digest: self.running.digest(),
        }
    }

    /// Asks the book.
    pub(super) fn ask(&mut self, question: Question) {
        question.ask(&mut self.book, self.position);
    }

    /// Folds what comes in until there is no more. Runs on a thread of its own. After an error the
    /// facts before it have still been handed on.
    pub(super) fn run(
        &mut self,
        mut incoming: mpsc::Receiver<Prepared>,
        outgoing: &mpsc::Sender<Ready>,
        handle: &Handle,
        work: &Work,
    ) -> Result<(), ProjectorError> {
        let mut batch = Batch::default();
        let mut result = Ok(());
        while let Some(prepared) = incoming.blocking_recv() {
            let started = Instant::now();
            result = self.fold(&prepared, &mut batch, handle);
            work.since(started);
            if result.is_err() {
                break;
            }
            self.position = prepared.position;
            batch.position = prepared.position;
            if batch.row_count() >= ROWS_MAX {
                self.hand_on(std::mem::take(&mut batch), outgoing)?;
            }
        }
        if batch.position > 0 {
            self.hand_on(batch, outgoing)?;
        }
        result
    }

    fn hand_on(
        &mut self,
        batch: Batch,
        outgoing: &mpsc::Sender<Ready>,
    ) -> Result<(), ProjectorError> {
        self.running.apply(&batch);
        outgoing
            .blocking_send((batch, self.running.digest()))
            .map_err(|_| ProjectorError::Stopped("its writer is gone".to_owned()))
    }

    fn fold(
        &mut self,
        prepared: &Prepared,
        batch: &mut Batch,
        handle: &Handle,
    ) -> Result<(), ProjectorError> {
        for (position, envelope) in &prepared.facts {
            self.show_click(*position, envelope, prepared, handle)?;
            self.show_subs(&envelope.fact, handle)?;
            self.book
                .apply(*position, envelope, &mut self.changes)
                .map_err(|error| ProjectorError::Poison {
                    position: *position,
                    what: error.to_string(),
                })?;
            batch.absorb(*position, &mut self.changes);
            batch.note(*position, envelope);
            self.position = *position;
        }
        Ok(())
    }

    /// Hands the book the subs of clicks that converted before any terms looked at them.
    fn show_subs(&mut self, fact: &Fact, handle: &Handle) -> Result<(), ProjectorError> {
        for id in self.book.wanted_subs(fact) {
            if let Some(click) = handle.block_on(self.preparer.find_one(&id))? {
                self.book.learn_subs(click);
            }
        }
        Ok(())
    }

    /// Hands the book the click that it will ask for. A click that is later in the log than the fact
    /// that names it is not known yet, also when all of the log is read again.
    fn show_click(
        &mut self,
        position: u64,
        envelope: &Envelope,
        prepared: &Prepared,
        handle: &Handle,
    ) -> Result<(), ProjectorError> {
        let Some(id) = self.book.wanted_click(envelope) else {
            return Ok(());
        };
        let mut click = match prepared.clicks.get(id) {
            Some(click) => click.clone(),
            None => handle.block_on(self.preparer.find_one(id))?,
        };
        if let Some(seen) = &click
            && self.book.wants_subs(&seen.offer)
            && !prepared.with_subs.contains(&seen.offer)
        {
            self.preparer.want_subs(&seen.offer);
            click = handle.block_on(self.preparer.find_one(id))?;
        }
        if let Some(click) = click
            && click.position < position
        {
            self.book.see_click(click);
        }
        Ok(())
    }
}
