//! How the way through the log is followed from outside: what is told of it, and who may end it.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

/// Told of each position that is reached, and asked whether to go on.
pub(super) trait Course: Send + Sync {
    /// All facts up to here are done.
    fn reached(&self, position: u64);

    /// Whether to stop before the next page.
    fn is_stopped(&self) -> bool {
        false
    }

    /// Whether intake goes first.
    fn yields(&self) -> bool {
        false
    }
}

/// What a rebuild is at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// It waits until the live read models follow the log.
    #[default]
    Waiting,
    /// It folds again what an interrupted rebuild has written.
    Resuming,
    /// It folds facts and writes rows.
    Folding,
    /// It makes the indexes.
    Indexing,
    /// It takes in what happened meanwhile, compares, and switches.
    Switching,
    /// It has ended.
    Ended,
}

impl Phase {
    /// The word used in answers.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Resuming => "resuming",
            Self::Folding => "folding",
            Self::Indexing => "indexing",
            Self::Switching => "switching",
            Self::Ended => "ended",
        }
    }
}

/// How far a rebuild has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// What it is at.
    pub phase: Phase,
    /// Facts up to here are done.
    pub position: u64,
    /// Where it is going.
    pub head: u64,
    /// How long it has been folding.
    pub elapsed: Duration,
}

impl Progress {
    /// Facts a second so far.
    pub fn facts_per_second(&self) -> u64 {
        let micros = self.elapsed.as_micros().max(1);
        let rate = u128::from(self.position) * 1_000_000 / micros;
        u64::try_from(rate).unwrap_or(u64::MAX)
    }

    /// How long the rest takes at this rate.
    pub fn left(&self) -> Option<Duration> {
        let rate = self.facts_per_second();
        let facts = self.head.saturating_sub(self.position);
        (rate > 0).then(|| Duration::from_millis(facts.saturating_mul(1000) / rate))
    }
}

/// What whoever has started a rebuild holds of it: how far it is, and the word to stop.
#[derive(Debug, Default)]
pub struct Control {
    state: Mutex<State>,
    cancelled: AtomicBool,
}

#[derive(Clone, Copy, Debug, Default)]
struct State {
    progress: Progress,
    began: Option<Instant>,
}

impl Control {
    /// How far it has come.
    pub fn progress(&self) -> Progress {
        let state = *self.lock();
        let elapsed = match state.began {
            Some(began) if state.progress.phase != Phase::Ended => began.elapsed(),
            _ => state.progress.elapsed,
        };
        Progress {
            elapsed,
            ..state.progress
        }
    }

    /// Ends it at the next page. What was written stays, and the next rebuild goes on from there.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::SeqCst);
    }

    /// Whether it was told to end.
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::SeqCst)
    }

    pub(super) fn begin(&self, head: u64) {
        let mut state = self.lock();
        state.began = Some(Instant::now());
        state.progress.head = head;
    }

    pub(super) fn enter(&self, phase: Phase) {
        let mut state = self.lock();
        if phase == Phase::Ended {
            state.progress.elapsed = state.began.map(|began| began.elapsed()).unwrap_or_default();
        }
        state.progress.phase = phase;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("no thread panics while it copies")
    }
}

impl Course for Control {
    fn reached(&self, position: u64) {
        let mut state = self.lock();
        state.progress.position = position;
        state.progress.head = state.progress.head.max(position);
    }

    fn is_stopped(&self) -> bool {
        self.is_cancelled()
    }

    fn yields(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_left_follows_from_the_rate_so_far() {
        let progress = Progress {
            phase: Phase::Folding,
            position: 250_000,
            head: 1_000_000,
            elapsed: Duration::from_millis(500),
        };
        assert_eq!(progress.facts_per_second(), 500_000);
        assert_eq!(progress.left(), Some(Duration::from_millis(1500)));
    }

    #[test]
    fn nothing_is_foretold_before_anything_was_done() {
        assert_eq!(Progress::default().left(), None);
    }
}
