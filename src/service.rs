//! The service: its parts, put together once.

mod options;

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use ipnet::IpNet;
use postbook_projections::derivation::Derivation;
use postbook_schemas::ClickIdKey;
use thiserror::Error;

use crate::{
    clock::Clock,
    commands::{derivation, rebuild::Rebuilds},
    directory::{self, Directory, DirectoryError},
    intake::{
        click::Devices,
        legacy::Legacy,
        rate::{Limits, Rate},
    },
    meters::Meters,
    projector::{Projector, lease::Lease},
    secrets::{Secrets, SecretsError},
    store::{
        Append, Appended, Filter, LogStore, StoreError, open,
        writer::{Log, Scrub},
    },
    tables::{Tables, error::TablesError},
    tls::Tls,
    whatif::kept::Whatifs,
};

pub use self::options::Options;

/// How often it is looked whether another node has changed the programme, while the log grows.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Why the service could not be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The secrets.
    #[error(transparent)]
    Secrets(#[from] SecretsError),
    /// The log.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The read models.
    #[error(transparent)]
    Tables(#[from] TablesError),
    /// The programme.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
}

/// How the HTTP front behaves.
#[derive(Clone, Debug, Default)]
pub struct ServerOptions {
    /// From where forwarding headers and the country header are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// The header in which a trusted proxy says whom it was called by.
    pub forwarded_header: ForwardedHeader,
    /// The header in which a trusted proxy says the visitor's country.
    pub country_header: Option<axum::http::HeaderName>,
    /// HTTPS of our own.
    pub tls: Option<Arc<Tls>>,
    /// How much one address may send, whatever for.
    pub rate_limit_per_address: Option<Rate>,
    /// How long clients may take, and how many there may be.
    pub network: NetworkLimits,
}

/// The header in which a trusted proxy says whom it was called by. One is believed, never two:
/// a proxy sets its own and passes on what a sender writes into another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ForwardedHeader {
    /// `X-Forwarded-For`, and `X-Forwarded-Proto`.
    #[default]
    XForwardedFor,
    /// `Forwarded` (RFC 7239), its `for` and `proto`.
    Forwarded,
    /// `X-Real-IP`, and `X-Forwarded-Proto`.
    XRealIp,
}

/// How long clients may take, and how many there may be.
#[derive(Clone, Copy, Debug)]
pub struct NetworkLimits {
    /// How long the head of a request may take, a TLS handshake, or an answer that is not read.
    pub head_time: Duration,
    /// How long the body of a postback may take.
    pub body_time: Duration,
    /// How long a connection may stay silent between requests.
    pub idle_time: Duration,
    /// How many connections there may be.
    pub connections: usize,
    /// How many of them from one address that is no trusted proxy.
    pub connections_per_address: usize,
    /// How many bytes of postbacks may be held until they are in the log.
    pub in_flight_bytes: usize,
}

impl Default for NetworkLimits {
    fn default() -> Self {
        Self {
            head_time: Duration::from_secs(10),
            body_time: Duration::from_secs(15),
            idle_time: Duration::from_mins(1),
            connections: 10_000,
            connections_per_address: 2_000,
            in_flight_bytes: 256 << 20,
        }
    }
}

/// What a node has in common with others.
#[derive(Debug)]
pub struct Among {
    /// Who writes the read models.
    pub lease: Lease,
    /// What-ifs that wait for somebody to adopt them.
    pub whatifs: Whatifs,
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
    /// What-ifs that wait for somebody to adopt them.
    pub whatifs: Whatifs,
    /// Drives the read models.
    pub projector: Projector,
    /// What is counted and timed.
    pub meters: Meters,
    /// Tells classes of device.
    pub devices: Devices,
    /// Which offers still take postbacks without a secret.
    pub legacy: Legacy,
    /// How fast addresses may send.
    pub limits: Limits,
    /// The last time that the read models were built again beside the live ones.
    pub rebuilds: Rebuilds,
    refreshing: tokio::sync::Mutex<()>,
    /// Up to here the log was looked at for definitions by other nodes.
    looked_to: AtomicU64,
}

impl Service {
    /// Opens everything in its place, and starts the writer and the projector. The log is locked: a
    /// second process is refused.
    ///
    /// # Errors
    /// Something cannot be opened; the error names it.
    pub async fn open(options: &Options, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        let location = options.location()?;
        let secrets = options.secrets(options.master_key()?).await?;
        secrets.require_unlocked()?;
        let click_ids = Arc::new(ClickIdKey::new(secrets.click_id_key()));
        let tables = options.tables()?;
        let store = open::open(&location, Arc::clone(&click_ids)).await?;
        let tables = Tables::open_at(&tables, &options.data).await?;
        let lease = Lease::of(&tables, options.node.as_deref());
        let whatifs = options.whatifs()?;
        let among = Among { lease, whatifs };
        Ok(Self::assemble_among(among, clock, store, click_ids, secrets, tables).await?)
    }

    /// Opens the service beside another process that has the log, with all that is in it now: nothing can
    /// be appended, and what follows from the log is derived in a directory of its own.
    ///
    /// # Errors
    /// Something cannot be opened; the error names it.
    pub async fn open_beside(
        options: &Options,
        clock: Arc<dyn Clock>,
        directory: &Path,
    ) -> Result<Self, OpenError> {
        let place = options.secrets_place()?;
        let secrets = Secrets::open_beside(&place, options.master_key()?).await?;
        secrets.require_unlocked()?;
        let click_ids = Arc::new(ClickIdKey::new(secrets.click_id_key()));
        let store = open::open_to_read(&options.location()?, Arc::clone(&click_ids)).await?;
        let tables = Tables::open(directory).await?;
        let lease = Lease::of(&tables, None);
        let whatifs = options.whatifs()?;
        let among = Among { lease, whatifs };
        Ok(Self::assemble_among(among, clock, store, click_ids, secrets, tables).await?)
    }

