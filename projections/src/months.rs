//! Months below zero: what is given up, or set aside within its fence, at a month's end (SPEC 6,
//! `carryover`).

use std::collections::BTreeMap;

use postbook_schemas::{Currency, Instant, Slug};

use crate::posted::Overflow;

/// The month of a fence in which an earning line counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FencedMonth {
    /// The fence: partner, currency, and what its terms keep apart.
    pub scope: u128,
    /// When the month ends.
    pub ends_at: Instant,
    /// Whether a month below zero is given up; else it is carried within the fence.
    pub resets: bool,
}

/// A partner's earnings within one fence, month by month.
#[derive(Clone, Debug)]
pub struct Fence {
    /// Whose.
    pub partner: Slug,
    /// The currency.
    pub currency: Currency,
    resets: bool,
    months: BTreeMap<Instant, Month>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Month {
    earned_minor: i128,
    posted_minor: i64,
}

impl Fence {
    /// A fence within which nothing is earned yet.
    pub fn new(partner: Slug, currency: Currency, resets: bool) -> Self {
        Self {
            partner,
            currency,
            resets,
            months: BTreeMap::new(),
        }
    }

    /// Adds to what a month has earned.
    pub fn add(&mut self, ends_at: Instant, minor: i128) {
        let month = self.months.entry(ends_at).or_default();
        month.earned_minor = month.earned_minor.saturating_add(minor);
    }

    /// Brings what is posted at the months' ends to what they have earned: the end of each month
    /// that changes, its amount now, and by how much that is more than before.
    ///
    /// A month below zero gets what it lacks. If that is carried, months above zero give it back, as
    /// far as they can.
    ///
    /// # Errors
    /// An amount does not fit 64 bits.
    pub fn settle(&mut self) -> Result<Vec<(Instant, i64, i64)>, Overflow> {
        let mut carried = 0_i128;
        let mut changed = Vec::new();
        for (&ends_at, month) in &mut self.months {
            let lacking = carried.saturating_sub(month.earned_minor).max(0);
            let due = i64::try_from(lacking.saturating_sub(carried)).map_err(|_| Overflow)?;
            carried = if self.resets { 0 } else { lacking };
            let more = due.checked_sub(month.posted_minor).ok_or(Overflow)?;
            if more != 0 {
                changed.push((ends_at, due, more));
                month.posted_minor = due;
            }
        }
        self.months.retain(|_, month| *month != Month::default());
        Ok(changed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(months: &[i128], resets: bool) -> Vec<i64> {
        let partner = Slug::try_new("p1").expect("a slug");
        let mut fence = Fence::new(partner, Currency::USD, resets);
        for (at, &earned) in (1..).zip(months) {
            fence.add(Instant::from_micros(at), earned);
        }
        let settled = fence.settle().expect("small amounts");
        let at = |at: i64| settled.iter().find(|(ends_at, ..)| ends_at.micros() == at);
        (1..)
            .zip(months)
            .map(|(month, _)| at(month).map_or(0, |&(_, due, _)| due))
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
}
