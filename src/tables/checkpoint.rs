//! The one row that says how far the tables have come, and what they are.

use std::path::Path;

use sqlx::{Connection, Row, SqliteConnection};

use super::{FORMAT, connect, digest::Digest, error::TablesError};

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

/// The form of the tables in a file, whatever it is.
pub(super) async fn form_of(path: &Path) -> Result<i64, TablesError> {
    let reading = TablesError::sql("read");
    let mut connection = connect::looking(path).await?;
    let row = sqlx::query("SELECT format FROM meta WHERE one = 1")
        .fetch_one(&mut connection)
        .await
        .map_err(&reading)?;
    let form = row.try_get(0).map_err(&reading)?;
    connection.close().await.map_err(&reading)?;
    Ok(form)
}

/// Writes it for the first time.
pub(super) async fn begin(
    connection: &mut SqliteConnection,
    checkpoint: Checkpoint,
) -> Result<(), TablesError> {
    sqlx::query("INSERT INTO meta (one, format, generation, position, digest) VALUES (1,?,?,?,?)")
        .bind(FORMAT)
        .bind(checkpoint.generation)
        .bind(checkpoint.position.cast_signed())
        .bind(checkpoint.digest.to_bytes().to_vec())
        .execute(connection)
        .await
        .map_err(TablesError::sql("written"))?;
    Ok(())
}

/// Moves it on; whatever had stopped the writer has then been overcome.
pub(super) async fn advance(
    connection: &mut SqliteConnection,
    position: u64,
    digest: Digest,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE meta SET position = ?, digest = ?, stopped_at = NULL, stopped_why = NULL \
         WHERE one = 1",
    )
    .bind(position.cast_signed())
    .bind(digest.to_bytes().to_vec())
    .execute(connection)
    .await?;
    Ok(())
}

/// Notes at which fact the writer has stopped.
pub(super) async fn stop(
    connection: &mut SqliteConnection,
    stopped: &Stopped,
) -> Result<(), TablesError> {
    sqlx::query("UPDATE meta SET stopped_at = ?, stopped_why = ? WHERE one = 1")
        .bind(stopped.position.cast_signed())
        .bind(stopped.why.as_str())
        .execute(connection)
        .await
        .map_err(TablesError::sql("written"))?;
    Ok(())
}

/// At which fact the writer has stopped, if it has.
pub(super) async fn stopped(
    connection: &mut SqliteConnection,
) -> Result<Option<Stopped>, TablesError> {
    let reading = TablesError::sql("read");
    let sql = "SELECT stopped_at, stopped_why FROM meta WHERE stopped_at IS NOT NULL";
    let row = sqlx::query(sql).fetch_optional(connection).await;
    let Some(row) = row.map_err(&reading)? else {
        return Ok(None);
    };
    Ok(Some(Stopped {
        position: row.try_get::<i64, _>(0).map_err(&reading)?.cast_unsigned(),
        why: row.try_get(1).map_err(&reading)?,
    }))
}

/// Reads it, of tables of this program's form.
pub(super) async fn read(connection: &mut SqliteConnection) -> Result<Checkpoint, TablesError> {
    let reading = TablesError::sql("read");
    let row = sqlx::query("SELECT format, generation, position, digest FROM meta WHERE one = 1")
        .fetch_one(connection)
        .await
        .map_err(&reading)?;
    let found: i64 = row.try_get(0).map_err(&reading)?;
    if found != FORMAT {
        return Err(TablesError::OtherForm {
            found,
            known: FORMAT,
        });
    }
    let digest: &[u8] = row.try_get(3).map_err(&reading)?;
    let digest = <&[u8; 32]>::try_from(digest).map_err(|_| TablesError::Damaged {
        table: "meta",
        row: "1".to_owned(),
        what: "the digest is not 32 bytes long".to_owned(),
    })?;
    Ok(Checkpoint {
        generation: row.try_get(1).map_err(&reading)?,
        position: row.try_get::<i64, _>(2).map_err(&reading)?.cast_unsigned(),
        digest: Digest::from_bytes(digest),
    })
}
