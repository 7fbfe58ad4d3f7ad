//! Where facts are kept: the port that every log store implements, and its obligations.
//!
//! # Obligations
//! `tests/integration/store_contract.rs` checks each by its number, over every store.
//!
//! 1. **Gapless**: positions run from 1 without gaps, in the order in which appends were confirmed.
//! 2. **Durable before confirmed**: once `append` returns, a crash of process or machine loses
//!    nothing of the group.
//! 3. **All or nothing**: a group is in the log whole or not at all; after an error nothing of it is
//!    there, and the store goes on working once the cause is gone.
//! 4. **Unique**: of all appends with the same unique key, ever, exactly one is appended; the others
//!    are answered [`Appended::Known`] with its position and append nothing.
//! 5. **Kept bytes**: a line is read back byte for byte as it was hashed.
//! 6. **Assigned click ids**: a click that asks for an id gets the one of its own position.
//! 7. **Findable**: after `append` returns, `find` answers for its keys and `click` for its clicks.
//! 8. **Ordered reading**: `read` returns lines in order of position, only such as the filter asks
//!    for, and says where to go on; what it has skipped or returned never changes.
//! 9. **Followable**: `head` never moves back, and `follow` wakes whenever it moves on.
//! 10. **Proven**: `root(n)` is the RFC 6962 tree hash over the first `n` kept lines, for the
//!     position that ends a group.
//! 11. **Recorded in order**: `recorded_at` never falls from one position to the next.
//! 12. **Together**: an append that is bound to the one before it in its group shares its fate: of a
//!     run of such appends all are in the log or none, whatever keys the others have.

mod fresh;
mod hand_on;
mod held;
#[cfg(feature = "kurrentdb")]
pub mod kurrent;
mod layout;
mod line;
mod lock;
pub mod memory;
pub mod merkle;
pub mod open;
pub mod postgres;
pub mod sqlite;
mod transport;
pub mod writer;

use std::sync::Arc;

use futures_util::future::BoxFuture;
use postbook_schemas::{ClickId, FactType, Instant, envelope::Draft, traffic::Device};
use thiserror::Error;
use tokio::sync::watch;

/// One fact to append, and what must hold for it.
#[derive(Clone, Debug)]
pub struct Append {
    /// The fact.
    pub draft: Draft,
    /// Appended only if no fact was appended under this key before.
    pub unique: Option<String>,
    /// Positions that were found not to hold this key although they look alike: a store that keeps
    /// fingerprints of keys must not answer `Known` with one of them again.
    pub not_at: Vec<u64>,
    /// Keys under which the fact can be found; the first fact of a key is the one that is found.
    pub references: Vec<String>,
    /// Of a click that this service gives the id to: its index entry. The store then writes the id
    /// of the click's position into the line; the data must begin with `{"click_id":"` and ten
    /// characters, which are replaced. Clicks recorded elsewhere, under ids of their own, have no
    /// seat here: they are found by key.
    pub seat: Option<ClickHead>,
    /// Appended only if the fact before it in the group is: facts that hold together or not at all.
    /// If that one is known already, this one is answered as it is.
    pub with_previous: bool,
}

/// The index entry of a click: enough to match and price most conversions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClickHead {
    /// Position of the `link.defined` fact that was in force; 0 where there was no link.
    pub link_position: u64,
    /// When the link was followed.
    pub occurred_at: Instant,
    /// ISO 3166 country.
    pub country: Option<[u8; 2]>,
    /// Class of device.
    pub device: Device,
}

/// What became of one append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Appended {
    /// The fact is in the log.
    At {
        /// Its position.
        position: u64,
        /// When it was recorded.
        recorded_at: Instant,
        /// The id that was assigned, of a click that asked for one.
        click_id: Option<ClickId>,
    },
    /// A fact with the same unique key is in the log already (or in the same group); nothing was
    /// appended.
    Known {
        /// The position of the first.
        position: u64,
    },
}

/// Why a store could not do what it was asked.
#[derive(Clone, Debug, Error)]
pub enum StoreError {
    /// The store's files or server failed; nothing of the group was appended.
    #[error("the log could not be {doing}: {cause}")]
    Failed {
        /// What was being done: `written`, `read`, `opened`.
        doing: &'static str,
        /// What went wrong.
        cause: Arc<dyn std::error::Error + Send + Sync>,
    },
    /// Its server cannot be reached.
    #[error("{server} cannot be reached: {cause}")]
    Unreachable {
        /// Which: host, port and database, and no password.
        server: String,
        /// What went wrong.
        cause: Arc<dyn std::error::Error + Send + Sync>,
    },
    /// Its URL cannot be understood.
    #[error("the log could not be opened: {0}")]
    Url(String),
    /// Another process has the store open.
    #[error("{0}")]
    InUse(String),
    /// Its click ids are those of another key: ids that were given out would find nothing, and new ones
    /// would be given out twice.
    #[error(
        "the log's click ids are made with another key than the secrets here have: put the secrets beside \
         it that belong to it, from the same backup or the first node (docs/operating/restoring.md)"
    )]
    OtherKeys,
    /// What is kept contradicts itself.
    #[error("the log is damaged at position {position}: {what}")]
    Damaged {
        /// Where.
        position: u64,
        /// How.
        what: String,
    },
    /// The writer has stopped, after a failure or at shutdown.
    #[error("the log takes no more facts: {0}")]
    Closed(&'static str),
    /// More requests are waiting than may wait.
    #[error("too many requests are waiting")]
    Busy,
}

