//! How fresh a node's knowledge of a log is that others append to as well.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use tokio::time::Instant;

/// What is not known here is looked for on the server if it was not looked at for so long.
const FRESH: Duration = Duration::from_millis(5);

/// When this node last knew all that was in the log.
#[derive(Debug)]
pub(super) struct Fresh {
    epoch: Instant,
    /// Microseconds since then.
    as_of: AtomicU64,
}

impl Fresh {
    pub(super) fn never() -> Self {
        Self {
            epoch: Instant::now(),
            as_of: AtomicU64::new(0),
        }
    }

    /// The time since when something is fresh; none if the machine has not run for so long.
    pub(super) fn enough() -> Option<Instant> {
        Instant::now().checked_sub(FRESH)
    }

    /// What was in the log at this time is known.
    pub(super) fn is_as_of(&self, time: Instant) {
        self.as_of.fetch_max(self.micros(time), Ordering::AcqRel);
    }

    /// Whether all that was in the log at this time is known.
    pub(super) fn is_since(&self, time: Instant) -> bool {
        let as_of = self.as_of.load(Ordering::Acquire);
        as_of > 0 && as_of >= self.micros(time)
    }

    fn micros(&self, time: Instant) -> u64 {
        let since = time.saturating_duration_since(self.epoch).as_micros();
        u64::try_from(since).unwrap_or(u64::MAX)
    }
}
