//! The read models as tables, which may be thrown away: in a file of their own, or on a server.
//!
//! They come in generations. A rebuild writes the next one beside the one in force and then puts it
//! in its place, in one step: whoever reads sees the old one or the new one, never a mixture. The
//! generation that was in force before stays until it is released.
//!
//! Embedded, `readmodels.sqlite` in the data directory is a link to the generation in force,
//! `readmodels-<n>.sqlite`, so that the journal of one generation can never be taken for that of
//! another (`files`). On a PostgreSQL server each generation is a schema (`server`).

mod accounts;
mod analysis;
pub mod batch;
mod boot;
pub mod canonical;
mod checkpoint;
mod connect;
mod db;
pub mod digest;
pub mod error;
mod files;
mod form;
pub mod generation;
mod insert;
pub mod location;
pub mod query;
mod reading;
mod row;
pub mod scan;
mod server;
mod statements;
mod sums;
mod words;
pub mod write;

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use arc_swap::ArcSwap;
use futures_util::future::BoxFuture;

pub use checkpoint::{Checkpoint, Stopped};
use connect::Building;
pub use db::Readers;
use error::TablesError;
use files::Files;
use form::{FORMAT, Form};
use generation::Generation;
use location::Location;
use write::Writer;

/// The name by which people and tools find the embedded read models.
pub const FILE_NAME: &str = "readmodels.sqlite";

/// A handle to the read models. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Tables {
    place: Place,
    /// The data directory of this node.
    directory: Arc<PathBuf>,
    readers: Arc<ArcSwap<Readers>>,
    form: Arc<Form>,
    /// The term that was claimed; 0 if none was.
    term: Arc<AtomicI64>,
}

/// Where the tables are.
#[derive(Clone, Debug)]
enum Place {
    Files(Arc<Files>),
    Server(Arc<server::Place>),
}

/// A generation that was built beside the live one and is ready to answer.
#[derive(Debug)]
pub struct Complete {
    writer: Writer,
    readers: Readers,
}

impl Complete {
    /// Its writer: what happened meanwhile is added.
    pub fn writer(&mut self) -> &mut Writer {
        &mut self.writer
    }
}

impl Tables {
    /// Opens the embedded tables of a data directory, and makes empty ones where there are none.
    /// Tables of another form, or that cannot be read, stay as they are until the next generation is
    /// built.
    ///
    /// # Errors
    /// The file cannot be made.
    pub async fn open(directory: &Path) -> Result<Self, TablesError> {
        Self::open_at(&Location::Directory(directory.to_owned()), directory).await
    }

    /// Opens the tables in their place, as [`Self::open`] does; the data directory is this node's.
    ///
    /// # Errors
    /// They cannot be made, or their server cannot be reached.
    pub async fn open_at(location: &Location, data: &Path) -> Result<Self, TablesError> {
        let (place, readers, found) = match location {
            Location::Directory(directory) => {
                let files = Files::of(directory);
                let found = files.open().await?;
                let readers = files.readers_later();
                (Place::Files(Arc::new(files)), readers, found)
            }
            Location::Server(server) => {
                let place = Arc::new(server::Place::find(server).await?);
                let (generation, found) = place.open().await?;
                let readers = place.readers(generation);
                (Place::Server(place), readers, Ok(found))
            }
        };
        let tables = Self::of(place, data, readers, Form::of(found.as_ref().copied()));
        if !tables.are_current() {
            tracing::warn!(found = ?found.as_ref().ok(), known = FORMAT, error = ?found.as_ref().err(),
                "the read models are of another form and are built again");
        }
        Ok(tables)
    }

    /// Opens the embedded tables that are there, for reading beside whoever writes them.
    ///
    /// # Errors
    /// There are none, they cannot be read, or they are of another form.
    pub async fn open_existing(directory: &Path) -> Result<Self, TablesError> {
        Self::open_existing_at(&Location::Directory(directory.to_owned()), directory).await
    }

    /// Opens the tables that are there, as [`Self::open_existing`] does.
    ///
    /// # Errors
    /// There are none, they cannot be read, or they are of another form.
    pub async fn open_existing_at(location: &Location, data: &Path) -> Result<Self, TablesError> {
        let (place, readers, found) = match location {
            Location::Directory(directory) => {
                let files = Files::of(directory);
                let readers = files.readers().await?;
                let found = files.form().await?;
                (Place::Files(Arc::new(files)), readers, found)
            }
            Location::Server(server) => {
                let place = server::Place::find(server).await?;
                let (generation, found) = place.in_force().await?;
                let readers = place.readers(generation);
                (Place::Server(Arc::new(place)), readers, found)
            }
        };
        if found != FORMAT {
            return Err(TablesError::OtherForm {
                found,
                known: FORMAT,
            });
        }
        Ok(Self::of(place, data, readers, Form::of(Ok(found))))
    }

    fn of(place: Place, data: &Path, readers: Readers, form: Form) -> Self {
        Self {
            place,
            directory: Arc::new(data.to_owned()),
            readers: Arc::new(ArcSwap::from_pointee(readers)),
            form: Arc::new(form),
            term: Arc::default(),
        }
    }

    /// The data directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Where the tables are, for people: `in DIRECTORY` or `at HOST:PORT/DATABASE`.
    pub fn place(&self) -> String {
        match &self.place {
            Place::Files(files) => format!("in {}", files.directory().display()),
            Place::Server(place) => format!("at {place}"),
        }
    }

    /// The generation that views show to other tools, if it is not the one in force.
    ///
    /// # Errors
    /// The server cannot be read.
    pub async fn shown_to_others(&self) -> Result<Option<i64>, TablesError> {
        match &self.place {
            Place::Files(_) => Ok(None),
            Place::Server(place) => place.shown_otherwise().await,
        }
    }

