//! Opens a data directory for verbs that only read: beside a running server, or bringing the read
//! models up to date first where nobody else does.

use std::{fmt::Display, sync::Arc, time::Duration};

use postbook_schemas::ClickIdKey;

use super::{
    exit::{CliError, Exit},
    global::Global,
    output,
};
use crate::{
    clock::{Clock, SystemClock},
    directory::Directory,
    inquiry::Sources,
    intake::personal::Pseudonyms,
    projector::{Projector, lease::Lease},
    secrets::{Place, Secrets},
    store::{
        LogStore,
        open::{Location, is_there as is_there_at, open_alone, open_to_read},
        postgres::is_away,
    },
    tables::{Tables, error::TablesError},
};

/// How often the way of the read models to the head of the log is shown.
const GLANCE: Duration = Duration::from_millis(200);

/// How often a running server's read models are looked at before they are taken as they are.
const GLANCES: u32 = 50;

/// How often they are looked at without having moved on.
const GLANCES_AT_REST: u32 = 15;

/// How long it may take to know whether another node projects.
const LEASE_MAX: Duration = Duration::from_secs(30);

/// A log and its read models, for reading.
#[derive(Debug)]
pub(super) struct Reader {
    /// The log.
    pub(super) store: Arc<dyn LogStore>,
    /// The read models.
    pub(super) tables: Tables,
    /// Turns positions into click ids and back.
    pub(super) click_ids: Arc<ClickIdKey>,
    /// The names under which ids are kept that are personal data.
    pub(super) pseudonyms: Pseudonyms,
    /// What brought the read models up to date; absent beside a running server.
    pub(super) projector: Option<Projector>,
}

impl Reader {
    /// Opens the log and read models that show all of it; beside a running server, all that the
    /// server's show.
    pub(super) async fn open(global: &Global) -> Result<Self, CliError> {
        let (location, keys) = find(global).await?;
        let Keys {
            click_ids,
            pseudonyms,
        } = keys;
        let store = open_to_read(&location, Arc::clone(&click_ids)).await?;
        if let Ok(tables) =
            Tables::open_existing_at(&global.options().tables()?, &global.data).await
            && let Ok(checkpoint) = tables.checkpoint().await
            && checkpoint.position >= store.head()
        {
            return Ok(Self {
                store,
                tables,
                click_ids,
                pseudonyms,
                projector: None,
            });
        }
        store.close().await;
        match Self::alone(global).await {
            Err(error) if error.exit == Exit::Unavailable => Self::beside(global).await,
            result => result,
        }
    }

    /// As [`Self::open`], with the book folded if nobody else has the log: it knows what is in no table.
    pub(super) async fn deriving(global: &Global) -> Result<Self, CliError> {
        match Self::alone(global).await {
            Err(error) if error.exit == Exit::Unavailable => Self::open(global).await,
            result => result,
        }
    }

    /// Opens the log as its only writer, or read models that nodes share as the one that projects, and
    /// brings the read models up to date.
    ///
    /// # Errors
    /// As [`CliError`] of a store in use, if another process has it.
    pub(super) async fn alone(global: &Global) -> Result<Self, CliError> {
        let (location, keys) = find(global).await?;
        let Keys {
            click_ids,
            pseudonyms,
        } = keys;
        let store = open_alone(&location, Arc::clone(&click_ids)).await?;
        let tables = Tables::open_at(&global.options().tables()?, &global.data).await?;
        let lease = Lease::of(&tables, None);
        if lease.is_shared()
            && let Err(error) = lease.term(LEASE_MAX).await
        {
            lease.release().await;
            tables.close().await;
            store.close().await;
            return Err(CliError::new(Exit::Unavailable, error));
        }
        let projector = Projector::start_under(
            lease,
            Arc::clone(&store),
            Arc::clone(&click_ids),
            tables.clone(),
        );
        let reader = Self {
            store,
            tables,
            click_ids,
            pseudonyms,
            projector: Some(projector.clone()),
        };
        let progress = output::progress("read models", reader.store.head());
        while !projector.wait_for_head(GLANCE).await {
            if let Some(failure) = projector.failed() {
                progress.finish_and_clear();
                reader.close().await;
                return Err(CliError::new(Exit::Unsound, failure));
            }
            progress.set_position(projector.position());
        }
        progress.finish_and_clear();
        Ok(reader)
    }

    /// Opens log and read models as they are.
    async fn beside(global: &Global) -> Result<Self, CliError> {
        let (location, keys) = find(global).await?;
        let Keys {
            click_ids,
            pseudonyms,
        } = keys;
        let store = open_to_read(&location, Arc::clone(&click_ids)).await?;
        let tables = Tables::open_existing_at(&global.options().tables()?, &global.data).await?;
        let behind = behind(&tables, store.head()).await?;
        if behind > 0 {
            output::note(&format!(
                "note: the running server's read models are {behind} facts behind"
            ));
        }
        Ok(Self {
            store,
            tables,
            click_ids,
            pseudonyms,
            projector: None,
        })
    }

    /// The programme.
    pub(super) async fn directory(&self) -> Result<Directory, CliError> {
        let directory = Directory::load(&*self.store).await;
        directory.map_err(CliError::failed)
    }

    /// Where inquiries look.
    pub(super) fn sources<'s>(&'s self, directory: &'s Directory) -> Sources<'s> {
        Sources {
            store: &*self.store,
            tables: &self.tables,
            click_ids: &self.click_ids,
            directory,
            pseudonyms: &self.pseudonyms,
            now: SystemClock.now(),
        }
    }

    /// Lets go of files and of the lock.
    pub(super) async fn close(self) {
        if let Some(projector) = &self.projector {
            projector.stop().await;
        }
        self.tables.close().await;
        self.store.close().await;
    }
}

