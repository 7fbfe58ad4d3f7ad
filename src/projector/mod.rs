//! Follows the log and keeps the read models up to date.
//!
//! One task reads the log, decodes, folds and writes, each step on its own thread with little waiting
//! between them (`engine`). What it knows is never stored: at start the book is folded again from
//! the first fact up to the checkpoint of the tables, and what that adds up to must be the digest
//! stored there; otherwise, and if they are of another form, the tables are built again
//! (`construct`), as they are beside the live ones when somebody asks for it (`rebuild`).

mod ask;
mod construct;
mod course;
mod engine;
mod fold;
mod follow;
pub mod lease;
mod pace;
mod prepare;
mod rebuild;
mod replay;
mod status;
mod take_up;
mod warm;

use std::{sync::Arc, time::Duration};

use postbook_schemas::ClickIdKey;
use thiserror::Error;
use tokio::sync::{mpsc, oneshot};

use crate::{
    store::{LogStore, StoreError},
    tables::{Tables, digest::Digest, error::TablesError, generation::Generation},
};

pub use course::{Control, Phase, Progress};
pub use rebuild::{Compared, Rebuilt};
pub use replay::{digest_at, replay};

use follow::{Command, Follower};
use lease::{Holder, Lease, Role};
use status::Status;

/// Why the read models could not be brought up to date.
#[derive(Debug, Error)]
pub enum ProjectorError {
    /// A fact cannot be read or folded. Facts after it are not projected: read models that skipped
    /// one would be wrong in silence.
    #[error("the fact at position {position} stops the projector: {what}")]
    Poison {
        /// Where.
        position: u64,
        /// Why.
        what: String,
    },
    /// The log could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The read models could not be written.
    #[error(transparent)]
    Tables(#[from] TablesError),
    /// The projector has stopped.
    #[error("the projector has stopped: {0}")]
    Stopped(String),
    /// Somebody said so. What was built stays, and the next attempt goes on from there.
    #[error("cancelled; the next rebuild goes on from there")]
    Cancelled,
    /// Another node writes the read models, or none does yet.
    #[error("{}", elsewhere(.0.as_ref()))]
    Elsewhere(Option<Holder>),
    /// There is one generation under construction at a time.
    #[error("the read models are being built already")]
    UnderWay,
}

fn elsewhere(holder: Option<&Holder>) -> String {
    match holder {
        Some(holder) => format!("node {} projects: ask it", holder.node),
        None => "no node projects yet: ask again".to_owned(),
    }
}

/// A handle to the task that keeps the read models up to date. Cheap to clone; the task ends when
/// the last handle goes.
#[derive(Clone, Debug)]
pub struct Projector {
    store: Arc<dyn LogStore>,
    click_ids: Arc<ClickIdKey>,
    tables: Tables,
    status: Arc<Status>,
    commands: mpsc::Sender<Command>,
    lease: Lease,
}

impl Projector {
    /// Starts the task. Of read models that other nodes may write it writes them while it has their
    /// lease, under this node's name.
    pub fn start(store: Arc<dyn LogStore>, click_ids: Arc<ClickIdKey>, tables: Tables) -> Self {
        let lease = Lease::of(&tables, None);
        Self::start_under(lease, store, click_ids, tables)
    }

    /// Starts the task of a node that writes the read models while it has this lease.
    pub fn start_under(
        lease: Lease,
        store: Arc<dyn LogStore>,
        click_ids: Arc<ClickIdKey>,
        tables: Tables,
    ) -> Self {
        let status = Arc::new(Status::default());
        let (commands, receiver) = mpsc::channel(1);
        let follower = Follower::new(
            Arc::clone(&store),
            Arc::clone(&click_ids),
            tables.clone(),
            Arc::clone(&status),
            receiver,
            lease.clone(),
        );
        tokio::spawn(follower.run());
        Self {
            store,
            click_ids,
            tables,
            status,
            commands,
            lease,
        }
    }

    /// What this node is to the read models.
    pub fn role(&self) -> Role {
        self.lease.role()
    }

    /// The name of this node, where others may write the read models.
    pub fn node(&self) -> Option<&Arc<str>> {
        self.lease.node()
    }

