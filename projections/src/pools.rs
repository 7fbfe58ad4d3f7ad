//! Pools: the conversions that share a cap or the tiers of a rule, in the order of facts.

use rust_decimal::Decimal;

use crate::{conversion::ConversionNumber, order::OrderKey};

/// The short name of a pool: of one partner, offer, rule and period.
pub type PoolKey = u128;

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
}

impl Pool {
    /// How many there are.
    pub fn count(&self) -> usize {
        self.members.len()
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

    /// Adds a member or changes its amount; the place from where others are affected, if any is.
    pub fn put(&mut self, member: Member) -> Option<usize> {
        let place = self.place(&member.order);
        match self
            .members
            .get_mut(place)
            .filter(|known| known.order == member.order)
        {
            Some(known) if known.amount_minor == member.amount_minor => None,
            Some(known) => {
                known.amount_minor = member.amount_minor;
                Some(place)
            }
            None => {
                self.members.insert(place, member);
                Some(place)
            }
        }
    }

    /// Removes a member; the place from where others are affected.
    pub fn remove(&mut self, order: &OrderKey) -> Option<usize> {
        let place = self.place(order);
        if !self.contains(order) {
            return None;
        }
        self.members.remove(place);
        Some(place)
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

    /// The conversions from a place on.
    pub fn from_place(&self, place: usize) -> impl Iterator<Item = ConversionNumber> {
        self.members
            .iter()
            .skip(place)
            .map(|member| member.conversion)
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
