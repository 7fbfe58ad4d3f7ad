//! How a rebuild makes room for intake: it rests between pages, the longer the more comes in.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// From so many facts a second on intake is taken to need the whole machine.
const BUSY_PER_SECOND: u128 = 10_000;

/// While intake needs the whole machine, a rebuild rests so many times as long as its steps have worked.
const REST_FACTOR: u128 = 5;

/// The longest rest: longer than a page takes, short enough that the end of the load is noticed.
const REST_MAX: Duration = Duration::from_secs(1);

/// How long the steps of a rebuild have worked, all together: they work side by side, and also while the
/// first of them rests.
#[derive(Clone, Debug, Default)]
pub(super) struct Work(Arc<AtomicU64>);

impl Work {
    /// A step has worked since then.
    pub(super) fn since(&self, started: Instant) {
        self.add(started.elapsed());
    }

    fn add(&self, worked: Duration) {
        let micros = u64::try_from(worked.as_micros()).unwrap_or(u64::MAX);
        self.0.fetch_add(micros, Ordering::Relaxed);
    }

    /// Does what a step has to do, and counts how long it takes.
    pub(super) async fn of<T>(&self, step: impl Future<Output = T>) -> T {
        let started = Instant::now();
        let done = step.await;
        self.since(started);
        done
    }

    /// What has come together since this was asked last.
    fn take(&self) -> Duration {
        Duration::from_micros(self.0.swap(0, Ordering::Relaxed))
    }
}

/// Looks between two pages at what came in meanwhile.
#[derive(Debug)]
pub(super) struct Pace {
    head: u64,
    looked_at: Instant,
    work: Work,
}

impl Pace {
    pub(super) fn new(head: u64, work: Work) -> Self {
        Self {
            head,
            looked_at: Instant::now(),
            work,
        }
    }

    /// How long to rest now, if the head of the log is here.
    pub(super) fn rest(&mut self, head: u64) -> Duration {
        let (now, facts) = (Instant::now(), head.saturating_sub(self.head));
        let rest = rest(facts, now - self.looked_at, self.work.take());
        self.head = head;
        self.looked_at = now;
        rest
    }
}

/// The rest after having worked so long, if so many facts came in during `time`.
fn rest(facts: u64, time: Duration, worked: Duration) -> Duration {
    let per_second = u128::from(facts) * 1_000_000 / time.as_micros().max(1);
    let share = per_second.min(BUSY_PER_SECOND);
    let micros = worked.as_micros() * REST_FACTOR * share / BUSY_PER_SECOND;
    Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX)).min(REST_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORKED: Duration = Duration::from_millis(40);

    #[test]
    fn nobody_rests_for_nobody() {
        assert_eq!(rest(0, WORKED, WORKED), Duration::ZERO);
    }

    #[test]
    fn the_rest_grows_with_intake_up_to_five_times_the_work() {
        assert_eq!(rest(200, WORKED, WORKED), WORKED * 5 / 2);
        assert_eq!(rest(400, WORKED, WORKED), WORKED * 5);
        assert_eq!(rest(40_000, WORKED, WORKED), WORKED * 5);
    }

    #[test]
    fn what_all_steps_have_worked_counts_once() {
        let work = Work::default();
        for _ in 0..3 {
            work.clone().add(WORKED);
        }
        assert_eq!(work.take(), WORKED * 3);
        assert_eq!(work.take(), Duration::ZERO);
    }

    #[test]
    fn a_rest_has_an_end() {
        let long = Duration::from_mins(1);
        assert_eq!(rest(6_000_000, long, long), REST_MAX);
    }
}
