//! Seats: places in the order of facts with sums up to each, found and changed in O(log n).
//!
//! A treap over an arena. Its shape hangs on numbers that are drawn from the seats' places in the
//! arena, so that the same facts make the same tree; what is asked of it does not depend on its shape.

use std::ops::RangeInclusive;

use crate::{numbers::ConversionNumber, order::OrderKey};

/// Who sits somewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seat {
    /// Where it stands.
    pub order: OrderKey,
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

    fn summary(&self) -> Summary {
        Summary {
            count: usize::from(self.is_member),
            sum: self.weight(),
            low: i128::from(self.reach.0),
            high: i128::from(self.reach.1),
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

/// Which seats are looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Window {
    /// Those with so many members before them.
    Places(RangeInclusive<usize>),
    /// Those whose reach, from the sum before them, meets this.
    Sums(RangeInclusive<i128>),
}

impl Window {
    fn may_meet(&self, before: Before, summary: &Summary) -> bool {
        match self {
            Self::Places(places) => {
                before.count <= *places.end()
                    && before.count.saturating_add(summary.count) >= *places.start()
            }
            Self::Sums(sums) => {
                before.sum.saturating_add(summary.low) <= *sums.end()
                    && before.sum.saturating_add(summary.high) >= *sums.start()
            }
        }
    }
}

/// Of a subtree: how many members, their sum, and the lowest and highest end of any seat's reach,
/// counted from where the subtree begins.
#[derive(Clone, Copy, Debug, Default)]
struct Summary {
    count: usize,
    sum: i128,
    low: i128,
    high: i128,
}

impl Summary {
    fn then(&self, next: &Self) -> Self {
        Self {
            count: self.count.saturating_add(next.count),
            sum: self.sum.saturating_add(next.sum),
            low: self.low.min(self.sum.saturating_add(next.low)),
            high: self.high.max(self.sum.saturating_add(next.high)),
        }
    }

    fn after(&self, before: Before) -> Before {
        Before {
            count: before.count.saturating_add(self.count),
            sum: before.sum.saturating_add(self.sum),
        }
    }
}

type Link = Option<u32>;

#[derive(Clone, Debug)]
struct Node {
    seat: Seat,
    priority: u32,
    left: Link,
    right: Link,
    summary: Summary,
}

/// Seats in the order of facts.
#[derive(Clone, Debug, Default)]
pub struct Seats {
    nodes: Vec<Node>,
    free: Vec<u32>,
    root: Link,
}

impl Seats {
    /// All members: how many, and what they weigh.
    pub fn total(&self) -> Before {
        self.summary(self.root).after(Before::default())
    }

    /// Who sits at a place in the order of facts.
    pub fn get(&self, order: &OrderKey) -> Option<&Seat> {
        let mut at = self.root;
        while let Some(here) = at {
            let node = self.node(here);
            at = match order.cmp(&node.seat.order) {
                std::cmp::Ordering::Less => node.left,
                std::cmp::Ordering::Equal => return Some(&node.seat),
                std::cmp::Ordering::Greater => node.right,
            };
        }
        None
    }

    /// The members before a place, whether or not somebody sits there.
    pub fn before(&self, order: &OrderKey) -> Before {
        let mut before = Before::default();
        let mut at = self.root;
        while let Some(here) = at {
            let node = self.node(here);
            if node.seat.order < *order {
                before = self.summary(node.left).after(before);
                before = node.seat.summary().after(before);
                at = node.right;
            } else {
                at = node.left;
            }
        }
        before
    }

    /// Seats somebody where nobody sits.
    pub fn add(&mut self, seat: Seat) {
        let new = self.allocate(seat);
        self.root = Some(self.insert(self.root, new));
    }

    /// Seats somebody in place of whoever sits there.
    pub fn replace(&mut self, seat: Seat) {
        self.replace_below(self.root, seat);
    }

    /// Takes somebody out.
    pub fn remove(&mut self, order: &OrderKey) {
        if self.get(order).is_some() {
            self.root = self.without(self.root, order);
        }
    }

    /// All seats, in no order that matters.
    pub fn iter(&self) -> impl Iterator<Item = &Seat> {
        let freed: std::collections::BTreeSet<u32> = self.free.iter().copied().collect();
        let numbered = (0_u32..).zip(&self.nodes);
        numbered
            .filter(move |(place, _)| !freed.contains(place))
            .map(|(_, node)| &node.seat)
    }

    /// The seats from a place on that a window meets.
    pub fn visit(&self, from: &OrderKey, window: &Window, found: &mut impl FnMut(&Seat)) {
        self.visit_below(self.root, Before::default(), from, window, found);
    }

    fn visit_below(
        &self,
        at: Link,
        before: Before,
        from: &OrderKey,
        window: &Window,
        found: &mut impl FnMut(&Seat),
    ) {
        let Some(here) = at else { return };
        let node = self.node(here);
        if !window.may_meet(before, &node.summary) {
            return;
        }
        let at_seat = self.summary(node.left).after(before);
        if node.seat.order >= *from {
            self.visit_below(node.left, before, from, window, found);
            // Of a single seat the test is exact, but for its place: that is the members before it.
            let own = Summary {
                count: 0,
                ..node.seat.summary()
            };
            if window.may_meet(at_seat, &own) {
                found(&node.seat);
            }
        }
        let after = node.seat.summary().after(at_seat);
        self.visit_below(node.right, after, from, window, found);
    }
}

/// The tree itself.
impl Seats {
    fn node(&self, at: u32) -> &Node {
        self.nodes
            .get(usize::try_from(at).unwrap_or(usize::MAX))
            .expect("links lead to nodes")
    }

    fn node_mut(&mut self, at: u32) -> &mut Node {
        self.nodes
            .get_mut(usize::try_from(at).unwrap_or(usize::MAX))
            .expect("links lead to nodes")
    }

    fn summary(&self, at: Link) -> Summary {
        at.map_or_else(Summary::default, |at| self.node(at).summary)
    }

    fn update(&mut self, at: u32) {
        let node = self.node(at);
        let mut summary = node.seat.summary();
        if node.left.is_some() {
            summary = self.summary(node.left).then(&summary);
        }
        if node.right.is_some() {
            summary = summary.then(&self.summary(node.right));
        }
        self.node_mut(at).summary = summary;
    }

    fn allocate(&mut self, seat: Seat) -> u32 {
        let summary = seat.summary();
        let place = self.free.pop().unwrap_or_else(|| {
            u32::try_from(self.nodes.len()).expect("a pool has fewer than 2^32 seats")
        });
        let node = Node {
            seat,
            priority: scatter(place),
            left: None,
            right: None,
            summary,
        };
        match self
            .nodes
            .get_mut(usize::try_from(place).unwrap_or(usize::MAX))
        {
            Some(old) => *old = node,
            None => self.nodes.push(node),
        }
        place
    }

    fn insert(&mut self, at: Link, new: u32) -> u32 {
        let Some(here) = at else { return new };
        if self.node(new).priority > self.node(here).priority {
            let order = self.node(new).seat.order.clone();
            let (left, right) = self.split(at, &order);
            let node = self.node_mut(new);
            (node.left, node.right) = (left, right);
            self.update(new);
            return new;
        }
        if self.node(new).seat.order < self.node(here).seat.order {
            let left = self.insert(self.node(here).left, new);
            self.node_mut(here).left = Some(left);
        } else {
            let right = self.insert(self.node(here).right, new);
            self.node_mut(here).right = Some(right);
        }
        self.update(here);
        here
    }

    /// The seats before a place, and those from it on.
    fn split(&mut self, at: Link, order: &OrderKey) -> (Link, Link) {
        let Some(here) = at else { return (None, None) };
        if self.node(here).seat.order < *order {
            let (left, right) = self.split(self.node(here).right, order);
            self.node_mut(here).right = left;
            self.update(here);
            (Some(here), right)
        } else {
            let (left, right) = self.split(self.node(here).left, order);
            self.node_mut(here).left = right;
            self.update(here);
            (left, Some(here))
        }
    }

    fn merge(&mut self, left: Link, right: Link) -> Link {
        let (Some(first), Some(second)) = (left, right) else {
            return left.or(right);
        };
        if self.node(first).priority > self.node(second).priority {
            let below = self.merge(self.node(first).right, right);
            self.node_mut(first).right = below;
            self.update(first);
            Some(first)
        } else {
            let below = self.merge(left, self.node(second).left);
            self.node_mut(second).left = below;
            self.update(second);
            Some(second)
        }
    }

    fn without(&mut self, at: Link, order: &OrderKey) -> Link {
        let here = at?;
        let node = self.node(here);
        let (left, right) = (node.left, node.right);
        match order.cmp(&node.seat.order) {
            std::cmp::Ordering::Equal => {
                self.free.push(here);
                return self.merge(left, right);
            }
            std::cmp::Ordering::Less => {
                let left = self.without(left, order);
                self.node_mut(here).left = left;
            }
            std::cmp::Ordering::Greater => {
                let right = self.without(right, order);
                self.node_mut(here).right = right;
            }
        }
        self.update(here);
        Some(here)
    }

    fn replace_below(&mut self, at: Link, seat: Seat) {
        let Some(here) = at else { return };
        let node = self.node(here);
        match seat.order.cmp(&node.seat.order) {
            std::cmp::Ordering::Equal => self.node_mut(here).seat = seat,
            std::cmp::Ordering::Less => self.replace_below(node.left, seat),
            std::cmp::Ordering::Greater => self.replace_below(node.right, seat),
        }
        self.update(here);
    }
}

/// A number that looks as if it were drawn by lot, the same for the same place.
fn scatter(place: u32) -> u32 {
    let mut mixed = u64::from(place).wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    u32::try_from((mixed ^ (mixed >> 31)) >> 32).unwrap_or(0)
}

#[cfg(test)]
mod tests;
