//! Writes batches to the tables, each in one transaction with its checkpoint.

use std::collections::HashMap;

use futures_util::future::BoxFuture;
use postbook_projections::rows::{Account, ConversionRow};
use postbook_schemas::FactId;
use sqlx::{AssertSqlSafe, Connection, Row, SqliteConnection};

use super::{
    Checkpoint, Stopped,
    batch::Batch,
    checkpoint,
    digest::Digest,
    error::TablesError,
    statements::Statements,
    sums::{Added, SumStatements},
    words,
};

/// Writes one generation of the tables. There is one writer at a time.
#[derive(Debug)]
pub struct Writer {
    connection: SqliteConnection,
    /// Rows with a position up to its own may be in the tables already.
    checkpoint: Checkpoint,
    accounts: HashMap<Account, i64>,
    statements: Statements,
    sums: SumStatements,
}

impl Writer {
    pub(super) async fn init(
        mut connection: SqliteConnection,
        checkpoint: Checkpoint,
    ) -> Result<Self, TablesError> {
        let reading = TablesError::sql("read");
        let rows = sqlx::query("SELECT id, kind, partner, offer FROM accounts")
            .fetch_all(&mut connection)
            .await
            .map_err(&reading)?;
        let mut accounts = HashMap::new();
        for row in rows {
            let id: i64 = row.try_get(0).map_err(&reading)?;
            let kind: &str = row.try_get(1).map_err(&reading)?;
            let (partner, offer) = (
                row.try_get(2).map_err(&reading)?,
                row.try_get(3).map_err(&reading)?,
            );
            let account =
                words::parse_account(kind, partner, offer).ok_or_else(|| TablesError::Damaged {
                    table: "accounts",
                    row: id.to_string(),
                    what: format!("unknown account `{kind}`"),
                })?;
            accounts.insert(account, id);
        }
        Ok(Self {
            connection,
            checkpoint,
            accounts,
            statements: Statements::default(),
            sums: SumStatements::default(),
        })
    }

    /// Which generation it writes.
    pub fn generation(&self) -> i64 {
        self.checkpoint.generation
    }

    /// The position of the last batch that was written.
    pub fn position(&self) -> u64 {
        self.checkpoint.position
    }

    /// How far the tables have come.
    pub fn checkpoint(&self) -> Checkpoint {
        self.checkpoint
    }

    /// Notes at which fact whoever hands in batches has stopped, for those who read the tables.
    ///
    /// # Errors
    /// The tables cannot be written.
    pub async fn note_stop(&mut self, stopped: &Stopped) -> Result<(), TablesError> {
        checkpoint::stop(&mut self.connection, stopped).await
    }

    /// The connection, for work between batches.
    pub(super) fn connection(&mut self) -> &mut SqliteConnection {
        &mut self.connection
    }

    /// Closes the connection.
    ///
    /// # Errors
    /// It cannot be closed in order.
    pub async fn close(self) -> Result<(), TablesError> {
        let closing = TablesError::sql("closed");
        self.connection.close().await.map_err(closing)
    }

