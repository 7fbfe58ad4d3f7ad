//! The read models as tables in a SQLite file of their own, which may be thrown away.
//!
//! `readmodels.sqlite` in the data directory is a link to the generation in force,
//! `readmodels-<n>.sqlite`. A rebuild writes the next generation beside it and then moves the link,
//! in one step: whoever reads sees the old one or the new one, never a mixture, and the journal of
//! one generation can never be taken for that of another.

pub mod batch;
pub mod canonical;
pub mod digest;
pub mod error;
mod insert;
pub mod query;
mod row;
pub mod scan;
mod statements;
mod words;
pub mod write;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use arc_swap::ArcSwap;
use futures_util::future::BoxFuture;
use sqlx::{
    Connection, Row, SqliteConnection, SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use digest::Digest;
use error::TablesError;
use write::Writer;

/// The form of the tables, the digest and the derivation. Tables of another form are built again.
const FORMAT: i64 = 8;

/// The name by which people and tools find the read models.
pub const FILE_NAME: &str = "readmodels.sqlite";

/// Connections for reading at the same time.
const READERS: u32 = 4;

/// How far the tables have come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which generation of the tables.
    pub generation: i64,
    /// All facts up to here are in them.
    pub position: u64,
    /// What they add up to.
    pub digest: Digest,
}

/// A handle to the read models. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Tables {
    directory: Arc<PathBuf>,
    readers: Arc<ArcSwap<SqlitePool>>,
}

impl Tables {
    /// Opens the tables of a data directory, and makes empty ones where there are none that can be
    /// used.
    ///
    /// # Errors
    /// The file cannot be made or read.
    pub async fn open(directory: &Path) -> Result<Self, TablesError> {
        let path = directory.join(FILE_NAME);
        if !is_usable(&path).await {
            let generation = generation_of(&path) + 1;
            let writer = create(directory, generation, Building::Live).await?;
            writer.close().await?;
            point_to(directory, generation)?;
        }
        Self::open_existing(directory).await
    }

    /// Opens the tables that are there, for reading beside whoever writes them.
    ///
    /// # Errors
    /// There are none, or they cannot be read.
    pub async fn open_existing(directory: &Path) -> Result<Self, TablesError> {
        let readers = open_readers(&directory.join(FILE_NAME)).await?;
        Ok(Self {
            directory: Arc::new(directory.to_owned()),
            readers: Arc::new(ArcSwap::from_pointee(readers)),
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

    /// How far the tables have come.
    ///
    /// # Errors
    /// They cannot be read.
    pub async fn checkpoint(&self) -> Result<Checkpoint, TablesError> {
        let reading = TablesError::sql("read");
        let readers = self.readers();
        let mut connection = readers.acquire().await.map_err(reading)?;
        read_checkpoint(&mut connection).await
    }

    /// The writer of the generation in force.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub async fn writer(&self) -> Result<Writer, TablesError> {
        let path = self.directory.join(FILE_NAME);
        let mut connection = connect(&path, Building::Live).await?;
        let checkpoint = read_checkpoint(&mut connection).await?;
        Writer::init(connection, checkpoint).await
    }

    /// The writer of the next generation: empty, without indexes, and not safe from a crash before
    /// [`Self::switch_to`].
    ///
    /// # Errors
    /// The file cannot be made.
    pub async fn next_generation(&self) -> Result<Writer, TablesError> {
        let generation = generation_of(&self.directory.join(FILE_NAME)) + 1;
        create(&self.directory, generation, Building::Beside).await
    }

    /// Puts a generation in force that was written beside the live one. Queries that are under way
    /// end on the old one, whose file then goes.
    ///
    /// # Errors
    /// The new generation cannot be completed; the old one then stays in force.
    pub fn switch_to(&self, writer: Writer) -> BoxFuture<'_, Result<Writer, TablesError>> {
        Box::pin(self.complete_and_switch(writer))
    }

    async fn complete_and_switch(&self, mut writer: Writer) -> Result<Writer, TablesError> {
        let generation = writer.generation();
        let old = generation_of(&self.directory.join(FILE_NAME));
        sqlx::raw_sql(concat!(include_str!("indexes.sql"), "PRAGMA optimize;"))
            .execute(writer.connection())
            .await
            .map_err(TablesError::sql("indexed"))?;
        writer.close().await?;
        let path = generation_path(&self.directory, generation);
        std::fs::File::open(&path)
            .and_then(|file| file.sync_all())
            .map_err(TablesError::file("made durable"))?;
        // In this order: a file goes over to WAL only while nobody else has it open.
        let mut connection = connect(&path, Building::Live).await?;
        let checkpoint = read_checkpoint(&mut connection).await?;
        let writer = Writer::init(connection, checkpoint).await?;
        let readers = open_readers(&path).await?;
        point_to(&self.directory, generation)?;
        let old_readers = self.readers.swap(Arc::new(readers));
        old_readers.close().await;
        if old != generation {
            remove(&self.directory, old);
        }
        Ok(writer)
    }

    /// Closes all connections.
    pub async fn close(&self) {
        self.readers().close().await;
    }
}

/// How a generation is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Building {
    /// While others read it.
    Live,
    /// Out of everybody's sight: no journal, no indexes yet.
    Beside,
}

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .busy_timeout(std::time::Duration::from_secs(10))
        .pragma("cache_size", "-32768")
        .pragma("temp_store", "memory")
}