    /// Refuses what only the node that writes the read models can do.
    ///
    /// # Errors
    /// As [`ProjectorError::Elsewhere`], if that is another one.
    pub fn require_lease(&self) -> Result<(), ProjectorError> {
        match self.lease.role() {
            Role::Projecting(_) => Ok(()),
            Role::Following(by) => Err(ProjectorError::Elsewhere(by)),
        }
    }

    /// All facts up to here are in the read models.
    pub fn position(&self) -> u64 {
        self.status.position()
    }

    /// How many facts the read models are behind the log.
    pub fn lag(&self) -> u64 {
        self.store.head().saturating_sub(self.position())
    }

    /// Why the projector has stopped, if it has.
    pub fn failed(&self) -> Option<String> {
        self.status.failed()
    }

    /// What keeps the projector from going on at present and may pass: a full disk, a lost server.
    pub fn trouble(&self) -> Option<String> {
        self.status.trouble()
    }

    /// Waits until the read models have reached a position, at most so long, at full speed. Says
    /// whether they have.
    pub async fn wait_for(&self, position: u64, within: Duration) -> bool {
        self.status.wait_for(position, within).await
    }

    /// Waits until the read models show all that is in the log now.
    pub async fn wait_for_head(&self, within: Duration) -> bool {
        self.wait_for(self.store.head(), within).await
    }

    /// How far the read models have come that this start has to build before they are current:
    /// they were of another form, or not what the log says.
    pub fn building(&self) -> Option<Progress> {
        self.status.building()
    }

    /// Builds the read models again beside the live ones, compares, and switches. Reading and
    /// taking in go on meanwhile.
    ///
    /// # Errors
    /// The log cannot be read or folded, the tables cannot be written, or it was cancelled; the live
    /// ones then stay, and the next rebuild goes on where this one was.
    pub async fn rebuild(&self, control: &Control) -> Result<Rebuilt, ProjectorError> {
        rebuild::run(self, control).await
    }

    /// Removes the generation that was in force before, and one that was not finished. Says which
    /// went.
    ///
    /// # Errors
    /// One is under construction, or the directory cannot be read.
    pub async fn release(&self) -> Result<Vec<Generation>, ProjectorError> {
        self.require_lease()?;
        let only = self.status.try_rebuilding();
        let _only = only.ok_or(ProjectorError::UnderWay)?;
        if self.building().is_some() {
            return Err(ProjectorError::UnderWay);
        }
        Ok(self.tables.release().await?)
    }

    /// Stops the task at the end of the batch it is at, gives up the lease, and closes the tables.
    pub async fn stop(&self) {
        self.status.stop();
        let (reply, stopped) = oneshot::channel();
        if self.commands.send(Command::Stop { reply }).await.is_ok() {
            _ = self.answered(stopped).await;
        }
        self.lease.release().await;
        self.tables.close().await;
    }

    /// The answer to a command that was sent; none if the task has ended. A command that comes while
    /// the task ends may lie in the channel for as long as there are handles, unanswered.
    async fn answered<T>(&self, mut answer: oneshot::Receiver<T>) -> Option<T> {
        tokio::select! {
            biased;
            answer = &mut answer => answer.ok(),
            () = self.commands.closed() => answer.try_recv().ok(),
        }
    }
}

/// Where the live read models stand: for comparing.
#[derive(Clone, Copy, Debug)]
struct Standing {
    position: u64,
    digest: Digest,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::open::{self, Location};

    #[tokio::test]
    async fn a_stop_that_the_ending_task_does_not_read_any_more_is_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let click_ids = Arc::new(ClickIdKey::new(&[7; 32]));
        let (commands, mut receiver) = mpsc::channel(1);
        let projector = Projector {
            store: open::open(&Location::Memory, Arc::clone(&click_ids))
                .await
                .unwrap(),
            click_ids,
            tables: Tables::open(dir.path()).await.unwrap(),
            status: Arc::default(),
            commands,
            lease: Lease::alone(),
        };
        let ends = async {
            while receiver.is_empty() {
                tokio::task::yield_now().await;
            }
            receiver.close();
        };
        let both = async { tokio::join!(projector.stop(), ends) };
        tokio::time::timeout(Duration::from_secs(20), both)
            .await
            .expect("it returns");
    }
}
