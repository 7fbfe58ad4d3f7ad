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
    course::Course,
    engine::{Engine, Patience},
    lease::{Lease, Role},
    status::Status,
};
use crate::{
    store::{LogStore, StoreError},
    tables::{Stopped, Tables, error::TablesError, write::Writer},
};

/// How many facts are taken at once while nobody waits: a fraction of a second of work.
pub(super) const STEP: u64 = 50_000;

/// How many are taken at once while intake is busy as well: a small part of a second, so that the
/// rest in between is felt.
const STEP_BUSY: u64 = 2_000;

/// While intake is busy and nobody waits, the projector rests this many times as long as it worked.
const REST_FACTOR: u32 = 9;

/// The longest and shortest rest. The shortest gathers what a busy intake brings into one batch.
const REST_MAX: Duration = Duration::from_secs(2);
const REST_MIN: Duration = Duration::from_millis(5);

/// How long news of what others have appended may take.
pub(super) const NEWS_MAX: Duration = Duration::from_secs(5);

/// How long it is waited before the read models are taken up again.
const AGAIN_AFTER: Duration = Duration::from_millis(200);

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
    pub(super) store: Arc<dyn LogStore>,
    pub(super) click_ids: Arc<ClickIdKey>,
    pub(super) tables: Tables,
    pub(super) status: Arc<Status>,
    pub(super) commands: mpsc::Receiver<Command>,
    pub(super) lease: Lease,
    pub(super) role: watch::Receiver<Role>,
    /// The position that somebody waits for on another node.
    wanted: watch::Receiver<u64>,
    /// The book, between one turn and the next; absent if there is none or it is of no use.
    pub(super) book: Option<Engine>,
}

/// Why a turn is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// This node is something else to the read models now.
    Changed,
    /// The task is to end.
    Ended,
}

impl Follower {
    pub(super) fn new(
        store: Arc<dyn LogStore>,
        click_ids: Arc<ClickIdKey>,
        tables: Tables,
        status: Arc<Status>,
        commands: mpsc::Receiver<Command>,
        lease: Lease,
    ) -> Self {
        Self {
            store,
            click_ids,
            tables,
            status,
            commands,
            role: lease.watch(),
            wanted: lease.wanted(),
            lease,
            book: None,
        }
    }

    /// Follows the log until told to stop or nobody holds a handle any more.
    pub(super) async fn run(mut self) {
        let result = self.take_turns().await;
        match result {
            // Told to stop while it was busy; whoever told it waits for the channel to close.
            Ok(()) | Err(ProjectorError::Cancelled) => {}
            Err(error) => {
                tracing::error!(%error, "the projector has stopped");
                self.status.fail(error.to_string());
                self.commands.close();
            }
        }
        // Another program may be able to go on.
        self.lease.release().await;
    }

    /// Writes the read models while this node has the lease, and follows them while it has not.
    async fn take_turns(&mut self) -> Result<(), ProjectorError> {
        loop {
            let role = self.role.borrow_and_update().clone();
            let turn = match role {
                Role::Projecting(term) => self.project(term).await,
                Role::Following(_) => self.follow_tables().await,
            };
            match turn {
                Ok(Turn::Changed) => {}
                Ok(Turn::Ended) => return Ok(()),
                // Whoever has written them has followed the same log: they are taken up from there.
                Err(ProjectorError::Tables(TablesError::Overtaken)) => {
                    tracing::warn!("the read models were written by somebody else");
                    self.status.has_trouble(TablesError::Overtaken.to_string());
                    tokio::time::sleep(AGAIN_AFTER).await;
                }
                Err(error) if self.lease.is_shared() && passes(&error) => {
                    tracing::error!(%error, "the projector has to wait");
                    self.status.has_trouble(error.to_string());
                    tokio::time::sleep(AGAIN_AFTER).await;
                }
                Err(error) => return Err(error),
            }
            if self.status.is_stopped() {
                return Ok(());
            }
        }
    }

    async fn project(&mut self, term: i64) -> Result<Turn, ProjectorError> {
        let live = self.catch_up(term).await?;
        self.keep_up(live).await
    }

    pub(super) fn take_book(&mut self) -> Engine {
        self.book.take().unwrap_or_else(|| {
            Engine::new(
                Arc::clone(&self.store),
                Arc::clone(&self.click_ids),
                self.patience(),
            )
        })
    }

    pub(super) fn patience(&self) -> Patience {
        Patience::TryAgain(Arc::clone(&self.status))
    }

    async fn keep_up(&mut self, mut live: Successor) -> Result<Turn, ProjectorError> {
        let mut head = self.store.follow();
        let mut busy = false;
        loop {
            if self.role.has_changed().is_ok_and(|changed| changed) {
                self.book = Some(live.engine);
                return Ok(Turn::Changed);
            }
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
                Next::End => return Ok(Turn::Ended),
                Next::Command(Command::Follow { reply }) => drop(reply.send(())),
                Next::Command(Command::Ask(question)) => {
                    live.engine = live.engine.ask(question).await?;
                }
                Next::Command(Command::Stop { reply }) => {
                    drop(reply);
                    return Ok(Turn::Ended);
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

    /// Whether somebody waits for more than this, here or on another node.
    fn is_awaited(&self, position: u64) -> bool {
        self.status.is_awaited() || *self.wanted.borrow() > position
    }

    /// How far to go at once.
    fn goal(&self, position: u64, target: u64, busy: bool) -> u64 {
        match (self.is_awaited(position), busy) {
            (true, _) => target,
            (false, true) => target.min(position + STEP_BUSY),
            (false, false) => target.min(position + STEP),
        }
    }

    async fn advance(&mut self, live: Successor, to: u64) -> Result<Successor, ProjectorError> {
        let Successor { engine, mut writer } = live;
        let (engine, result) = engine.run(to, Some(&mut writer), &*self.status).await;
        note_stop(&mut writer, &result).await;
        if matches!(result, Err(ProjectorError::Tables(TablesError::Overtaken))) {
            // It was folded all the same.
            self.book = Some(engine);
            return Err(TablesError::Overtaken.into());
        }
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
        let position = self.status.position();
        if self.is_awaited(position) {
            return;
        }
        let mut wanted = self.wanted.clone();
        let rest = (worked * REST_FACTOR).clamp(REST_MIN, REST_MAX);
        tokio::select! {
            () = tokio::time::sleep(rest) => {}
            () = self.status.somebody_waits() => {}
            Ok(_) = wanted.wait_for(|wanted| *wanted > position) => {}
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
            Ok(()) = self.role.changed() => {
                // Seen by who looks next.
                self.role.mark_changed();
                Next::Facts
            },
        }
    }
}

/// Folding what is written already: nothing new is reached.
pub(super) struct Quietly<'s>(pub(super) &'s Status);

impl Course for Quietly<'_> {
    fn reached(&self, _position: u64) {}

    fn is_stopped(&self) -> bool {
        self.0.is_stopped()
    }
}

/// Notes in the tables at which fact their writer stops, for those who only read them.
pub(super) async fn note_stop(writer: &mut Writer, result: &Result<(), ProjectorError>) {
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

/// Whether an error may be gone after a while.
pub(super) fn passes(error: &ProjectorError) -> bool {
    match error {
        ProjectorError::Tables(error) => {
            error.is_passing() || matches!(error, TablesError::UnderWay)
        }
        ProjectorError::Store(error) => matches!(error, StoreError::Failed { .. }),
        _ => false,
    }
}

/// What the task does next.
enum Next {
    Facts,
    Command(Command),
    End,
}
