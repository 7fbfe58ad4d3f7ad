//! Questions to the live book: what is derived, but in no table.

use std::{fmt, sync::Arc};

use postbook_projections::{Book, ClickSeen};
use tokio::sync::oneshot;

use super::{Projector, ProjectorError, follow::Command, prepare::Preparer, rebuild::stopped};

type Asked = dyn FnOnce(&mut Book, u64) + Send;

/// Something to ask the book between two facts.
pub(super) struct Question(Box<Asked>);

impl fmt::Debug for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Question")
    }
}

impl Question {
    /// Asks it of the book at a position.
    pub(super) fn ask(self, book: &mut Book, position: u64) {
        (self.0)(book, position);
    }
}

impl Projector {
    /// Asks the live book, with the position up to which facts are folded into it. Facts wait
    /// meanwhile, so a question is short: what takes long takes an excerpt away. The book is lent for
    /// deriving, which notes things down in it; it must say the same afterwards.
    ///
    /// # Errors
    /// The projector has stopped.
    pub async fn ask<R: Send + 'static>(
        &self,
        question: impl FnOnce(&mut Book, u64) -> R + Send + 'static,
    ) -> Result<R, ProjectorError> {
        // While somebody waits the projector takes no rests.
        let _waiting = self.status.waiting();
        let (reply, answer) = oneshot::channel();
        let question = Question(Box::new(move |book, position| {
            drop(reply.send(question(book, position)));
        }));
        let sent = self.commands.send(Command::Ask(question)).await;
        sent.map_err(|_| stopped(self))?;
        self.answered(answer).await.ok_or_else(|| stopped(self))
    }

    /// A click of the log as the book sees it, subs included.
    ///
    /// # Errors
    /// The log cannot be read.
    pub async fn click(&self, id: &str) -> Result<Option<ClickSeen>, ProjectorError> {
        let preparer = Preparer::new(Arc::clone(&self.store), Arc::clone(&self.click_ids));
        preparer.find_one(id).await
    }
}
