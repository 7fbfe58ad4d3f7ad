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
    construct::{Construction, Parts},
    course::{Control, Course},
    engine::{Engine, Patience},
    status::Status,
};
use crate::{
    store::LogStore,
    tables::{Checkpoint, Stopped, Tables, error::TablesError, write::Writer},
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

/// How long news of what others have appended may take.
const NEWS_MAX: Duration = Duration::from_secs(5);

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
        /// Stop here, unless this position is passed already.
        at: u64,
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

impl Successor {
    fn position(&self) -> u64 {
        self.engine.standing().position
    }
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
        let result = loop {
            let result = match self.catch_up().await {
                Ok(successor) => self.keep_up(successor).await,
                Err(error) => Err(error),
            };
            match result {
                Err(ProjectorError::Tables(error)) if may_pass(&error) => {
                    if Course::is_stopped(&*self.status) {
                        break Ok(());
                    }
                    // Whoever has written them has followed the same log: begin again from what is
                    // there.
                    tracing::warn!(%error, "the read models are taken up again");
                    self.status.has_trouble(error.to_string());
                    tokio::time::sleep(REST_MAX).await;
                }
                result => break result,
            }
        };
        match result {
            // Told to stop while it was busy; whoever told it waits for the channel to close.
            Ok(()) | Err(ProjectorError::Cancelled) => {}
            Err(error) => {
                tracing::error!(%error, "the projector has stopped");
                self.status.fail(error.to_string());
                self.commands.close();
            }
        }
    }

    fn engine(&self) -> Engine {
        Engine::new(
            Arc::clone(&self.store),
            Arc::clone(&self.click_ids),
            self.patience(),
        )
    }

    fn patience(&self) -> Patience {
        Patience::TryAgain(Arc::clone(&self.status))
    }

    /// Folds what the tables already show, and checks that it is what they show.
    async fn catch_up(&mut self) -> Result<Successor, ProjectorError> {
        if !self.tables.are_current() {
            return self.build().await;
        }
        let checkpoint = self.tables.checkpoint().await?;
        let head = self.head_at(checkpoint.position).await;
        if checkpoint.position > 0 && checkpoint.position <= head {
            let quietly = Quietly(&self.status);
            let (engine, result) = self.engine().run(checkpoint.position, None, &quietly).await;
            result?;
            if engine.standing().digest == checkpoint.digest {
                let writer = self.tables.writer().await?;
                if writer.checkpoint() != checkpoint {
                    return Err(TablesError::Overtaken.into());
                }
                self.status.reached(checkpoint.position);
                return Ok(Successor { engine, writer });
            }
        }
        if checkpoint.position > 0 {
            warn_of_difference(checkpoint, head);
        } else if head <= STEP {
            let writer = self.tables.writer().await?;
            if writer.position() > 0 {
                return Err(TablesError::Overtaken.into());
            }
            return Ok(Successor {
                engine: self.engine(),
                writer,
            });
        }
        self.build().await
    }

    /// The head of the log, which others may have read further than this node knows it.
    async fn head_at(&self, position: u64) -> u64 {
        if self.store.is_shared() {
            let mut head = self.store.follow();
            let reached = head.wait_for(|&head| head >= position);
            drop(tokio::time::timeout(NEWS_MAX, reached).await);
        }
        self.store.head()
    }

    /// Builds the tables again, out of sight, up to the head of this moment. Those that were there
    /// answer meanwhile, if they can.
    async fn build(&self) -> Result<Successor, ProjectorError> {
        let control = Arc::new(Control::default());
        self.status.builds(Some(Arc::clone(&control)));
        let built = self.build_watched(&control).await;
        self.status.builds(None);
        built
    }

    async fn build_watched(&self, control: &Control) -> Result<Successor, ProjectorError> {
        let parts = Parts {
            store: &self.store,
            click_ids: &self.click_ids,
            tables: &self.tables,
            patience: &self.patience(),
            control,
        };
        let construction = Construction::take_up(parts, None).await?;
        let (construction, result) = construction.fold_to(self.store.head()).await;
        if matches!(result, Err(ProjectorError::Cancelled)) {
            return Err(ProjectorError::Cancelled);
        }
        // What comes before a fact that cannot be folded is shown all the same.
        let (engine, mut writer) = construction.complete().await?.switch().await?;
        self.status.reached(engine.standing().position);
        note_stop(&mut writer, &result).await;
        result?;
        Ok(Successor { engine, writer })
    }

    async fn keep_up(&mut self, mut live: Successor) -> Result<(), ProjectorError> {
        let mut head = self.store.follow();
        let mut busy = false;
        loop {
            let target = *head.borrow_and_update();
            let position = live.position();
            if position < target {
                let started = Instant::now();
                live = self
                    .advance(live, self.goal(position, target, busy))
                    .await?;
                busy = self.store.head() > target;
                if busy {
                    self.rest(started.elapsed()).await;
                }
            }
            match self.next_command(&mut head, live.position()).await {
                Next::Facts => {}
                Next::End => return Ok(()),
                Next::Command(Command::Follow { reply }) => drop(reply.send(())),
                Next::Command(Command::Ask(question)) => {
                    live.engine = live.engine.ask(question).await?;
                }
                Next::Command(Command::Stop { reply }) => {
                    drop(reply);
                    return Ok(());
                }
                Next::Command(Command::HandOver {
                    at,
                    standing,
                    successor,
                }) => {
                    live = self.advance(live, at).await?;
                    live = self.hand_over(live, standing, successor).await;
                }
            }
        }
    }

    /// How far to go at once.
    fn goal(&self, position: u64, target: u64, busy: bool) -> u64 {
        match (self.status.is_awaited(), busy) {
            (true, _) => target,
            (false, true) => target.min(position + STEP_BUSY),
            (false, false) => target.min(position + STEP),
        }
    }

    async fn advance(&self, live: Successor, to: u64) -> Result<Successor, ProjectorError> {
        let Successor { engine, mut writer } = live;
        let (engine, result) = engine.run(to, Some(&mut writer), &*self.status).await;
        note_stop(&mut writer, &result).await;
        result?;
        Ok(Successor { engine, writer })
    }

    /// Stands still until the rebuilt generation has taken over, or is given up.
    async fn hand_over(
        &self,
        live: Successor,
        standing: oneshot::Sender<Standing>,
        successor: oneshot::Receiver<Successor>,
    ) -> Successor {
        if standing.send(live.engine.standing()).is_err() {
            return live;
        }
        let Ok(next) = successor.await else {
            return live;
        };
        self.status.reached(next.position());
        next
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

/// Whether it is worth while to take up the read models again.
fn may_pass(error: &TablesError) -> bool {
    matches!(error, TablesError::Overtaken | TablesError::UnderWay) || error.is_passing()
}

/// Folding what is written already: nothing new is reached.
struct Quietly<'s>(&'s Status);

impl Course for Quietly<'_> {
    fn reached(&self, _position: u64) {}

    fn is_stopped(&self) -> bool {
        self.0.is_stopped()
    }
}

/// Notes in the tables at which fact their writer stops, for those who only read them.
async fn note_stop(writer: &mut Writer, result: &Result<(), ProjectorError>) {
    let Err(ProjectorError::Poison { position, what }) = result else {
        return;
    };
    let stopped = Stopped {
        position: *position,
        why: what.clone(),
    };
    if let Err(error) = writer.note_stop(&stopped).await {
        tracing::warn!(%error, "the read models do not say why they stop");
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
