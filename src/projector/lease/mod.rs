//! Who writes the read models: of the nodes that share them one, for as long as it renews its lease.
//!
//! A lease makes it likely that there is one writer, not certain: a node may be stopped for longer than
//! its lease lasts, and go on without knowing. So each time that it goes to another node it has a
//! higher term, and whoever has it claims the tables for that term before it writes: what is written
//! in an earlier term is then refused by the tables themselves.

mod memory;
mod postgres;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::future::BoxFuture;
use thiserror::Error;
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

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
    /// Another node does; nobody, as far as is known, if absent.
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

    /// The term in which this node may write, as soon as it is known.
    ///
    /// # Errors
    /// Another node writes, or it cannot be told in time.
    pub async fn term(&self, within: Duration) -> Result<i64, ProjectorError> {
        let mut role = self.watch();
        let known = role.wait_for(|role| *role != Role::Following(None));
        match timeout(within, known).await.as_deref() {
            Ok(Ok(Role::Projecting(term))) => Ok(*term),
            Ok(Ok(Role::Following(by))) => Err(ProjectorError::Elsewhere(by.clone())),
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
        let task = {
            let mut task = keeping.task.lock().unwrap_or_else(PoisonError::into_inner);
            task.take()
        };
        let Some(task) = task else {
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
        let task = self.task.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(task) = task.take() {
            task.abort();
        }
    }
}

/// The task behind a [`Lease`].
struct Keeper {
    store: Arc<dyn LeaseStore>,
    session: Session,
    role: watch::Sender<Role>,
    wants: watch::Receiver<u64>,
    wanted: watch::Sender<u64>,
    /// When the lease must be taken for lost, if nothing else is heard.
    lost_at: Instant,
}

impl Keeper {
    async fn run(mut self) {
        loop {
            let asked_at = Instant::now();
            let wants = *self.wants.borrow_and_update();
            let taking = self.store.take(&self.session, LASTS, wants);
            match timeout(self.patience(), taking).await {
                Ok(Ok(standing)) if standing.is_own => {
                    // From when it was asked on: the answer may have taken its time.
                    self.lost_at = asked_at + LASTS - MARGIN;
                    self.wanted.send_if_modified(|wanted| {
                        let changes = *wanted != standing.wanted;
                        *wanted = standing.wanted;
                        changes
                    });
                    self.becomes(Role::Projecting(standing.holder.term));
                }
                Ok(Ok(standing)) => self.becomes(Role::Following(Some(standing.holder))),
                Ok(Err(error)) => {
                    tracing::debug!(%error, "it is asked again");
                    self.unheard();
                }
                Err(_) => self.unheard(),
            }
            sleep(EVERY_AT_MOST).await;
            tokio::select! {
                () = sleep(EVERY - EVERY_AT_MOST) => {}
                // Nobody is left who could want anything.
                Ok(()) = self.wants.changed() => {}
            }
        }
    }

    /// How long to wait for an answer: not beyond the end of the lease.
    fn patience(&self) -> Duration {
        let left = self.lost_at.saturating_duration_since(Instant::now());
        match *self.role.borrow() {
            Role::Projecting(_) => left.min(ANSWER_MAX),
            Role::Following(_) => ANSWER_MAX,
        }
    }

    fn unheard(&self) {
        if Instant::now() + EVERY >= self.lost_at {
            self.becomes(Role::Following(None));
        }
    }

    fn becomes(&self, next: Role) {
        self.role.send_if_modified(|role| {
            let changes = *role != next;
            if changes {
                match &next {
                    Role::Projecting(term) => tracing::info!(term, "this node projects"),
                    Role::Following(by) => tracing::info!(?by, "this node follows"),
                }
                *role = next;
            }
            changes
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn becomes(lease: &Lease, wanted: impl Fn(&Role) -> bool) -> Role {
        let mut watched = lease.watch();
        let role = timeout(Duration::from_secs(20), watched.wait_for(wanted)).await;
        role.expect("it comes to that").expect("it is kept").clone()
    }

    fn is_held(role: &Role) -> bool {
        matches!(role, Role::Projecting(_))
    }

    #[tokio::test]
    async fn nobody_contends_with_who_is_alone() {
        let lease = Lease::alone();
        lease.release().await;
        assert_eq!(lease.role(), Role::Projecting(0));
    }

    #[tokio::test(start_paused = true)]
    async fn one_has_it_and_another_gets_it_in_a_higher_term_when_it_is_given_up() {
        let store = Arc::new(MemoryLeases::default());
        let one = Lease::start(store.clone(), Session::new("one"));
        assert_eq!(becomes(&one, is_held).await, Role::Projecting(1));
        let other = Lease::start(store, Session::new("other"));
        let known = |role: &Role| matches!(role, Role::Following(Some(_)));
        let one_has_it = Holder {
            node: "one".into(),
            term: 1,
        };
        let role = becomes(&other, known).await;
        assert_eq!(role, Role::Following(Some(one_has_it)));
        sleep(10 * LASTS).await;
        assert_eq!(one.role(), Role::Projecting(1));
        let released_at = Instant::now();
        one.release().await;
        assert_eq!(one.role(), Role::Following(None));
        assert_eq!(becomes(&other, is_held).await, Role::Projecting(2));
        assert!(released_at.elapsed() <= EVERY);
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_not_heard_of_loses_it_before_another_gets_it() {
        let store = Arc::new(MemoryLeases::default());
        let one = Lease::start(store.clone(), Session::new("one"));
        becomes(&one, is_held).await;
        let other = Lease::start(store.clone(), Session::new("other"));
        sleep(LASTS).await;
        store.cut_off("one", true);
        let cut_at = Instant::now();
        becomes(&one, |role| !is_held(role)).await;
        let lost = cut_at.elapsed();
        assert!(!is_held(&other.role()), "there are two");
        becomes(&other, is_held).await;
        assert!(lost < cut_at.elapsed());
        assert!(cut_at.elapsed() <= LASTS + EVERY, "{:?}", cut_at.elapsed());
        // It comes back, and is told who has it.
        store.cut_off("one", false);
        let role = becomes(&one, |role| matches!(role, Role::Following(Some(_)))).await;
        let Role::Following(Some(holder)) = role else {
            panic!("{role:?}");
        };
        assert_eq!((&*holder.node, holder.term), ("other", 2));
    }
}
