//! Somebody who goes on with something while somebody else disturbs it again and again.

use std::{
    ops::Range,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};

use rand::{RngExt, SeedableRng, rngs::StdRng};

/// What has been done in spite of all disturbances, and whether they are over.
#[derive(Default)]
pub(crate) struct Progress {
    done: AtomicU64,
    is_over: AtomicBool,
}

impl Progress {
    /// One thing more is done.
    pub(crate) fn step(&self) {
        self.done.fetch_add(1, Ordering::SeqCst);
    }

    /// There will be no more disturbances.
    pub(crate) fn end(&self) {
        self.is_over.store(true, Ordering::SeqCst);
    }

    pub(crate) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::SeqCst)
    }
}

/// Random pauses between disturbances, longer ones after a pause in which nothing was done: a slow machine
/// makes no connection in a time that a quick one makes ten in, and would never get on.
pub(crate) struct Pauses {
    random: StdRng,
    usual: Range<Duration>,
    stretch: u32,
    done: u64,
}

impl Pauses {
    const STRETCH_MAX: u32 = 256;

    pub(crate) fn new(usual: Range<Duration>) -> Self {
        Self {
            random: StdRng::seed_from_u64(7),
            usual,
            stretch: 1,
            done: 0,
        }
    }

    /// Lets those who are disturbed go on for a while.
    pub(crate) async fn pause(&mut self, progress: &Progress) {
        let pause = self.random.random_range(self.usual.clone());
        tokio::time::sleep(pause * self.stretch).await;
        let done = progress.done.load(Ordering::SeqCst);
        self.stretch = if done == self.done {
            (self.stretch * 2).min(Self::STRETCH_MAX)
        } else {
            (self.stretch / 2).max(1)
        };
        self.done = done;
    }

    /// A random number for whoever disturbs.
    pub(crate) fn random(&mut self) -> &mut StdRng {
        &mut self.random
    }
}
