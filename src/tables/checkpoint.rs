//! The one row that says how far the tables have come, and what they are.

use super::{
    db::{Conn, Query},
    digest::Digest,
    error::TablesError,
    form::FORMAT,
    row::Reader,
};

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

/// The fact at which whoever writes the tables has stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stopped {
    /// Where it is.
    pub position: u64,
    /// Why it cannot be folded.
    pub why: String,
}

/// The form of the tables, whatever it is.
pub(super) async fn form_of(mut connection: Conn<'_>) -> Result<i64, TablesError> {
    let rows = connection.fetch(Query::new("SELECT format FROM meta WHERE one = 1"));
    let rows = rows.await?;
    let row = rows.first().ok_or_else(|| damaged("there is none"))?;
    Reader::new("meta", row).number("format")
}

/// Writes it for the first time.
pub(super) async fn begin(
    mut connection: Conn<'_>,
    checkpoint: Checkpoint,
) -> Result<(), TablesError> {
    let sql = "INSERT INTO meta (one, format, generation, position, digest) \
               VALUES (1, $1, $2, $3, $4)";
    let insert = Query::new(sql)
        .bind(FORMAT)
        .bind(checkpoint.generation)
        .bind(checkpoint.position.cast_signed())
        .bind(checkpoint.digest.to_bytes().as_slice());
    connection.execute(insert).await.map(drop)
}

/// Moves it on from a position; whatever had stopped the writer has then been overcome.
///
/// # Errors
/// As [`TablesError::Overtaken`] if it is not there.
pub(super) async fn advance(
    mut connection: Conn<'_>,
    from: u64,
    to: u64,
    digest: Digest,
) -> Result<(), TablesError> {
    let sql = "UPDATE meta SET position = $1, digest = $2, stopped_at = NULL, stopped_why = NULL \
               WHERE one = 1 AND position = $3";
    let update = Query::new(sql)
        .bind(to.cast_signed())
        .bind(digest.to_bytes().as_slice())
        .bind(from.cast_signed());
    match connection.execute(update).await? {
        1 => Ok(()),
        _ => Err(TablesError::Overtaken),
    }
}

/// Notes at which fact the writer has stopped.
pub(super) async fn stop(mut connection: Conn<'_>, stopped: &Stopped) -> Result<(), TablesError> {
    let update = Query::new("UPDATE meta SET stopped_at = $1, stopped_why = $2 WHERE one = 1")
        .bind(stopped.position.cast_signed())
        .bind(stopped.why.as_str());
    connection.execute(update).await.map(drop)
}

/// The question at which fact the writer has stopped.
pub(super) fn stopped_query() -> Query {
    Query::new("SELECT stopped_at, stopped_why FROM meta WHERE stopped_at IS NOT NULL")
}

/// What it was answered.
pub(super) fn stopped(rows: &[super::db::Row]) -> Result<Option<Stopped>, TablesError> {
    let row = rows.first().map(|row| Reader::new("meta", row));
    row.map(|row| {
        Ok(Stopped {
            position: row.position("stopped_at")?,
            why: row.text_option("stopped_why")?.unwrap_or_default(),
        })
    })
    .transpose()
}

/// The question how far the tables have come.
pub(super) fn query() -> Query {
    Query::new("SELECT format, generation, position, digest FROM meta WHERE one = 1")
}

/// Reads it, of tables of this program's form.
pub(super) async fn read(mut connection: Conn<'_>) -> Result<Checkpoint, TablesError> {
    answer(&connection.fetch(query()).await?)
}

/// What it was answered.
pub(super) fn answer(rows: &[super::db::Row]) -> Result<Checkpoint, TablesError> {
    let row = rows.first().ok_or_else(|| damaged("there is none"))?;
    let row = Reader::new("meta", row);
    let found = row.number("format")?;
    if found != FORMAT {
        return Err(TablesError::OtherForm {
            found,
            known: FORMAT,
        });
    }
    let digest = <&[u8; 32]>::try_from(row.bytes("digest")?)
        .map_err(|_| damaged("the digest is not 32 bytes long"))?;
    Ok(Checkpoint {
        generation: row.number("generation")?,
        position: row.position("position")?,
        digest: Digest::from_bytes(digest),
    })
}

fn damaged(what: &str) -> TablesError {
    TablesError::Damaged {
        table: "meta",
        row: "1".to_owned(),
        what: what.to_owned(),
    }
}
