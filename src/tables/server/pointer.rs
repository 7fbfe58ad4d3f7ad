//! The row that says which generation is in force, and in whose term it may be written.

use super::Place;
use crate::tables::{
    db::{Conn, Query},
    error::TablesError,
    row::Reader,
};

/// The table with this one row.
pub(super) const TABLE: &str = "read_models";

/// The upper half tells these locks from those of the log and of other programs.
const LOCKS: i64 = 0x706f_7375 << 32;
const BUILDING_LOCKS: i64 = 0x706f_7376 << 32;

/// What the row says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pointer {
    /// The generation in force.
    pub(super) generation: i64,
    /// The one that the views show: the same, unless somebody is still reading them.
    pub(super) shown: i64,
    /// Whoever writes in an earlier term does not any more.
    pub(super) term: i64,
}

/// The lock under which what stays is made.
pub(super) fn lock_key(oid: i64) -> i64 {
    LOCKS | oid
}

/// The lock that whoever builds the next generation holds.
pub(super) fn building_key(oid: i64) -> i64 {
    BUILDING_LOCKS | oid
}

/// Reads the row, if there is one.
pub(super) async fn find(
    place: &Place,
    mut connection: Conn<'_>,
) -> Result<Option<Pointer>, TablesError> {
    let there = "SELECT 1 AS there FROM pg_tables WHERE schemaname = $1 AND tablename = $2";
    let there = Query::new(there).bind(place.base.as_str()).bind(TABLE);
    if connection.fetch(there).await?.is_empty() {
        return Ok(None);
    }
    let sql = format!(
        "SELECT generation, shown, term FROM {} WHERE one = 1",
        place.stable(TABLE)
    );
    let rows = connection.fetch(Query::new(sql)).await?;
    let row = rows.first().map(|row| Reader::new(TABLE, row));
    row.map(|row| {
        Ok(Pointer {
            generation: row.number("generation")?,
            shown: row.number("shown")?,
            term: row.number("term")?,
        })
    })
    .transpose()
}

/// The statements that make table and row.
pub(super) fn make(place: &Place, generation: i64) -> String {
    let table = place.stable(TABLE);
    format!(
        "CREATE TABLE {table} (one BIGINT PRIMARY KEY CHECK (one = 1), generation BIGINT NOT NULL, \
         shown BIGINT NOT NULL, term BIGINT NOT NULL DEFAULT 0); \
         INSERT INTO {table} (one, generation, shown) VALUES (1, {generation}, {generation})"
    )
}

impl Place {
    /// Puts an end to what is written in earlier terms: once this returns, none of it can be committed
    /// any more. What is under way is waited for.
    pub(in crate::tables) async fn claim(&self, term: i64) -> Result<(), TablesError> {
        let mut connection = self.connect().await?;
        let sql = format!(
            "UPDATE {} SET term = $1 WHERE one = 1 AND term <= $1",
            self.stable(TABLE)
        );
        let claimed = connection
            .hand()
            .execute(Query::new(sql).bind(term))
            .await?;
        connection.close().await?;
        match claimed {
            1 => Ok(()),
            _ => Err(TablesError::Overtaken),
        }
    }
}
