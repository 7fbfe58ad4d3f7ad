//! Takes up the read models as they are, or builds them again if they are not what the log says.

use std::sync::Arc;

use super::{
    ProjectorError,
    construct::{Construction, Parts},
    course::Control,
    engine::Engine,
    follow::{Follower, NEWS_MAX, Quietly, STEP, Successor, note_stop},
};
use crate::tables::{Checkpoint, error::TablesError};

impl Follower {
    /// Folds what the tables already show, and checks that it is what they show. From then on nobody
    /// writes them who had the lease before.
    pub(super) async fn catch_up(&mut self, term: i64) -> Result<Successor, ProjectorError> {
        if self.lease.is_shared() {
            self.tables.claim(term).await?;
        }
        let checkpoint = match self.tables.checkpoint().await {
            Ok(checkpoint) if self.tables.are_current() => checkpoint,
            Ok(_) | Err(TablesError::OtherForm { .. }) => return self.build().await,
            // What cannot be read as it should is built again.
            Err(_) if !self.tables.are_current() => return self.build().await,
            Err(error) => return Err(error.into()),
        };
        let head = self.head_at(checkpoint.position).await;
        let is_ahead = |book: &Engine| book.standing().position > checkpoint.position;
        // What was folded and could not be written any more cannot be written by somebody else either.
        self.book.take_if(|book| is_ahead(book));
        if checkpoint.position <= head {
            let book = self.take_book();
            let quietly = Quietly(&self.status);
            let (book, result) = book.run(checkpoint.position, None, &quietly).await;
            result?;
            if book.standing().digest == checkpoint.digest {
                let must_build = checkpoint.position == 0 && head > STEP;
                if !must_build {
                    let writer = self.tables.writer().await?;
                    if writer.checkpoint() != checkpoint {
                        return Err(TablesError::Overtaken.into());
                    }
                    self.status.reached(checkpoint.position);
                    return Ok(Successor {
                        engine: book,
                        writer,
                    });
                }
            }
        }
        if checkpoint.position > 0 {
            warn_of_difference(checkpoint, head);
        }
        self.build().await
    }

    /// The head of the log, which others may have read further than this node knows it.
    async fn head_at(&self, position: u64) -> u64 {
        if self.store.is_shared() {
            let mut head = self.store.follow();
            let reached = head.wait_for(|&head| head >= position);
            drop(tokio::time::timeout(NEWS_MAX, reached).await);
        }
        self.store.head()
    }

    /// Builds the tables again, out of sight, up to the head of this moment. Those that were there
    /// answer meanwhile, if they can.
    async fn build(&self) -> Result<Successor, ProjectorError> {
        let control = Arc::new(Control::default());
        self.status.builds(Some(Arc::clone(&control)));
        let built = self.build_watched(&control).await;
        self.status.builds(None);
        built
    }

    async fn build_watched(&self, control: &Control) -> Result<Successor, ProjectorError> {
        let parts = Parts {
            store: &self.store,
            click_ids: &self.click_ids,
            tables: &self.tables,
            patience: &self.patience(),
            control,
        };
        let construction = Construction::take_up(parts, None).await?;
        let (construction, result) = construction.fold_to(self.store.head()).await;
        if matches!(result, Err(ProjectorError::Cancelled)) {
            return Err(ProjectorError::Cancelled);
        }
        // What comes before a fact that cannot be folded is shown all the same.
        let (engine, mut writer) = construction.complete().await?.switch().await?;
        self.status.reached(engine.standing().position);
        note_stop(&mut writer, &result).await;
        result?;
        Ok(Successor { engine, writer })
    }
}

fn warn_of_difference(checkpoint: Checkpoint, head: u64) {
    tracing::warn!(
        position = checkpoint.position,
        generation = checkpoint.generation,
        digest = %checkpoint.digest,
        head,
        "the read models are not what the log says, and are built again"
    );
}
