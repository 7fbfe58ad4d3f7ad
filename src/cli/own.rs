//! Opens a data directory to write: the whole service, without the HTTP front.

use std::{sync::Arc, time::Duration};

use postbook_schemas::{Slug, Source};

use super::{exit::CliError, global::Global};
use crate::{
    clock::{Clock, SystemClock},
    commands::{credential::By, programme::apply::History},
    service::{OpenError, Service},
};

/// How long a verb waits for the read models to show what is in the log.
const PATIENCE: Duration = Duration::from_secs(600);

/// How facts name whoever uses the command line on the server's machine.
const ACTOR: &str = "cli";

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

impl History for Service {
    async fn has_postings(&self, partner: &Slug) -> Result<bool, String> {
        caught_up(self).await.map_err(|error| error.message)?;
        self.tables
            .has_partner(partner)
            .await
            .map_err(|error| error.to_string())
    }
}

impl From<OpenError> for CliError {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Store(error) => error.into(),
            OpenError::Secrets(error) => error.into(),
            OpenError::Tables(error) => error.into(),
            OpenError::Directory(_) => Self::failed(error),
            OpenError::Projections(_) => Self::new(super::exit::Exit::Usage, error),
        }
    }
}
