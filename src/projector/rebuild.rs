//! Builds the next generation of the read models beside the live one, and switches.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::oneshot;

use super::{
    Projector, ProjectorError, Standing,
    engine::{Engine, Patience},
    follow::{Command, Successor},
};
use crate::tables::digest::Digest;

/// How far a rebuild has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Facts up to here are done.
    pub position: u64,
    /// The head of the log when the rebuild began.
    pub head: u64,
}

/// What a rebuild came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rebuilt {
    /// The position at which live and rebuilt were compared.
    pub position: u64,
    /// The digest of the live read models there.
    pub live: Digest,
    /// The digest of the rebuilt ones. If it differs, the live ones were wrong; either way the
    /// rebuilt ones are in force now.
    pub rebuilt: Digest,
    /// The generation that is in force now.
    pub generation: i64,
    /// How long it took.
    pub elapsed: Duration,
}

impl Rebuilt {
    /// Whether the live read models were what the log says.
    pub fn is_identical(&self) -> bool {
        self.live == self.rebuilt
    }
}

pub(super) async fn run(
    projector: &Projector,
    progress: &(dyn Fn(Progress) + Send + Sync),
) -> Result<Rebuilt, ProjectorError> {
    // One at a time, and not before the task has built what it had to build itself: the next
    // generation is one file.
    let _only = projector.status.rebuilding().await;
    let (reply, following) = oneshot::channel();
    let command = Command::Follow { reply };
    let sent = projector.commands.send(command).await;
    sent.map_err(|_| stopped(projector))?;
    following.await.map_err(|_| stopped(projector))?;
    let started = Instant::now();
    let head = projector.store.head();
    let reached = |position| progress(Progress { position, head });
    let mut writer = projector.tables.next_generation().await?;
    let engine = Engine::new(
        Arc::clone(&projector.store),
        Arc::clone(&projector.click_ids),
        Patience::GiveUp,
    );
    let (engine, result) = engine.run(head, Some(&mut writer), &reached).await;
    result?;
    // The rebuild may have overtaken the live read models, which rest while intake is busy: they are
    // compared at a position that both have reached.
    wait_for_live(projector, engine.standing().position).await?;
    let (live, successor) = ask_for_hand_over(projector).await?;
    let (mut engine, result) = engine.run(live.position, Some(&mut writer), &reached).await;
    result?;
    let rebuilt = engine.standing();
    if live.digest != rebuilt.digest {
        tracing::error!(
            position = live.position, live = %live.digest, rebuilt = %rebuilt.digest,
            "the live read models were not what the log says"
        );
    }
    let writer = projector.tables.switch_to(writer).await?;
    let generation = writer.generation();
    engine.set_patience(Patience::TryAgain(Arc::clone(&projector.status)));
    // If the task has ended meanwhile, the new generation is in force and nobody follows the log.
    drop(successor.send(Successor { engine, writer }));
    Ok(Rebuilt {
        position: live.position,
        live: live.digest,
        rebuilt: rebuilt.digest,
        generation,
        elapsed: started.elapsed(),
    })
}

/// How often somebody who waits for the live read models looks whether they have failed.
const LOOK_EVERY: Duration = Duration::from_secs(1);

async fn wait_for_live(projector: &Projector, position: u64) -> Result<(), ProjectorError> {
    while !projector.wait_for(position, LOOK_EVERY).await {
        if projector.failed().is_some() {
            return Err(stopped(projector));
        }
    }
    Ok(())
}

/// Stops the live projector for a moment, at the end of what it is at.
async fn ask_for_hand_over(
    projector: &Projector,
) -> Result<(Standing, oneshot::Sender<Successor>), ProjectorError> {
    let (standing, live) = oneshot::channel();
    let (successor, next) = oneshot::channel();
    let command = Command::HandOver {
        standing,
        successor: next,
    };
    let sent = projector.commands.send(command).await;
    sent.map_err(|_| stopped(projector))?;
    let live = live.await.map_err(|_| stopped(projector))?;
    Ok((live, successor))
}

pub(super) fn stopped(projector: &Projector) -> ProjectorError {
    let why = projector.failed();
    ProjectorError::Stopped(why.unwrap_or_else(|| "it was told to".to_owned()))
}
