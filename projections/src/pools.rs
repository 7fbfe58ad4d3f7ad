//! Pools: the conversions that share a cap, the tiers of a rule or an advance, and whom a change
//! among them concerns.

use std::collections::{BTreeMap, BTreeSet};

use smallvec::SmallVec;

use crate::{
    numbers::ConversionNumber,
    order::OrderKey,
    seats::{Before, Reach, Seat, Seats, Window},
};

type Touched = BTreeSet<ConversionNumber>;

/// The members of one pool, in the order of facts, and ghosts: conversions that earn nothing and
/// count for nothing here, but whose worth before their reversal depends on the place they would have.
///
/// Whoever changes a seat is told which others that concerns: those that a watched threshold now
/// meets elsewhere, and no more.
#[derive(Clone, Debug, Default)]
pub struct Pool {
    seats: Seats,
    /// Ghosts by their own weight: a total that is near a threshold may be beyond it with theirs.
    ghosts: BTreeMap<(i64, OrderKey), ConversionNumber>,
    watched: BTreeSet<Threshold>,
    /// What was paid in advance, by conversion.
    advances: BTreeMap<OrderKey, i64>,
}

/// Where the price of a member turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Threshold {
    /// So many members in all.
    Count(usize),
    /// So much in all.
    Sum(i128),
    /// So many members before.
    Place(usize),
    /// So much before.
    SumBefore(i128),
}

/// Where the price of a rule turns: at few places, and asked for with every conversion.
pub type Thresholds = SmallVec<[Threshold; 4]>;

/// Where a conversion stands in a pool, or would.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stand {
    /// The members before it.
    pub before: Before,
    /// All members.
    pub total: Before,
    /// Whether it is one of them.
    pub is_member: bool,
}

impl Pool {
    /// Remembers where prices turn.
    pub fn watch(&mut self, thresholds: &[Threshold]) {
        for threshold in thresholds {
            self.watched.insert(*threshold);
        }
    }

    /// The members before a conversion.
    pub fn before(&self, order: &OrderKey) -> Before {
        self.seats.before(order)
    }

    /// Where a conversion stands or would stand.
    pub fn stand(&self, order: &OrderKey) -> Stand {
        let (before, sits) = self.seats.look(order);
        Stand {
            before,
            total: self.seats.total(),
            is_member: sits.is_some_and(|seat| seat.is_member),
        }
    }

    /// The last members before a conversion, the nearest first, at most so many.
    pub fn last_before(&self, order: &OrderKey, most: usize) -> Vec<ConversionNumber> {
        let count = self.seats.before(order).count;
        let places = (count.saturating_sub(most)..count).rev();
        let seats = places.filter_map(|place| self.seats.member(place));
        seats.map(|seat| seat.conversion).collect()
    }

    /// Seats a conversion as a member or a ghost; without a weight it keeps its own.
    pub fn seat(
        &mut self,
        (order, conversion): (&OrderKey, ConversionNumber),
        is_member: bool,
        weight: Option<(i64, Reach)>,
        touched: &mut Touched,
    ) {
        let known = self.seats.get(order);
        let kept = known.map_or((0, (0, 0)), |seat| (seat.own_minor, seat.reach));
        let (own_minor, reach) = weight.unwrap_or(kept);
        let seat = Seat {
            conversion,
            own_minor,
            reach,
            is_member,
        };
        self.put(order, known, seat, touched);
    }

    /// Gives a seat another weight, and says what is before it.
    pub fn weigh(
        &mut self,
        order: &OrderKey,
        own_minor: i64,
        reach: Reach,
        touched: &mut Touched,
    ) -> Before {
        let (before, known) = self.seats.look(order);
        if let Some(seat) = known {
            let seat = Seat {
                own_minor,
                reach,
                ..seat
            };
            self.put(order, known, seat, touched);
        }
        before
    }

    /// Seats somebody where `known` sits so far.
    fn put(&mut self, order: &OrderKey, known: Option<Seat>, seat: Seat, touched: &mut Touched) {
        if known == Some(seat) {
            return;
        }
        let before = self.seats.total();
        self.forget_ghost(order, known);
        if !seat.is_member {
            let key = (seat.own_minor, order.clone());
            self.ghosts.insert(key, seat.conversion);
        }
        if known.is_some() {
            self.seats.replace(order, seat);
        } else {
            self.seats.add(order, seat);
        }
        self.tell(order, before, touched);
    }

    /// Takes a conversion out, with what was paid in advance for it.
    pub fn remove(&mut self, order: &OrderKey, touched: &mut Touched) {
        let (sits, before) = (self.seats.get(order), self.seats.total());
        self.forget_ghost(order, sits);
        self.seats.remove(order);
        self.tell(order, before, touched);
        self.advance(order, 0, touched);
    }

