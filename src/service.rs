//! The service: its parts, put together once.

use std::{path::PathBuf, sync::Arc};

use arc_swap::ArcSwap;
use postbook_schemas::ClickIdKey;

use crate::{
    clock::Clock, directory::Directory, projector::Projector, secrets::Secrets, store::writer::Log,
    tables::Tables,
};

/// Where the service keeps things.
#[derive(Clone, Debug)]
pub struct Options {
    /// The data directory: embedded log, read models, secrets.
    pub data: PathBuf,
    /// Another log store than the embedded one.
    pub log: Option<String>,
    /// Other read models than the embedded ones.
    pub projections: Option<String>,
}

/// The parts of the running service.
#[derive(Debug)]
pub struct Service {
    /// Time and ids.
    pub clock: Arc<dyn Clock>,
    /// The log: appends and reads.
    pub log: Log,
    /// Turns positions into click ids and back.
    pub click_ids: Arc<ClickIdKey>,
    /// Tokens, offer secrets and keys, outside the log.
    pub secrets: Arc<Secrets>,
    /// The programme as intake needs it.
    pub directory: Arc<ArcSwap<Directory>>,
    /// The read models.
    pub tables: Tables,
    /// Drives the read models.
    pub projector: Projector,
}
