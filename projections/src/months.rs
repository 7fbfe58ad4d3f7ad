//! Months below zero: what is given up, or set aside within its fence, at a month's end (SPEC 6,
//! `carryover`).

mod players;

use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::Arc,
};

use chrono::TimeZone;
use chrono_tz::Tz;
use postbook_schemas::{BALANCE_MINOR_MAX, Currency, Instant, Month, OfferRef, Slug};

use players::{Debts, Players};

/// What a fence is around: whose earnings, and what becomes of a month below zero.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FenceAround {
    /// The fence: partner, currency, and what its terms keep apart.
    pub scope: u128,
    /// Whose.
    pub partner: Slug,
    /// The currency.
    pub currency: Currency,
    /// The offer, if it is within one.
    pub offer: Option<OfferRef>,
    /// Whose months.
    pub time_zone: Tz,
    /// Whether a month below zero is given up; else it is carried within the fence.
    pub resets: bool,
}

impl FenceAround {
    /// The month that an instant falls in.
    pub fn month(&self, at: Instant) -> Month {
        let utc = at.to_chrono().naive_utc();
        Month::of_date(&self.time_zone.from_utc_datetime(&utc))
    }
}

/// The month of a fence in which an earning line counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FencedMonth {
    /// The fence.
    pub around: FenceAround,
    /// When the month ends.
    pub ends_at: Instant,
    /// Whose loss it may be, where its terms carry what high rollers lose.
    pub player: Option<Player>,
}

/// A customer whose losses may be carried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Player {
    /// The offer, and the customer's id or else the click's; nothing that nobody is behind.
    pub name: Option<Box<str>>,
    /// What makes a high roller: a month's loss of at least this much.
    pub from_minor: i64,
}

/// A partner's earnings within one fence, month by month.
#[derive(Clone, Debug)]
pub struct Fence {
    /// What it is around.
    pub around: Arc<FencedMonth>,
    months: BTreeMap<Instant, Earned>,
}

/// What a month of a fence has earned, and what stands posted at its end.
#[derive(Clone, Debug, Default)]
struct Earned {
    minor: i128,
    /// When its lines are payable, and how many are then.
    available: BTreeMap<Instant, u32>,
    posted: Option<AtEnd>,
    players: Players,
}

/// What is posted at a month's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AtEnd {
    /// What it adds to the balance.
    pub minor: i64,
    /// From when it is payable: when all lines of the month are. What makes up for a loss would
    /// otherwise be paid before what the loss is to be set against.
    pub available_at: Instant,
}

/// How the end of a month changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Which month.
    pub ends_at: Instant,
    /// What was posted.
    pub before: Option<AtEnd>,
    /// What is to stand posted.
    pub after: AtEnd,
}

impl Fence {
    /// A fence within which nothing is earned yet.
    pub fn new(around: Arc<FencedMonth>) -> Self {
        Self {
            around,
            months: BTreeMap::new(),
        }
    }

    /// Adds a line to what a month has earned.
    pub fn add(&mut self, line: &FencedMonth, minor: i64, available_at: Instant) {
        let month = self.months.entry(line.ends_at).or_default();
        month.minor = month.minor.saturating_add(i128::from(minor));
        let count = month.available.entry(available_at).or_default();
        *count = count.saturating_add(1);
        if let Some(player) = &line.player {
            month.players.add(player, minor);
        }
    }

    /// Takes a line out that [`Self::add`] put in.
    pub fn remove(&mut self, line: &FencedMonth, minor: i64, available_at: Instant) {
        let month = self.months.entry(line.ends_at).or_default();
        month.minor = month.minor.saturating_sub(i128::from(minor));
        if let Entry::Occupied(mut count) = month.available.entry(available_at) {
            *count.get_mut() = count.get().saturating_sub(1);
            if *count.get() == 0 {
                count.remove();
            }
        }
        if let Some(player) = &line.player {
            month.players.remove(player, minor);
        }
    }

