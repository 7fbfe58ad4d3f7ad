//! Rebuilds the read models while they answer: the next generation beside the live one, compared,
//! and put in its place in one step.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::oneshot;

use super::{
    Projector, ProjectorError, Standing,
    construct::{Completed, Construction, Parts},
    course::{Control, Phase},
    engine::Patience,
    follow::{Command, Successor},
};
use crate::tables::digest::Digest;

/// The next generation is taken near the head by itself before the live one is asked to stand
/// still: so near, or after so many attempts.
const NEAR: u64 = 500;
const APPROACHES: u32 = 20;

/// How often somebody who waits for the live read models looks whether they have failed.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What a rebuild came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rebuilt {
    /// The position up to which the rebuilt read models were when they took over.
    pub position: u64,
    /// The comparison with those that were there, unless they were of another form.
    pub compared: Option<Compared>,
    /// The generation that is in force now.
    pub generation: i64,
    /// How long it took.
    pub elapsed: Duration,
    /// How long the live read models stood still for the switch; they answered meanwhile.
    pub paused: Duration,
}

/// The read models that were there and the rebuilt ones at one position. If they differ, the old
/// ones were wrong; either way the rebuilt ones are in force now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compared {
    /// Where.
    pub position: u64,
    /// The digest of those that were there.
    pub live: Digest,
    /// The digest of the rebuilt ones.
    pub rebuilt: Digest,
}

impl Compared {
    /// Whether they say the same.
    pub fn is_identical(&self) -> bool {
        self.live == self.rebuilt
    }

    /// Says so in the log of the process if they differ.
    pub(super) fn report(self) -> Self {
        if !self.is_identical() {
            tracing::error!(
                position = self.position, live = %self.live, rebuilt = %self.rebuilt,
                "the live read models were not what the log says"
            );
        }
        self
    }
}

impl Rebuilt {
    /// Whether the read models that were there were what the log says, as far as can be told.
    pub fn is_identical(&self) -> bool {
        self.compared.is_none_or(|compared| compared.is_identical())
    }
}

pub(super) async fn run(
    projector: &Projector,
    control: &Control,
) -> Result<Rebuilt, ProjectorError> {
    // One at a time, and not before the task has built what it had to build itself: the next
    // generation is one file.
    projector.require_lease()?;
    let only = projector.status.try_rebuilding();
    let _only = only.ok_or(ProjectorError::UnderWay)?;
    let result = Box::pin(run_alone(projector, control)).await;
    control.enter(Phase::Ended);
    result
}

async fn run_alone(projector: &Projector, control: &Control) -> Result<Rebuilt, ProjectorError> {
    let (reply, following) = oneshot::channel();
    let command = Command::Follow { reply };
    let sent = projector.commands.send(command).await;
    sent.map_err(|_| stopped(projector))?;
    let following = projector.answered(following).await;
    following.ok_or_else(|| stopped(projector))?;
    let started = Instant::now();
    let parts = Parts {
        store: &projector.store,
        click_ids: &projector.click_ids,
        tables: &projector.tables,
        patience: &Patience::GiveUp,
        control,
    };
    let construction = Construction::take_up(parts, None).await?;
    let (construction, result) = construction.fold_to(projector.store.head()).await;
    result?;
    let completed = approach(projector, construction.complete().await?).await?;
    let at = completed.standing().position;
    let (live, successor) = ask_for_hand_over(projector, at).await?;
    let paused = Instant::now();
    let completed = completed.catch_up(live.position).await?;
    let rebuilt = completed.standing();
    let (mut engine, writer) = completed.switch().await?;
    let generation = writer.generation();
    engine.set_patience(Patience::TryAgain(Arc::clone(&projector.status)));
    // If the task has ended meanwhile, the new generation is in force and nobody follows the log.
    drop(successor.send(Successor { engine, writer }));
    let paused = paused.elapsed();
    let compared = Compared {
        position: live.position,
        live: live.digest,
        rebuilt: rebuilt.digest,
    };
    Ok(Rebuilt {
        position: live.position,
        compared: Some(compared.report()),
        generation,
        elapsed: started.elapsed(),
        paused,
    })
}

/// Takes in what came in while most was built, until little is left.
async fn approach<'r>(
    projector: &Projector,
    mut completed: Completed<'r>,
) -> Result<Completed<'r>, ProjectorError> {
    for _ in 0..APPROACHES {
        let head = projector.store.head();
        if head - completed.standing().position <= NEAR {
            break;
        }
        completed = completed.catch_up(head).await?;
    }
    Ok(completed)
}

/// Stops the live projector for a moment, at this position if it is not beyond it.
async fn ask_for_hand_over(
    projector: &Projector,
    at: u64,
) -> Result<(Standing, oneshot::Sender<Successor>), ProjectorError> {
    let (standing, live) = oneshot::channel();
    let (successor, next) = oneshot::channel();
    let command = Command::HandOver {
        at,
        standing,
        successor: next,
    };
    let sent = projector.commands.send(command).await;
    sent.map_err(|_| stopped(projector))?;
    // The live ones may have to be hurried: they rest while intake is busy.
    while !projector.wait_for(at, LOOK_EVERY).await {
        if projector.commands.is_closed() {
            return Err(stopped(projector));
        }
    }
    let live = projector.answered(live).await;
    let live = live.ok_or_else(|| stopped(projector))?;
    Ok((live, successor))
}

pub(super) fn stopped(projector: &Projector) -> ProjectorError {
    if let (None, Err(elsewhere)) = (projector.failed(), projector.require_lease()) {
        return elsewhere;
    }
    let why = projector.failed();
    ProjectorError::Stopped(why.unwrap_or_else(|| "it was told to".to_owned()))
}
