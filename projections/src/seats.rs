//! Seats: places in the order of facts with sums up to each, found and changed in O(log n).
//!
//! A treap over an arena. Its shape hangs on numbers that are drawn from the seats' places in the
//! arena, so that the same facts make the same tree; what is asked of it does not depend on its shape.

mod seat;

use std::{cmp::Ordering, collections::BTreeSet};

use postbook_schemas::Instant;

pub use seat::{Before, Reach, Seat, Window};

use self::seat::Summary;
use crate::{numbers::ConversionNumber, order::OrderKey};

type Link = Option<u32>;

/// What a search reads of a seat, apart from the rest, so that it stays in the processor's caches.
#[derive(Clone, Copy, Debug)]
struct Fork {
    occurred_at: Instant,
    left: Link,
    right: Link,
}

/// A seat, with the sums of what is below it: whoever changes a seat below need not look at the
/// other side.
#[derive(Clone, Debug)]
struct Node {
    seat: Seat,
    left: Summary,
    right: Summary,
}

/// Seats in the order of facts.
#[derive(Clone, Debug, Default)]
pub struct Seats {
    forks: Vec<Fork>,
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
            at = match self.compare(order, here) {
                Ordering::Less => self.fork(here).left,
                Ordering::Equal => return Some(&self.node(here).seat),
                Ordering::Greater => self.fork(here).right,
            };
        }
        None
    }

    /// The members before a place, whether or not somebody sits there.
    pub fn before(&self, order: &OrderKey) -> Before {
        let mut before = Before::default();
        let mut at = self.root;
        while let Some(here) = at {
            if self.compare(order, here) == Ordering::Greater {
                let node = self.node(here);
                before = node.seat.summary().after(node.left.after(before));
                at = self.fork(here).right;
            } else {
                at = self.fork(here).left;
            }
        }
        before
    }

    /// The member before whom so many members sit.
    pub fn member(&self, mut place: usize) -> Option<&Seat> {
        let mut at = self.root;
        while let Some(here) = at {
            let node = self.node(here);
            if place < node.left.count {
                at = self.fork(here).left;
                continue;
            }
            place = place.saturating_sub(node.left.count);
            if node.seat.is_member {
                if place == 0 {
                    return Some(&node.seat);
                }
                place = place.saturating_sub(1);
            }
            at = self.fork(here).right;
        }
        None
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
        let freed: BTreeSet<u32> = self.free.iter().copied().collect();
        let numbered = (0_u32..).zip(&self.nodes);
        numbered
            .filter(move |(place, _)| !freed.contains(place))
            .map(|(_, node)| &node.seat)
    }

    /// Gives the conversions that sit here other numbers.
    pub fn renumber(&mut self, new: impl Fn(ConversionNumber) -> ConversionNumber) {
        for node in &mut self.nodes {
            node.seat.conversion = new(node.seat.conversion);
        }
    }

    /// The seats from a place on that a window meets.
    pub fn visit(&self, from: &OrderKey, window: &Window, found: &mut impl FnMut(&Seat)) {
        if let Some(root) = self.root {
            self.visit_below(root, Before::default(), from, window, found);
        }
    }

    fn visit_below(
        &self,
        here: u32,
        before: Before,
        from: &OrderKey,
        window: &Window,
        found: &mut impl FnMut(&Seat),
    ) {
        let (node, fork) = (self.node(here), self.fork(here));
        let at_seat = node.left.after(before);
        if self.compare(from, here) != Ordering::Greater {
            if let Some(left) = fork.left
                && window.may_meet(before, &node.left)
            {
                self.visit_below(left, before, from, window, found);
            }
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
        if let Some(right) = fork.right
            && window.may_meet(after, &node.right)
        {
            self.visit_below(right, after, from, window, found);
        }
    }
}

/// The tree itself.
impl Seats {
    fn fork(&self, at: u32) -> &Fork {
        self.forks.get(place(at)).expect("links lead to nodes")
    }

    fn node(&self, at: u32) -> &Node {
        self.nodes.get(place(at)).expect("links lead to nodes")
    }

    fn compare(&self, order: &OrderKey, at: u32) -> Ordering {
        let by_time = order.occurred_at.cmp(&self.fork(at).occurred_at);
        by_time.then_with(|| order.cmp(&self.node(at).seat.order))
    }

    /// Of a subtree; reads its topmost seat only.
    fn summary(&self, at: Link) -> Summary {
        at.map_or_else(Summary::default, |at| {
            let node = self.node(at);
            node.left.then(&node.seat.summary()).then(&node.right)
        })
    }

