//! The schemas of generations: how they are made, finished, put in force and removed.

use std::{cmp::Ordering, sync::Arc, time::Duration};

use super::{Checkpoint, Fence, Place, dialect, fence, pointer, quoted, views};
use crate::tables::{
    analysis::Analysis,
    checkpoint,
    connect::Building,
    db::{Conn, Query},
    error::TablesError,
    generation::{Generation, Purpose},
    row::Reader,
    write::Writer,
};

/// How often and how long it is waited for those who still read a generation that is to go.
const REMOVALS: u32 = 20;
const REMOVAL_PAUSE: Duration = Duration::from_millis(100);

/// The statements that make the schema of a generation; without indexes if it is built out of sight.
pub(super) fn make(place: &Place, generation: i64, building: Building) -> String {
    let schema = quoted(&place.schema(generation));
    let indexes = match building {
        Building::Live => include_str!("../indexes.sql"),
        Building::Beside => "",
    };
    format!(
        "CREATE SCHEMA {schema}; SET LOCAL search_path = {schema}; {}; {indexes}",
        dialect::tables()
    )
}

impl Place {
    /// Makes the next generation, new and empty: what there was of it is gone.
    pub(in crate::tables) async fn create(
        self: &Arc<Self>,
        generation: i64,
        term: Option<i64>,
    ) -> Result<Writer, TablesError> {
        let fence = Fence::of(self, generation, Building::Beside, term).await?;
        let mut connection = fence.connect().await?;
        let mut hand = connection.hand();
        hand.run("BEGIN", "made").await?;
        self.drop_schema(hand.lend(), generation).await?;
        let script = make(self, generation, Building::Beside);
        hand.run(script, "made").await?;
        let start = Checkpoint::start(generation);
        checkpoint::begin(hand.lend(), start).await?;
        hand.run("COMMIT", "made").await?;
        Writer::init(connection, start, Some(fence), Analysis::NEVER).await
    }

    /// Whether there is something of a generation.
    pub(in crate::tables) async fn is_there(&self, generation: i64) -> Result<bool, TablesError> {
        let generations = self.generations().await?;
        Ok(generations.iter().any(|one| one.number == generation))
    }

    /// The generations that there are, oldest first.
    pub(in crate::tables) async fn generations(&self) -> Result<Vec<Generation>, TablesError> {
        let mut connection = self.connect().await?;
        let found = self.list(connection.hand()).await;
        connection.close().await?;
        found
    }

    async fn list(&self, mut connection: Conn<'_>) -> Result<Vec<Generation>, TablesError> {
        let pointer = pointer::find(self, connection.lend()).await?;
        let in_force = pointer.map_or(0, |pointer| pointer.generation);
        // Whoever else has a schema of such a name has no table `meta` in it.
        let sql = "SELECT n.nspname::text AS name, CAST(COALESCE(SUM(pg_total_relation_size(c.oid)), 0) \
                   AS BIGINT) AS bytes FROM pg_namespace n \
                   LEFT JOIN pg_class c ON c.relnamespace = n.oid AND c.relkind = 'r' \
                   WHERE starts_with(n.nspname::text, $1) AND EXISTS (SELECT 1 FROM pg_class m \
                   WHERE m.relnamespace = n.oid AND m.relname = 'meta' AND m.relkind = 'r') \
                   GROUP BY n.nspname";
        let prefix = format!("{}_g", self.base);
        let rows = connection
            .fetch(Query::new(sql).bind(prefix.as_str()))
            .await?;
        let mut generations = Vec::new();
        for row in &rows {
            let row = Reader::new("pg_namespace", row);
            let name = row.text("name")?;
            let number = name.strip_prefix(&prefix).map(str::parse::<i64>);
            let Some(Ok(number)) = number else {
                continue;
            };
            generations.push(Generation {
                number,
                purpose: match number.cmp(&in_force) {
                    Ordering::Less => Purpose::Kept,
                    Ordering::Equal => Purpose::InForce,
                    Ordering::Greater => Purpose::Unfinished,
                },
                bytes: row.number("bytes")?.unsigned_abs(),
            });
        }
        generations.sort_unstable_by_key(|generation| generation.number);
        Ok(generations)
    }

