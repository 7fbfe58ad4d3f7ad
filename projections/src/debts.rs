//! When a debt came to be: what was posted for a line and what payouts carried of it, one after the
//! other.

use std::collections::BTreeMap;

use postbook_schemas::Instant;

/// Something that moved a line or what payouts carry of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moved {
    /// The posting that says so; those of one line are looked at in this order.
    pub number: u64,
    /// From when on it counts.
    pub at: Instant,
    /// What it did.
    pub by: By,
}

/// What moved a line or what payouts carry of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// The line is worth more or less.
    Line {
        /// By how much.
        net_minor: i64,
        /// The fact that did it.
        cause: u64,
    },
    /// The money of a payout left, with so much of the line.
    Sent {
        /// Where the payout was proposed.
        payout: u64,
        /// How much of the line it carries; less than nothing if it recovers.
        carried_minor: i64,
    },
    /// It came back.
    Returned {
        /// Where the payout was proposed.
        payout: u64,
    },
}

/// How a debt came to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Arose {
    /// Since when it is owed.
    pub since: Option<Instant>,
    /// The last fact that lowered the line.
    pub cause: Option<u64>,
}

/// When a line fell below what payouts carry of it, and what lowered it last. It may have fallen before
/// its payout was sent: then it is owed from then on.
pub fn arose(moves: &[Moved]) -> Arose {
    let mut line = Line::default();
    let mut arose = Arose::default();
    for moved in moves {
        match moved.by {
            By::Line { net_minor, cause } => {
                line.net_minor = line.net_minor.saturating_add(i128::from(net_minor));
                if net_minor < 0 {
                    arose.cause = Some(cause);
                }
            }
            By::Sent {
                payout,
                carried_minor,
            } => {
                let (_, sum) = line.sent.entry(payout).or_insert((moved.at, 0));
                *sum = sum.saturating_add(i128::from(carried_minor));
            }
            By::Returned { payout } => {
                line.sent.remove(&payout);
            }
        }
        let owed = line.paid_too_much_at().map(|paid| paid.max(moved.at));
        arose.since = owed.and_then(|owed| arose.since.or(Some(owed)));
    }
    arose
}

/// What a line is worth, and by the payouts that carry it since when and how much.
#[derive(Debug, Default)]
struct Line {
    net_minor: i128,
    sent: BTreeMap<u64, (Instant, i128)>,
}

impl Line {
    /// When payouts first carried more than the line is worth now.
    fn paid_too_much_at(&self) -> Option<Instant> {
        let mut times: Vec<Instant> = self.sent.values().map(|(at, _)| *at).collect();
        times.sort_unstable();
        times
            .into_iter()
            .find(|&until| self.most_until(until) > self.net_minor.max(0))
    }

    /// The most that payouts carried until then, in their order.
    fn most_until(&self, until: Instant) -> i128 {
        let sent = self.sent.values().filter(|(at, _)| *at <= until);
        let most = sent.fold((0_i128, 0_i128), |(now, most), (_, minor)| {
            let now = now.saturating_add(*minor);
            (now, most.max(now))
        });
        most.1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Moves, one after the other: the day from which each counts and what it did. Then since when what is
    /// left is owed, and the fact that lowered the line last.
    const EXAMPLES: &[(&str, Option<i64>, Option<u64>)] = &[
        ("1 line 100 #1, 5 sent P1 100", None, None),
        // Paid, then taken back; whatever takes more of it later.
        (
            "1 line 100 #1, 5 sent P1 100, 9 line -100 #7",
            Some(9),
            Some(7),
        ),
        (
            "1 line 100 #1, 5 sent P1 100, 9 line -40 #7, 20 line -60 #8",
            Some(9),
            Some(8),
        ),
        // Taken back before it was paid, or told only afterwards.
        (
            "1 line 100 #1, 3 line -100 #4, 5 sent P1 100",
            Some(5),
            Some(4),
        ),
        (
            "1 line 100 #1, 5 sent P1 100, 2 line -100 #7",
            Some(5),
            Some(7),
        ),
        // Less of it was paid in the first place.
        (
            "1 line 100 #1, 2 line -10 #2, 5 sent P1 90, 9 line -90 #7",
            Some(9),
            Some(7),
        ),
        // Given back and taken again: owed since then.
        (
            "1 line 100 #1, 5 sent P1 100, 9 line -100 #7, 10 line 100 #8, 30 line -100 #9",
            Some(30),
            Some(9),
        ),
        // The money came back, and left again.
        (
            "1 line 100 #1, 5 sent P1 100, 9 line -100 #7, 10 returned P1",
            None,
            Some(7),
        ),
        (
            "1 line 100 #1, 5 sent P1 100, 9 line -100 #7, 10 returned P1, 12 sent P1 100",
            Some(12),
            Some(7),
        ),
        // Part of it was recovered.
        (
            "1 line 100 #1, 5 sent P1 100, 9 line -100 #7, 40 sent P2 -30",
            Some(9),
            Some(7),
        ),
        // Two payouts carry parts; the first alone was too much, or only both.
        (
            "1 line 100 #1, 5 sent P1 100, 6 line 50 #2, 20 sent P2 50, 9 line -100 #7",
            Some(9),
            Some(7),
        ),
        (
            "1 line 100 #1, 5 sent P1 100, 6 line 50 #2, 20 sent P2 50, 9 line -20 #7",
            Some(20),
            Some(7),
        ),
    ];

    fn moves(text: &str) -> Vec<Moved> {
        let all = (1..).zip(text.split(", "));
        let moved = all.map(|(number, text)| {
            let mut words = text.split(' ');
            let mut word = || words.next().expect("a word");
            let whole = |word: &str| {
                let digits = word.trim_start_matches(['#', 'P']);
                digits.parse::<i64>().expect("a number")
            };
            let at = Instant::EPOCH.plus_micros(whole(word()));
            let by = match word() {
                "line" => By::Line {
                    net_minor: whole(word()),
                    cause: whole(word()).cast_unsigned(),
                },
                "sent" => By::Sent {
                    payout: whole(word()).cast_unsigned(),
                    carried_minor: whole(word()),
                },
                _ => By::Returned {
                    payout: whole(word()).cast_unsigned(),
                },
            };
            Moved { number, at, by }
        });
        moved.collect()
    }

    #[test]
    fn a_debt_is_owed_since_the_line_fell_below_what_was_paid() {
        for (text, since, cause) in EXAMPLES {
            let since = since.map(|day| Instant::EPOCH.plus_micros(day));
            let expected = Arose {
                since,
                cause: *cause,
            };
            assert_eq!(arose(&moves(text)), expected, "{text}");
        }
    }
}
