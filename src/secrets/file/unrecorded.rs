//! Facts about credentials that are not in the log yet: kept with the change, appended later.

use sqlx::{Sqlite, SqliteConnection, query::Query, sqlite::SqliteArguments};

use super::{SecretsFile, reading, text, writing};
use crate::secrets::{SecretsError, Unrecorded};

/// Adds a fact to a change under way.
pub(super) async fn add(
    change: &mut SqliteConnection,
    fact: Option<&Unrecorded>,
) -> Result<(), SecretsError> {
    let Some(fact) = fact else { return Ok(()) };
    let json = serde_json::to_string(fact)
        .map_err(|_| SecretsError::Damaged("a fact cannot be written as JSON"))?;
    sqlx::query("INSERT INTO unrecorded (id, fact) VALUES (?, ?)")
        .bind(fact.id.to_string())
        .bind(json)
        .execute(change)
        .await
        .map(drop)
        .map_err(writing)
}

impl SecretsFile {
    /// Makes a change of one statement, and adds the fact about it in the same transaction.
    pub(super) async fn change(
        &self,
        statement: Query<'_, Sqlite, SqliteArguments>,
        fact: Option<&Unrecorded>,
    ) -> Result<(), SecretsError> {
        let mut change = self.pool.begin().await.map_err(writing)?;
        statement.execute(&mut *change).await.map_err(writing)?;
        add(&mut change, fact).await?;
        change.commit().await.map_err(writing)
    }

    /// The facts that wait, oldest first: ids are in the order of time.
    pub(in crate::secrets) async fn unrecorded(&self) -> Result<Vec<Unrecorded>, SecretsError> {
        let rows = sqlx::query("SELECT fact FROM unrecorded ORDER BY id")
            .fetch_all(&self.pool)
            .await
            .map_err(reading)?;
        let read = |json: String| {
            serde_json::from_str(&json)
                .map_err(|_| SecretsError::Damaged("a fact that waits cannot be read"))
        };
        rows.iter()
            .map(|row| text(row, "fact").and_then(read))
            .collect()
    }

    /// Forgets a fact that is in the log now.
    pub(in crate::secrets) async fn recorded(&self, fact: &Unrecorded) -> Result<(), SecretsError> {
        sqlx::query("DELETE FROM unrecorded WHERE id = ?")
            .bind(fact.id.to_string())
            .execute(&self.pool)
            .await
            .map(drop)
            .map_err(writing)
    }
}
