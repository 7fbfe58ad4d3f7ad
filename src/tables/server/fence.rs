//! What makes sure that nobody writes read models on a server who may not, or not any more.

use std::sync::Arc;

use super::{Place, pointer};
use crate::tables::{
    connect::Building,
    db::{Conn, Connection, Query},
    error::TablesError,
};

/// What a writer goes by.
#[derive(Clone, Debug)]
pub(in crate::tables) struct Fence {
    place: Arc<Place>,
    generation: i64,
    building: Building,
    /// Its own, or the one in force when it began.
    term: i64,
}

impl Fence {
    pub(super) async fn of(
        place: &Arc<Place>,
        generation: i64,
        building: Building,
        term: Option<i64>,
    ) -> Result<Self, TablesError> {
        let term = if let Some(term) = term {
            term
        } else {
            let mut connection = place.connect().await?;
            let pointer = pointer::find(place, connection.hand()).await?;
            connection.close().await?;
            pointer.map_or(0, |pointer| pointer.term)
        };
        Ok(Self {
            place: Arc::clone(place),
            generation,
            building,
            term,
        })
    }

    pub(super) fn generation(&self) -> i64 {
        self.generation
    }

    pub(super) fn term(&self) -> i64 {
        self.term
    }

    /// A connection that writes the generation. Out of sight it is written by one at a time.
    pub(in crate::tables) async fn connect(&self) -> Result<Connection, TablesError> {
        let mut connection = self.place.connect_to(self.generation).await?;
        if self.building == Building::Beside {
            hold(connection.hand(), self.place.oid).await?;
        }
        Ok(connection)
    }

    /// Puts the generation in force; whoever builds the next one may begin then.
    pub(in crate::tables) async fn put_in_force(
        &mut self,
        mut connection: Conn<'_>,
    ) -> Result<(), TablesError> {
        self.place.put_in_force(connection.lend(), self).await?;
        self.building = Building::Live;
        let unlock = Query::new("SELECT pg_advisory_unlock($1)");
        let unlock = unlock.bind(pointer::building_key(self.place.oid));
        connection.fetch(unlock).await.map(drop)
    }

    /// Begins a transaction in which the tables stand at this position, nobody can write in a later
    /// term, and no later generation can be put in force.
    pub(in crate::tables) async fn begin(
        &self,
        mut connection: Conn<'_>,
        position: u64,
    ) -> Result<(), TablesError> {
        connection.step("BEGIN").await?;
        let sql = format!(
            "SELECT m.position AS position FROM {} r, meta m \
             WHERE r.one = 1 AND r.generation <= $1 AND r.term = $2 AND m.one = 1 \
             AND m.position = $3 FOR SHARE OF r FOR UPDATE OF m",
            self.place.stable(pointer::TABLE)
        );
        let query = Query::new(sql)
            .bind(self.generation)
            .bind(self.term)
            .bind(position.cast_signed());
        if connection.fetch(query).await?.is_empty() {
            return Err(TablesError::Overtaken);
        }
        Ok(())
    }
}

/// Takes the lock of whoever builds the next generation, for as long as the connection lasts.
pub(super) async fn hold(mut connection: Conn<'_>, oid: i64) -> Result<(), TablesError> {
    let sql = "SELECT CASE WHEN pg_try_advisory_lock($1) THEN 1 ELSE 0 END AS held";
    let rows = connection
        .fetch(Query::new(sql).bind(pointer::building_key(oid)))
        .await?;
    let held = rows
        .first()
        .and_then(|row| row.number("held").ok().flatten());
    match held {
        Some(1) => Ok(()),
        _ => Err(TablesError::UnderWay),
    }
}
