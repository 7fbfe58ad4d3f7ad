//! The pipeline from the log to the tables: read, prepare, fold, write, each beside the others.
//!
//! The steps hand on to each other through short queues, so that two cores are busy and memory stays
//! bounded whatever step is slowest.

use std::{ops::RangeInclusive, sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use postbook_schemas::ClickIdKey;
use tokio::{runtime::Handle, sync::mpsc};

use super::{
    ProjectorError, Standing,
    ask::Question,
    course::Course,
    fold::{Folder, Ready},
    pace::{Pace, Work},
    prepare::{Prepared, Preparer, stopped},
    status::Status,
};
use crate::{
    store::{Filter, LogStore, Page, StoreError},
    tables::{error::TablesError, write::Writer},
};

/// How many bytes of lines are read at a time.
const PAGE_BYTES: usize = 1 << 20;

/// How many pages may wait between two steps, and how many batches: these are large.
const QUEUE: usize = 2;
const BATCHES: usize = 1;

/// How long a failed read or write waits before it is tried again.
const RETRY_AFTER: Duration = Duration::from_millis(500);

/// What to do when the log cannot be read or the tables cannot be written for now.
#[derive(Clone, Debug)]
pub(super) enum Patience {
    /// Give up: somebody waits for the result and can try again.
    GiveUp,
    /// Say so in the status, and try again until it works.
    TryAgain(Arc<Status>),
}

impl Patience {
    /// Waits before another try, or hands the error back.
    fn after(&self, error: ProjectorError) -> BoxFuture<'_, Result<(), ProjectorError>> {
        Box::pin(self.wait_after(error))
    }

    async fn wait_after(&self, error: ProjectorError) -> Result<(), ProjectorError> {
        match self {
            Self::GiveUp => Err(error),
            Self::TryAgain(_)
                if matches!(
                    error,
                    ProjectorError::Poison { .. }
                        | ProjectorError::Cancelled
                        | ProjectorError::Stopped(_)
                        | ProjectorError::Store(StoreError::Damaged { .. } | StoreError::Closed(_))
                        | ProjectorError::Tables(TablesError::Overtaken)
                ) =>
            {
                Err(error)
            }
            Self::TryAgain(status) => {
                tracing::error!(%error, "the projector has to wait");
                status.has_trouble(error.to_string());
                tokio::time::sleep(RETRY_AFTER).await;
                Ok(())
            }
        }
    }
}

/// The book and the way to it.
#[derive(Debug)]
pub(super) struct Engine {
    store: Arc<dyn LogStore>,
    preparer: Preparer,
    folder: Folder,
    patience: Patience,
}

impl Engine {
    pub(super) fn new(
        store: Arc<dyn LogStore>,
        click_ids: Arc<ClickIdKey>,
        patience: Patience,
    ) -> Self {
        let preparer = Preparer::new(Arc::clone(&store), click_ids);
        Self {
            store,
            folder: Folder::new(preparer.clone()),
            preparer,
            patience,
        }
    }

    /// How far the book has come, and the digest of its rows.
    pub(super) fn standing(&self) -> Standing {
        self.folder.standing()
    }

    /// Asks the book, on a thread that may take its time.
    pub(super) async fn ask(mut self, question: Question) -> Result<Self, ProjectorError> {
        let asked = tokio::task::spawn_blocking(move || {
            self.folder.ask(question);
            self
        });
        asked.await.map_err(|error| stopped(&error))
    }

    /// Changes what happens when reading or writing fails for now.
    pub(super) fn set_patience(&mut self, patience: Patience) {
        self.patience = patience;
    }

