//! Asking the server through its client, which is made anew when it dies.
//!
//! Each call is a task of its own with a limit of time: the client takes answers apart with `unwrap`,
//! and does not end what it waits for itself.
//! Catch-up subscriptions are not used: the client's never gives control back once the server has ended
//! it in order, and then cannot be stopped. Reading from the last event known does the same, and ends.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use eventstore::{
    AppendToStreamOptions, Client, ClientSettings, Error, EventData, ReadStreamOptions,
    RecordedEvent, StreamPosition, StreamState,
};
use tokio::{
    task::JoinHandle,
    time::{Instant, timeout},
};

use super::{sockets, trouble::Trouble};

/// The server gives an append up after this.
const APPEND_MAX: Duration = Duration::from_secs(8);

/// An answer that takes longer is taken for lost.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// After so many failures one after the other the client is made anew, whatever they were.
const FAILURES_MAX: u32 = 20;

/// So long takes a call over a connection that is not prompt, and so often one is looked for.
const SLOW: Duration = Duration::from_millis(35);
const SLOW_EVERY: Duration = Duration::from_secs(10);

/// A call under way, which ends when nobody waits for it any more.
struct Asking<T>(JoinHandle<T>);

impl<T> Drop for Asking<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A server and its client.
pub(super) struct Connection {
    settings: Arc<ClientSettings>,
    client: Mutex<Option<Client>>,
    /// How many calls have failed since the last one that was answered.
    failures: AtomicU32,
    /// When the client's sockets were seen to; it may have connected anew since, if it does not say.
    prompt_since: Mutex<Option<Instant>>,
}

impl std::fmt::Debug for Connection {
    // The settings hold a password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").finish_non_exhaustive()
    }
}

impl Connection {
    pub(super) fn new(settings: Arc<ClientSettings>) -> Self {
        Self {
            settings,
            client: Mutex::new(None),
            failures: AtomicU32::new(0),
            prompt_since: Mutex::new(None),
        }
    }

    /// Appends events to a stream that has so many.
    pub(super) async fn append(
        &self,
        stream: &str,
        there: u64,
        events: Vec<EventData>,
    ) -> Result<(), Trouble> {
        let state = match there.checked_sub(1) {
            Some(revision) => StreamState::StreamRevision(revision),
            None => StreamState::NoStream,
        };
        let options = AppendToStreamOptions::default()
            .stream_state(state)
            .requires_leader(true)
            .deadline(APPEND_MAX);
        let stream = stream.to_owned();
        self.call(|client| async move {
            let written = client.append_to_stream(stream, &options, events).await?;
            tracing::trace!(revision = written.next_expected_version, "appended");
            Ok(())
        })
        .await
    }

    /// Events of a stream from a revision on, in order; nothing where there is no such stream. That there
    /// are fewer than asked for does not say that these are all.
    pub(super) async fn read(
        &self,
        stream: &str,
        from: u64,
        count: usize,
    ) -> Result<Option<Vec<RecordedEvent>>, Trouble> {
        // A follower may be behind.
        let options = ReadStreamOptions::default()
            .position(StreamPosition::Position(from))
            .max_count(count)
            .requires_leader(true);
        self.read_with(stream, options).await
    }

    /// The last event of a stream; nothing where there is no such stream.
    pub(super) async fn last(&self, stream: &str) -> Result<Option<RecordedEvent>, Trouble> {
        let options = ReadStreamOptions::default()
            .position(StreamPosition::End)
            .max_count(1)
            .requires_leader(true);
        let Some(events) = self.read_with(stream, options).await? else {
            return Ok(None);
        };
        let last = events.into_iter().next();
        last.map(Some)
            .ok_or(Trouble::NoAnswer("the server has ended an answer early"))
    }

    /// The server's version, as it says.
    pub(super) async fn version(&self) -> Result<String, Trouble> {
        self.call(|client| async move { Ok(client.server_info().await?.version().to_string()) })
            .await
    }

    async fn read_with(
        &self,
        stream: &str,
        options: ReadStreamOptions,
    ) -> Result<Option<Vec<RecordedEvent>>, Trouble> {
        let stream = stream.to_owned();
        let read = self.call(|client| async move {
            let mut reading = client.read_stream(stream, &options).await?;
            let mut events = Vec::new();
            while let Some(event) = reading.next().await? {
                events.extend(event.event);
            }
            Ok(events)
        });
        match read.await {
            Ok(events) => Ok(Some(events)),
            Err(Trouble::Client(Error::ResourceNotFound)) => Ok(None),
            Err(trouble) => Err(trouble),
        }
    }

    async fn call<T, F>(&self, ask: impl FnOnce(Client) -> F) -> Result<T, Trouble>
    where
        F: Future<Output = eventstore::Result<T>> + Send + 'static,
        T: Send + 'static,
    {
        let client = self.client()?;
        let asked = Instant::now();
        let mut asking = Asking(tokio::spawn(ask(client)));
        let answer = match timeout(ANSWER_MAX, &mut asking.0).await {
            Ok(Ok(answer)) => answer.map_err(Trouble::from),
            Ok(Err(_)) => Err(Trouble::NoAnswer(
                "the client could not take the answer apart",
            )),
            Err(_) => Err(Trouble::Late),
        };
        let is_answered = matches!(answer, Ok(_) | Err(Trouble::Conflict));
        self.see_to_sockets(is_answered, asked.elapsed()).await;
        match &answer {
            Err(trouble) if trouble.breaks_client() || self.fails_again(trouble) => {
                tracing::debug!(?trouble, "the client of the log's server is made anew");
                *self.held() = None;
            }
            Err(_) => {}
            Ok(_) => self.failures.store(0, Ordering::Relaxed),
        }
        answer
    }

    /// Makes the client's connections prompt when they are first used, after failures, since it then
    /// connects again, and now and then if calls take as long as if they were not.
    async fn see_to_sockets(&self, is_answered: bool, took: Duration) {
        let is_due = {
            let since = self.prompt_since.lock();
            let mut since = since.unwrap_or_else(PoisonError::into_inner);
            if !is_answered {
                *since = None;
            }
            let may_be_slow =
                since.is_none_or(|since| took >= SLOW && since.elapsed() >= SLOW_EVERY);
            let is_due = is_answered && may_be_slow;
            if is_due {
                *since = Some(Instant::now());
            }
            is_due
        };
        if is_due {
            sockets::make_prompt().await;
        }
    }

    /// Whether there were many failures one after the other, whatever the client makes of them.
    fn fails_again(&self, trouble: &Trouble) -> bool {
        let counts = trouble.is_passing() && !matches!(trouble, Trouble::Conflict);
        let failures = if counts {
            self.failures.fetch_add(1, Ordering::Relaxed) + 1
        } else {
            0
        };
        failures > 0 && failures.is_multiple_of(FAILURES_MAX)
    }

    fn client(&self) -> Result<Client, Trouble> {
        let mut held = self.held();
        if let Some(client) = &*held {
            return Ok(client.clone());
        }
        let made = Client::new(ClientSettings::clone(&self.settings));
        let made = made.map_err(|error| Error::InitializationError(error.to_string()))?;
        Ok(held.insert(made).clone())
    }

    fn held(&self) -> std::sync::MutexGuard<'_, Option<Client>> {
        self.client.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
