//! Who writes the read models: of the nodes that share them one, for as long as it renews its lease.
//!
//! A lease makes it likely that there is one writer, not certain: a node may be stopped for longer than
//! its lease lasts, and go on without knowing. So each time that it goes to another node it has a
//! higher term, and whoever has it claims the tables for that term before it writes: what is written
//! in an earlier term is then refused by the tables themselves.

mod keeper;
mod memory;
mod postgres;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use thiserror::Error;
use tokio::{
    sync::{Mutex, watch},
    task::JoinHandle,
    time::{Instant, timeout},
};

use self::keeper::Keeper;
use super::ProjectorError;
use crate::tables::Tables;

pub use self::{
    memory::MemoryLeases,
    postgres::{ServerLeases, look},
};

/// How long a lease lasts that is not renewed.
const LASTS: Duration = Duration::from_secs(3);

/// How much earlier its holder takes it for lost.
const MARGIN: Duration = Duration::from_millis(500);

/// How often it is renewed, and how often whoever has it not looks whether it is free.
const EVERY: Duration = Duration::from_millis(250);

/// How often somebody who waits makes it be asked at most.
const EVERY_AT_MOST: Duration = Duration::from_millis(20);

/// How long an answer may take.
const ANSWER_MAX: Duration = Duration::from_secs(1);

/// Why it cannot be told who has a lease.
#[derive(Clone, Debug, Error)]
#[error("the lease of the read models cannot be had: {0}")]
pub struct LeaseError(pub String);

/// Who has a lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The name of the node, for people.
    pub node: Arc<str>,
    /// Grows with each node that gets it.
    pub term: i64,
}

/// What is known of a lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Who has it.
    pub holder: Holder,
    /// Whether that is whoever asks.
    pub is_own: bool,
    /// Grows whenever it is renewed: one that does not may be of a process that is gone.
    pub renewed: i64,
    /// The position that somebody waits for, on any node.
    pub wanted: u64,
}

/// A process of a node: its name may be that of another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// The name of the node, for people.
    pub node: Arc<str>,
    /// Chosen at random.
    pub id: Arc<str>,
}

impl Session {
    /// A process of a node with this name.
    pub fn new(node: &str) -> Self {
        Self {
            node: node.into(),
            id: format!("{:032x}", rand::random::<u128>()).into(),
        }
    }
}

/// Where it is kept who has the lease.
pub trait LeaseStore: Send + Sync + std::fmt::Debug + 'static {
    /// Takes the lease for so long if nobody else has it, or renews it. Whoever has it is told up to
    /// which position somebody waits for the read models.
    fn take<'s>(
        &'s self,
        session: &'s Session,
        lasts: Duration,
        wanted: u64,
    ) -> BoxFuture<'s, Result<Standing, LeaseError>>;

    /// Gives it up, if this session has it.
    fn give_up<'s>(&'s self, session: &'s Session) -> BoxFuture<'s, Result<(), LeaseError>>;
}

/// What a node is to the read models.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// It writes them, in this term; 0 where nobody else could.
    Projecting(i64),
    /// Another node does, and was seen to renew its lease; nobody, as far as is known, if absent.
    Following(Option<Holder>),
}

/// The lease of a node: had or not, from one moment to the next. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Lease(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    role: watch::Sender<Role>,
    /// The position that this node waits for.
    wants: watch::Sender<u64>,
    /// The position that any node waits for, as far as is known.
    wanted: watch::Sender<u64>,
    /// What keeps it, where there are others.
    keeping: Option<Keeping>,
}

