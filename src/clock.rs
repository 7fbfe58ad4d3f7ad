//! Time, ids and randomness, handed in so that a whole service can run under test control.

use std::sync::{
    Mutex,
    atomic::{AtomicI64, Ordering},
};

use postbook_schemas::{FactId, Instant};
use rand::{RngExt, SeedableRng, rngs::StdRng};

/// Where the service gets time and new ids from.
pub trait Clock: Send + Sync + std::fmt::Debug + 'static {
    /// The time.
    fn now(&self) -> Instant;

    /// A new `UUIDv7` of this moment.
    fn new_id(&self) -> FactId;
}

/// The machine's clock and randomness.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the clock"
    )]
    fn now(&self) -> Instant {
        chrono::Utc::now().into()
    }

    fn new_id(&self) -> FactId {
        id_at(self.now(), rand::random())
    }
}

/// A clock that stands still until it is moved, with ids from a seed.
#[derive(Debug)]
pub struct ManualClock {
    micros: AtomicI64,
    random: Mutex<StdRng>,
}

impl ManualClock {
    /// A clock that shows this time.
    pub fn new(now: Instant, seed: u64) -> Self {
        Self {
            micros: AtomicI64::new(now.micros()),
            random: Mutex::new(StdRng::seed_from_u64(seed)),
        }
    }

    /// Moves the clock on.
    pub fn advance_micros(&self, micros: i64) {
        self.micros.fetch_add(micros, Ordering::SeqCst);
    }

    /// Sets the clock.
    pub fn set(&self, now: Instant) {
        self.micros.store(now.micros(), Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Instant {
        Instant::from_micros(self.micros.load(Ordering::SeqCst))
    }

    fn new_id(&self) -> FactId {
        let random = self
            .random
            .lock()
            .expect("no thread panics while it draws a number")
            .random();
        id_at(self.now(), random)
    }
}

/// A `UUIDv7` of a moment.
pub(crate) fn id_at(now: Instant, random: [u8; 10]) -> FactId {
    let millis = u64::try_from(now.micros() / 1_000).unwrap_or(0);
    uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
}
