//! Who sits where, what that adds to sums, and which seats are looked for.

use std::ops::RangeInclusive;

use crate::numbers::ConversionNumber;

/// Who sits somewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seat {
    /// Which conversion.
    pub conversion: ConversionNumber,
    /// What it weighs, or would weigh if it were a member.
    pub own_minor: i64,
    /// How far below and above the sum before it its own price looks, at least its own weight.
    pub reach: Reach,
    /// A member counts; a ghost only needs to know its place.
    pub is_member: bool,
}

/// How far a price looks below and above the sum before it; neither is on the wrong side of zero.
pub type Reach = (i64, i64);

impl Seat {
    /// What it adds to sums.
    pub fn weight(&self) -> i128 {
        if self.is_member {
            i128::from(self.own_minor)
        } else {
            0
        }
    }
}

/// Members before a place: how many, and the sum of their weights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Before {
    /// How many.
    pub count: usize,
    /// What they weigh.
    pub sum: i128,
}

impl Before {
    /// With one more seat before the place.
    #[must_use]
    pub(super) fn with(self, seat: &Seat) -> Self {
        Self {
            count: self.count.saturating_add(usize::from(seat.is_member)),
            sum: plus(self.sum, seat.weight()),
        }
    }
}

/// The sum of 64-bit amounts of as many seats as a machine can hold, which always fits.
fn plus(sum: i128, more: i128) -> i128 {
    sum.wrapping_add(more)
}

/// Which seats are looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Window {
    /// Those with so many members before them.
    Places(RangeInclusive<usize>),
    /// Those whose reach, from the sum before them, meets this.
    Sums(RangeInclusive<i128>),
}

impl Window {
    pub(super) fn may_meet(&self, before: Before, summary: &Summary) -> bool {
        match self {
            Self::Places(places) => {
                before.count <= *places.end()
                    && before.count.saturating_add(summary.count) >= *places.start()
            }
            Self::Sums(sums) => {
                plus(before.sum, summary.low) <= *sums.end()
                    && plus(before.sum, summary.high) >= *sums.start()
            }
        }
    }
}

impl Window {
    /// Whether a single seat is looked for.
    pub(super) fn meets(&self, before: Before, seat: &Seat) -> bool {
        match self {
            Self::Places(places) => places.contains(&before.count),
            Self::Sums(sums) => {
                let (low, high) = seat.reach;
                plus(before.sum, i128::from(low)) <= *sums.end()
                    && plus(before.sum, i128::from(high)) >= *sums.start()
            }
        }
    }
}

/// Of a subtree: how many members, their sum, and the lowest and highest end of any seat's reach,
/// counted from where the subtree begins.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Summary {
    pub(super) count: usize,
    pub(super) sum: i128,
    pub(super) low: i128,
    pub(super) high: i128,
}

impl Summary {
    /// With one more seat at its end.
    pub(super) fn with(self, seat: &Seat) -> Self {
        let (low, high) = seat.reach;
        Self {
            count: self.count.saturating_add(usize::from(seat.is_member)),
            sum: plus(self.sum, seat.weight()),
            low: self.low.min(plus(self.sum, i128::from(low))),
            high: self.high.max(plus(self.sum, i128::from(high))),
        }
    }

    pub(super) fn then(&self, next: &Self) -> Self {
        Self {
            count: self.count.saturating_add(next.count),
            sum: plus(self.sum, next.sum),
            low: self.low.min(plus(self.sum, next.low)),
            high: self.high.max(plus(self.sum, next.high)),
        }
    }

    pub(super) fn after(&self, before: Before) -> Before {
        Before {
            count: before.count.saturating_add(self.count),
            sum: plus(before.sum, self.sum),
        }
    }
}
