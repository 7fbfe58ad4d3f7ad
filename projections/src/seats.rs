//! Seats: places in the order of facts with sums up to each, found and changed in O(log n).
//!
//! A tree of wide nodes: a leaf holds neighbours side by side, and a node above knows of each of its
//! children where it begins and what it sums up to. A search reads a few stretches of memory from
//! front to back instead of many single places, so that it costs about the same in a pool of a million
//! as in one of ten thousand.

mod leaf;
mod seat;

pub use seat::{Before, Reach, Seat, Window};

use self::{leaf::Leaf, seat::Summary};
use crate::{numbers::ConversionNumber, order::OrderKey};

/// How many neighbours a node holds: few enough to be read at once, and many, so that the tree is flat.
const WIDTH: usize = 32;

/// Seats in the order of facts.
#[derive(Clone, Debug, Default)]
pub struct Seats {
    root: Node,
    all: Summary,
}

/// A node with what is below it.
#[derive(Clone, Debug)]
enum Node {
    Leaf(Leaf),
    Inner(Inner),
}

/// Children side by side, all of the same height.
#[derive(Clone, Debug, Default)]
struct Inner {
    /// No place of a child is before its own of these; the first child has what is before all of them too.
    firsts: Vec<OrderKey>,
    summaries: Vec<Summary>,
    children: Vec<Node>,
}

impl Default for Node {
    fn default() -> Self {
        Self::Leaf(Leaf::default())
    }
}

impl Seats {
    /// All members: how many, and what they weigh.
    pub fn total(&self) -> Before {
        self.all.after(Before::default())
    }

    /// Who sits at a place in the order of facts.
    pub fn get(&self, order: &OrderKey) -> Option<Seat> {
        self.look(order).1
    }

    /// The members before a place, whether or not somebody sits there.
    pub fn before(&self, order: &OrderKey) -> Before {
        self.look(order).0
    }

    /// The members before a place, and who sits there.
    pub fn look(&self, order: &OrderKey) -> (Before, Option<Seat>) {
        let mut before = Before::default();
        let mut node = &self.root;
        loop {
            match node {
                Node::Leaf(leaf) => return leaf.look(order, before),
                Node::Inner(inner) => {
                    let at = inner.place_of(order);
                    for summary in inner.summaries.iter().take(at) {
                        before = summary.after(before);
                    }
                    node = inner.child(at);
                }
            }
        }
    }

    /// The member before whom so many members sit.
    pub fn member(&self, mut place: usize) -> Option<Seat> {
        let mut node = &self.root;
        loop {
            match node {
                Node::Leaf(leaf) => return leaf.member(place),
                Node::Inner(inner) => {
                    let mut children = inner.summaries.iter().zip(&inner.children);
                    let (_, child) = children.find(|(summary, _)| {
                        let is_there = place < summary.count;
                        if !is_there {
                            place = place.saturating_sub(summary.count);
                        }
                        is_there
                    })?;
                    node = child;
                }
            }
        }
    }

    /// Seats somebody where nobody sits.
    pub fn add(&mut self, order: &OrderKey, seat: Seat) {
        if let Some((first, right)) = self.root.add(order, seat) {
            let left = std::mem::take(&mut self.root);
            let mut inner = Inner::default();
            inner.insert(0, OrderKey::first(), left);
            inner.insert(1, first, right);
            self.root = Node::Inner(inner);
        }
        self.all = self.root.summary();
    }

    /// Seats somebody in place of whoever sits there.
    pub fn replace(&mut self, order: &OrderKey, seat: Seat) {
        self.root.replace(order, seat);
        self.all = self.root.summary();
    }

    /// Takes somebody out.
    pub fn remove(&mut self, order: &OrderKey) {
        self.root.remove(order);
        while let Node::Inner(inner) = &mut self.root
            && inner.children.len() <= 1
        {
            self.root = inner.children.pop().unwrap_or_default();
        }
        self.all = self.root.summary();
    }

    /// All seats in their order.
    pub fn each(&self, found: &mut impl FnMut(&Seat)) {
        self.root.each(found);
    }

    /// Gives the conversions that sit here other numbers.
    pub fn renumber(&mut self, new: impl Fn(ConversionNumber) -> ConversionNumber) {
        self.root.renumber(&new);
    }

    /// The seats from a place on that a window meets, in their order.
    pub fn visit(&self, from: &OrderKey, window: &Window, found: &mut impl FnMut(&Seat)) {
        self.root
            .visit(Before::default(), Some(from), window, found);
    }
}

impl Node {
    fn summary(&self) -> Summary {
        match self {
            Self::Leaf(leaf) => leaf.summary(),
            Self::Inner(inner) => {
                let all = inner.summaries.iter();
                all.fold(Summary::default(), |so_far, next| so_far.then(next))
            }
        }
    }

    /// Adds a seat; a node that is full hands half of what it holds to a new one beside it.
    fn add(&mut self, order: &OrderKey, seat: Seat) -> Option<(OrderKey, Self)> {
        match self {
            Self::Leaf(leaf) => {
                let (first, right) = leaf.add(order, seat, WIDTH)?;
                Some((first, Self::Leaf(right)))
            }
            Self::Inner(inner) => {
                let at = inner.place_of(order);
                let split = inner.child_mut(at).add(order, seat);
                inner.sum_up(at);
                let (first, child) = split?;
                let (first, right) = inner.add(at.saturating_add(1), first, child)?;
                Some((first, Self::Inner(right)))
            }
        }
    }

