//! Rebuilds of a running service's read models: one at a time, watched and cancelled by whoever may.

use std::sync::{Arc, Mutex, MutexGuard};

use postbook_schemas::Instant;

use super::record::CommandError;
use crate::{
    projector::{Control, Progress, ProjectorError, Rebuilt},
    service::Service,
    tables::{error::TablesError, generation::Generation},
};

/// What became of a rebuild.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It goes on.
    Running,
    /// Its generation is in force.
    Done(Rebuilt),
    /// Somebody ended it; the next one goes on from there.
    Cancelled,
    /// It could not go on; the old generation is in force.
    Failed(String),
}

/// A rebuild as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rebuild {
    /// Who asked for it.
    pub actor: Arc<str>,
    /// When.
    pub started_at: Instant,
    /// How far it has come.
    pub progress: Progress,
    /// What became of it.
    pub outcome: Outcome,
}

/// The last rebuild of this process.
#[derive(Debug, Default)]
pub struct Rebuilds(Mutex<Option<Last>>);

#[derive(Debug)]
struct Last {
    actor: Arc<str>,
    idempotency_key: Option<String>,
    started_at: Instant,
    control: Arc<Control>,
    outcome: Outcome,
}

impl Last {
    fn show(&self) -> Rebuild {
        Rebuild {
            actor: Arc::clone(&self.actor),
            started_at: self.started_at,
            progress: self.control.progress(),
            outcome: self.outcome.clone(),
        }
    }
}

impl Rebuilds {
    /// The last one, if there was one since the start.
    pub fn last(&self) -> Option<Rebuild> {
        self.lock().as_ref().map(Last::show)
    }

    /// Ends the one that goes on.
    ///
    /// # Errors
    /// None does.
    pub fn cancel(&self) -> Result<Rebuild, CommandError> {
        match self.lock().as_ref() {
            Some(last) if last.outcome == Outcome::Running => {
                last.control.cancel();
                Ok(last.show())
            }
            _ => Err(CommandError::Conflict("no rebuild is under way".to_owned())),
        }
    }

    fn begin(
        &self,
        actor: &Arc<str>,
        idempotency_key: Option<String>,
        now: Instant,
    ) -> Result<Begun, CommandError> {
        let mut last = self.lock();
        if let Some(last) = last.as_ref() {
            if idempotency_key.is_some() && last.idempotency_key == idempotency_key {
                return Ok(Begun::Before(last.show()));
            }
            if last.outcome == Outcome::Running {
                return Err(under_way());
            }
        }
        let next = Last {
            actor: Arc::clone(actor),
            idempotency_key,
            started_at: now,
            control: Arc::default(),
            outcome: Outcome::Running,
        };
        let (shown, control) = (next.show(), Arc::clone(&next.control));
        *last = Some(next);
        Ok(Begun::Now(shown, control))
    }

    fn end(&self, result: Result<Rebuilt, ProjectorError>) {
        let outcome = match result {
            Ok(rebuilt) => Outcome::Done(rebuilt),
            Err(ProjectorError::Cancelled) => Outcome::Cancelled,
            Err(error) => {
                tracing::error!(%error, "a rebuild of the read models has failed");
                Outcome::Failed(error.to_string())
            }
        };
        if let Some(last) = self.lock().as_mut() {
            last.outcome = outcome;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Last>> {
        self.0.lock().expect("no thread panics while it copies")
    }
}

enum Begun {
    Now(Rebuild, Arc<Control>),
    /// The request is a repeat.
    Before(Rebuild),
}

/// Begins a rebuild beside the live read models, and returns at once.
///
/// # Errors
/// One is under way, or another node projects.
pub fn begin(
    service: &Arc<Service>,
    actor: &Arc<str>,
    idempotency_key: Option<String>,
) -> Result<Rebuild, CommandError> {
    service.projector.require_lease().map_err(refused)?;
    if service.projector.building().is_some() {
        return Err(under_way());
    }
    let now = service.clock.now();
    let (shown, control) = match service.rebuilds.begin(actor, idempotency_key, now)? {
        Begun::Before(shown) => return Ok(shown),
        Begun::Now(shown, control) => (shown, control),
    };
    let service = Arc::clone(service);
    tokio::spawn(async move {
        let rebuilt = service.projector.rebuild(&control).await;
        service.rebuilds.end(rebuilt);
    });
    Ok(shown)
}

/// Removes the generation that was in force before, and one that was not finished. Says which went.
///
/// # Errors
/// One is under construction.
pub async fn release(service: &Service) -> Result<Vec<Generation>, CommandError> {
    service.projector.release().await.map_err(refused)
}

fn refused(error: ProjectorError) -> CommandError {
    match error {
        ProjectorError::Tables(TablesError::UnderWay) => under_way(),
        ProjectorError::Tables(error) => CommandError::Tables(error),
        error => CommandError::Conflict(error.to_string()),
    }
}

fn under_way() -> CommandError {
    CommandError::Conflict(ProjectorError::UnderWay.to_string())
}
