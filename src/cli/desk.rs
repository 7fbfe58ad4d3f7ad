//! Opens what credentials are made with: the whole service, or the secrets beside a running server.

use std::sync::Arc;

use super::{
    exit::{CliError, Exit},
    global::Global,
    output, own, reader,
};
use crate::{
    clock::SystemClock,
    commands::credential::{self, CredentialError, Keys},
    directory::Directory,
    secrets::Secrets,
    service::Service,
};

/// What credentials are made with, and the log if nobody else has it.
#[derive(Debug)]
pub(super) struct Desk {
    /// What credentials are made with.
    pub(super) keys: Keys,
    service: Option<Arc<Service>>,
}

impl Desk {
    /// Opens the service of a data directory; only its secrets if another process has the log.
    pub(super) async fn open(global: &Global) -> Result<Self, CliError> {
        match own::open(global).await {
            Ok(service) => Ok(Self {
                keys: Keys::of(&service),
                service: Some(service),
            }),
            Err(error) if error.exit == Exit::Unavailable => Self::beside(global).await,
            Err(error) => Err(error),
        }
    }

    async fn beside(global: &Global) -> Result<Self, CliError> {
        let options = global.options();
        let place = options.secrets_place()?;
        let secrets = Secrets::open_beside(&place, options.master_key()?).await?;
        secrets.require_unlocked()?;
        let store = reader::open_log(global).await?;
        let directory = Directory::load(&*store).await;
        store.close().await;
        Ok(Self {
            keys: Keys {
                secrets: Arc::new(secrets),
                directory: Arc::new(directory.map_err(CliError::failed)?),
                clock: Arc::new(SystemClock),
            },
            service: None,
        })
    }

    /// Records what was done, lets go of everything, and hands on what came of it.
    pub(super) async fn close<T>(self, done: Result<T, CredentialError>) -> Result<T, CliError> {
        let Some(service) = self.service else {
            let done = done?;
            output::note("note: the running server takes this up within a second");
            return Ok(done);
        };
        let recorded = match &done {
            Ok(_) => credential::record(&service).await,
            Err(_) => Ok(()),
        };
        service.shut_down().await;
        let done = done?;
        recorded?;
        Ok(done)
    }
}