#[derive(Debug)]
struct Keeping {
    store: Arc<dyn LeaseStore>,
    session: Session,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl Lease {
    /// Of a node whose read models nobody else has.
    pub fn alone() -> Self {
        Self(Arc::new(Inner {
            role: watch::Sender::new(Role::Projecting(0)),
            wants: watch::Sender::new(0),
            wanted: watch::Sender::new(0),
            keeping: None,
        }))
    }

    /// Of a node with these read models, which other nodes may have too; named after machine and process
    /// if no name is given.
    pub fn of(tables: &Tables, node: Option<&str>) -> Self {
        let Some(server) = tables.server() else {
            return Self::alone();
        };
        let session = match node {
            Some(node) => Session::new(node),
            None => Session::new(&own_name()),
        };
        Self::start(Arc::new(ServerLeases::of(server)), session)
    }

    /// The term in which this node may write, as soon as it is known. A process that is gone without
    /// giving up its lease is waited for until that ends.
    ///
    /// # Errors
    /// Another node writes, or it cannot be told in time.
    pub async fn term(&self, within: Duration) -> Result<i64, ProjectorError> {
        let mut role = self.watch();
        let known = role.wait_for(|role| *role != Role::Following(None));
        match timeout(within, known).await {
            Ok(Ok(known)) => match &*known {
                Role::Projecting(term) => Ok(*term),
                Role::Following(by) => Err(ProjectorError::Elsewhere(by.clone())),
            },
            _ => Err(ProjectorError::Elsewhere(None)),
        }
    }

    /// Begins to ask for it, again and again, and to renew it once it is had.
    pub fn start(store: Arc<dyn LeaseStore>, session: Session) -> Self {
        let role = watch::Sender::new(Role::Following(None));
        let (wants, wanted) = (watch::Sender::new(0), watch::Sender::new(0));
        let keeper = Keeper {
            store: Arc::clone(&store),
            session: session.clone(),
            role: role.clone(),
            wants: wants.subscribe(),
            wanted: wanted.clone(),
            lost_at: Instant::now(),
            seen: None,
        };
        Self(Arc::new(Inner {
            role,
            wants,
            wanted,
            keeping: Some(Keeping {
                store,
                session,
                task: Mutex::new(Some(tokio::spawn(keeper.run()))),
            }),
        }))
    }

    /// What this node is now.
    pub fn role(&self) -> Role {
        self.0.role.borrow().clone()
    }

    /// What this node is, whenever it changes.
    pub fn watch(&self) -> watch::Receiver<Role> {
        self.0.role.subscribe()
    }

    /// Lets whoever has it know that somebody waits here for the read models to reach a position.
    pub fn want(&self, position: u64) {
        self.0.wants.send_if_modified(|wants| {
            let is_more = position > *wants;
            *wants = position.max(*wants);
            is_more
        });
    }

    /// The position that somebody waits for on another node.
    pub fn wanted(&self) -> watch::Receiver<u64> {
        self.0.wanted.subscribe()
    }

    /// Whether other nodes may have it.
    pub fn is_shared(&self) -> bool {
        self.0.keeping.is_some()
    }

    /// The name of this node where there are others.
    pub fn node(&self) -> Option<&Arc<str>> {
        self.0.keeping.as_ref().map(|keeping| &keeping.session.node)
    }

    /// Gives it up, so that another node need not wait until it ends. This one asks no more.
    pub async fn release(&self) {
        let Some(keeping) = &self.0.keeping else {
            return;
        };
        // Whoever comes second waits here until it is given up.
        let mut task = keeping.task.lock().await;
        let Some(task) = task.take() else {
            return;
        };
        task.abort();
        // An answer that comes after this would make it ours again.
        drop(task.await);
        self.0.role.send_replace(Role::Following(None));
        let given_up = timeout(ANSWER_MAX, keeping.store.give_up(&keeping.session)).await;
        if !matches!(given_up, Ok(Ok(()))) {
            tracing::warn!("the lease of the read models is not given up, and ends by itself");
        }
    }
}

/// What tells this process from others, for people.
fn own_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = match name.trim() {
        "" => "node",
        name => name,
    };
    format!("{name}/{}", std::process::id())
}

impl Drop for Keeping {
    fn drop(&mut self) {
        if let Some(task) = self.task.get_mut().take() {
            task.abort();
        }
    }
}