    fn replace(&mut self, order: &OrderKey, seat: Seat) {
        match self {
            Self::Leaf(leaf) => leaf.replace(order, seat),
            Self::Inner(inner) => {
                let at = inner.place_of(order);
                inner.child_mut(at).replace(order, seat);
                inner.sum_up(at);
            }
        }
    }

    fn remove(&mut self, order: &OrderKey) {
        match self {
            Self::Leaf(leaf) => leaf.remove(order),
            Self::Inner(inner) => {
                let at = inner.place_of(order);
                inner.child_mut(at).remove(order);
                inner.sum_up(at);
                inner.merge(at.saturating_sub(1));
            }
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Leaf(leaf) => leaf.len(),
            Self::Inner(inner) => inner.children.len(),
        }
    }

    /// Takes over what a neighbour of the same height holds, which begins at `first`.
    fn append(&mut self, first: OrderKey, right: Self) {
        match (self, right) {
            (Self::Leaf(left), Self::Leaf(right)) => left.append(right),
            (Self::Inner(left), Self::Inner(mut right)) => {
                // Its first child has what is before its own beginning too.
                if let Some(begins) = right.firsts.first_mut() {
                    *begins = first;
                }
                left.firsts.append(&mut right.firsts);
                left.summaries.append(&mut right.summaries);
                left.children.append(&mut right.children);
            }
            (Self::Leaf(_), Self::Inner(_)) | (Self::Inner(_), Self::Leaf(_)) => {
                unreachable!("neighbours are of the same height")
            }
        }
    }

    fn each(&self, found: &mut impl FnMut(&Seat)) {
        match self {
            Self::Leaf(leaf) => leaf.seats().iter().for_each(found),
            Self::Inner(inner) => inner.children.iter().for_each(|child| child.each(found)),
        }
    }

    fn renumber(&mut self, new: &impl Fn(ConversionNumber) -> ConversionNumber) {
        match self {
            Self::Leaf(leaf) => leaf.renumber(new),
            Self::Inner(inner) => {
                for child in &mut inner.children {
                    child.renumber(new);
                }
            }
        }
    }

    /// `from` is where it begins, of the node in which that lies.
    fn visit(
        &self,
        mut before: Before,
        from: Option<&OrderKey>,
        window: &Window,
        found: &mut impl FnMut(&Seat),
    ) {
        let inner = match self {
            Self::Leaf(leaf) => return leaf.visit(before, from, window, found),
            Self::Inner(inner) => inner,
        };
        let begin = from.map_or(0, |from| inner.place_of(from));
        let children = inner.summaries.iter().zip(&inner.children);
        for (at, (summary, child)) in children.enumerate() {
            if at >= begin && window.may_meet(before, summary) {
                let from = from.filter(|_| at == begin);
                child.visit(before, from, window, found);
            }
            before = summary.after(before);
        }
    }
}

impl Inner {
    /// The child in which a place lies.
    fn place_of(&self, order: &OrderKey) -> usize {
        let after = self.firsts.partition_point(|first| first <= order);
        after.saturating_sub(1)
    }

    fn child(&self, at: usize) -> &Node {
        self.children.get(at).expect("a node has children")
    }

    fn child_mut(&mut self, at: usize) -> &mut Node {
        self.children.get_mut(at).expect("a node has children")
    }

    fn sum_up(&mut self, at: usize) {
        let summary = self.child(at).summary();
        if let Some(known) = self.summaries.get_mut(at) {
            *known = summary;
        }
    }

    fn insert(&mut self, at: usize, first: OrderKey, child: Node) {
        self.firsts.insert(at, first);
        self.summaries.insert(at, child.summary());
        self.children.insert(at, child);
    }

    /// Adds a child; if there are too many then, the later half with where it begins.
    fn add(&mut self, at: usize, first: OrderKey, child: Node) -> Option<(OrderKey, Self)> {
        self.insert(at, first, child);
        if self.children.len() <= WIDTH {
            return None;
        }
        let half = WIDTH / 2;
        let right = Self {
            firsts: self.firsts.split_off(half),
            summaries: self.summaries.split_off(half),
            children: self.children.split_off(half),
        };
        let first = right.firsts.first().cloned();
        Some((first.expect("half of many is not nothing"), right))
    }

    /// Merges a child with the one after it if both together fill no more than half a node, or one of
    /// them nothing.
    fn merge(&mut self, at: usize) {
        let next = at.saturating_add(1);
        let len = |at: usize| self.children.get(at).map(Node::len);
        let Some((left, right)) = len(at).zip(len(next)) else {
            return;
        };
        if left.min(right) != 0 && left.saturating_add(right) > WIDTH / 2 {
            return;
        }
        let (first, right) = (self.firsts.remove(next), self.children.remove(next));
        self.summaries.remove(next);
        self.child_mut(at).append(first, right);
        self.sum_up(at);
    }
}

#[cfg(test)]
mod tests;
