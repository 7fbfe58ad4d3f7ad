//! The read models as tables in a SQLite file of their own, which may be thrown away.
//!
//! `readmodels.sqlite` in the data directory is a link to the generation in force,
//! `readmodels-<n>.sqlite`. A rebuild writes the next generation beside it and then moves the link,
//! in one step: whoever reads sees the old one or the new one, never a mixture, and the journal of
//! one generation can never be taken for that of another. The generation that was in force before
//! stays until it is released.

pub mod batch;
pub mod canonical;
mod checkpoint;
mod connect;
pub mod digest;
pub mod error;
pub mod generation;
mod insert;
pub mod query;
mod row;
pub mod scan;
mod statements;
mod sums;
mod words;
pub mod write;

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use arc_swap::ArcSwap;
use futures_util::future::BoxFuture;
use sqlx::{SqliteConnection, SqlitePool};

pub use checkpoint::{Checkpoint, Stopped};
use connect::Building;
use digest::Digest;
use error::TablesError;
use generation::Generation;
use write::Writer;

/// The form of the tables and of the digest. Tables of another form are built again.
const FORMAT: i64 = 12;

/// The oldest form whose tables still answer rightly while they are built again.
const READABLE_FROM: i64 = 11;

/// The name by which people and tools find the read models.
pub const FILE_NAME: &str = "readmodels.sqlite";

/// A handle to the read models. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Tables {
    directory: Arc<PathBuf>,
    readers: Arc<ArcSwap<SqlitePool>>,
    form: Arc<Form>,
}

/// What is known of the form of the generation in force.
#[derive(Debug)]
struct Form {
    /// It is the one that this program writes.
    is_current: AtomicBool,
    /// It answers this program's questions.
    is_readable: AtomicBool,
}

impl Form {
    fn of(found: Result<i64, &TablesError>) -> Self {
        let is_current = matches!(found, Ok(FORMAT));
        let is_readable = found.is_ok_and(|form| (READABLE_FROM..=FORMAT).contains(&form));
        Self {
            is_current: AtomicBool::new(is_current),
            is_readable: AtomicBool::new(is_readable),
        }
    }

    fn becomes_current(&self) {
        self.is_current.store(true, Ordering::SeqCst);
        self.is_readable.store(true, Ordering::SeqCst);
    }
}

/// A generation that was built beside the live one and is ready to answer.
#[derive(Debug)]
pub struct Complete {
    writer: Writer,
    readers: SqlitePool,
}

impl Complete {
    /// Its writer: what happened meanwhile is added.
    pub fn writer(&mut self) -> &mut Writer {
        &mut self.writer
    }
}

impl Tables {
    /// Opens the tables of a data directory, and makes empty ones where there are none. Tables of
    /// another form, or that cannot be read, stay as they are until the next generation is built.
    ///
    /// # Errors
    /// The file cannot be made.
    pub async fn open(directory: &Path) -> Result<Self, TablesError> {
        let path = directory.join(FILE_NAME);
        if !path.exists() {
            let number = generation::in_force(directory) + 1;
            let writer = create(directory, number, Building::Live).await?;
            writer.close().await?;
            generation::put_in_force(directory, number)?;
        }
        let found = checkpoint::form_of(&path).await;
        let form = Form::of(found.as_ref().copied());
        if !form.is_current.load(Ordering::SeqCst) {
            tracing::warn!(found = ?found.as_ref().ok(), known = FORMAT, error = ?found.as_ref().err(),
                "the read models are of another form and are built again");
        }
        Ok(Self {
            directory: Arc::new(directory.to_owned()),
            readers: Arc::new(ArcSwap::from_pointee(connect::readers_later(&path))),
            form: Arc::new(form),
        })
    }

    /// Opens the tables that are there, for reading beside whoever writes them.
    ///
    /// # Errors
    /// There are none, they cannot be read, or they are of another form.
    pub async fn open_existing(directory: &Path) -> Result<Self, TablesError> {
        let path = directory.join(FILE_NAME);
        let readers = connect::readers(&path).await?;
        let found = checkpoint::form_of(&path).await?;
        if found != FORMAT {
            return Err(TablesError::OtherForm {
                found,
                known: FORMAT,
            });
        }
        Ok(Self {
            directory: Arc::new(directory.to_owned()),
            readers: Arc::new(ArcSwap::from_pointee(readers)),
            form: Arc::new(Form::of(Ok(found))),
        })
    }

    /// The data directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Connections for queries, to the generation in force.
    pub fn readers(&self) -> Arc<SqlitePool> {
        self.readers.load_full()
    }

    /// Whether the tables are of the form that this program writes; if not, they must be built
    /// again.
    pub fn are_current(&self) -> bool {
        self.form.is_current.load(Ordering::SeqCst)
    }

    /// Whether this program's questions can be put to the tables.
    pub fn are_readable(&self) -> bool {
        self.form.is_readable.load(Ordering::SeqCst)
    }

    /// How far the tables have come.
    ///
    /// # Errors
    /// They cannot be read, or are of another form.
    pub async fn checkpoint(&self) -> Result<Checkpoint, TablesError> {
        let reading = TablesError::sql("read");
        let readers = self.readers();
        let mut connection = readers.acquire().await.map_err(reading)?;
        checkpoint::read(&mut connection).await
    }

