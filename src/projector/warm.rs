//! Keeps the book of a node that does not write the read models: it is folded up to where they are, so
//! that the node can answer what only a book knows, and take over at once.

use std::time::Duration;

use super::{
    ProjectorError,
    follow::{Command, Follower, NEWS_MAX, Quietly, Turn, passes},
    lease::Role,
};
use crate::tables::error::TablesError;

/// How often the read models are looked at, and while somebody waits for them.
const LOOK_EVERY: Duration = Duration::from_millis(100);
const LOOK_EVERY_AWAITED: Duration = Duration::from_millis(10);

impl Follower {
    /// Follows the read models until this node has the lease.
    pub(super) async fn follow_tables(&mut self) -> Result<Turn, ProjectorError> {
        loop {
            if matches!(*self.role.borrow_and_update(), Role::Projecting(_)) {
                return Ok(Turn::Changed);
            }
            self.fold_to_tables_or_wait().await?;
            let pause = if self.status.is_awaited() {
                self.lease.want(self.store.head());
                LOOK_EVERY_AWAITED
            } else {
                LOOK_EVERY
            };
            tokio::select! {
                _ = self.role.changed() => {}
                command = self.commands.recv() => match command {
                    Some(command) => {
                        if self.answer(command).await? == Some(Turn::Ended) {
                            return Ok(Turn::Ended);
                        }
                    }
                    None => return Ok(Turn::Ended),
                },
                () = tokio::time::sleep(pause) => {}
                () = self.status.somebody_waits() => {}
            }
        }
    }

    async fn answer(&mut self, command: Command) -> Result<Option<Turn>, ProjectorError> {
        match command {
            Command::Ask(question) => {
                // The tables may show what another node has written just now: the book has to know it.
                self.fold_to_tables_or_wait().await?;
                let book = self.take_book().ask(question).await?;
                self.book = Some(book);
                Ok(None)
            }
            Command::Stop { reply } => {
                drop(reply);
                Ok(Some(Turn::Ended))
            }
            // Who asks sees that nobody answers, and that another node projects.
            Command::Follow { .. } | Command::HandOver { .. } => Ok(None),
        }
    }

    /// A server that is away for a while is waited for.
    async fn fold_to_tables_or_wait(&mut self) -> Result<(), ProjectorError> {
        match self.fold_to_tables().await {
            Err(error) if passes(&error) => {
                tracing::warn!(%error, "the read models cannot be followed for now");
                self.status.has_trouble(error.to_string());
                Ok(())
            }
            done => done,
        }
    }

    async fn fold_to_tables(&mut self) -> Result<(), ProjectorError> {
        // A way to the server that is gone without a word is not waited for: there may be a stop.
        let asked = tokio::time::timeout(NEWS_MAX, self.tables.checkpoint()).await;
        let checkpoint = match asked.unwrap_or(Err(TablesError::Overtaken)) {
            Ok(checkpoint) => checkpoint,
            // Whoever has the lease builds them.
            Err(TablesError::OtherForm { .. } | TablesError::Overtaken) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        if self.store.head() < checkpoint.position {
            self.store.look().await?;
        }
        if self.store.head() < checkpoint.position {
            self.status.has_trouble(format!(
                "the read models are at position {}, and the log ends at {}",
                checkpoint.position,
                self.store.head()
            ));
            return Ok(());
        }
        let book = self.take_book();
        let quietly = Quietly(&self.status);
        let (book, result) = book.run(checkpoint.position, None, &quietly).await;
        result?;
        let standing = book.standing();
        self.book = Some(book);
        if standing.position == checkpoint.position && standing.digest != checkpoint.digest {
            self.status.has_trouble(format!(
                "the read models at position {} are not what this program makes of the log",
                checkpoint.position
            ));
            return Ok(());
        }
        // The book may be ahead of them, if the lease was lost in the middle.
        self.status.reached(checkpoint.position);
        Ok(())
    }
}
