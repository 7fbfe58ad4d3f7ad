//! A store that fails when it is told to: appends and answers get lost, reads come up short.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_util::future::FutureExt;
use postbook::{
    hand_on,
    store::{Append, Appended, Asked, Filter, LogStore, Page, StoreError},
};
use postbook_schemas::Instant;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use tokio::sync::Semaphore;

/// What goes wrong with one append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing.
    None,
    /// The group is not appended, and the error says so.
    AppendLost,
    /// The group is appended, but the answer is an error.
    AnswerLost,
    /// The append waits for [`FaultyStore::release`].
    Stall,
    /// The append comes late.
    Late,
    /// The group is appended, and the answer comes late: after those of others that were later.
    AnswerLate,
}

/// The longest that something comes late.
const LATE_MICROS_MAX: u64 = 3_000;

/// A store around another.
#[derive(Debug)]
pub(crate) struct FaultyStore {
    inner: Arc<dyn LogStore>,
    faults: Mutex<VecDeque<Fault>>,
    stalled: Semaphore,
    released: Semaphore,
    pub(crate) groups: Mutex<Vec<usize>>,
    pub(crate) short_reads: bool,
    /// From when on anything may happen.
    random: Mutex<Option<StdRng>>,
}

impl FaultyStore {
    /// A store whose next appends meet these faults, in order.
    pub(crate) fn new(inner: Arc<dyn LogStore>, faults: impl IntoIterator<Item = Fault>) -> Self {
        Self {
            inner,
            faults: Mutex::new(faults.into_iter().collect()),
            stalled: Semaphore::new(0),
            released: Semaphore::new(0),
            groups: Mutex::default(),
            short_reads: false,
            random: Mutex::new(None),
        }
    }

    /// From now on appends meet all kinds of faults, and reads come up short; nothing does without a
    /// seed.
    pub(crate) fn disturb(&self, seed: Option<u64>) {
        let mut random = self.random.lock().expect("no test panics here");
        *random = seed.map(StdRng::seed_from_u64);
    }

    fn draw<T>(&self, draw: impl FnOnce(&mut StdRng) -> T) -> Option<T> {
        let mut random = self.random.lock().expect("no test panics here");
        random.as_mut().map(draw)
    }

    fn next_fault(&self) -> Fault {
        let told = self.faults.lock().expect("no test panics here").pop_front();
        let drawn = || {
            self.draw(|random| match random.random_range(0..10_u32) {
                0 => Fault::AppendLost,
                1 | 2 => Fault::AnswerLost,
                3 => Fault::Late,
                4 | 5 => Fault::AnswerLate,
                _ => Fault::None,
            })
        };
        told.or_else(drawn).unwrap_or(Fault::None)
    }

    async fn be_late(&self) {
        let micros = self.draw(|random| random.random_range(0..LATE_MICROS_MAX));
        tokio::time::sleep(Duration::from_micros(micros.unwrap_or(0))).await;
    }

    /// The next appends meet these faults too.
    pub(crate) fn meet(&self, faults: impl IntoIterator<Item = Fault>) {
        let mut all = self.faults.lock().expect("no test panics here");
        all.extend(faults);
    }

    /// Waits until an append stalls.
    pub(crate) async fn stalled(&self) {
        self.stalled
            .acquire()
            .await
            .expect("it is never closed")
            .forget();
    }

    /// Lets one stalled append go on.
    pub(crate) fn release(&self) {
        self.released.add_permits(1);
    }
}

fn lost() -> StoreError {
    StoreError::Failed {
        doing: "written",
        cause: Arc::new(std::io::Error::other("told to fail")),
    }
}

impl LogStore for FaultyStore {
    hand_on!(self to self.inner; head, follow, read_one, find, clicks, root, check, is_shared, look, close);

    fn append(&self, group: Vec<Append>, now: Instant) -> Asked<'_, Vec<Appended>> {
        let next = self.next_fault();
        self.groups
            .lock()
            .expect("no test panics here")
            .push(group.len());
        async move {
            match next {
                Fault::None => self.inner.append(group, now).await,
                Fault::AppendLost => Err(lost()),
                Fault::AnswerLost => {
                    self.inner.append(group, now).await?;
                    Err(lost())
                }
                Fault::Late => {
                    self.be_late().await;
                    self.inner.append(group, now).await
                }
                Fault::AnswerLate => {
                    let appended = self.inner.append(group, now).await;
                    self.be_late().await;
                    appended
                }
                Fault::Stall => {
                    self.stalled.add_permits(1);
                    self.released
                        .acquire()
                        .await
                        .expect("it is never closed")
                        .forget();
                    self.inner.append(group, now).await
                }
            }
        }
        .boxed()
    }

    fn read(&self, from: u64, to: u64, filter: Filter, bytes_max: usize) -> Asked<'_, Page> {
        let is_short = self.draw(|random| random.random_bool(0.3));
        let is_short = is_short.unwrap_or(self.short_reads);
        let bytes_max = if is_short { 1 } else { bytes_max };
        self.inner.read(from, to, filter, bytes_max)
    }
}