    /// What was paid in advance in all.
    pub fn advanced(&self) -> i128 {
        self.advances
            .values()
            .fold(0, |sum, &minor| sum.saturating_add(i128::from(minor)))
    }

    /// Says what a conversion was paid in advance.
    pub fn advance(&mut self, order: &OrderKey, minor: i64, touched: &mut Touched) {
        let (before, was_empty) = (self.advanced(), self.advances.is_empty());
        if minor == 0 {
            self.advances.remove(order);
        } else {
            self.advances.insert(order.clone(), minor);
        }
        let after = self.advanced();
        if was_empty != self.advances.is_empty() {
            self.seats
                .each(&mut |seat| _ = touched.insert(seat.conversion));
        } else if before != after {
            let window = Window::Sums(before.min(after)..=before.max(after));
            let mut find = |seat: &Seat| _ = touched.insert(seat.conversion);
            self.seats.visit(&OrderKey::first(), &window, &mut find);
        }
    }

    /// Gives its conversions other numbers; it holds none that has none.
    pub fn renumber(&mut self, renumbered: impl Fn(ConversionNumber) -> Option<ConversionNumber>) {
        let new = |old: ConversionNumber| renumbered(old).unwrap_or(old);
        self.seats.renumber(new);
        for conversion in self.ghosts.values_mut() {
            *conversion = new(*conversion);
        }
    }

    fn forget_ghost(&mut self, order: &OrderKey, seat: Option<Seat>) {
        if let Some(seat) = seat.filter(|seat| !seat.is_member) {
            self.ghosts.remove(&(seat.own_minor, order.clone()));
        }
    }

    /// Touches whom it concerns that the totals were others before a seat changed.
    fn tell(&self, order: &OrderKey, before: Before, touched: &mut Touched) {
        let after = self.seats.total();
        if before == after {
            return;
        }
        let more = after.count > before.count;
        let shift = i128::try_from(after.sum.abs_diff(before.sum)).unwrap_or(i128::MAX);
        for &threshold in &self.watched {
            match threshold {
                Threshold::Count(step) => self.tell_of_count(step, before, after, touched),
                Threshold::Sum(step) => self.tell_of_sum(step, before, after, touched),
                Threshold::Place(place) if after.count != before.count => {
                    // Later ones moved by one: up onto the place, or down from it.
                    let place = if more { place } else { place.saturating_sub(1) };
                    self.touch(order, &Window::Places(place..=place), touched);
                }
                Threshold::SumBefore(sum) if shift != 0 => {
                    self.touch(order, &around(sum, shift), touched);
                }
                Threshold::Place(_) | Threshold::SumBefore(_) => {}
            }
        }
        if shift != 0 && !self.advances.is_empty() {
            self.touch(order, &around(self.advanced(), shift), touched);
        }
    }

    fn tell_of_count(&self, step: usize, before: Before, after: Before, touched: &mut Touched) {
        let crosses = |more: usize| {
            (before.count.saturating_add(more) < step) != (after.count.saturating_add(more) < step)
        };
        if crosses(0) {
            self.touch_members(touched);
        }
        // A ghost would come on top.
        if crosses(1) {
            touched.extend(self.ghosts.values());
        }
    }

    fn tell_of_sum(&self, step: i128, before: Before, after: Before, touched: &mut Touched) {
        if (before.sum < step) != (after.sum < step) {
            self.touch_members(touched);
        }
        let (low, high) = (before.sum.min(after.sum), before.sum.max(after.sum));
        let clamp = |minor: i128| {
            let bounds = (i128::from(i64::MIN), i128::from(i64::MAX));
            i64::try_from(minor.clamp(bounds.0, bounds.1)).unwrap_or(0)
        };
        let least = clamp(step.saturating_sub(high));
        let most = clamp(step.saturating_sub(low));
        let from = (least, OrderKey::first());
        let near = self
            .ghosts
            .range(from..)
            .take_while(|((own, _), _)| *own <= most);
        touched.extend(near.map(|(_, &conversion)| conversion));
    }

    fn touch_members(&self, touched: &mut Touched) {
        self.seats.each(&mut |seat| {
            if seat.is_member {
                touched.insert(seat.conversion);
            }
        });
    }

    fn touch(&self, from: &OrderKey, window: &Window, touched: &mut Touched) {
        let mut find = |seat: &Seat| _ = touched.insert(seat.conversion);
        self.seats.visit(from, window, &mut find);
    }
}

fn around(sum: i128, shift: i128) -> Window {
    Window::Sums(sum.saturating_sub(shift)..=sum.saturating_add(shift))
}
