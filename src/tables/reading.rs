//! How the tables are asked: of the generation in force, wherever it is.

use std::sync::Arc;

use super::{
    Checkpoint, Place, Readers, Stopped, Tables, checkpoint,
    db::{Miss, Query, Row, Snapshot},
    error::TablesError,
};

/// How often a question is put again that met connections which had broken, or a generation that was
/// not in force any more: more often than there are connections.
const TRIES: u32 = 12;

impl Tables {
    /// Connections for queries, to the generation in force as far as it is known here.
    pub fn readers(&self) -> Arc<Readers> {
        self.readers.load_full()
    }

    /// How far the tables have come.
    ///
    /// # Errors
    /// They cannot be read, or are of another form.
    pub async fn checkpoint(&self) -> Result<Checkpoint, TablesError> {
        checkpoint::answer(&self.fetch(checkpoint::query()).await?)
    }

    /// Why whoever writes the tables has stopped, if it has.
    ///
    /// # Errors
    /// They cannot be read.
    pub async fn stopped(&self) -> Result<Option<Stopped>, TablesError> {
        checkpoint::stopped(&self.fetch(checkpoint::stopped_query()).await?)
    }

    /// The rows that a question is answered.
    pub(super) async fn fetch(&self, query: Query) -> Result<Vec<Row>, TablesError> {
        let mut tries = 0;
        loop {
            match self.readers().fetch(query.clone()).await {
                Ok(rows) => return Ok(rows),
                Err(miss) => self.after(miss, &mut tries).await?,
            }
        }
    }

    /// The tables as they are at one moment, for several questions.
    pub(super) async fn snapshot(&self) -> Result<Snapshot, TablesError> {
        let mut tries = 0;
        loop {
            match self.readers().snapshot().await {
                Ok(snapshot) => return Ok(snapshot),
                Err(miss) => self.after(miss, &mut tries).await?,
            }
        }
    }

    /// How the database goes about a question, in its own words.
    pub(super) async fn plan(&self, query: Query) -> Result<String, TablesError> {
        let (words, column) = match self.place {
            Place::Files(_) => ("EXPLAIN QUERY PLAN ", "detail"),
            Place::Server(_) => ("EXPLAIN ", "QUERY PLAN"),
        };
        let rows = self.fetch(query.after(words)).await?;
        let steps = rows.iter().map(|row| {
            let step = row.text(column).map_err(TablesError::sql("read"))?;
            Ok(step.unwrap_or_default().into_owned())
        });
        Ok(steps.collect::<Result<Vec<_>, TablesError>>()?.join("; "))
    }

    /// Makes the next try a better one, or says why there is none.
    async fn after(&self, miss: Miss, tries: &mut u32) -> Result<(), TablesError> {
        *tries += 1;
        match miss {
            Miss::Failed(error) => Err(error),
            Miss::Stale(error) if *tries >= TRIES => Err(error),
            Miss::Stale(_) => Ok(()),
            Miss::Moved(_) if *tries >= TRIES => Err(TablesError::Overtaken),
            Miss::Moved(generation) => self.move_to(generation).await,
        }
    }

    /// Goes over to a generation that somebody else has put in force.
    async fn move_to(&self, generation: i64) -> Result<(), TablesError> {
        let Place::Server(place) = &self.place else {
            return Ok(());
        };
        if self.readers.load().generation != generation {
            let form = place.form_of(generation).await?;
            tracing::info!(
                generation,
                "another generation of the read models is in force"
            );
            self.form.becomes(form);
            self.readers.store(Arc::new(place.readers(generation)));
        }
        Ok(())
    }
}
