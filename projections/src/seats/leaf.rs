//! Neighbouring seats side by side.

use super::{
    ConversionNumber, OrderKey,
    seat::{Before, Seat, Summary, Window},
};

/// Seats in their order. Searches read the places only, sums the seats only.
#[derive(Clone, Debug, Default)]
pub(super) struct Leaf {
    places: Vec<OrderKey>,
    seats: Vec<Seat>,
}

impl Leaf {
    pub(super) fn len(&self) -> usize {
        self.seats.len()
    }

    pub(super) fn seats(&self) -> &[Seat] {
        &self.seats
    }

    pub(super) fn summary(&self) -> Summary {
        let all = self.seats.iter();
        all.fold(Summary::default(), Summary::with)
    }

    /// The members before a place, of whom `before` are not here, and who sits there.
    pub(super) fn look(&self, order: &OrderKey, before: Before) -> (Before, Option<Seat>) {
        let (at, sits) = match self.places.binary_search(order) {
            Ok(at) => (at, self.seats.get(at).copied()),
            Err(at) => (at, None),
        };
        let earlier = self.seats.iter().take(at);
        (earlier.fold(before, Before::with), sits)
    }

    /// The member before whom so many members sit here.
    pub(super) fn member(&self, place: usize) -> Option<Seat> {
        let mut members = self.seats.iter().filter(|seat| seat.is_member);
        members.nth(place).copied()
    }

    /// Adds a seat; a leaf that is full already hands its later half to a new one first.
    pub(super) fn add(
        &mut self,
        order: &OrderKey,
        seat: Seat,
        most: usize,
    ) -> Option<(OrderKey, Self)> {
        if self.seats.len() < most {
            self.insert(order, seat);
            return None;
        }
        let half = most / 2;
        let mut right = Self {
            places: self.places.split_off(half),
            seats: self.seats.split_off(half),
        };
        let first = right.places.first().cloned();
        let first = first.expect("half of many is not nothing");
        if *order < first {
            self.insert(order, seat);
        } else {
            right.insert(order, seat);
        }
        Some((first, right))
    }

    fn insert(&mut self, order: &OrderKey, seat: Seat) {
        let at = self.places.partition_point(|place| place < order);
        if self.seats.len() < 4 {
            // Most pools stay small: a list makes room for four at once by itself.
            self.places.reserve_exact(1);
            self.seats.reserve_exact(1);
        }
        self.places.insert(at, order.clone());
        self.seats.insert(at, seat);
    }

    pub(super) fn replace(&mut self, order: &OrderKey, seat: Seat) {
        let at = self.places.binary_search(order).ok();
        if let Some(known) = at.and_then(|at| self.seats.get_mut(at)) {
            *known = seat;
        }
    }

    pub(super) fn remove(&mut self, order: &OrderKey) {
        if let Ok(at) = self.places.binary_search(order) {
            self.places.remove(at);
            self.seats.remove(at);
        }
    }

    pub(super) fn append(&mut self, mut right: Self) {
        self.places.append(&mut right.places);
        self.seats.append(&mut right.seats);
    }

    pub(super) fn renumber(&mut self, new: &impl Fn(ConversionNumber) -> ConversionNumber) {
        for seat in &mut self.seats {
            seat.conversion = new(seat.conversion);
        }
    }

    pub(super) fn visit(
        &self,
        mut before: Before,
        from: Option<&OrderKey>,
        window: &Window,
        found: &mut impl FnMut(&Seat),
    ) {
        let begin = from.map_or(0, |from| self.places.partition_point(|place| place < from));
        for (at, seat) in self.seats.iter().enumerate() {
            if at >= begin && window.meets(before, seat) {
                found(seat);
            }
            before = before.with(seat);
        }
    }
}
