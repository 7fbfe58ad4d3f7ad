//! Builds the read models again where nobody follows the log: one fold of all facts, which is
//! compared with the read models that were there on its way.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use postbook_schemas::ClickIdKey;

use super::{
    ProjectorError,
    construct::{Construction, Parts},
    course::{Control, Phase},
    engine::{Engine, Patience},
    lease::Lease,
    rebuild::{Compared, Rebuilt},
};
use crate::{
    store::LogStore,
    tables::{Checkpoint, Tables, digest::Digest},
};

/// How long it may take to know whether this process may write.
const LEASE_MAX: Duration = Duration::from_secs(30);

/// Builds the next generation of the read models and puts it in force. Nobody else may write them.
///
/// # Errors
/// The log cannot be read or folded, the tables cannot be written, or it was cancelled; what was
/// built stays, and the next attempt goes on from there.
pub async fn replay(
    store: &Arc<dyn LogStore>,
    click_ids: &Arc<ClickIdKey>,
    tables: &Tables,
    control: &Control,
) -> Result<Rebuilt, ProjectorError> {
    let lease = Lease::of(tables, None);
    if lease.is_shared() {
        tables.claim(lease.term(LEASE_MAX).await?).await?;
    }
    let parts = Parts {
        store,
        click_ids,
        tables,
        patience: &Patience::GiveUp,
        control,
    };
    let result = Box::pin(run(parts)).await;
    control.enter(Phase::Ended);
    lease.release().await;
    result
}

/// What read models add up to that show the log up to a position.
///
/// # Errors
/// The log cannot be read or folded.
pub async fn digest_at(
    store: &Arc<dyn LogStore>,
    click_ids: &Arc<ClickIdKey>,
    position: u64,
) -> Result<Digest, ProjectorError> {
    let engine = Engine::new(Arc::clone(store), Arc::clone(click_ids), Patience::GiveUp);
    let control = Control::default();
    let (engine, result) = engine.run(position, None, &control).await;
    result?;
    Ok(engine.standing().digest)
}

async fn run(parts: Parts<'_>) -> Result<Rebuilt, ProjectorError> {
    let started = Instant::now();
    let live = live(parts).await?;
    let head = parts.store.head();
    let at = live.map(|live| live.position).filter(|&at| at <= head);
    let construction = Construction::take_up(parts, at).await?;
    let (construction, result) = construction.fold_to(head).await;
    result?;
    let rebuilt = construction.compared();
    let (writer, paused) = construction.finish().await?;
    let compared = live.zip(rebuilt).map(|(live, rebuilt)| Compared {
        position: live.position,
        live: live.digest,
        rebuilt,
    });
    let generation = writer.generation();
    writer.close().await?;
    Ok(Rebuilt {
        position: head,
        compared: compared.map(Compared::report),
        generation,
        elapsed: started.elapsed(),
        paused,
    })
}

/// What there is to compare with: nothing if it is of another form, or empty.
async fn live(parts: Parts<'_>) -> Result<Option<Checkpoint>, ProjectorError> {
    if !parts.tables.are_current() {
        return Ok(None);
    }
    let checkpoint = parts.tables.checkpoint().await?;
    Ok((checkpoint.position > 0).then_some(checkpoint))
}
