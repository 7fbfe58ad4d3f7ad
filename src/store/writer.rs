//! The one writer: gathers what is waiting into a group, appends it in one commit, answers all.

use std::{
    collections::VecDeque,
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use postbook_schemas::envelope::Draft;
use tokio::{
    sync::{Mutex, mpsc, oneshot, watch},
    task::JoinHandle,
};

use super::{Append, Appended, LogStore, StoreError, line};
use crate::clock::Clock;

/// Requests that may wait; more are told [`StoreError::Busy`].
const REQUESTS_MAX: usize = 16_384;
/// A group is full at this many facts, or
const GROUP_FACTS: usize = 4_096;
/// at this much data. Facts that belong together go into one group whatever their size.
const GROUP_BYTES: usize = 4 << 20;
/// A group is worth its commit once this share of those who sent lately is in it: the others are
/// served meanwhile.
const WORTHWHILE: (usize, usize) = (3, 4);
/// A group of this many requests is worth its commit whoever else there is.
const WORTHWHILE_MAX: usize = 256;
/// A smaller one is written once nothing new has come for this part of the time that the last commit
/// took, at most so long.
const PATIENCE: u32 = 8;
const PATIENCE_MAX: Duration = Duration::from_micros(500);

/// Takes out of a fact what must never be in the log. Every fact that is appended comes by here.
pub trait Scrub: fmt::Debug + Send + Sync {
    /// Overwrites it.
    fn scrub(&self, draft: &mut Draft);
}

/// A handle to the log: appends go through its one writer, reads go to the store.
#[derive(Clone, Debug)]
pub struct Log {
    store: Arc<dyn LogStore>,
    scrub: Arc<dyn Scrub>,
    requests: mpsc::Sender<Request>,
    closing: watch::Sender<bool>,
    writer: Arc<Mutex<Option<JoinHandle<()>>>>,
}

#[expect(
    clippy::large_enum_variant,
    reason = "nearly all are of the larger one, which moves as it is"
)]
#[derive(Debug)]
enum Request {
    One(Append, oneshot::Sender<Result<Appended, StoreError>>),
    Together(
        Vec<Append>,
        oneshot::Sender<Result<Vec<Appended>, StoreError>>,
    ),
}

impl Log {
    /// Starts the writer of a store.
    pub fn start(store: Arc<dyn LogStore>, clock: Arc<dyn Clock>, scrub: Arc<dyn Scrub>) -> Self {
        let (requests, waiting) = mpsc::channel(REQUESTS_MAX);
        let (closing, closed) = watch::channel(false);
        let writer = Writer {
            store: Arc::clone(&store),
            clock,
            waiting,
            taken: VecDeque::new(),
            worthwhile: 1,
            patience: Duration::ZERO,
        };
        let writer = tokio::spawn(writer.run(closed));
        Self {
            store,
            scrub,
            requests,
            closing,
            writer: Arc::new(Mutex::new(Some(writer))),
        }
    }

    /// Appends one fact; returns once it is durable.
    ///
    /// # Errors
    /// The group it was in could not be written, or too many requests are waiting.
    pub async fn append(&self, mut append: Append) -> Result<Appended, StoreError> {
        append.with_previous = false;
        self.scrub.scrub(&mut append.draft);
        // Refused here, a fact that cannot be kept does not take its whole group with it.
        line::refuse_unfit(&append)?;
        let (reply, answer) = oneshot::channel();
        self.request(Request::One(append, reply))?;
        answer.await.unwrap_or(Err(WRITER_STOPPED))
    }

    /// Appends facts that belong together in one group.
    ///
    /// # Errors
    /// As [`Self::append`].
    pub async fn append_all(&self, mut appends: Vec<Append>) -> Result<Vec<Appended>, StoreError> {
        if let Some(first) = appends.first_mut() {
            // Before it in the group is what somebody else asked for.
            first.with_previous = false;
        }
        for append in &mut appends {
            self.scrub.scrub(&mut append.draft);
            line::refuse_unfit(append)?;
        }
        let (reply, answer) = oneshot::channel();
        self.request(Request::Together(appends, reply))?;
        answer.await.unwrap_or(Err(WRITER_STOPPED))
    }

    /// The store, for reading.
    pub fn store(&self) -> &Arc<dyn LogStore> {
        &self.store
    }

    /// Takes no more facts, finishes those that wait, and closes the store.
    pub async fn shut_down(&self) {
        self.closing.send_replace(true);
        // Whoever comes second waits here until the first is done.
        let mut writer = self.writer.lock().await;
        if let Some(running) = writer.take() {
            if let Err(error) = running.await {
                tracing::error!(%error, "the writer of the log has failed");
            }
            self.store.close().await;
        }
    }

    fn request(&self, request: Request) -> Result<(), StoreError> {
        self.requests
            .try_send(request)
            .map_err(|error| match error {
                mpsc::error::TrySendError::Full(_) => StoreError::Busy,
                mpsc::error::TrySendError::Closed(_) => WRITER_STOPPED,
            })
    }
}

const WRITER_STOPPED: StoreError = StoreError::Closed("its writer has stopped");

