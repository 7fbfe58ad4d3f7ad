//! Months below zero: what is given up, or set aside within its fence, at a month's end (SPEC 6,
//! `carryover`).

use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::Arc,
};

use chrono::TimeZone;
use chrono_tz::Tz;
use postbook_schemas::{Currency, Instant, Month, OfferRef, Slug};

use crate::posted::Overflow;

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
    pub fn add(&mut self, ends_at: Instant, minor: i64, available_at: Instant) {
        let month = self.months.entry(ends_at).or_default();
        month.minor = month.minor.saturating_add(i128::from(minor));
        let count = month.available.entry(available_at).or_default();
        *count = count.saturating_add(1);
    }

    /// Takes a line out that [`Self::add`] put in.
    pub fn remove(&mut self, ends_at: Instant, minor: i64, available_at: Instant) {
        let month = self.months.entry(ends_at).or_default();
        month.minor = month.minor.saturating_sub(i128::from(minor));
        if let Entry::Occupied(mut count) = month.available.entry(available_at) {
            *count.get_mut() = count.get().saturating_sub(1);
            if *count.get() == 0 {
                count.remove();
            }
        }
    }

    /// Brings what is posted at the months' ends to what they have earned.
    ///
    /// A month below zero gets what it lacks. If that is carried, months above zero give it back, as
    /// far as they can.
    ///
    /// # Errors
    /// An amount does not fit 64 bits.
    pub fn settle(&mut self) -> Result<Vec<Ended>, Overflow> {
        let mut carried = 0_i128;
        let mut changed = Vec::new();
        for (&ends_at, month) in &mut self.months {
            let lacking = carried.saturating_sub(month.minor).max(0);
            let due = i64::try_from(lacking.saturating_sub(carried)).map_err(|_| Overflow)?;
            carried = if self.around.around.resets {
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
        Ok(changed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fence(resets: bool) -> Fence {
        let around = FenceAround {
            scope: 1,
            partner: Slug::try_new("p1").expect("a slug"),
            currency: Currency::USD,
            offer: None,
            time_zone: Tz::UTC,
            resets,
        };
        Fence::new(Arc::new(FencedMonth {
            around,
            ends_at: Instant::EPOCH,
        }))
    }

    fn at(micros: i64) -> Instant {
        Instant::from_micros(micros)
    }

    fn ends(months: &[i64], resets: bool) -> Vec<i64> {
        let mut fence = fence(resets);
        for (end, &earned) in (1..).zip(months) {
            fence.add(at(end), earned, at(0));
        }
        let settled = fence.settle().expect("small amounts");
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
        fence.add(at(10), -100, at(3));
        fence.add(at(10), 70, at(24));
        let end = |minor, micros| AtEnd {
            minor,
            available_at: at(micros),
        };
        let settled = fence.settle().expect("small amounts");
        assert_eq!(
            settled,
            [Ended {
                ends_at: at(10),
                before: None,
                after: end(30, 24)
            }]
        );
        // Sooner, since what was held longest was taken back.
        fence.remove(at(10), 70, at(24));
        fence.add(at(10), 60, at(5));
        let settled = fence.settle().expect("small amounts");
        assert_eq!(
            settled,
            [Ended {
                ends_at: at(10),
                before: Some(end(30, 24)),
                after: end(40, 10)
            }]
        );
        assert_eq!(fence.settle(), Ok(Vec::new()));
    }
}