    /// Folds all facts up to position `to`, and writes the rows unless `writer` is absent.
    ///
    /// After an error everything before it has been written, and the engine must not be used again.
    pub(super) fn run<'r>(
        self,
        to: u64,
        writer: Option<&'r mut Writer>,
        course: &'r dyn Course,
    ) -> BoxFuture<'r, (Self, Result<(), ProjectorError>)> {
        Box::pin(self.run_steps(to, writer, course))
    }

    async fn run_steps(
        mut self,
        to: u64,
        writer: Option<&mut Writer>,
        course: &dyn Course,
    ) -> (Self, Result<(), ProjectorError>) {
        let from = self.standing().position + 1;
        if from > to {
            return (self, Ok(()));
        }
        let (pages, pages_in) = mpsc::channel(QUEUE);
        let (prepared, prepared_in) = mpsc::channel(QUEUE);
        let (ready, ready_in) = mpsc::channel(BATCHES);
        let (patience, preparer) = (self.patience.clone(), self.preparer.clone());
        let store = Arc::clone(&self.store);
        let mut folder = self.folder;
        let spare = self.preparer.clone();
        let work = Work::default();
        let (handle, worked) = (Handle::current(), work.clone());
        let folding = tokio::task::spawn_blocking(move || {
            let result = folder.run(prepared_in, &ready, &handle, &worked);
            drop(ready);
            (folder, result)
        });
        let (read, prepare, write, fold) = tokio::join!(
            read(store, from..=to, pages, patience.clone(), course, &work),
            prepare(preparer, pages_in, prepared, patience.clone(), &work),
            write(writer, ready_in, patience, course, &work),
            folding,
        );
        let (folder, fold) = match fold {
            Ok(folded) => folded,
            Err(error) => (Folder::new(spare), Err(stopped(&error))),
        };
        self.folder = folder;
        // The first step that failed names the cause; those after it only ran dry.
        let result = [write, fold, prepare, read]
            .into_iter()
            .find(|result| !matches!(result, Ok(()) | Err(ProjectorError::Stopped(_))));
        (self, result.unwrap_or(Ok(())))
    }
}

fn gone<T>(_: T) -> ProjectorError {
    ProjectorError::Stopped("the next step is gone".to_owned())
}

async fn read(
    store: Arc<dyn LogStore>,
    positions: RangeInclusive<u64>,
    pages: mpsc::Sender<Page>,
    patience: Patience,
    course: &dyn Course,
    work: &Work,
) -> Result<(), ProjectorError> {
    let (mut from, to) = positions.into_inner();
    let mut pace = Pace::new(store.head(), work.clone());
    while from <= to {
        if course.is_stopped() {
            return Err(ProjectorError::Cancelled);
        }
        if course.yields() {
            tokio::time::sleep(pace.rest(store.head())).await;
        }
        let filter = Filter::without_seated_clicks();
        match work.of(store.read(from, to, filter, PAGE_BYTES)).await {
            Ok(page) => {
                // A store that finds nothing more up to `to` may stop short of it.
                let next = if page.ends.is_empty() {
                    to + 1
                } else {
                    page.next
                };
                from = next.max(from + 1);
                let page = Page { next, ..page };
                pages.send(page).await.map_err(gone)?;
            }
            Err(error) => patience.after(error.into()).await?,
        }
    }
    Ok(())
}

async fn prepare(
    preparer: Preparer,
    mut pages: mpsc::Receiver<Page>,
    prepared: mpsc::Sender<Prepared>,
    patience: Patience,
    work: &Work,
) -> Result<(), ProjectorError> {
    while let Some(page) = pages.recv().await {
        let page = Arc::new(page);
        let ready = loop {
            match work.of(preparer.prepare(&page)).await {
                (ready, None) => break ready,
                (ready, Some(error @ ProjectorError::Poison { .. })) => {
                    prepared.send(ready).await.map_err(gone)?;
                    return Err(error);
                }
                (_, Some(error)) => patience.after(error).await?,
            }
        };
        prepared.send(ready).await.map_err(gone)?;
    }
    Ok(())
}

async fn write(
    mut writer: Option<&mut Writer>,
    mut ready: mpsc::Receiver<Ready>,
    patience: Patience,
    course: &dyn Course,
    work: &Work,
) -> Result<(), ProjectorError> {
    let mut is_overtaken = false;
    while let Some((batch, digest)) = ready.recv().await {
        // A batch without rows moves the checkpoint too: whoever reads the tables beside the server
        // can tell then whether they show all of the log.
        if let Some(writer) = &mut writer
            && batch.position > writer.position()
        {
            while let Err(error) = work.of(writer.write(&batch, digest)).await {
                if matches!(error, TablesError::Overtaken) {
                    is_overtaken = true;
                    break;
                }
                if course.is_stopped() {
                    return Err(ProjectorError::Cancelled);
                }
                patience.after(error.into()).await?;
            }
        }
        if !is_overtaken {
            course.reached(batch.position);
        }
        // What is folded goes on to be folded, so that the book stays whole.
        writer = writer.filter(|_| !is_overtaken);
    }
    if is_overtaken {
        return Err(TablesError::Overtaken.into());
    }
    Ok(())
}
