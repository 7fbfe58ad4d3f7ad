//! The task that follows the log: start, catch up, keep up, and hand over to a rebuilt generation.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use postbook_schemas::ClickIdKey;
use tokio::sync::{mpsc, oneshot, watch};

use super::{
    ProjectorError, Standing,
    ask::Question,
    engine::{Engine, Patience},
    status::Status,
};
use crate::{
    store::LogStore,
    tables::{Checkpoint, Tables, write::Writer},
};

/// How many facts are taken at once while nobody waits: a fraction of a second of work.
const STEP: u64 = 50_000;

/// How many are taken at once while intake is busy as well: a small part of a second, so that the
/// rest in between is felt.
const STEP_BUSY: u64 = 2_000;

/// While intake is busy and nobody waits, the projector rests this many times as long as it worked.
const REST_FACTOR: u32 = 9;

/// The longest and shortest rest. The shortest gathers what a busy intake brings into one batch.
const REST_MAX: Duration = Duration::from_secs(2);
const REST_MIN: Duration = Duration::from_millis(5);

/// What the task is asked.
#[derive(Debug)]
pub(super) enum Command {
    /// Say when the task has caught up with its checkpoint and follows the log.
    Follow {
        /// Told then.
        reply: oneshot::Sender<()>,
    },
    /// Stop following, say where, and go on with what is handed back.
    HandOver {
        /// Where the live read models stand.
        standing: oneshot::Sender<Standing>,
        /// What takes their place; the old ones stay if it is dropped.
        successor: oneshot::Receiver<Successor>,
    },
    /// Ask the book.
    Ask(Question),
    /// End the task.
    Stop {
        /// Dropped when done.
        reply: oneshot::Sender<()>,
    },
}

/// A rebuilt generation that takes the place of the live one.
#[derive(Debug)]
pub(super) struct Successor {
    pub(super) engine: Engine,
    pub(super) writer: Writer,
}

/// The state of the task.
#[derive(Debug)]
pub(super) struct Follower {
    store: Arc<dyn LogStore>,
    click_ids: Arc<ClickIdKey>,
    tables: Tables,
    status: Arc<Status>,
    commands: mpsc::Receiver<Command>,
}

impl Follower {
    pub(super) fn new(
        store: Arc<dyn LogStore>,
        click_ids: Arc<ClickIdKey>,
        tables: Tables,
        status: Arc<Status>,
        commands: mpsc::Receiver<Command>,
    ) -> Self {
        Self {
            store,
            click_ids,
            tables,
            status,
            commands,
        }
    }

    /// Follows the log until told to stop or nobody holds a handle any more.
    pub(super) async fn run(mut self) {
        let result = match self.catch_up().await {
            Ok(successor) => self.keep_up(successor).await,
            Err(error) => Err(error),
        };
        if let Err(error) = result {
            tracing::error!(%error, "the projector has stopped");
            self.status.fail(error.to_string());
            self.commands.close();
        }
    }

    fn engine(&self) -> Engine {
        Engine::new(
            Arc::clone(&self.store),
            Arc::clone(&self.click_ids),
            Patience::TryAgain(Arc::clone(&self.status)),
        )
    }

    /// Folds what the tables already show, and checks that it is what they show.
    async fn catch_up(&mut self) -> Result<Successor, ProjectorError> {
        let checkpoint = self.tables.checkpoint().await?;
        let head = self.store.head();
        if checkpoint.position > 0 && checkpoint.position <= head {
            let (engine, result) = self.engine().run(checkpoint.position, None, &|_| {}).await;
            result?;
            if engine.standing().digest == checkpoint.digest {
                let writer = self.tables.writer().await?;
                self.status.reached(checkpoint.position);
                return Ok(Successor { engine, writer });
            }
        }
        if checkpoint.position > 0 {
            warn_of_difference(checkpoint, head);
        } else if head <= STEP {
            let writer = self.tables.writer().await?;
            return Ok(Successor {
                engine: self.engine(),
                writer,
            });
        }
        self.build().await
    }

    /// Builds the tables from nothing, out of sight, up to the head of this moment.
    async fn build(&self) -> Result<Successor, ProjectorError> {
        let mut writer = self.tables.next_generation().await?;
        let head = self.store.head();
        let (engine, result) = self.engine().run(head, Some(&mut writer), &|_| {}).await;
        // What comes before a fact that cannot be folded is shown all the same.
        let writer = self.tables.switch_to(writer).await?;
        self.status.reached(engine.standing().position);
        result?;
        Ok(Successor { engine, writer })
    }

    async fn keep_up(&mut self, successor: Successor) -> Result<(), ProjectorError> {
        let Successor {
            mut engine,
            mut writer,
        } = successor;
        let mut head = self.store.follow();
        let mut busy = false;
        loop {
            let target = *head.borrow_and_update();
            let position = engine.standing().position;
            if position < target {
                let started = Instant::now();
                let awaited = self.status.is_awaited();
                let to = if awaited {
                    target
                } else {
                    target.min(position + if busy { STEP_BUSY } else { STEP })
                };
                let result;
                (engine, result) = engine
                    .run(to, Some(&mut writer), &|position| {
                        self.status.reached(position);
                    })
                    .await;
                result?;
                busy = self.store.head() > target;
                if busy {
                    self.rest(started.elapsed()).await;
                }
            }
            match self
                .next_command(&mut head, engine.standing().position)
                .await
            {
                Next::Facts => {}
                Next::End => return Ok(()),
                Next::Command(Command::Follow { reply }) => drop(reply.send(())),
                Next::Command(Command::Ask(question)) => engine = engine.ask(question).await?,
                Next::Command(Command::Stop { reply }) => {
                    drop(reply);
                    return Ok(());
                }
                Next::Command(Command::HandOver {
                    standing,
                    successor,
                }) => {
                    if standing.send(engine.standing()).is_ok()
                        && let Ok(next) = successor.await
                    {
                        Successor { engine, writer } = next;
                        self.status.reached(engine.standing().position);
                    }
                }
            }
        }
    }

    /// Leaves the machine to intake, unless somebody waits.
    async fn rest(&self, worked: Duration) {
        if self.status.is_awaited() {
            return;
        }
        let rest = (worked * REST_FACTOR).clamp(REST_MIN, REST_MAX);
        tokio::select! {
            () = tokio::time::sleep(rest) => {}
            () = self.status.somebody_waits() => {}
        }
    }

    async fn next_command(&mut self, head: &mut watch::Receiver<u64>, position: u64) -> Next {
        match self.commands.try_recv() {
            Ok(command) => return Next::Command(command),
            Err(mpsc::error::TryRecvError::Disconnected) => return Next::End,
            Err(mpsc::error::TryRecvError::Empty) => {}
        }
        if *head.borrow() > position {
            return Next::Facts;
        }
        tokio::select! {
            command = self.commands.recv() => command.map_or(Next::End, Next::Command),
            changed = head.changed() => match changed {
                Ok(()) => Next::Facts,
                Err(_) => Next::End,
            },
        }
    }
}

/// What the task does next.
enum Next {
    Facts,
    Command(Command),
    End,
}

fn warn_of_difference(checkpoint: Checkpoint, head: u64) {
    tracing::warn!(
        position = checkpoint.position,
        generation = checkpoint.generation,
        digest = %checkpoint.digest,
        head,
        "the read models are not what the log says, and are built again"
    );
}
