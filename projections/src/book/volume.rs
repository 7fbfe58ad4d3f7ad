//! Pools of tiers and caps: who is in them, and whom a change there concerns.

use std::collections::BTreeSet;

use postbook_schemas::{Currency, Slug, Status, ZeroReason, terms::Period};

use super::Book;
use crate::{
    conversion::Conversion,
    numbers::{ConversionNumber, PoolKey},
    order::{OrderKey, short},
    pools::{Member, Step},
    pricing::Given,
    rows::AttributedBy,
    rules::{CompiledRule, CompiledTerms},
};

type Touched = BTreeSet<ConversionNumber>;

/// A conversion's place in a pool.
struct Seat {
    key: PoolKey,
    /// A member counts; a ghost only needs to know its place.
    is_member: bool,
    /// At which volumes the rule reprices the whole period.
    steps: Vec<Step>,
}

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
        let keys: Vec<PoolKey> = wanted.iter().map(|seat| seat.key).collect();
        let before = std::mem::replace(&mut self.conversion_mut(number).pools, keys.clone());
        let leaving = before.into_iter().filter(|key| !keys.contains(key));
        for key in leaving {
            self.leave_pool(key, &order, touched);
        }
        for Seat {
            key,
            is_member,
            steps,
        } in wanted
        {
            let pool = self.pools.entry(key).or_default();
            pool.expect_steps(steps);
            let concerns_others = if is_member {
                let (order, conversion) = (order.clone(), number);
                pool.put(Member {
                    order,
                    conversion,
                    amount_minor,
                    priced_minor: 0,
                })
            } else {
                pool.put_ghost(&order, number)
            };
            if concerns_others {
                self.touch_pool(key, &order, touched);
            }
        }
    }

    /// Takes a conversion out of all its pools.
    pub(super) fn leave_pools(&mut self, number: ConversionNumber, touched: &mut Touched) {
        let order = self.conversion(number).order.clone();
        for key in std::mem::take(&mut self.conversion_mut(number).pools) {
            self.leave_pool(key, &order, touched);
        }
    }

    fn leave_pool(&mut self, key: PoolKey, order: &OrderKey, touched: &mut Touched) {
        if self
            .pools
            .get_mut(&key)
            .is_some_and(|pool| pool.remove(order))
        {
            self.touch_pool(key, order, touched);
        }
    }

    /// Touches the conversions of a pool that a change at a place concerns: all where a step may
    /// reprice the whole period, else those after it.
    fn touch_pool(&self, key: PoolKey, order: &OrderKey, touched: &mut Touched) {
        let Some(pool) = self.pools.get(&key) else {
            return;
        };
        touched.extend(pool.from(order));
        if pool.may_reprice_all() {
            touched.extend(pool.all());
        }
    }

    /// The pools a conversion belongs in: of each pooled rule that prices it, as a member while it
    /// earns; and as a ghost those of the partner who would be credited without people's
    /// corrections.
    fn wanted_pools(&self, conversion: &Conversion) -> Vec<Seat> {
        if conversion.sandbox {
            return Vec::new();
        }
        let mut wanted = Vec::new();
        if let Some(partner) = &conversion.attribution.partner {
            self.pools_with(conversion, partner, true, &mut wanted);
        }
        if conversion.attribution.by == Some(AttributedBy::Correction) {
            let uncorrected = self.attribution(conversion, true, false).partner;
            let other = uncorrected.filter(|p| conversion.attribution.partner.as_ref() != Some(p));
            if let Some(partner) = other {
                self.pools_with(conversion, &partner, false, &mut wanted);
            }
        }
        wanted
    }

    fn pools_with(
        &self,
        conversion: &Conversion,
        partner: &Slug,
        credited: bool,
        wanted: &mut Vec<Seat>,
    ) {
        let Some(matched) = self.matched(conversion, partner) else {
            return;
        };
        let situation = self.situation(conversion);
        let status = situation.status.map(|since| since.status);
        let refused = matches!(status, Some(Status::Rejected | Status::Reversed));
        let rules = matched
            .rules
            .iter()
            .filter_map(|&place| matched.terms.rules.get(place));
        for rule in rules.filter(|rule| rule.is_pooled()) {
            let earns = credited && !refused && self.left(rule, &situation).1.part > 0;
            let tiers = tiers_pool(&matched.terms, rule, conversion, partner);
            wanted.extend(tiers.map(|key| Seat {
                key,
                is_member: earns,
                steps: rule.repricing_steps(),
            }));
            let cap = cap_pool(&matched.terms, rule, conversion, partner);
            wanted.extend(cap.map(|key| Seat {
                key,
                is_member: earns,
                steps: Vec::new(),
            }));
        }
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
            later.extend(pool.from(&order).filter(|&other| other != number));
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