/// The task behind a [`Log`].
struct Writer {
    store: Arc<dyn LogStore>,
    clock: Arc<dyn Clock>,
    waiting: mpsc::Receiver<Request>,
    /// Requests that were taken from the channel and are not in a group yet.
    taken: VecDeque<Request>,
    /// How many requests make a group that is worth its commit.
    worthwhile: usize,
    /// How long to wait for the next of them.
    patience: Duration,
}

impl Writer {
    async fn run(mut self, mut closing: watch::Receiver<bool>) {
        let mut received = Vec::new();
        let mut open = true;
        loop {
            if open && (*closing.borrow() || closing.has_changed().is_err()) {
                // What waits already is still received after this; nothing new gets in.
                self.waiting.close();
                open = false;
            }
            if self.taken.is_empty() {
                tokio::select! {
                    biased;
                    _ = closing.changed(), if open => continue,
                    count = self.waiting.recv_many(&mut received, GROUP_FACTS) => {
                        if count == 0 {
                            return;
                        }
                    }
                }
                self.taken.extend(received.drain(..));
                self.gather().await;
            }
            let group = self.next_group();
            let (requests, started) = (group.len(), Instant::now());
            if requests > 0 && !self.write(group).await {
                return;
            }
            self.expect(requests, started.elapsed());
        }
    }

    /// Those who were in the last group or wait by now are likely to send again.
    fn expect(&mut self, requests: usize, took: Duration) {
        let lately = requests + self.taken.len() + self.waiting.len();
        let (share, of) = WORTHWHILE;
        self.worthwhile = (lately * share / of).clamp(1, WORTHWHILE_MAX);
        self.patience = (took / PATIENCE).min(PATIENCE_MAX);
    }

    /// Lets requests that are to be expected join: a commit costs the processor and the disk about as
    /// much for one fact as for fifty. Whoever is alone goes at once.
    async fn gather(&self) {
        let (mut waiting, mut last_came) = (self.waiting.len(), Instant::now());
        while self.taken.len() + waiting < self.worthwhile {
            tokio::task::yield_now().await;
            let before = std::mem::replace(&mut waiting, self.waiting.len());
            let now = Instant::now();
            if waiting != before {
                last_came = now;
            } else if now - last_came > self.patience {
                return;
            }
        }
    }

    /// What is waiting, up to the size of a group.
    fn next_group(&mut self) -> Vec<Request> {
        let (mut group, mut facts, mut bytes) = (Vec::new(), 0, 0);
        while facts < GROUP_FACTS && bytes < GROUP_BYTES {
            let next = self.taken.pop_front();
            let Some(request) = next.or_else(|| self.waiting.try_recv().ok()) else {
                break;
            };
            let appends = request.appends();
            let more: usize = appends.iter().map(|append| append.draft.data.len()).sum();
            if !group.is_empty()
                && (facts + appends.len() > GROUP_FACTS || bytes + more > GROUP_BYTES)
            {
                self.taken.push_front(request);
                break;
            }
            facts += appends.len();
            bytes += more;
            group.push(request);
        }
        group
    }

    /// Appends a group and answers everyone in it; false if the store is closed for good.
    async fn write(&mut self, group: Vec<Request>) -> bool {
        let mut appends = Vec::with_capacity(group.len());
        let mut replies = Vec::with_capacity(group.len());
        for request in group {
            match request {
                Request::One(append, reply) => {
                    appends.push(append);
                    replies.push(Reply::One(reply));
                }
                Request::Together(facts, reply) => {
                    replies.push(Reply::Together(facts.len(), reply));
                    appends.extend(facts);
                }
            }
        }
        let result = self.store.append(appends, self.clock.now()).await;
        match result {
            Ok(appended) => {
                let mut appended = appended.into_iter();
                for reply in replies {
                    reply.answer(&mut appended);
                }
                true
            }
            Err(error) => {
                tracing::error!(%error, requests = replies.len(), "a group was not appended");
                for reply in replies {
                    reply.refuse(error.clone());
                }
                !matches!(error, StoreError::Closed(_))
            }
        }
    }
}

impl Request {
    fn appends(&self) -> &[Append] {
        match self {
            Self::One(append, _) => std::slice::from_ref(append),
            Self::Together(appends, _) => appends,
        }
    }
}

/// Who waits for an answer. That somebody has stopped waiting is no failure: the fact is kept.
enum Reply {
    One(oneshot::Sender<Result<Appended, StoreError>>),
    Together(usize, oneshot::Sender<Result<Vec<Appended>, StoreError>>),
}

impl Reply {
    fn answer(self, appended: &mut impl Iterator<Item = Appended>) {
        match self {
            Self::One(reply) => {
                drop(reply.send(appended.next().ok_or(SHORT_ANSWER)));
            }
            Self::Together(count, reply) => {
                let answers: Vec<_> = appended.take(count).collect();
                let complete = answers.len() == count;
                let answer = if complete {
                    Ok(answers)
                } else {
                    Err(SHORT_ANSWER)
                };
                drop(reply.send(answer));
            }
        }
    }

    fn refuse(self, error: StoreError) {
        match self {
            Self::One(reply) => drop(reply.send(Err(error))),
            Self::Together(_, reply) => drop(reply.send(Err(error))),
        }
    }
}

const SHORT_ANSWER: StoreError =
    StoreError::Closed("its store answered for fewer than it was given");
