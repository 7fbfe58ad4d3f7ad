//! Pools: the conversions that share a cap or the tiers of a rule, in the order of facts.

use std::collections::{BTreeMap, BTreeSet};

use rust_decimal::Decimal;

use crate::{numbers::ConversionNumber, order::OrderKey};

/// One conversion in a pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Where it stands.
    pub order: OrderKey,
    /// Which conversion.
    pub conversion: ConversionNumber,
    /// Its amount, in minor units of its currency.
    pub amount_minor: i64,
    /// What the rule gives it before the cap, in minor units of the partner's currency.
    pub priced_minor: i64,
}

/// The members of one pool, in the order of facts.
#[derive(Clone, Debug, Default)]
pub struct Pool {
    members: Vec<Member>,
    /// Conversions that earn nothing and count for nothing here, but whose worth before their
    /// reversal depends on the place they would have.
    ghosts: BTreeMap<OrderKey, ConversionNumber>,
    steps: BTreeSet<Step>,
}

/// A volume at which the whole period is repriced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// This many members.
    Count(usize),
    /// Some amount; any change may reach it.
    Amount,
}

impl Pool {
    /// How many there are.
    pub fn count(&self) -> usize {
        self.members.len()
    }

    /// Remembers at which volumes everything is repriced.
    pub fn expect_steps(&mut self, steps: Vec<Step>) {
        self.steps.extend(steps);
    }

    /// Whether a change of one member may have moved the pool over such a step: for members the
    /// count itself, for ghosts one more (they would come on top).
    pub fn may_reprice_all(&self) -> bool {
        let count = self.members.len();
        let near = count..=count.saturating_add(2);
        self.steps.iter().any(|step| match step {
            Step::Count(step) => near.contains(step),
            Step::Amount => true,
        })
    }

    /// Where a fact stands or would stand, from 0.
    pub fn place(&self, order: &OrderKey) -> usize {
        self.members.partition_point(|member| member.order < *order)
    }

    /// Whether a fact is a member.
    pub fn contains(&self, order: &OrderKey) -> bool {
        self.members
            .get(self.place(order))
            .is_some_and(|member| member.order == *order)
    }

    /// Adds a member or changes its amount; true if that concerns others.
    pub fn put(&mut self, member: Member) -> bool {
        self.ghosts.remove(&member.order);
        let place = self.place(&member.order);
        match self
            .members
            .get_mut(place)
            .filter(|known| known.order == member.order)
        {
            Some(known) if known.amount_minor == member.amount_minor => false,
            Some(known) => {
                known.amount_minor = member.amount_minor;
                true
            }
            None => {
                self.members.insert(place, member);
                true
            }
        }
    }

    /// Adds a ghost in place of the member it may have been; true if that concerns others.
    pub fn put_ghost(&mut self, order: &OrderKey, conversion: ConversionNumber) -> bool {
        let was_member = self.remove(order);
        self.ghosts.insert(order.clone(), conversion);
        was_member
    }

    /// Removes a member or ghost; true if that concerns others.
    pub fn remove(&mut self, order: &OrderKey) -> bool {
        self.ghosts.remove(order);
        let is_member = self.contains(order);
        if is_member {
            self.members.remove(self.place(order));
        }
        is_member
    }

    /// Remembers what a member is priced at; true if that changed.
    pub fn reprice(&mut self, order: &OrderKey, priced_minor: i64) -> bool {
        let place = self.place(order);
        match self
            .members
            .get_mut(place)
            .filter(|known| known.order == *order)
        {
            Some(known) if known.priced_minor != priced_minor => {
                known.priced_minor = priced_minor;
                true
            }
            _ => false,
        }
    }

    /// The conversions at and after a place in the order of facts, ghosts included.
    pub fn from(&self, order: &OrderKey) -> impl Iterator<Item = ConversionNumber> {
        let members = self
            .members
            .iter()
            .skip(self.place(order))
            .map(|member| member.conversion);
        members.chain(
            self.ghosts
                .range(order..)
                .map(|(_, &conversion)| conversion),
        )
    }

    /// All conversions, ghosts included.
    pub fn all(&self) -> impl Iterator<Item = ConversionNumber> {
        let members = self.members.iter().map(|member| member.conversion);
        members.chain(self.ghosts.values().copied())
    }

    /// The sum of the amounts of all members, or of those before a place.
    pub fn amount_before(&self, place: usize) -> Decimal {
        self.members
            .iter()
            .take(place)
            .map(|member| Decimal::from(member.amount_minor))
            .sum()
    }

    /// The sum of what the members before a place are priced at.
    pub fn priced_before(&self, place: usize) -> i64 {
        self.members
            .iter()
            .take(place)
            .fold(0_i64, |sum, member| sum.saturating_add(member.priced_minor))
    }
}
