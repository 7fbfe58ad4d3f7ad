//! The demo's clock: it runs like the real one but is behind it, by less and less, until it is not.

use std::sync::atomic::{AtomicI64, Ordering};

use postbook_schemas::{FactId, Instant};

use crate::clock::{Clock, SystemClock, id_at};

/// A clock that was set back and is let catch up.
#[derive(Debug, Default)]
pub(super) struct DemoClock {
    behind_micros: AtomicI64,
}

impl DemoClock {
    /// Moves the clock on to this time; from there it runs. It never goes back.
    pub(super) fn advance_to(&self, time: Instant) {
        let behind = SystemClock.now().micros_since(time).max(0);
        self.behind_micros.fetch_min(behind, Ordering::SeqCst);
    }

    /// Sets the clock back to this time, before anything was recorded.
    pub(super) fn start_at(&self, time: Instant) {
        let behind = SystemClock.now().micros_since(time).max(0);
        self.behind_micros.store(behind, Ordering::SeqCst);
    }

    /// Hands over to real time.
    pub(super) fn catch_up(&self) {
        self.behind_micros.store(0, Ordering::SeqCst);
    }
}

impl Clock for DemoClock {
    fn now(&self) -> Instant {
        let behind = self.behind_micros.load(Ordering::SeqCst);
        SystemClock.now().plus_micros(behind.saturating_neg())
    }

    fn new_id(&self) -> FactId {
        id_at(self.now(), rand::random())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use postbook_schemas::instant::DAY_US;

    #[test]
    fn the_clock_moves_on_to_the_present_and_never_back() {
        let clock = DemoClock::default();
        let start = SystemClock.now().plus_micros(-30 * DAY_US);
        clock.start_at(start);
        assert!(clock.now().micros_since(start) < DAY_US);
        let later = start.plus_days(2);
        clock.advance_to(later);
        assert!(clock.now() >= later);
        clock.advance_to(start);
        assert!(clock.now() >= later);
        clock.catch_up();
        assert!(SystemClock.now().micros_since(clock.now()) < DAY_US);
    }
}
