//! How a rebuild makes room for intake: it rests between pages, the longer the more comes in.

use std::time::{Duration, Instant};

/// From so many facts a second on intake is taken to need the whole machine.
const BUSY_PER_SECOND: u128 = 10_000;

/// While intake needs the whole machine, a rebuild rests so many times as long as it worked.
const REST_FACTOR: u128 = 9;

/// The longest rest: longer than a page takes, short enough that the end of the load is noticed.
const REST_MAX: Duration = Duration::from_secs(1);

/// Looks between two pages at what came in meanwhile.
#[derive(Debug)]
pub(super) struct Pace {
    head: u64,
    looked_at: Instant,
    worked_from: Instant,
}

impl Pace {
    pub(super) fn new(head: u64) -> Self {
        let now = Instant::now();
        Self {
            head,
            looked_at: now,
            worked_from: now,
        }
    }

    /// How long to rest now, if the head of the log is here.
    pub(super) fn rest(&mut self, head: u64) -> Duration {
        let (now, facts) = (Instant::now(), head.saturating_sub(self.head));
        let rest = rest(facts, now - self.looked_at, now - self.worked_from);
        self.head = head;
        self.looked_at = now;
        rest
    }

    /// Work goes on.
    pub(super) fn go_on(&mut self) {
        self.worked_from = Instant::now();
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
    fn the_rest_grows_with_intake_up_to_a_tenth_of_the_time_for_work() {
        assert_eq!(rest(200, WORKED, WORKED), WORKED * 9 / 2);
        assert_eq!(rest(400, WORKED, WORKED), WORKED * 9);
        assert_eq!(rest(40_000, WORKED, WORKED), WORKED * 9);
    }

    #[test]
    fn a_rest_has_an_end() {
        let long = Duration::from_mins(1);
        assert_eq!(rest(6_000_000, long, long), REST_MAX);
    }
}