impl StoreError {
    /// A tree was asked for that is larger than the log.
    pub(crate) fn beyond_head(size: u64, head: u64) -> Self {
        Self::failed("read", format!("it has {head} facts, not {size}"))
    }

    /// A failure with its cause.
    pub(crate) fn failed(
        doing: &'static str,
        cause: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self::Failed {
            doing,
            cause: Arc::from(cause.into()),
        }
    }
}

/// A set of fact types, for reading only some facts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Filter(u64);

impl Filter {
    /// All facts.
    pub const ALL: Self = Self(u64::MAX);

    /// The bit of clicks without a seat.
    pub const UNSEATED_CLICK: u64 = 1 << 63;

    /// Only facts of these types.
    pub fn only(types: &[FactType]) -> Self {
        Self(
            types
                .iter()
                .fold(0, |mask, &fact_type| mask | Self::bit(fact_type)),
        )
    }

    /// All facts but the clicks that have a seat: what the money is made of. Clicks recorded
    /// elsewhere are included.
    pub fn without_seated_clicks() -> Self {
        Self(!Self::bit(FactType::ClickRecorded))
    }

    /// The bit of a type, for stores that keep such a set with each group. The bit of clicks stands
    /// for those with a seat; the others have [`Self::UNSEATED_CLICK`].
    pub fn bit(fact_type: FactType) -> u64 {
        1 << (fact_type as u32)
    }

    /// The set as bits.
    pub fn bits(self) -> u64 {
        self.0
    }
}

/// Lines that were read.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// The lines, without line feeds, one after the other.
    pub bytes: Vec<u8>,
    /// Position and end (in `bytes`) of each line.
    pub ends: Vec<(u64, usize)>,
    /// The position to go on from: everything before it has been returned or filtered out.
    pub next: u64,
}

impl Page {
    /// The lines with their positions.
    pub fn lines(&self) -> impl Iterator<Item = (u64, &[u8])> {
        let mut start = 0;
        self.ends.iter().map(move |&(position, end)| {
            let line = &self.bytes[start..end];
            start = end;
            (position, line)
        })
    }

    /// Adds a line.
    pub fn push(&mut self, position: u64, line: &[u8]) {
        self.bytes.extend_from_slice(line);
        self.ends.push((position, self.bytes.len()));
    }
}

/// What a store is asked for, once it is there.
pub type Asked<'a, T> = BoxFuture<'a, Result<T, StoreError>>;

/// The position of the last fact, and news of it.
pub type Head = watch::Receiver<u64>;

/// A log store. See the [module](self) for its obligations.
pub trait LogStore: Send + Sync + std::fmt::Debug + 'static {
    /// Appends a group in one commit, and answers for each in order. `now` is the time of recording
    /// (raised to the last recorded time if the clock went back).
    fn append(&self, group: Vec<Append>, now: Instant) -> Asked<'_, Vec<Appended>>;

    /// The position of the last fact; 0 in an empty log.
    fn head(&self) -> u64;

    /// The head, and a wake-up whenever it moves on.
    fn follow(&self) -> Head;

    /// Lines from position `from` to at most position `to`, about `bytes_max` at a time (at least
    /// one line if any is there).
    fn read(&self, from: u64, to: u64, filter: Filter, bytes_max: usize) -> Asked<'_, Page>;

    /// The line at a position, if there is one.
    fn read_one(&self, position: u64) -> Asked<'_, Option<Vec<u8>>>;

    /// The position of the first fact with this unique or reference key. A store that keeps
    /// fingerprints may, very seldom, name a position that only looks alike: whoever acts on it
    /// compares the fact.
    fn find(&self, key: &str) -> Asked<'_, Option<u64>>;

    /// The index entries of clicks; `None` where the position holds no click.
    fn clicks(&self, positions: Vec<u64>) -> Asked<'_, Vec<Option<ClickHead>>>;

    /// The RFC 6962 tree hash over the first `size` lines.
    fn root(&self, size: u64) -> Asked<'_, [u8; 32]>;

    /// Reads everything again and checks it against what was remembered of it: order, counts, click
    /// index, keys and roots. `progress` is told how far it has come.
    fn check<'a>(&'a self, progress: &'a (dyn Fn(u64) + Sync)) -> Asked<'a, ()>;

    /// Whether others may append to the same log beside this process.
    fn is_shared(&self) -> bool {
        false
    }

    /// Takes notice of all that others have appended up to now, so that `head` covers it.
    fn look(&self) -> Asked<'_, ()> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// Finishes what is under way and lets go of files.
    fn close(&self) -> BoxFuture<'_, ()>;
}
