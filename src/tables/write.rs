//! Writes batches to the tables, each in one transaction with its checkpoint.

use std::collections::HashMap;

use futures_util::future::BoxFuture;
use postbook_projections::rows::{Account, ConversionRow};
use postbook_schemas::FactId;

use super::{
    Checkpoint, Stopped, accounts,
    analysis::Analysis,
    batch::Batch,
    checkpoint,
    db::{Conn, Connection, Query},
    digest::Digest,
    error::TablesError,
    insert::Kind,
    server::Fence,
    statements::Statements,
    sums::{Added, SumStatements},
};

/// How often a batch is handed to a server before it is believed that somebody else has written.
const WRITES: u32 = 3;

/// Writes one generation of the tables. There is one writer at a time: on a server, where there may be
/// others, each batch is written only if nobody else has written one meanwhile and nobody else may.
#[derive(Debug)]
pub struct Writer {
    connection: Connection,
    /// Rows with a position up to its own may be in the tables already.
    checkpoint: Checkpoint,
    accounts: HashMap<Account, i64>,
    statements: Statements,
    sums: SumStatements,
    /// On a server: what makes sure that it still may.
    fence: Option<Fence>,
    /// The connection to the server is of no use any more.
    is_lost: bool,
    analysis: Analysis,
}

impl Writer {
    pub(super) async fn init(
        mut connection: Connection,
        checkpoint: Checkpoint,
        fence: Option<Fence>,
        analysis: Analysis,
    ) -> Result<Self, TablesError> {
        let accounts = accounts::read(connection.hand()).await?;
        let kind = match connection {
            Connection::File(_) => Kind::File,
            Connection::Server(..) => Kind::Server,
        };
        Ok(Self {
            connection,
            checkpoint,
            accounts,
            statements: Statements::of(kind),
            sums: SumStatements::of(kind),
            fence,
            is_lost: false,
            analysis,
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
        self.restore().await?;
        checkpoint::stop(self.connection.hand(), stopped).await
    }

    /// The connection, for work between batches.
    pub(super) fn connection(&mut self) -> Conn<'_> {
        self.connection.hand()
    }

    /// Connects again if the connection to a server is lost; the tables must stand where this writer
    /// has left them.
    ///
    /// # Errors
    /// As [`TablesError::Overtaken`] if they do not; or the server is away.
    pub(super) async fn restore(&mut self) -> Result<(), TablesError> {
        if self.is_lost && self.take_up().await? != self.checkpoint {
            return Err(TablesError::Overtaken);
        }
        Ok(())
    }

    /// Puts the generation in force, on a server, and goes on writing it before everybody's eyes.
    ///
    /// # Errors
    /// As [`TablesError::Overtaken`] if somebody else may write now or has put one in force.
    pub(super) async fn put_in_force(&mut self) -> Result<(), TablesError> {
        self.restore().await?;
        match &mut self.fence {
            Some(fence) => fence.put_in_force(self.connection.hand()).await,
            None => Ok(()),
        }
    }

    /// Closes the connection.
    ///
    /// # Errors
    /// It cannot be closed in order.
    pub async fn close(self) -> Result<(), TablesError> {
        self.connection.close().await
    }

    /// Writes a batch and moves the checkpoint to its position, in one transaction.
    ///
    /// # Errors
    /// As [`TablesError::Overtaken`] if somebody else has written meanwhile or may now; this writer is
    /// of no use then. After every other error the batch may be handed in again.
    pub fn write<'w>(
        &'w mut self,
        batch: &'w Batch,
        digest: Digest,
    ) -> BoxFuture<'w, Result<(), TablesError>> {
        Box::pin(self.write_or_find(batch, digest))
    }

    /// A server may have written a batch and not been able to say so. Whoever comes back to it finds
    /// out before writing again.
    async fn write_or_find(&mut self, batch: &Batch, digest: Digest) -> Result<(), TablesError> {
        let before = self.checkpoint;
        let after = Checkpoint {
            position: batch.position,
            digest,
            ..before
        };
        for _ in 0..WRITES {
            if self.is_lost {
                let found = self.take_up().await?;
                if found == after {
                    self.checkpoint = after;
                    return Ok(());
                }
                if found != before {
                    return Err(TablesError::Overtaken);
                }
            }
            match self.write_in_transaction(batch, digest).await {
                // Perhaps by what this very writer has sent over a connection that broke.
                Err(TablesError::Overtaken) if self.fence.is_some() => {}
                done => return done,
            }
        }
        Err(TablesError::Overtaken)
    }

    /// Connects again, and says how far the tables have come.
    async fn take_up(&mut self) -> Result<Checkpoint, TablesError> {
        let Some(fence) = &self.fence else {
            return Ok(self.checkpoint);
        };
        self.is_lost = true;
        let mut connection = fence.connect().await?;
        let found = checkpoint::read(connection.hand()).await?;
        self.accounts = accounts::read(connection.hand()).await?;
        self.connection = connection;
        self.is_lost = false;
        Ok(found)
    }

    async fn write_in_transaction(
        &mut self,
        batch: &Batch,
        digest: Digest,
    ) -> Result<(), TablesError> {
        let begun = match &self.fence {
            None => self.connection.hand().step("BEGIN IMMEDIATE").await,
            Some(fence) => {
                fence
                    .begin(self.connection.hand(), self.checkpoint.position)
                    .await
            }
        };
        if let Err(error) = begun {
            return Err(self.give_up(error).await);
        }
        let mut new_accounts = Vec::new();
        let mut written = self.write_all(batch, digest, &mut new_accounts).await;
        if written.is_ok() {
            written = self.connection.hand().step("COMMIT").await;
        }
        match written {
            Ok(()) => {
                self.checkpoint.position = batch.position;
                self.checkpoint.digest = digest;
                let connection = self.connection.hand();
                self.analysis.renew(connection, batch.position).await;
                Ok(())
            }
            Err(error) => {
                // Numbers that were given out just now go with their rows.
                for account in new_accounts {
                    self.accounts.remove(&account);
                }
                Err(self.give_up(error).await)
            }
        }
    }

    /// Leaves the transaction. On a server with its connection: it may not even answer any more.
    async fn give_up(&mut self, error: TablesError) -> TablesError {
        if self.fence.is_some() {
            self.is_lost = true;
        } else {
            drop(self.connection.hand().step("ROLLBACK").await);
        }
        error
    }

    async fn write_all(
        &mut self,
        batch: &Batch,
        digest: Digest,
        new_accounts: &mut Vec<Account>,
    ) -> Result<(), TablesError> {
        let connection = self.connection.hand();
        accounts::add(
            connection,
            batch.postings(),
            &mut self.accounts,
            new_accounts,
        )
        .await?;
        self.write_conversions(batch).await?;
        self.replace_payouts(batch).await?;
        self.replace_parked(batch).await?;
        self.replace_carryovers(batch).await?;
        self.write_ledger(batch).await?;
        let from = self.checkpoint.position;
        let connection = &mut self.connection.hand();
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
        checkpoint::advance(connection.lend(), from, batch.position, digest).await
    }

    async fn write_conversions(&mut self, batch: &Batch) -> Result<(), TablesError> {
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
            .run(&mut self.connection.hand())
            .await?;
        self.statements
            .earnings(&rows)
            .run(&mut self.connection.hand())
            .await
    }

    async fn remove_conversion(&mut self, id: FactId) -> Result<(), TablesError> {
        for sql in [
            "DELETE FROM earnings WHERE conversion_position IN \
             (SELECT position FROM conversions WHERE id = $1)",
            "DELETE FROM conversions WHERE id = $1",
        ] {
            let delete = Query::new(sql).bind(id);
            self.connection.hand().execute(delete).await?;
        }
        Ok(())
    }

    async fn replace_payouts(&mut self, batch: &Batch) -> Result<(), TablesError> {
        let rows: Vec<_> = batch.payouts().collect();
        let positions: Vec<u64> = rows.iter().map(|row| row.position).collect();
        self.delete("payouts", "position", &positions).await?;
        self.statements
            .payouts(&rows)
            .run(&mut self.connection.hand())
            .await
    }

    async fn replace_parked(&mut self, batch: &Batch) -> Result<(), TablesError> {
        let rows: Vec<_> = batch.parked().collect();
        let positions: Vec<u64> = rows.iter().map(|row| row.position).collect();
        self.delete("parked", "position", &positions).await?;
        self.statements
            .parked(&rows)
            .run(&mut self.connection.hand())
            .await
    }

    async fn replace_carryovers(&mut self, batch: &Batch) -> Result<(), TablesError> {
        let rows: Vec<_> = batch.carryovers().collect();
        for row in &rows {
            let delete = Query::new("DELETE FROM carryovers WHERE id = $1").bind(row.id);
            self.connection.hand().execute(delete).await?;
        }
        self.statements
            .carryovers(&rows)
            .run(&mut self.connection.hand())
            .await
    }

    async fn write_ledger(&mut self, batch: &Batch) -> Result<(), TablesError> {
        let postings = batch.postings();
        let added = Added::by(postings);
        self.sums
            .totals(&added)
            .run(&mut self.connection.hand())
            .await?;
        self.sums
            .hours(&added)
            .run(&mut self.connection.hand())
            .await?;
        self.statements
            .postings(postings)
            .run(&mut self.connection.hand())
            .await?;
        self.statements
            .entries(postings, &self.accounts)
            .run(&mut self.connection.hand())
            .await
    }

    /// Deletes rows by a key that is a position. Positions are numbers, so they are written into
    /// the statement, a thousand at a time.
    async fn delete(
        &mut self,
        table: &'static str,
        key: &'static str,
        positions: &[u64],
    ) -> Result<(), TablesError> {
        let statement = |chunk: &[u64]| {
            let list: Vec<String> = chunk.iter().map(u64::to_string).collect();
            format!("DELETE FROM {table} WHERE {key} IN ({})", list.join(","))
        };
        let statements: Vec<String> = positions.chunks(1000).map(statement).collect();
        for sql in statements {
            self.connection.hand().step(sql).await?;
        }
        Ok(())
    }
}
