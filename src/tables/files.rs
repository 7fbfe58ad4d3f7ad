//! Embedded read models: a file for each generation, and a link to the one in force.

use std::path::{Path, PathBuf};

use sqlx::Connection as _;

use super::{
    Checkpoint, FILE_NAME, boot, checkpoint,
    connect::{self, Building},
    db::{Conn, Connection, Pool, Query, Readers},
    error::TablesError,
    generation::{self, Generation},
    row::Reader,
    write::Writer,
};

/// Where embedded read models are.
#[derive(Clone, Debug)]
pub(super) struct Files {
    directory: PathBuf,
}

impl Files {
    pub(super) fn of(directory: &Path) -> Self {
        Self {
            directory: directory.to_owned(),
        }
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    fn link(&self) -> PathBuf {
        self.directory.join(FILE_NAME)
    }

    fn path(&self, generation: i64) -> PathBuf {
        generation::path(&self.directory, generation)
    }

    pub(super) fn in_force(&self) -> i64 {
        generation::in_force(&self.directory)
    }

    /// Makes empty tables where there are none. The form of those that are there, if it can be read.
    pub(super) async fn open(&self) -> Result<Result<i64, TablesError>, TablesError> {
        if !self.link().exists() {
            std::fs::create_dir_all(&self.directory).map_err(TablesError::file("created"))?;
            let number = self.in_force() + 1;
            let writer = self.create(number, Building::Live).await?;
            writer.close().await?;
            generation::put_in_force(&self.directory, number)?;
        }
        Ok(self.form().await)
    }

    /// The form of the tables in force.
    pub(super) async fn form(&self) -> Result<i64, TablesError> {
        let mut connection = connect::looking(&self.link()).await?;
        let form = checkpoint::form_of(Conn::File(&mut connection)).await?;
        connection.close().await.map_err(TablesError::sql("read"))?;
        Ok(form)
    }

    /// Connections for queries to the generation in force, opened when they are first needed.
    pub(super) fn readers_later(&self) -> Readers {
        self.readers_of(connect::readers_later(&self.link()))
    }

    /// As [`Self::readers_later`], of a file that must be readable.
    pub(super) async fn readers(&self) -> Result<Readers, TablesError> {
        Ok(self.readers_of(connect::readers(&self.link()).await?))
    }

    fn readers_of(&self, pool: sqlx::SqlitePool) -> Readers {
        Readers {
            pool: Pool::File(pool),
            generation: self.in_force(),
        }
    }

    /// The writer of the generation in force.
    pub(super) async fn writer(&self) -> Result<Writer, TablesError> {
        open_writer(&self.link(), Building::Live).await
    }

    /// The writer of a generation as far as it was built.
    pub(super) async fn unfinished(&self, generation: i64) -> Option<Result<Writer, TablesError>> {
        let path = self.path(generation);
        if !path.exists() {
            return None;
        }
        Some(open_writer(&path, Building::Beside).await)
    }

    /// Makes a generation, new and empty.
    pub(super) async fn create(
        &self,
        number: i64,
        building: Building,
    ) -> Result<Writer, TablesError> {
        let path = self.path(number);
        generation::remove(&self.directory, number);
        std::fs::File::create_new(&path).map_err(TablesError::file("created"))?;
        let mut connection = Connection::File(connect::writing(&path, building).await?);
        // In one transaction: a file without its checkpoint is of no use.
        let mut sql = concat!(
            "BEGIN;",
            include_str!("schema.sql"),
            include_str!("views.sql")
        )
        .to_owned();
        match (building, boot::number()) {
            (Building::Live, _) => sql.push_str(include_str!("indexes.sql")),
            (Building::Beside, Some(start)) => {
                sql += "PRAGMA user_version = ";
                sql += &start.to_string();
                sql += ";";
            }
            (Building::Beside, None) => {}
        }
        connection.hand().run(sql, "written").await?;
        let start = Checkpoint::start(number);
        checkpoint::begin(connection.hand(), start).await?;
        connection.hand().run("COMMIT", "written").await?;
        Writer::init(connection, start, None, building.analysis()).await
    }

    /// Makes a generation that was written out of sight ready to answer.
    pub(super) async fn complete(
        &self,
        mut writer: Writer,
    ) -> Result<(Writer, Readers), TablesError> {
        let generation = writer.generation();
        let path = self.path(generation);
        index(writer.connection()).await?;
        writer.close().await?;
        std::fs::File::open(&path)
            .and_then(|file| file.sync_all())
            .map_err(TablesError::file("made durable"))?;
        // In this order: a file goes over to WAL only while nobody else has it open.
        let writer = open_writer(&path, Building::Live).await?;
        let pool = Pool::File(connect::readers(&path).await?);
        Ok((writer, Readers { pool, generation }))
    }

    pub(super) fn put_in_force(&self, generation: i64) -> Result<(), TablesError> {
        generation::put_in_force(&self.directory, generation)
    }

    pub(super) fn generations(&self) -> Result<Vec<Generation>, TablesError> {
        generation::list(&self.directory)
    }

    pub(super) fn release(&self, keep_last: bool) -> Result<Vec<Generation>, TablesError> {
        generation::release(&self.directory, keep_last)
    }
}

async fn open_writer(path: &Path, building: Building) -> Result<Writer, TablesError> {
    let mut connection = Connection::File(connect::writing(path, building).await?);
    let checkpoint = checkpoint::read(connection.hand()).await?;
    if building == Building::Beside {
        require_this_start(connection.hand()).await?;
    }
    Writer::init(connection, checkpoint, None, building.analysis()).await
}

/// What was not flushed must have been written since the machine was started.
async fn require_this_start(mut connection: Conn<'_>) -> Result<(), TablesError> {
    let rows = connection.fetch(Query::new("PRAGMA user_version")).await?;
    let written = rows
        .first()
        .map(|row| Reader::new("meta", row).number("user_version"));
    if written.transpose()? == Some(boot::number().map_or(0, i64::from)) {
        return Ok(());
    }
    Err(TablesError::Damaged {
        table: "meta",
        row: "1".to_owned(),
        what: "the machine has been started again since it was written".to_owned(),
    })
}

/// Makes the indexes, all or none: an interrupted rebuild may have made them before.
async fn index(mut connection: Conn<'_>) -> Result<(), TablesError> {
    let made = Query::new("SELECT 1 AS made FROM sqlite_master WHERE name = 'conversions_id'");
    if !connection.fetch(made).await?.is_empty() {
        return Ok(());
    }
    // What is sorted at a time is as large as the cache: it should fit a processor's own.
    let sql = concat!(
        "PRAGMA cache_size = -1024;",
        "BEGIN;",
        include_str!("indexes.sql"),
        "COMMIT; PRAGMA optimize;"
    );
    connection.run(sql, "indexed").await
}