    /// Brings what is posted at the months' ends to what they have earned.
    ///
    /// A month below zero gets what it lacks. If that is carried, months above zero give it back, as
    /// far as they can. What is given up is carried against the high rollers of the month, and what they
    /// earn later gives it back.
    pub fn settle(&mut self) -> Vec<Ended> {
        // Sums cannot come near it before an offer reports a hundred of the largest amounts; they are
        // then as if they came to this.
        let most = i128::from(BALANCE_MINOR_MAX);
        let (mut carried, mut debts) = (0_i128, Debts::default());
        let mut changed = Vec::new();
        for (&ends_at, month) in &mut self.months {
            let worked_off = debts.work_off(&month.players);
            let left = month.minor.saturating_sub(worked_off);
            let lacking = carried.saturating_sub(left).clamp(0, most);
            let due = lacking.saturating_sub(carried).saturating_sub(worked_off);
            let due = i64::try_from(due.clamp(most.saturating_neg(), most)).unwrap_or(0);
            carried = if self.around.around.resets {
                debts.carry(lacking, &month.players);
                0
            } else {
                lacking
            };
            let last = month.available.last_key_value().map(|(&at, _)| at);
            let after = AtEnd {
                minor: due,
                available_at: last.map_or(ends_at, |at| at.max(ends_at)),
            };
            let before = month.posted;
            if before != Some(after) && (due != 0 || before.is_some()) {
                month.posted = Some(after).filter(|_| due != 0);
                changed.push(Ended {
                    ends_at,
                    before,
                    after,
                });
            }
        }
        self.months
            .retain(|_, month| !month.available.is_empty() || month.posted.is_some());
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn month(end: i64, resets: bool) -> FencedMonth {
        let around = FenceAround {
            scope: 1,
            partner: Slug::try_new("p1").expect("a slug"),
            currency: Currency::USD,
            offer: None,
            time_zone: Tz::UTC,
            resets,
        };
        FencedMonth {
            around,
            ends_at: at(end),
            player: None,
        }
    }

    fn fence(resets: bool) -> Fence {
        Fence::new(Arc::new(month(0, resets)))
    }

    fn at(micros: i64) -> Instant {
        Instant::from_micros(micros)
    }

    fn ends(months: &[i64], resets: bool) -> Vec<i64> {
        let mut fence = fence(resets);
        for (end, &earned) in (1..).zip(months) {
            fence.add(&month(end, resets), earned, at(0));
        }
        let settled = fence.settle();
        let of = |end: i64| settled.iter().find(|ended| ended.ends_at == at(end));
        (1..)
            .zip(months)
            .map(|(month, _)| of(month).map_or(0, |ended| ended.after.minor))
            .collect()
    }

    #[test]
    fn a_month_below_zero_is_given_up() {
        assert_eq!(ends(&[-3_000, 4_500], true), [3_000, 0]);
    }

    #[test]
    fn a_month_below_zero_is_carried_until_later_ones_have_worked_it_off() {
        assert_eq!(
            ends(&[-3_000, 1_000, -500, 4_500], false),
            [3_000, -1_000, 500, -2_500]
        );
    }

    #[test]
    fn what_makes_up_for_a_loss_is_payable_when_the_whole_month_is() {
        let mut fence = fence(true);
        fence.add(&month(10, true), -100, at(3));
        fence.add(&month(10, true), 70, at(24));
        let end = |minor, micros| AtEnd {
            minor,
            available_at: at(micros),
        };
        let settled = fence.settle();
        assert_eq!(
            settled,
            [Ended {
                ends_at: at(10),
                before: None,
                after: end(30, 24)
            }]
        );
        // Sooner, since what was held longest was taken back.
        fence.remove(&month(10, true), 70, at(24));
        fence.add(&month(10, true), 60, at(5));
        let settled = fence.settle();
        assert_eq!(
            settled,
            [Ended {
                ends_at: at(10),
                before: Some(end(30, 24)),
                after: end(40, 10)
            }]
        );
        assert_eq!(fence.settle(), Vec::new());
    }

    /// What players earn month by month, and what the ends of the months add.
    fn ends_of(from_minor: i64, months: &[&[(&str, i64)]]) -> Vec<i64> {
        let mut fence = fence(true);
        for (end, players) in (1..).zip(months) {
            for &(name, minor) in *players {
                let player = Some(Player {
                    name: Some(name).filter(|name| !name.is_empty()).map(Box::from),
                    from_minor,
                });
                let line = FencedMonth {
                    player,
                    ..month(end, true)
                };
                fence.add(&line, minor, at(0));
            }
        }
        let settled = fence.settle();
        let of = |end: i64| settled.iter().find(|ended| ended.ends_at == at(end));
        (1..)
            .zip(months)
            .map(|(month, _)| of(month).map_or(0, |ended| ended.after.minor))
            .collect()
    }

    #[test]
    fn what_high_rollers_lose_is_carried_against_them_alone() {
        // HR1: a large loss in a month that is above zero in all is nobody's debt.
        assert_eq!(
            ends_of(50, &[&[("u", -60), ("v", 70)], &[("u", 60)]]),
            [0, 0]
        );
        // HR1: nor is a small one in a month below zero.
        assert_eq!(ends_of(50, &[&[("u", -49)], &[("u", 60)]]), [49, 0]);
        // HR2, HR6: a large one is, and is worked off over months.
        let months: &[&[(&str, i64)]] = &[&[("u", -60)], &[("u", 40)], &[("u", 40)]];
        assert_eq!(ends_of(50, months), [60, -40, -20]);
        // HR3: others earn beside it.
        assert_eq!(ends_of(50, &[&[("u", -60)], &[("v", 40)]]), [60, 0]);
        // HR4: no more than the month lacks in all.
        assert_eq!(
            ends_of(50, &[&[("u", -60), ("v", 45)], &[("u", 40)]]),
            [15, -15]
        );
        // HR5: of 50, one who lost 60 and one who lost 90 carry 20 and 30.
        let months: &[&[(&str, i64)]] = &[
            &[("u", -60), ("v", -90), ("w", 100)],
            &[("u", 25), ("v", 25)],
            &[("v", 25)],
        ];
        assert_eq!(ends_of(50, months), [50, -45, -5]);
        // What nobody is behind counts in the month, and is nobody's debt.
        assert_eq!(ends_of(50, &[&[("", -60)], &[("", 70)]]), [60, 0]);
    }

    #[test]
    fn a_debt_that_is_worked_off_in_a_month_below_zero_takes_nothing_from_the_partner() {
        // v works off 10 of its debt, and the rest of the month, −30, is given up.
        assert_eq!(
            ends_of(50, &[&[("v", -60)], &[("v", 10), ("w", -30)]]),
            [60, 20]
        );
    }
}