    /// Writes a batch and moves the checkpoint to its position, in one transaction.
    pub fn write<'w>(
        &'w mut self,
        batch: &'w Batch,
        digest: Digest,
    ) -> BoxFuture<'w, Result<(), TablesError>> {
        Box::pin(self.write_in_transaction(batch, digest))
    }

    async fn write_in_transaction(
        &mut self,
        batch: &Batch,
        digest: Digest,
    ) -> Result<(), TablesError> {
        let writing = TablesError::sql("written");
        sqlx::query("BEGIN IMMEDIATE")
            .execute(&mut self.connection)
            .await
            .map_err(&writing)?;
        let mut new_accounts = Vec::new();
        match self.write_all(batch, digest, &mut new_accounts).await {
            Ok(()) => {
                sqlx::query("COMMIT")
                    .execute(&mut self.connection)
                    .await
                    .map_err(&writing)?;
                self.checkpoint.position = batch.position;
                self.checkpoint.digest = digest;
                Ok(())
            }
            Err(source) => {
                // Numbers that were given out just now go with their rows.
                for account in new_accounts {
                    self.accounts.remove(&account);
                }
                drop(sqlx::query("ROLLBACK").execute(&mut self.connection).await);
                Err(writing(source))
            }
        }
    }

    async fn write_all(
        &mut self,
        batch: &Batch,
        digest: Digest,
        new_accounts: &mut Vec<Account>,
    ) -> Result<(), sqlx::Error> {
        self.write_accounts(batch, new_accounts).await?;
        self.write_conversions(batch).await?;
        self.replace_payouts(batch).await?;
        self.replace_parked(batch).await?;
        self.replace_carryovers(batch).await?;
        self.write_ledger(batch).await?;
        let connection = &mut self.connection;
        let statements = &self.statements;
        statements
            .attempts(batch.attempts())
            .run(connection)
            .await?;
        statements
            .carried_lines(batch.carried_lines())
            .run(connection)
            .await?;
        statements
            .adjustments(batch.adjustments())
            .run(connection)
            .await?;
        statements.touches(batch.touches()).run(connection).await?;
        statements.periods(batch.periods()).run(connection).await?;
        let issued = statements.statements(batch.statements());
        issued.run(connection).await?;
        checkpoint::advance(connection, batch.position, digest).await
    }

    /// Gives numbers to accounts that were not used before.
    async fn write_accounts(
        &mut self,
        batch: &Batch,
        new_accounts: &mut Vec<Account>,
    ) -> Result<(), sqlx::Error> {
        for entry in batch.postings().iter().flat_map(|posting| &posting.entries) {
            if self.accounts.contains_key(&entry.account) {
                continue;
            }
            let id = i64::try_from(self.accounts.len()).unwrap_or(i64::MAX) + 1;
            sqlx::query("INSERT INTO accounts (id, name, kind, partner, offer) VALUES (?,?,?,?,?)")
                .bind(id)
                .bind(entry.account.to_string())
                .bind(words::account_kind(&entry.account))
                .bind(words::account_partner(&entry.account))
                .bind(words::account_offer(&entry.account))
                .execute(&mut self.connection)
                .await?;
            self.accounts.insert(entry.account.clone(), id);
            new_accounts.push(entry.account.clone());
        }
        Ok(())
    }

    async fn write_conversions(&mut self, batch: &Batch) -> Result<(), sqlx::Error> {
        let rows: Vec<&ConversionRow> = batch.conversions().filter_map(|(_, row)| row).collect();
        let replaced: Vec<u64> = rows
            .iter()
            .map(|row| row.position)
            .filter(|&position| position <= self.checkpoint.position)
            .collect();
        self.delete("earnings", "conversion_position", &replaced)
            .await?;
        self.delete("conversions", "position", &replaced).await?;
        for (id, row) in batch.conversions() {
            if row.is_none() {
                self.remove_conversion(id).await?;
            }
        }
        self.statements
            .conversions(&rows)
            .run(&mut self.connection)
            .await?;
        self.statements
            .earnings(&rows)
            .run(&mut self.connection)
            .await
    }

    async fn remove_conversion(&mut self, id: FactId) -> Result<(), sqlx::Error> {
        for sql in [
            "DELETE FROM earnings WHERE conversion_position IN \
             (SELECT position FROM conversions WHERE id = ?)",
            "DELETE FROM conversions WHERE id = ?",
        ] {
            sqlx::query(sql)
                .bind(id.as_bytes().to_vec())
                .execute(&mut self.connection)
                .await?;
        }
        Ok(())
    }

    async fn replace_payouts(&mut self, batch: &Batch) -> Result<(), sqlx::Error> {
        let rows: Vec<_> = batch.payouts().collect();
        let positions: Vec<u64> = rows.iter().map(|row| row.position).collect();
        self.delete("payouts", "position", &positions).await?;
        self.statements
            .payouts(&rows)
            .run(&mut self.connection)
            .await
    }

    async fn replace_parked(&mut self, batch: &Batch) -> Result<(), sqlx::Error> {
        let rows: Vec<_> = batch.parked().collect();
        let positions: Vec<u64> = rows.iter().map(|row| row.position).collect();
        self.delete("parked", "position", &positions).await?;
        self.statements
            .parked(&rows)
            .run(&mut self.connection)
            .await
    }

    async fn replace_carryovers(&mut self, batch: &Batch) -> Result<(), sqlx::Error> {
        let rows: Vec<_> = batch.carryovers().collect();
        for row in &rows {
            sqlx::query("DELETE FROM carryovers WHERE id = ?")
                .bind(row.id.as_bytes().to_vec())
                .execute(&mut self.connection)
                .await?;
        }
        self.statements
            .carryovers(&rows)
            .run(&mut self.connection)
            .await
    }

    async fn write_ledger(&mut self, batch: &Batch) -> Result<(), sqlx::Error> {
        let postings = batch.postings();
        let added = Added::by(postings);
        self.sums.totals(&added).run(&mut self.connection).await?;
        self.sums.hours(&added).run(&mut self.connection).await?;
        self.statements
            .postings(postings)
            .run(&mut self.connection)
            .await?;
        self.statements
            .entries(postings, &self.accounts)
            .run(&mut self.connection)
            .await
    }

    /// Deletes rows by a key that is a position. Positions are numbers, so they are written into
    /// the statement, a thousand at a time.
    async fn delete(
        &mut self,
        table: &'static str,
        key: &'static str,
        positions: &[u64],
    ) -> Result<(), sqlx::Error> {
        let statement = |chunk: &[u64]| {
            let list: Vec<String> = chunk.iter().map(u64::to_string).collect();
            format!("DELETE FROM {table} WHERE {key} IN ({})", list.join(","))
        };
        let statements: Vec<String> = positions.chunks(1000).map(statement).collect();
        for sql in statements {
            sqlx::query(AssertSqlSafe(sql))
                .persistent(false)
                .execute(&mut self.connection)
                .await?;
        }
        Ok(())
    }
}
