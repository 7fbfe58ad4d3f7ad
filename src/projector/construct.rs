//! Builds the next generation of the read models, from nothing or from where another attempt was
//! interrupted.
//!
//! The book is never stored, so going on means folding again what was written, without writing it:
//! what that adds up to must be the digest that was written, or the attempt was another program's.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use postbook_schemas::ClickIdKey;

use super::{
    ProjectorError, Standing,
    course::{Control, Phase},
    engine::{Engine, Patience},
    prepare::stopped,
};
use crate::{
    store::LogStore,
    tables::{Complete, Tables, digest::Digest, write::Writer},
};

/// What a generation is made from and watched by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parts<'r> {
    pub(super) store: &'r Arc<dyn LogStore>,
    pub(super) click_ids: &'r Arc<ClickIdKey>,
    pub(super) tables: &'r Tables,
    pub(super) patience: &'r Patience,
    pub(super) control: &'r Control,
}

impl Parts<'_> {
    fn engine(&self) -> Engine {
        Engine::new(
            Arc::clone(self.store),
            Arc::clone(self.click_ids),
            self.patience.clone(),
        )
    }
}

/// A generation under construction.
#[derive(Debug)]
pub(super) struct Construction<'r> {
    parts: Parts<'r>,
    engine: Engine,
    writer: Writer,
    compare_at: Option<u64>,
    compared: Option<Digest>,
}

/// What there is now, and why it is no more.
type Step<T> = (T, Result<(), ProjectorError>);

impl<'r> Construction<'r> {
    /// Takes up the next generation where it was left, or begins it. Its digest at `compare_at` is
    /// kept.
    pub(super) async fn take_up(
        parts: Parts<'r>,
        compare_at: Option<u64>,
    ) -> Result<Self, ProjectorError> {
        parts.control.begin(parts.store.head());
        if let Some(writer) = parts.tables.unfinished().await {
            let left = Self::new(parts, writer, compare_at);
            if let Some(construction) = left.resume().await? {
                return Ok(construction);
            }
        }
        let writer = parts.tables.next_generation().await?;
        Ok(Self::new(parts, writer, compare_at))
    }

    fn new(parts: Parts<'r>, writer: Writer, compare_at: Option<u64>) -> Self {
        Self {
            engine: parts.engine(),
            parts,
            writer,
            compare_at,
            compared: None,
        }
    }

    /// Folds again what is written; `None` if it adds up to something else.
    async fn resume(self) -> Result<Option<Self>, ProjectorError> {
        let checkpoint = self.writer.checkpoint();
        if checkpoint.position > self.parts.store.head() {
            return Ok(None);
        }
        self.parts.control.enter(Phase::Resuming);
        let (resumed, result) = self.run(checkpoint.position, false).await;
        result?;
        let is_same = resumed.engine.standing().digest == checkpoint.digest;
        if !is_same {
            tracing::warn!(
                position = checkpoint.position,
                "an unfinished generation of the read models is another program's: it is begun anew"
            );
        }
        Ok(is_same.then_some(resumed))
    }

    /// Folds and writes up to a position, if it has not been reached. After an error everything
    /// before it has been written.
    pub(super) async fn fold_to(self, to: u64) -> Step<Self> {
        self.parts.control.enter(Phase::Folding);
        self.run(to, true).await
    }

    async fn run(mut self, to: u64, writes: bool) -> Step<Self> {
        if let Some(at) = self.compare_at.filter(|&at| at < to) {
            let result;
            (self, result) = self.run_straight(at, writes).await;
            if result.is_err() {
                return (self, result);
            }
        }
        self.run_straight(to, writes).await
    }

    async fn run_straight(mut self, to: u64, writes: bool) -> Step<Self> {
        let writer = writes.then_some(&mut self.writer);
        let (engine, result) = self.engine.run(to, writer, self.parts.control).await;
        self.engine = engine;
        let standing = self.engine.standing();
        if self.compare_at == Some(standing.position) {
            self.compared = Some(standing.digest);
        }
        (self, result)
    }

    /// The digest at the position at which it is compared, once that was reached.
    pub(super) fn compared(&self) -> Option<Digest> {
        self.compared
    }

    /// Makes it ready to answer and puts it in force, where nobody goes on folding; says how long the latter
    /// took. The book is taken apart meanwhile, which takes a while.
    pub(super) async fn finish(self) -> Result<(Writer, Duration), ProjectorError> {
        self.parts.control.enter(Phase::Indexing);
        let engine = self.engine;
        let gone = tokio::task::spawn_blocking(move || drop(engine));
        let complete = self.parts.tables.complete(self.writer).await?;
        gone.await.map_err(|error| stopped(&error))?;
        self.parts.control.enter(Phase::Switching);
        let switching = Instant::now();
        let writer = self.parts.tables.switch_to(complete).await?;
        Ok((writer, switching.elapsed()))
    }

    /// Makes it ready to answer.
    pub(super) async fn complete(self) -> Result<Completed<'r>, ProjectorError> {
        self.parts.control.enter(Phase::Indexing);
        let complete = self.parts.tables.complete(self.writer).await?;
        self.parts.control.enter(Phase::Switching);
        Ok(Completed {
            parts: self.parts,
            engine: self.engine,
            complete,
        })
    }
}

/// A generation that is ready to answer.
#[derive(Debug)]
pub(super) struct Completed<'r> {
    parts: Parts<'r>,
    engine: Engine,
    complete: Complete,
}

impl Completed<'_> {
    pub(super) fn standing(&self) -> Standing {
        self.engine.standing()
    }

    /// Takes in what has happened meanwhile, up to a position.
    pub(super) async fn catch_up(mut self, to: u64) -> Result<Self, ProjectorError> {
        let writer = self.complete.writer();
        let (engine, result) = self.engine.run(to, Some(writer), self.parts.control).await;
        self.engine = engine;
        result?;
        Ok(self)
    }

    /// Puts it in force.
    pub(super) async fn switch(self) -> Result<(Engine, Writer), ProjectorError> {
        let writer = self.parts.tables.switch_to(self.complete).await?;
        Ok((self.engine, writer))
    }
}