async fn connect(path: &Path, building: Building) -> Result<SqliteConnection, TablesError> {
    let options = match building {
        // Not FULL: what a crash of the machine takes with it is derived again.
        Building::Live => options(path)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Normal),
        Building::Beside => options(path)
            .journal_mode(SqliteJournalMode::Off)
            .synchronous(SqliteSynchronous::Off)
            .pragma("threads", "2")
            .locking_mode(sqlx::sqlite::SqliteLockingMode::Exclusive),
    };
    SqliteConnection::connect_with(&options)
        .await
        .map_err(TablesError::sql("opened"))
}

async fn open_readers(path: &Path) -> Result<SqlitePool, TablesError> {
    let options = options(path).pragma("query_only", "1");
    SqlitePoolOptions::new()
        .max_connections(READERS)
        .connect_with(options)
        .await
        .map_err(TablesError::sql("opened"))
}

async fn create(
    directory: &Path,
    generation: i64,
    building: Building,
) -> Result<Writer, TablesError> {
    let writing = TablesError::sql("written");
    let path = generation_path(directory, generation);
    remove(directory, generation);
    std::fs::File::create_new(&path).map_err(TablesError::file("created"))?;
    let mut connection = connect(&path, building).await?;
    let schema = concat!(include_str!("schema.sql"), include_str!("views.sql"));
    sqlx::raw_sql(schema)
        .execute(&mut connection)
        .await
        .map_err(&writing)?;
    if building == Building::Live {
        sqlx::raw_sql(include_str!("indexes.sql"))
            .execute(&mut connection)
            .await
            .map_err(&writing)?;
    }
    let checkpoint = Checkpoint {
        generation,
        position: 0,
        digest: Digest::default(),
    };
    sqlx::query("INSERT INTO meta (one, format, generation, position, digest) VALUES (1,?,?,0,?)")
        .bind(FORMAT)
        .bind(generation)
        .bind(checkpoint.digest.to_bytes().to_vec())
        .execute(&mut connection)
        .await
        .map_err(&writing)?;
    Writer::init(connection, checkpoint).await
}

/// Whether there are tables of the form that this program writes.
async fn is_usable(path: &Path) -> bool {
    if !path.exists() {
        return false;
    }
    let Ok(mut connection) = SqliteConnection::connect_with(&options(path)).await else {
        return false;
    };
    let checkpoint = read_checkpoint(&mut connection).await;
    if let Err(error) = &checkpoint {
        tracing::warn!(%error, "the read models cannot be used and are built again");
    }
    checkpoint.is_ok()
}

async fn read_checkpoint(connection: &mut SqliteConnection) -> Result<Checkpoint, TablesError> {
    let reading = TablesError::sql("read");
    let row = sqlx::query("SELECT format, generation, position, digest FROM meta WHERE one = 1")
        .fetch_one(connection)
        .await
        .map_err(&reading)?;
    let damaged = |what: String| TablesError::Damaged {
        table: "meta",
        row: "1".to_owned(),
        what,
    };
    let format: i64 = row.try_get(0).map_err(&reading)?;
    if format != FORMAT {
        return Err(damaged(format!("form {format}, not {FORMAT}")));
    }
    let digest: &[u8] = row.try_get(3).map_err(&reading)?;
    let digest = <&[u8; 32]>::try_from(digest)
        .map_err(|_| damaged("the digest is not 32 bytes long".to_owned()))?;
    Ok(Checkpoint {
        generation: row.try_get(1).map_err(&reading)?,
        position: row.try_get::<i64, _>(2).map_err(&reading)?.cast_unsigned(),
        digest: Digest::from_bytes(digest),
    })
}

fn generation_path(directory: &Path, generation: i64) -> PathBuf {
    directory.join(format!("readmodels-{generation}.sqlite"))
}

/// The generation that the link names; 0 if there is none.
fn generation_of(link: &Path) -> i64 {
    let target = std::fs::read_link(link).unwrap_or_default();
    let name = target.file_stem().and_then(|name| name.to_str());
    name.and_then(|name| name.strip_prefix("readmodels-"))
        .and_then(|number| number.parse().ok())
        .unwrap_or(0)
}

/// Moves the link, in one step.
fn point_to(directory: &Path, generation: i64) -> Result<(), TablesError> {
    let switching = TablesError::file("switched");
    let next = directory.join("readmodels.next");
    if next.is_symlink() {
        std::fs::remove_file(&next).map_err(&switching)?;
    }
    let target = generation_path(Path::new(""), generation);
    std::os::unix::fs::symlink(target, &next).map_err(&switching)?;
    std::fs::rename(&next, directory.join(FILE_NAME)).map_err(&switching)
}

/// Removes a generation's files, those that are there. A file that stays is only wasted room.
fn remove(directory: &Path, generation: i64) {
    let path = generation_path(directory, generation);
    for suffix in ["", "-wal", "-shm", "-journal"] {
        let mut name = path.clone().into_os_string();
        name.push(suffix);
        if let Err(error) = std::fs::remove_file(&name)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(%error, file = ?name, "an old generation of the read models stays");
        }
    }
}
