//! The same service with its log on a server.

use std::path::Path;

use crate::{
    Options, programme,
    support::{
        command::{Node, apply},
        server::{Server, secret, token},
    },
    traffic::Postbacks,
};
#[cfg(feature = "kurrentdb")]
use crate::{rivals::Rival, start_rival};

/// The same service with its log elsewhere.
pub(crate) struct Elsewhere {
    /// Its letter, and where its log is.
    pub(crate) name: &'static str,
    pub(crate) server: Server,
    pub(crate) postbacks: Postbacks,
    /// What holds the log, if it goes with the benchmark.
    _log: Option<Server>,
}

impl Elsewhere {
    /// Starts it on a log.
    ///
    /// # Errors
    /// It does not start.
    pub(crate) fn start(
        name: &'static str,
        url: String,
        log: Option<Server>,
        folder: &Path,
        options: &Options,
    ) -> anyhow::Result<Self> {
        let node = Node {
            data: folder.join(&name[..1]),
            log: Some(url),
            projections: None,
        };
        apply(node.clone(), &programme(options.signed))?;
        let ingest = token(node.clone(), "bench")?;
        let secret = secret(node.clone(), "acme/casino")?;
        Ok(Self {
            name,
            server: Server::postbook(node)?,
            postbacks: Postbacks::new(&ingest, options.signed.then_some(&*secret)),
            _log: log,
        })
    }

    /// The fake keeps its events in memory and flushes nothing: what is measured is the node, the client and
    /// the protocol.
    ///
    /// # Errors
    /// It does not start.
    #[cfg(feature = "kurrentdb")]
    pub(crate) fn on_a_fake_kurrentdb(folder: &Path, options: &Options) -> anyhow::Result<Self> {
        let fake = start_rival(Rival::FakeKurrentdb, None)?;
        let url = format!("kurrentdb://{}?tls=false", fake.address);
        Self::start("F on a fake KurrentDB", url, Some(fake), folder, options)
    }
}