    /// Why whoever writes the tables has stopped, if it has.
    ///
    /// # Errors
    /// They cannot be read.
    pub async fn stopped(&self) -> Result<Option<Stopped>, TablesError> {
        let reading = TablesError::sql("read");
        let readers = self.readers();
        let mut connection = readers.acquire().await.map_err(reading)?;
        checkpoint::stopped(&mut connection).await
    }

    /// The writer of the generation in force.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub async fn writer(&self) -> Result<Writer, TablesError> {
        open_writer(&self.directory.join(FILE_NAME), Building::Live).await
    }

    /// The writer of the next generation, new and empty: what there was of it is gone.
    ///
    /// # Errors
    /// The file cannot be made.
    pub async fn next_generation(&self) -> Result<Writer, TablesError> {
        create(&self.directory, self.next(), Building::Beside).await
    }

    /// The writer of the next generation as far as it was built, if somebody has begun with it in
    /// the form of this program.
    pub async fn unfinished(&self) -> Option<Writer> {
        let path = generation::path(&self.directory, self.next());
        if !path.exists() {
            return None;
        }
        let opened = open_writer(&path, Building::Beside).await;
        let no_use = |error: &TablesError| {
            tracing::warn!(%error, "an unfinished generation of the read models is of no use");
        };
        opened.inspect_err(no_use).ok()
    }

    fn next(&self) -> i64 {
        generation::in_force(&self.directory) + 1
    }

    /// Makes a generation that was written beside the live one ready to answer.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn complete(&self, writer: Writer) -> BoxFuture<'_, Result<Complete, TablesError>> {
        Box::pin(self.index_and_open(writer))
    }

    async fn index_and_open(&self, mut writer: Writer) -> Result<Complete, TablesError> {
        let path = generation::path(&self.directory, writer.generation());
        index(writer.connection()).await?;
        writer.close().await?;
        std::fs::File::open(&path)
            .and_then(|file| file.sync_all())
            .map_err(TablesError::file("made durable"))?;
        // In this order: a file goes over to WAL only while nobody else has it open.
        let writer = open_writer(&path, Building::Live).await?;
        let readers = connect::readers(&path).await?;
        Ok(Complete { writer, readers })
    }

    /// Puts a generation in force. Queries that are under way end on the old one, which stays until
    /// it is released; the one that was kept before it goes.
    ///
    /// # Errors
    /// The link cannot be moved; the old one then stays in force.
    pub fn switch_to(&self, complete: Complete) -> Result<Writer, TablesError> {
        let Complete { writer, readers } = complete;
        generation::put_in_force(&self.directory, writer.generation())?;
        // Not closed: whoever has just asked for the old ones may still use them.
        drop(self.readers.swap(Arc::new(readers)));
        self.form.becomes_current();
        let directory = Arc::clone(&self.directory);
        drop(tokio::task::spawn_blocking(move || {
            generation::release(&directory, true)
        }));
        Ok(writer)
    }

    /// The generations that there are, oldest first.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn generations(&self) -> Result<Vec<Generation>, TablesError> {
        generation::list(&self.directory)
    }

    /// Removes every generation but the one in force, and says which went. Nobody may be building
    /// one.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn release(&self) -> Result<Vec<Generation>, TablesError> {
        generation::release(&self.directory, false)
    }

    /// Closes all connections.
    pub async fn close(&self) {
        self.readers().close().await;
    }
}

async fn open_writer(path: &Path, building: Building) -> Result<Writer, TablesError> {
    let mut connection = connect::writing(path, building).await?;
    let checkpoint = checkpoint::read(&mut connection).await?;
    Writer::init(connection, checkpoint).await
}

/// Makes the indexes, all or none: an interrupted rebuild may have made them before.
async fn index(connection: &mut SqliteConnection) -> Result<(), TablesError> {
    let indexing = TablesError::sql("indexed");
    let made = "SELECT count(*) FROM sqlite_master WHERE name = 'conversions_id'";
    let made: i64 = sqlx::query_scalar(made)
        .fetch_one(&mut *connection)
        .await
        .map_err(&indexing)?;
    if made > 0 {
        return Ok(());
    }
    let sql = concat!(
        "BEGIN;",
        include_str!("indexes.sql"),
        "COMMIT; PRAGMA optimize;"
    );
    let done = sqlx::raw_sql(sql).execute(connection).await;
    done.map(|_| ()).map_err(&indexing)
}

async fn create(directory: &Path, number: i64, building: Building) -> Result<Writer, TablesError> {
    let writing = TablesError::sql("written");
    let path = generation::path(directory, number);
    generation::remove(directory, number);
    std::fs::File::create_new(&path).map_err(TablesError::file("created"))?;
    let mut connection = connect::writing(&path, building).await?;
    // In one transaction: a file without its checkpoint is of no use.
    let mut sql = concat!(include_str!("schema.sql"), include_str!("views.sql")).to_owned();
    if building == Building::Live {
        sql.push_str(include_str!("indexes.sql"));
    }
    sqlx::raw_sql(sqlx::AssertSqlSafe(format!("BEGIN; {sql}")))
        .execute(&mut connection)
        .await
        .map_err(&writing)?;
    let checkpoint = Checkpoint {
        generation: number,
        position: 0,
        digest: Digest::default(),
    };
    checkpoint::begin(&mut connection, checkpoint).await?;
    sqlx::query("COMMIT")
        .execute(&mut connection)
        .await
        .map_err(&writing)?;
    Writer::init(connection, checkpoint).await
}