/// A log whose only writer this is, and its read models as they are: for building them again.
#[derive(Debug)]
pub(super) struct Unprojected {
    /// The log.
    pub(super) store: Arc<dyn LogStore>,
    /// The read models.
    pub(super) tables: Tables,
    /// Turns positions into click ids and back.
    pub(super) click_ids: Arc<ClickIdKey>,
}

impl Unprojected {
    /// Opens both; nobody else may have them.
    pub(super) async fn open(global: &Global) -> Result<Self, CliError> {
        let (location, keys) = find(global).await?;
        let store = open_alone(&location, Arc::clone(&keys.click_ids)).await?;
        Ok(Self {
            store,
            tables: Tables::open_at(&global.options().tables()?, &global.data).await?,
            click_ids: keys.click_ids,
        })
    }

    /// Lets go of files and of the lock.
    pub(super) async fn close(self) {
        self.tables.close().await;
        self.store.close().await;
    }
}

/// How many facts the read models of a running server are behind, once it had time to catch up.
async fn behind(tables: &Tables, head: u64) -> Result<u64, CliError> {
    let (mut position, mut at_rest) = (0, 0);
    for _ in 0..GLANCES {
        let before = position;
        position = tables.checkpoint().await?.position;
        at_rest = if position == before { at_rest + 1 } else { 0 };
        if position >= head || at_rest == GLANCES_AT_REST {
            break;
        }
        tokio::time::sleep(GLANCE).await;
    }
    Ok(head.saturating_sub(position))
}

/// Opens only the log, for reading.
pub(super) async fn open_log(global: &Global) -> Result<Arc<dyn LogStore>, CliError> {
    let (location, keys) = find(global).await?;
    Ok(open_to_read(&location, keys.click_ids).await?)
}

/// The secrets of a data directory that is there.
pub(super) async fn secrets(global: &Global) -> Result<Secrets, CliError> {
    let place = global.options().secrets_place()?;
    if let Place::Directory(data) = &place
        && !data.join("secrets.sqlite").exists()
    {
        return Err(nothing_there(data.display()));
    }
    Ok(Secrets::open_with(&place, None).await?)
}

/// The keys by which ids in the log are read.
struct Keys {
    click_ids: Arc<ClickIdKey>,
    pseudonyms: Pseudonyms,
}

/// Where the log is, and the keys of its ids. Nothing is made where nothing is.
async fn find(global: &Global) -> Result<(Location, Keys), CliError> {
    let location = global.options().location()?;
    // A node may begin with nothing but the log's address; a log in memory has none.
    let is_there = location != Location::Memory || global.data.is_dir();
    if !is_there || !is_there_at(&location).await? {
        return Err(match (location.server_name(), &location) {
            (Some(server), _) => nothing_there(server),
            (None, Location::Directory(directory)) => nothing_there(directory.display()),
            (None, _) => nothing_there(global.data.display()),
        });
    }
    let secrets = global.options().secrets(None).await?;
    let keys = Keys {
        click_ids: Arc::new(ClickIdKey::new(secrets.click_id_key())),
        pseudonyms: secrets.pseudonyms().clone(),
    };
    Ok((location, keys))
}

fn nothing_there(place: impl Display) -> CliError {
    let message = format!(
        "there is no log in {place}: `postbook apply` or `postbook serve` begins one, --data names another directory",
    );
    CliError::new(Exit::NotFound, message)
}

impl From<TablesError> for CliError {
    fn from(error: TablesError) -> Self {
        match error {
            TablesError::Unsuitable(_) => Self::new(Exit::Usage, error),
            TablesError::Absent(_) => Self::new(Exit::NotFound, error),
            TablesError::UnderWay | TablesError::Overtaken => Self::new(Exit::Unavailable, error),
            TablesError::Server { ref source, .. } if is_away(source) => {
                Self::new(Exit::Unavailable, error)
            }
            error => Self::failed(error),
        }
    }
}

impl From<crate::projector::ProjectorError> for CliError {
    fn from(error: crate::projector::ProjectorError) -> Self {
        use crate::projector::ProjectorError;
        match error {
            ProjectorError::Poison { .. } => Self::new(Exit::Unsound, error),
            ProjectorError::Store(error) => error.into(),
            ProjectorError::Tables(error) => error.into(),
            ProjectorError::Cancelled | ProjectorError::UnderWay | ProjectorError::Elsewhere(_) => {
                Self::new(Exit::Unavailable, error)
            }
            ProjectorError::Stopped(_) => Self::failed(error),
        }
    }
}

impl From<crate::commands::programme::apply::ApplyError> for CliError {
    fn from(error: crate::commands::programme::apply::ApplyError) -> Self {
        use crate::commands::programme::apply::ApplyError;
        match error {
            ApplyError::Problems(_) | ApplyError::Unexplained | ApplyError::Settled(_) => {
                Self::new(Exit::Refused, error)
            }
            ApplyError::Store(error) => error.into(),
            ApplyError::Unreadable { .. } => Self::new(Exit::Unsound, error),
            ApplyError::Command(error) => error.into(),
            ApplyError::Directory(_) | ApplyError::Underivable(_) => Self::failed(error),
        }
    }
}

/// What stores say of a log in another process is what these verbs turn to reading for.
#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::StoreError;

    #[test]
    fn a_log_in_use_is_told_apart_from_one_that_fails() {
        let in_use = CliError::from(StoreError::InUse("in use by process 7".to_owned()));
        assert_eq!(in_use.exit, Exit::Unavailable);
        assert!(in_use.message.contains("--server"), "{}", in_use.message);
        let failed = CliError::from(StoreError::failed("read", "a cosmic ray".to_owned()));
        assert_eq!(failed.exit, Exit::Failed);
    }
}