    /// Whether other nodes may read and write the same tables.
    pub fn are_shared(&self) -> bool {
        matches!(self.place, Place::Server(_))
    }

    /// The server that they are on, if they are on one.
    pub fn server(&self) -> Option<&crate::store::postgres::Server> {
        match &self.place {
            Place::Server(place) => Some(place.on()),
            Place::Files(_) => None,
        }
    }

    /// Whether the tables are of the form that this program writes; if not, they must be built
    /// again.
    pub fn are_current(&self) -> bool {
        self.form.is_current()
    }

    /// Whether this program's questions can be put to the tables.
    pub fn are_readable(&self) -> bool {
        self.form.is_readable()
    }

    /// Puts an end to what others write in earlier terms, and lets this node write in this one. Once
    /// it returns, nothing of an earlier term can be written any more: a checkpoint that is read then
    /// stays until somebody writes in this term. Of embedded tables nobody else is a writer.
    ///
    /// # Errors
    /// As [`TablesError::Overtaken`] if a later term was claimed; or the tables cannot be written.
    pub async fn claim(&self, term: i64) -> Result<(), TablesError> {
        if let Place::Server(place) = &self.place {
            place.claim(term).await?;
        }
        self.term.store(term, Ordering::SeqCst);
        Ok(())
    }

    fn term(&self) -> Option<i64> {
        match self.term.load(Ordering::SeqCst) {
            0 => None,
            term => Some(term),
        }
    }

    /// The writer of the generation in force, in the term that was claimed last.
    ///
    /// # Errors
    /// The tables cannot be opened.
    pub async fn writer(&self) -> Result<Writer, TablesError> {
        match &self.place {
            Place::Files(files) => files.writer().await,
            Place::Server(place) => {
                let generation = place.in_force_number().await?;
                place.writer(generation, Building::Live, self.term()).await
            }
        }
    }

    /// The writer of the next generation, new and empty: what there was of it is gone.
    ///
    /// # Errors
    /// It cannot be made, or another process is building it.
    pub async fn next_generation(&self) -> Result<Writer, TablesError> {
        match &self.place {
            Place::Files(files) => files.create(files.in_force() + 1, Building::Beside).await,
            Place::Server(place) => {
                let next = place.in_force_number().await? + 1;
                place.create(next, self.term()).await
            }
        }
    }

    /// The writer of the next generation as far as it was built, if somebody has begun with it in
    /// the form of this program.
    pub async fn unfinished(&self) -> Option<Writer> {
        let opened = match &self.place {
            Place::Files(files) => files.unfinished(files.in_force() + 1).await?,
            Place::Server(place) => {
                let next = place.in_force_number().await.ok()? + 1;
                if !place.is_there(next).await.ok()? {
                    return None;
                }
                place.writer(next, Building::Beside, self.term()).await
            }
        };
        let no_use = |error: &TablesError| {
            tracing::warn!(%error, "an unfinished generation of the read models is of no use");
        };
        opened.inspect_err(no_use).ok()
    }

    /// Makes a generation that was written beside the live one ready to answer.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn complete(&self, writer: Writer) -> BoxFuture<'_, Result<Complete, TablesError>> {
        Box::pin(self.index_and_open(writer))
    }

    async fn index_and_open(&self, mut writer: Writer) -> Result<Complete, TablesError> {
        let (writer, readers) = match &self.place {
            Place::Files(files) => files.complete(writer).await?,
            Place::Server(place) => {
                writer.restore().await?;
                place.index(writer.connection()).await?;
                let readers = place.readers(writer.generation());
                (writer, readers)
            }
        };
        Ok(Complete { writer, readers })
    }

    /// Puts a generation in force. Queries that are under way end on the old one, which stays until
    /// it is released; the one that was kept before it goes.
    ///
    /// # Errors
    /// It cannot be put in force; the old one then stays.
    pub fn switch_to(&self, complete: Complete) -> BoxFuture<'_, Result<Writer, TablesError>> {
        Box::pin(self.put_in_force(complete))
    }

    async fn put_in_force(&self, complete: Complete) -> Result<Writer, TablesError> {
        let Complete {
            mut writer,
            readers,
        } = complete;
        match &self.place {
            Place::Files(files) => files.put_in_force(writer.generation())?,
            Place::Server(_) => writer.put_in_force().await?,
        }
        // Not closed: whoever has just asked for the old ones may still use them.
        drop(self.readers.swap(Arc::new(readers)));
        self.form.becomes(FORMAT);
        self.release_later();
        Ok(writer)
    }

    fn release_later(&self) {
        match &self.place {
            Place::Files(files) => {
                let files = Arc::clone(files);
                drop(tokio::task::spawn_blocking(move || files.release(true)));
            }
            Place::Server(place) => {
                let place = Arc::clone(place);
                drop(tokio::spawn(async move {
                    if let Err(error) = place.release(true).await {
                        tracing::warn!(%error, "old generations of the read models stay");
                    }
                }));
            }
        }
    }

    /// The generations that there are, oldest first.
    ///
    /// # Errors
    /// The directory or the server cannot be read.
    pub async fn generations(&self) -> Result<Vec<Generation>, TablesError> {
        match &self.place {
            Place::Files(files) => files.generations(),
            Place::Server(place) => place.generations().await,
        }
    }

    /// Removes every generation but the one in force, and says which went. Nobody may be building
    /// one.
    ///
    /// # Errors
    /// The directory or the server cannot be read, or another process is building one.
    pub async fn release(&self) -> Result<Vec<Generation>, TablesError> {
        match &self.place {
            Place::Files(files) => files.release(false),
            Place::Server(place) => place.release(false).await,
        }
    }

    /// Closes all connections.
    pub async fn close(&self) {
        self.readers().close().await;
    }
}
