//! Pools of tiers and caps: who is in them, and whom a change there concerns.

use std::collections::BTreeSet;

use postbook_schemas::{Currency, Slug, Status, ZeroReason, terms::Period};

use super::Book;
use crate::{
    conversion::{Conversion, ConversionNumber},
    order::short,
    pools::{Member, PoolKey},
    pricing::Given,
    rules::{CompiledRule, CompiledTerms},
};

type Touched = BTreeSet<ConversionNumber>;

impl Book {
    /// Enters a conversion into the pools of the rules that price it and takes it out of others;
    /// touches the members whose price that changes.
    pub(super) fn derive_pools(&mut self, number: ConversionNumber, touched: &mut Touched) {
        let conversion = self.conversion(number);
        let offer_is_pooled = self
            .programme
            .all_terms(&conversion.offer)
            .iter()
            .any(|terms| terms.rules.iter().any(CompiledRule::is_pooled));
        if !offer_is_pooled && conversion.pools.is_empty() {
            return;
        }
        let wanted = self.wanted_pools(conversion);
        let order = conversion.order.clone();
        let amount_minor = conversion.amount_minor.unwrap_or(0);
        let leaving: Vec<PoolKey> = conversion
            .pools
            .iter()
            .filter(|key| !wanted.contains(key))
            .copied()
            .collect();
        self.conversion_mut(number).pools.clone_from(&wanted);
        for key in leaving {
            let place = self
                .pools
                .get_mut(&key)
                .and_then(|pool| pool.remove(&order));
            self.touch_pool(key, place, touched);
        }
        for key in wanted {
            let member = Member {
                order: order.clone(),
                conversion: number,
                amount_minor,
                priced_minor: 0,
            };
            let place = self.pools.entry(key).or_default().put(member);
            self.touch_pool(key, place, touched);
        }
    }

    /// Takes a conversion out of all its pools.
    pub(super) fn leave_pools(&mut self, number: ConversionNumber, touched: &mut Touched) {
        let order = self.conversion(number).order.clone();
        for key in std::mem::take(&mut self.conversion_mut(number).pools) {
            let place = self
                .pools
                .get_mut(&key)
                .and_then(|pool| pool.remove(&order));
            self.touch_pool(key, place, touched);
        }
    }

    /// Touches the members of a pool that a change at a place concerns: all where a step may
    /// reprice the whole period, else those after it.
    fn touch_pool(&self, key: PoolKey, place: Option<usize>, touched: &mut Touched) {
        let (Some(pool), Some(place)) = (self.pools.get(&key), place) else {
            return;
        };
        let later: Vec<ConversionNumber> = pool.from_place(place).collect();
        touched.extend(later);
        let count = pool.count();
        let first = pool.from_place(0).next();
        let reprices_all = first.is_some_and(|number| self.is_near_a_step(number, key, count));
        if reprices_all {
            touched.extend(pool.from_place(0));
        }
    }

    /// Whether one member more or less moves a pool over a step of tiers that reprice all. Amounts
    /// may jump over a step at any time, so for them the answer is always yes.
    fn is_near_a_step(&self, number: ConversionNumber, key: PoolKey, count: usize) -> bool {
        let conversion = self.conversion(number);
        let Some(partner) = &conversion.attribution.partner else {
            return true;
        };
        let all_terms = self.programme.all_terms(&conversion.offer);
        let rules = all_terms.iter().flat_map(|terms| {
            let rules = terms.rules.iter();
            rules.filter(|rule| tiers_pool(terms, rule, conversion, partner) == Some(key))
        });
        rules.filter(|rule| rule.reprices_all()).any(|rule| {
            let steps = rule.tiers.iter().flat_map(|tiers| &tiers.steps);
            let near = |step: rust_decimal::Decimal| {
                let step = usize::try_from(step.ceil().mantissa()).unwrap_or(usize::MAX);
                step == count || step == count.saturating_add(1)
            };
            rule.counts_amounts() || steps.map(|step| step.from.decimal()).any(near)
        })
    }

    /// The pools a conversion belongs in: of each pooled rule that prices it, while it earns.
    fn wanted_pools(&self, conversion: &Conversion) -> Vec<PoolKey> {
        let Some(partner) = conversion.attribution.partner.clone() else {
            return Vec::new();
        };
        let situation = self.situation(conversion);
        let status = situation.status.map(|since| since.status);
        if conversion.sandbox || matches!(status, Some(Status::Rejected | Status::Reversed)) {
            return Vec::new();
        }
        let Some(matched) = self.matched(conversion, &partner) else {
            return Vec::new();
        };
        let rules = matched
            .rules
            .iter()
            .filter_map(|&place| matched.terms.rules.get(place));
        rules
            .filter(|rule| rule.is_pooled())
            .filter(|rule| self.left(rule, &situation).1.part > 0)
            .flat_map(|rule| {
                let tiers = tiers_pool(&matched.terms, rule, conversion, &partner);
                tiers
                    .into_iter()
                    .chain(cap_pool(&matched.terms, rule, conversion, &partner))
            })
            .collect()
    }

    /// What a cap leaves of what a rule gives, at the conversion's place in the order of facts.
    pub(super) fn capped(
        &mut self,
        rule: &CompiledRule,
        number: ConversionNumber,
        key: PoolKey,
        currency: Currency,
        given: Given,
        later: &mut Touched,
    ) -> Given {
        let order = self.conversion(number).order.clone();
        let (Some(cap), Some(pool)) = (&rule.cap, self.pools.get_mut(&key)) else {
            return given;
        };
        let place = pool.place(&order);
        if cap
            .count
            .is_some_and(|most| u64::try_from(place).unwrap_or(u64::MAX) >= most)
        {
            return Given::nothing(ZeroReason::OverCap);
        }
        let Some(most) = cap.amount else {
            return given;
        };
        if pool.contains(&order) && pool.reprice(&order, given.net_minor.max(0)) {
            later.extend(pool.from_place(place.saturating_add(1)));
        }
        let most = most.to_minor(currency).unwrap_or(i64::MAX);
        let rest = most.saturating_sub(pool.priced_before(place)).max(0);
        let net_minor = given.net_minor.min(rest);
        let reason = if rest == 0 {
            Some(ZeroReason::OverCap)
        } else {
            given.reason
        };
        Given {
            base_minor: given.base_minor.min(rest),
            net_minor,
            reason,
        }
    }
}

/// The pool in which the tiers of a rule count.
pub(super) fn tiers_pool(
    terms: &CompiledTerms,
    rule: &CompiledRule,
    conversion: &Conversion,
    partner: &Slug,
) -> Option<PoolKey> {
    let per = rule.tiers.as_ref()?.per;
    Some(pool_key("tiers", per, terms, rule, conversion, partner))
}

/// The pool in which the cap of a rule counts.
pub(super) fn cap_pool(
    terms: &CompiledTerms,
    rule: &CompiledRule,
    conversion: &Conversion,
    partner: &Slug,
) -> Option<PoolKey> {
    let per = rule.cap.as_ref()?.per;
    Some(pool_key("cap", per, terms, rule, conversion, partner))
}

/// The name of the pool of one partner, offer, rule and period. The version of the terms is not in
/// it: a new version in the middle of a month does not open a second cap.
fn pool_key(
    purpose: &str,
    per: Period,
    terms: &CompiledTerms,
    rule: &CompiledRule,
    conversion: &Conversion,
    partner: &Slug,
) -> PoolKey {
    let period = terms.period(per, conversion.occurred_at());
    short(&[
        purpose,
        partner.as_str(),
        conversion.offer.as_str(),
        &rule.id,
        &period,
    ])
}