    /// Makes the indexes, all or none, and looks at the rows so that queries are planned by what there
    /// is: an interrupted rebuild may have done it before.
    pub(in crate::tables) async fn index(
        &self,
        mut connection: Conn<'_>,
    ) -> Result<(), TablesError> {
        let made = Query::new(
            "SELECT 1 AS made FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
             WHERE n.nspname = current_schema() AND c.relname = 'conversions_id'",
        );
        if !connection.fetch(made).await?.is_empty() {
            return Ok(());
        }
        let tables: Vec<_> = dialect::table_names().collect();
        let script = format!(
            "SET maintenance_work_mem = '128MB'; BEGIN; {} COMMIT; ANALYZE {}",
            include_str!("../indexes.sql"),
            tables.join(", ")
        );
        connection.run(script, "indexed").await
    }

    /// Puts a generation in force, over the connection of its writer. Views follow as soon as nobody
    /// is in the middle of reading them.
    pub(super) async fn put_in_force(
        self: &Arc<Self>,
        mut connection: Conn<'_>,
        fence: &Fence,
    ) -> Result<(), TablesError> {
        let generation = fence.generation();
        // What is confirmed here must be so after a crash of the server too, with all before it.
        connection
            .run("BEGIN; SET LOCAL synchronous_commit = on", "switched")
            .await?;
        let sql = format!(
            "UPDATE {} SET generation = $1 WHERE one = 1 AND generation < $1 AND term = $2",
            self.stable(pointer::TABLE)
        );
        let update = Query::new(sql).bind(generation).bind(fence.term());
        if connection.execute(update).await? != 1 {
            connection.run("ROLLBACK", "switched").await?;
            return Err(TablesError::Overtaken);
        }
        let showing = views::show_within(self, connection.lend(), generation).await;
        connection.run("COMMIT", "switched").await?;
        if let Err(error) = showing {
            tracing::debug!(%error, "the views of the read models are shown later");
            tokio::spawn(views::show_later(Arc::clone(self)));
        }
        Ok(())
    }

    /// Removes all generations but the one in force and, if wanted, the one before it. Says which went.
    /// One that is being built or still read stays, unless somebody waits for the answer.
    pub(in crate::tables) async fn release(
        &self,
        keep_last: bool,
    ) -> Result<Vec<Generation>, TablesError> {
        let mut connection = self.connect().await?;
        if !keep_last {
            fence::hold(connection.hand(), self.oid).await?;
        }
        let mut released = self.list(connection.hand()).await?;
        let pointer = pointer::find(self, connection.hand()).await?;
        let shown = pointer.map(|pointer| pointer.shown);
        let last = released
            .iter()
            .filter(|generation| generation.purpose == Purpose::Kept)
            .map(|generation| generation.number)
            .max()
            .filter(|_| keep_last);
        released.retain(|generation| match generation.purpose {
            Purpose::InForce => false,
            Purpose::Kept => Some(generation.number) != last && Some(generation.number) != shown,
            Purpose::Unfinished => !keep_last,
        });
        let mut gone = Vec::new();
        for generation in released {
            match self.remove(connection.hand(), generation.number).await {
                Ok(()) => gone.push(generation),
                Err(error) if keep_last => {
                    tracing::warn!(%error, number = generation.number,
                        "an old generation of the read models stays");
                }
                Err(error) => return Err(error),
            }
        }
        connection.close().await?;
        Ok(gone)
    }

    async fn remove(&self, mut connection: Conn<'_>, generation: i64) -> Result<(), TablesError> {
        let mut tries = 0;
        loop {
            connection
                .run("BEGIN; SET LOCAL lock_timeout = '100ms'", "removed")
                .await?;
            match self.drop_schema(connection.lend(), generation).await {
                Ok(()) => return connection.run("COMMIT", "removed").await,
                Err(error) => {
                    connection.run("ROLLBACK", "removed").await?;
                    tries += 1;
                    if tries == REMOVALS || !error.is_passing() {
                        return Err(error);
                    }
                }
            }
            tokio::time::sleep(REMOVAL_PAUSE).await;
        }
    }

    /// Drops what this program has made and nothing else: whatever others have built on it stops it.
    async fn drop_schema(
        &self,
        mut connection: Conn<'_>,
        generation: i64,
    ) -> Result<(), TablesError> {
        let schema = quoted(&self.schema(generation));
        let tables: Vec<_> = dialect::table_names()
            .map(|table| format!("{schema}.{}", quoted(table)))
            .collect();
        let there = Query::new("SELECT 1 AS there FROM pg_namespace WHERE nspname = $1")
            .bind(self.schema(generation));
        if connection.fetch(there).await?.is_empty() {
            return Ok(());
        }
        let script = format!(
            "DROP TABLE IF EXISTS {}; DROP SCHEMA {schema}",
            tables.join(", ")
        );
        connection.run(script, "removed").await
    }
}
