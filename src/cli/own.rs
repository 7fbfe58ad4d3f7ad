//! Opens a data directory to write: the whole service, without the HTTP front.

use std::{path::Path, sync::Arc, time::Duration};

use postbook_schemas::Source;

use super::{
    exit::{CliError, Exit},
    global::Global,
};
use crate::{
    clock::{Clock, SystemClock},
    commands::{credential::By, record::CommandError},
    service::{OpenError, Service},
};

/// How long a verb waits for the read models to show what is in the log.
pub(super) const PATIENCE: Duration = Duration::from_mins(10);

/// How facts name whoever uses the command line on the server's machine.
pub(super) const ACTOR: &str = "cli";

/// Opens the service of a data directory; nobody else may have it.
pub(super) async fn open(global: &Global) -> Result<Arc<Service>, CliError> {
    open_at(global, Arc::new(SystemClock)).await
}

/// Opens the service under another clock.
pub(super) async fn open_at(
    global: &Global,
    clock: Arc<dyn Clock>,
) -> Result<Arc<Service>, CliError> {
    Ok(Arc::new(Service::open(&global.options(), clock).await?))
}

/// Opens the service beside a process that has the log, for reading; what follows from the log is derived
/// in this directory.
pub(super) async fn open_beside(
    global: &Global,
    directory: &Path,
) -> Result<Arc<Service>, CliError> {
    let options = global.options();
    let service = Service::open_beside(&options, Arc::new(SystemClock), directory);
    Ok(Arc::new(service.await?))
}

/// Who asks, for facts that this verb leads to.
pub(super) fn by(verb: &str) -> By {
    By {
        actor: ACTOR.into(),
        source: Source {
            endpoint: format!("postbook {verb}"),
            address: None,
        },
    }
}

/// Waits until the read models show all that is in the log.
pub(super) async fn caught_up(service: &Service) -> Result<(), CliError> {
    let head = service.log.store().head();
    if service.projector.wait_for(head, PATIENCE).await {
        return Ok(());
    }
    let why = service
        .projector
        .failed()
        .or_else(|| service.projector.trouble());
    let why = why.unwrap_or_else(|| "they are too far behind".to_owned());
    Err(CliError::failed(format!(
        "the read models do not show all of the log: {why}"
    )))
}

impl From<OpenError> for CliError {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Store(error) => error.into(),
            OpenError::Secrets(error) => error.into(),
            OpenError::Tables(error) => error.into(),
            OpenError::Directory(_) => Self::failed(error),
        }
    }
}

impl From<CommandError> for CliError {
    fn from(error: CommandError) -> Self {
        match error {
            CommandError::NotFound(_) => Self::new(Exit::NotFound, error),
            CommandError::Conflict(_)
            | CommandError::Forbidden(_)
            | CommandError::Invalid { .. } => Self::new(Exit::Refused, error),
            CommandError::Late => Self::new(Exit::Unavailable, error),
            CommandError::Store(error) => error.into(),
            CommandError::Tables(error) => error.into(),
            CommandError::Unreadable { .. } => Self::new(Exit::Unsound, error),
        }
    }
}