    /// The service out of its parts: reads the programme, starts the writer and the projector.
    ///
    /// # Errors
    /// The programme cannot be read.
    pub async fn assemble(
        clock: Arc<dyn Clock>,
        store: Arc<dyn LogStore>,
        click_ids: Arc<ClickIdKey>,
        secrets: Secrets,
        tables: Tables,
    ) -> Result<Self, DirectoryError> {
        let among = Among {
            lease: Lease::of(&tables, None),
            whatifs: Whatifs::of(tables.directory()),
        };
        Self::assemble_among(among, clock, store, click_ids, secrets, tables).await
    }

    /// The service of a node among others out of its parts.
    ///
    /// # Errors
    /// The programme cannot be read.
    pub async fn assemble_among(
        among: Among,
        clock: Arc<dyn Clock>,
        store: Arc<dyn LogStore>,
        click_ids: Arc<ClickIdKey>,
        secrets: Secrets,
        tables: Tables,
    ) -> Result<Self, DirectoryError> {
        let Among { lease, whatifs } = among;
        let directory = Directory::load(&*store).await?;
        if let Some(told) = derivation::told(directory.derivation()) {
            tracing::warn!("{told}");
        }
        let secrets = Arc::new(secrets);
        let scrub: Arc<dyn Scrub> = Arc::<Secrets>::clone(&secrets);
        let log = Log::start(Arc::clone(&store), Arc::clone(&clock), scrub);
        derivation::begin(&log, &*clock, Derivation::newest().version).await?;
        let projector =
            Projector::start_under(lease, store, Arc::clone(&click_ids), tables.clone());
        Ok(Self {
            looked_to: AtomicU64::new(directory.head()),
            clock,
            log,
            click_ids,
            secrets,
            directory: Arc::new(ArcSwap::from_pointee(directory)),
            whatifs,
            tables,
            projector,
            meters: Meters::new(),
            devices: Devices::default(),
            legacy: Legacy::default(),
            limits: Limits::new(),
            rebuilds: Rebuilds::default(),
            refreshing: tokio::sync::Mutex::default(),
        })
    }

    /// Brings the directory up to date, after configuration was appended.
    ///
    /// # Errors
    /// The programme cannot be read; the directory stays as it was.
    pub async fn refresh_directory(&self) -> Result<(), DirectoryError> {
        // One at a time: a slower refresh must not put an older directory in a newer one's place.
        let _only = self.refreshing.lock().await;
        let known = Directory::clone(&self.directory.load());
        let directory = known.brought_up_to_date(&**self.log.store()).await?;
        self.directory.store(Arc::new(directory));
        Ok(())
    }

    /// Takes notice of what other nodes have appended up to now, definitions included. Returns at once
    /// where nobody else appends to the log.
    ///
    /// # Errors
    /// The log or the programme cannot be read.
    pub async fn look(&self) -> Result<(), DirectoryError> {
        let store = self.log.store();
        if !store.is_shared() {
            return Ok(());
        }
        store.look().await?;
        self.take_up_programme().await
    }

    /// Takes up what other nodes change in the programme, for as long as it is polled; returns at once
    /// where nobody else appends to the log.
    pub async fn watch_programme(self: Arc<Self>) {
        let store = Arc::clone(self.log.store());
        if !store.is_shared() {
            return;
        }
        let mut head = store.follow();
        loop {
            let to = *head.borrow_and_update();
            let taken_up = self.take_up_programme().await;
            if let Err(error) = &taken_up {
                tracing::error!(%error, "a changed programme was not taken up");
            }
            tokio::time::sleep(LOOK_EVERY).await;
            let is_up_to_date = taken_up.is_ok() && store.head() <= to;
            if is_up_to_date && head.changed().await.is_err() {
                return;
            }
        }
    }

    /// Brings the directory up to date if definitions have come since it was looked last.
    async fn take_up_programme(&self) -> Result<(), DirectoryError> {
        let store = self.log.store();
        let (after, to) = (self.looked_to.load(Ordering::Acquire), store.head());
        if to <= after {
            return Ok(());
        }
        let filter = Filter::only(directory::FACT_TYPES);
        let news = store.read(after + 1, to, filter, 1).await?;
        if !news.ends.is_empty() {
            self.refresh_directory().await?;
        }
        self.looked_to.fetch_max(to, Ordering::AcqRel);
        Ok(())
    }

    /// Appends one fact and times it; returns once it is durable.
    ///
    /// # Errors
    /// It could not be appended.
    pub async fn append(&self, append: Append) -> Result<Appended, StoreError> {
        let start = Instant::now();
        let appended = self.log.append(append).await;
        self.meters.appended(start.elapsed(), appended.is_ok());
        appended
    }

    /// Takes no more facts, finishes those that wait, and lets go of all files.
    pub async fn shut_down(&self) {
        // What was built so far stays; an error says that nothing is.
        drop(self.rebuilds.cancel());
        // The projector first: it would wait for a closed log to come back.
        self.projector.stop().await;
        self.log.shut_down().await;
        self.tables.close().await;
    }
}
