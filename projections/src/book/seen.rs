//! What is derived of a conversion once while a fact is settled, and looked at at every step.

use std::{rc::Rc, sync::Arc};

use hashbrown::HashMap;
use postbook_schemas::{Change, Currency, Instant, Slug, ZeroReason};
use smallvec::SmallVec;

use crate::{
    numbers::{ConversionNumber, PoolKey},
    rules::{CompiledRule, CompiledTerms},
    standing::{MoneyChange, StatusSince},
};

/// How much is remembered at once. A fact that touches a million conversions need not hold all that
/// is derived of them: what is forgotten is derived again.
const MOST: usize = 4_096;

/// What facts say of a conversion besides its price.
#[derive(Debug)]
pub(super) struct Situation {
    /// The status by facts.
    pub(super) status: Option<StatusSince>,
    /// Its changes of money, in its own currency.
    pub(super) money: Vec<MoneyChange>,
    /// The other currencies in which changes were reported.
    pub(super) others: Vec<Currency>,
    /// Refunds and chargebacks that no rate is known for yet, and when they happened.
    pub(super) unvalued: Vec<(Change, Instant)>,
}

/// What the rules of some terms say to a conversion.
#[derive(Debug)]
pub(super) struct Matched {
    /// The terms.
    pub(super) terms: Arc<CompiledTerms>,
    /// The places of the rules that price it.
    pub(super) rules: SmallVec<[usize; 2]>,
    /// The pools of those rules, in the same order.
    pub(super) pools: SmallVec<[RulePools; 2]>,
    /// The rules of its kind that do not, and why.
    pub(super) unmet: Vec<(usize, ZeroReason)>,
}

impl Matched {
    /// The rules that do not price it, and why.
    pub(super) fn unmet(&self) -> impl Iterator<Item = (&CompiledRule, ZeroReason)> {
        let unmet = self.unmet.iter();
        unmet.filter_map(|&(place, reason)| Some((self.terms.rules.get(place)?, reason)))
    }

    /// The rules of which a line says why they give nothing: all if none prices it, else those that may
    /// once a rate is known, and that no other of their group has taken the place of.
    pub(super) fn untaken(&self) -> impl Iterator<Item = (&CompiledRule, ZeroReason)> {
        let is_taken = |group: &String| {
            let mut rules = self.rules();
            rules.any(|(rule, _)| rule.group.as_ref() == Some(group))
        };
        self.unmet()
            .filter(|(_, reason)| self.rules.is_empty() || *reason == ZeroReason::AwaitingFx)
            .filter(move |(rule, _)| !rule.group.as_ref().is_some_and(is_taken))
    }

    /// The rules that price it, with their pools.
    pub(super) fn rules(&self) -> impl Iterator<Item = (&CompiledRule, RulePools)> {
        let rules = self
            .rules
            .iter()
            .filter_map(|&place| self.terms.rules.get(place));
        rules.zip(self.pools.iter().copied())
    }
}

/// The pools in which the tiers and the cap of a rule count for one conversion and partner.
#[derive(Clone, Copy, Debug)]
pub(super) struct RulePools {
    pub(super) tiers: Option<PoolKey>,
    pub(super) cap: Option<PoolKey>,
}

/// For whom rules are matched: how many levels above the credited partner; 0 is that partner.
pub(super) type Level = u32;

type Key = (ConversionNumber, Level, Slug);

/// What was derived while one fact is settled.
#[derive(Debug, Default)]
pub(super) struct Seen {
    situations: HashMap<ConversionNumber, Rc<Situation>>,
    matched: HashMap<Key, Option<Rc<Matched>>>,
}

impl Seen {
    /// The situation of a conversion, derived by `derive` if it is not known.
    pub(super) fn situation(
        &mut self,
        number: ConversionNumber,
        derive: impl FnOnce() -> Situation,
    ) -> Rc<Situation> {
        if self.situations.len() > MOST {
            self.situations.clear();
        }
        let known = self.situations.entry(number);
        Rc::clone(known.or_insert_with(|| Rc::new(derive())))
    }

    /// What rules match, derived by `derive` if it is not known.
    pub(super) fn matched(
        &mut self,
        key: Key,
        derive: impl FnOnce() -> Option<Matched>,
    ) -> Option<Rc<Matched>> {
        if self.matched.len() > MOST {
            self.matched.clear();
        }
        let known = self.matched.entry(key);
        known.or_insert_with(|| derive().map(Rc::new)).clone()
    }
}