    fn set_left(&mut self, at: u32, left: Link) {
        let summary = self.summary(left);
        let (forks, nodes) = (&mut self.forks, &mut self.nodes);
        forks.get_mut(place(at)).expect("links lead to nodes").left = left;
        nodes.get_mut(place(at)).expect("links lead to nodes").left = summary;
    }

    fn set_right(&mut self, at: u32, right: Link) {
        let summary = self.summary(right);
        let (forks, nodes) = (&mut self.forks, &mut self.nodes);
        forks.get_mut(place(at)).expect("links lead to nodes").right = right;
        nodes.get_mut(place(at)).expect("links lead to nodes").right = summary;
    }

    fn allocate(&mut self, seat: Seat) -> u32 {
        let fork = Fork {
            occurred_at: seat.order.occurred_at,
            left: None,
            right: None,
        };
        let node = Node {
            seat,
            left: Summary::default(),
            right: Summary::default(),
        };
        let Some(free) = self.free.pop() else {
            self.forks.push(fork);
            self.nodes.push(node);
            let last = self.nodes.len().saturating_sub(1);
            return u32::try_from(last).expect("a pool has fewer than 2^32 seats");
        };
        *self
            .forks
            .get_mut(place(free))
            .expect("what is free was used") = fork;
        *self
            .nodes
            .get_mut(place(free))
            .expect("what is free was used") = node;
        free
    }

    fn insert(&mut self, at: Link, new: u32) -> u32 {
        let Some(here) = at else { return new };
        let order = self.node(new).seat.order.clone();
        if priority(new) > priority(here) {
            let (left, right) = self.split(at, &order);
            self.set_left(new, left);
            self.set_right(new, right);
            return new;
        }
        if self.compare(&order, here) == Ordering::Less {
            let left = self.insert(self.fork(here).left, new);
            self.set_left(here, Some(left));
        } else {
            let right = self.insert(self.fork(here).right, new);
            self.set_right(here, Some(right));
        }
        here
    }

    /// The seats before a place, and those from it on.
    fn split(&mut self, at: Link, order: &OrderKey) -> (Link, Link) {
        let Some(here) = at else { return (None, None) };
        if self.compare(order, here) == Ordering::Greater {
            let (left, right) = self.split(self.fork(here).right, order);
            self.set_right(here, left);
            (Some(here), right)
        } else {
            let (left, right) = self.split(self.fork(here).left, order);
            self.set_left(here, right);
            (left, Some(here))
        }
    }

    fn merge(&mut self, left: Link, right: Link) -> Link {
        let (Some(first), Some(second)) = (left, right) else {
            return left.or(right);
        };
        if priority(first) > priority(second) {
            let below = self.merge(self.fork(first).right, right);
            self.set_right(first, below);
            Some(first)
        } else {
            let below = self.merge(left, self.fork(second).left);
            self.set_left(second, below);
            Some(second)
        }
    }

    fn without(&mut self, at: Link, order: &OrderKey) -> Link {
        let here = at?;
        let Fork { left, right, .. } = *self.fork(here);
        match self.compare(order, here) {
            Ordering::Equal => {
                self.free.push(here);
                return self.merge(left, right);
            }
            Ordering::Less => {
                let left = self.without(left, order);
                self.set_left(here, left);
            }
            Ordering::Greater => {
                let right = self.without(right, order);
                self.set_right(here, right);
            }
        }
        Some(here)
    }

    fn replace_below(&mut self, at: Link, seat: Seat) {
        let Some(here) = at else { return };
        let Fork { left, right, .. } = *self.fork(here);
        match self.compare(&seat.order, here) {
            Ordering::Equal => {
                let node = self.nodes.get_mut(place(here));
                node.expect("links lead to nodes").seat = seat;
            }
            Ordering::Less => {
                self.replace_below(left, seat);
                self.set_left(here, left);
            }
            Ordering::Greater => {
                self.replace_below(right, seat);
                self.set_right(here, right);
            }
        }
    }
}

fn place(at: u32) -> usize {
    usize::try_from(at).unwrap_or(usize::MAX)
}

/// A number that looks as if it were drawn by lot, the same for the same place.
fn priority(at: u32) -> u32 {
    let mut mixed = u64::from(at).wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    u32::try_from((mixed ^ (mixed >> 31)) >> 32).unwrap_or(0)
}

#[cfg(test)]
mod tests;
