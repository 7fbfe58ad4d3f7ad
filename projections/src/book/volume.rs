//! Pools of tiers, caps and advances: who is in them, and what they say to a line.

use std::collections::BTreeSet;

use postbook_schemas::{Currency, Slug, ZeroReason, terms::Period};
use rust_decimal::Decimal;

use super::{
    Book,
    earn::is_taken_back,
    seen::{Level, RulePools, Seen},
};
use crate::{
    conversion::Conversion,
    exact::minor_rounded_down,
    numbers::{ConversionNumber, PoolKey},
    order::{short, short_with},
    pools::Thresholds,
    pricing::{Given, Volume},
    rows::AttributedBy,
    rules::{CompiledRule, CompiledTerms, Price},
    seats::Reach,
};

type Touched = BTreeSet<ConversionNumber>;

/// A conversion's place in a pool.
struct Wanted {
    key: PoolKey,
    /// A member counts; a ghost only needs to know its place.
    is_member: bool,
    /// What it weighs, where that is not what the rule gives.
    weight: Option<(i64, Reach)>,
    /// Where the rule's price turns.
    thresholds: Thresholds,
}

impl Book {
    /// Enters a conversion into the pools of the rules that price it and takes it out of others;
    /// touches the members whose price that changes.
    pub(super) fn derive_pools(
        &mut self,
        number: ConversionNumber,
        seen: &mut Seen,
        touched: &mut Touched,
    ) {
        let conversion = self.conversion(number);
        let terms = self.programme.all_terms(&conversion.offer);
        let is_pooled = terms.iter().any(|terms| terms.is_pooled());
        if !is_pooled && conversion.pools.is_empty() {
            return;
        }
        let wanted = self.wanted_pools(number, seen);
        let order = self.conversion(number).order.clone();
        let keys: Vec<PoolKey> = wanted.iter().map(|wanted| wanted.key).collect();
        let before = std::mem::replace(&mut self.conversion_mut(number).pools, keys.clone());
        for key in before.into_iter().filter(|key| !keys.contains(key)) {
            if let Some(pool) = self.pools.get_mut(&key) {
                pool.remove(&order, touched);
            }
        }
        for wanted in wanted {
            let pool = self.pools.entry(wanted.key).or_default();
            pool.watch(&wanted.thresholds);
            let who = (&order, number);
            pool.seat(who, wanted.is_member, wanted.weight, touched);
        }
    }

    /// Takes a conversion out of all its pools.
    pub(super) fn leave_pools(&mut self, number: ConversionNumber, touched: &mut Touched) {
        let order = self.conversion(number).order.clone();
        for key in std::mem::take(&mut self.conversion_mut(number).pools) {
            if let Some(pool) = self.pools.get_mut(&key) {
                pool.remove(&order, touched);
            }
        }
    }

    /// The pools a conversion belongs in: of each pooled rule that prices it, as a member while it
    /// earns; and as a ghost those of the partner who would be credited without people's
    /// corrections. The same for the partners above.
    fn wanted_pools(&mut self, number: ConversionNumber, seen: &mut Seen) -> Vec<Wanted> {
        let mut wanted = Vec::new();
        let conversion = self.conversion(number);
        if conversion.sandbox {
            return wanted;
        }
        let credited = conversion.attribution.partner.clone();
        let is_corrected = conversion.attribution.by == Some(AttributedBy::Correction);
        if let Some(partner) = &credited {
            self.pools_of_all_levels(number, partner, true, seen, &mut wanted);
        }
        if is_corrected {
            let uncorrected = self
                .attribution(self.conversion(number), true, false)
                .partner;
            if let Some(partner) = uncorrected.filter(|other| credited.as_ref() != Some(other)) {
                self.pools_of_all_levels(number, &partner, false, seen, &mut wanted);
            }
        }
        wanted
    }

    fn pools_of_all_levels(
        &mut self,
        number: ConversionNumber,
        partner: &Slug,
        credited: bool,
        seen: &mut Seen,
        wanted: &mut Vec<Wanted>,
    ) {
        self.pools_with(number, (partner, 0), credited, seen, wanted);
        for (upline, level) in self.uplines_of(number, partner) {
            self.pools_with(number, (&upline, level), credited, seen, wanted);
        }
    }

    fn pools_with(
        &mut self,
        number: ConversionNumber,
        (partner, level): (&Slug, Level),
        credited: bool,
        seen: &mut Seen,
        wanted: &mut Vec<Wanted>,
    ) {
        let Some(matched) = self.matched(number, partner, level, seen) else {
            return;
        };
        let currency = self.programme.partner_currency(partner);
        let situation = self.situation(number, seen);
        let status = situation.status.map(|since| since.status);
        let refused = status.is_some_and(is_taken_back);
        let terms = &matched.terms;
        for (rule, pools) in matched.rules().filter(|(rule, _)| rule.is_pooled()) {
            // An override gives what is left of what others earn: that is not its rule's to say.
            let leaves = |book: &Self| book.left(rule, number, &situation).part > 0;
            let earns = credited && !refused && (rule.is_override() || leaves(self));
            if let Some(key) = pools.tiers {
                let offer = &self.conversion(number).offer;
                let exponent = self.programme.offer_currency(offer).exponent();
                let own = self.volume_minor(number);
                wanted.push(Wanted {
                    key,
                    is_member: earns,
                    weight: Some((own, (own.min(0), own.max(0)))),
                    thresholds: rule.tier_thresholds(exponent),
                });
            }
            if let Some(key) = pools.cap {
                wanted.push(Wanted {
                    key,
                    is_member: earns && works_on(rule, self.conversion(number)),
                    weight: None,
                    thresholds: currency.map_or_else(Thresholds::new, |to| rule.cap_thresholds(to)),
                });
            }
        }
        let advance = advance_pool(terms, self.conversion(number), partner).filter(|_| level == 0);
        wanted.extend(advance.map(|key| Wanted {
            key,
            is_member: true,
            weight: None,
            thresholds: Thresholds::new(),
        }));
    }

    /// The amount of a conversion as tiers count it, in the offer's currency; nothing while the rate
    /// is not known.
    fn volume_minor(&mut self, number: ConversionNumber) -> i64 {
        let conversion = self.conversion(number);
        let Some(amount) = conversion.amount_minor else {
            return 0;
        };
        let to = self.programme.offer_currency(&conversion.offer);
        let exchange = self.exchange(number, conversion.currency, to);
        exchange.and_then(|it| it.exchange(amount)).unwrap_or(0)
    }

    /// Where a conversion stands among those that share a rule's tiers.
    pub(super) fn volume(
        &mut self,
        pool: Option<PoolKey>,
        number: ConversionNumber,
    ) -> Option<Volume> {
        let pool = self.pools.get(&pool?)?;
        let conversion = self.conversion(number);
        let stand = pool.stand(&conversion.order);
        let exponent = self.programme.offer_currency(&conversion.offer).exponent();
        Some(Volume {
            stand,
            own_minor: self.volume_minor(number),
            exponent,
        })
    }

    /// What a cap leaves of what a rule gives, at the conversion's place in the order of facts.
    pub(super) fn capped(
        &mut self,
        (rule, pool): (&CompiledRule, Option<PoolKey>),
        number: ConversionNumber,
        currency: Currency,
        given: Given,
        later: &mut Touched,
    ) -> Given {
        let (Some(cap), Some(key)) = (&rule.cap, pool) else {
            return given;
        };
        let order = self.conversion(number).order.clone();
        let Some(pool) = self.pools.get_mut(&key) else {
            return given;
        };
        // A cap limits what is given; what is taken stands, and what is worth nothing already is not
        // so for the cap.
        let over = Given {
            base_minor: given.base_minor.min(0),
            net_minor: given.net_minor.min(0),
            reason: given
                .reason
                .or_else(|| (given.net_minor >= 0).then_some(ZeroReason::OverCap)),
        };
        if let Some(most) = cap.count {
            let place = pool.before(&order).count;
            if u64::try_from(place).unwrap_or(u64::MAX) >= most {
                return over;
            }
        }
        let Some(most) = cap.amount else {
            return given;
        };
        let weight = given.net_minor.max(0);
        let before = pool.weigh(&order, weight, (0, weight.max(given.base_minor)), later);
        later.remove(&number);
        let most = minor_rounded_down(most.decimal(), currency.exponent());
        let rest = most.saturating_sub(before.sum).max(0);
        let rest = i64::try_from(rest).unwrap_or(i64::MAX);
        if rest == 0 {
            return over;
        }
        Given {
            base_minor: given.base_minor.min(rest),
            net_minor: given.net_minor.min(rest),
            reason: given.reason,
        }
    }

    /// What shares of a customer's revenue give beyond what was paid in advance: `given` in turn, the
    /// customer's earlier shares first.
    pub(super) fn beyond_advance(
        &mut self,
        terms: &CompiledTerms,
        number: ConversionNumber,
        partner: &Slug,
        (advanced_minor, given): (i64, &mut [&mut Given]),
        later: &mut Touched,
    ) {
        let conversion = self.conversion(number);
        let order = conversion.order.clone();
        let Some(pool) =
            advance_pool(terms, conversion, partner).and_then(|key| self.pools.get_mut(&key))
        else {
            return;
        };
        pool.advance(&order, advanced_minor.max(0), later);
        let (mut own, mut reach) = (0_i64, (0_i64, 0_i64));
        for share in given.iter() {
            let (net, base) = (share.net_minor, share.base_minor);
            own = own.saturating_add(net);
            reach.0 = reach.0.saturating_add(net.min(base).min(0));
            reach.1 = reach.1.saturating_add(net.max(base).max(0));
        }
        let mut so_far = pool.weigh(&order, own, reach, later).sum;
        later.remove(&number);
        let advanced = pool.advanced();
        if advanced == 0 {
            return;
        }
        for share in given {
            let beyond = |minor: i64| {
                let end = so_far.saturating_add(i128::from(minor));
                let paid = |sum: i128| sum.saturating_sub(advanced).max(0);
                i64::try_from(paid(end).saturating_sub(paid(so_far))).unwrap_or(minor)
            };
            let (base_minor, net_minor) = (beyond(share.base_minor), beyond(share.net_minor));
            let reason = if net_minor == 0 && share.net_minor != 0 {
                Some(ZeroReason::WithinAdvance)
            } else {
                share.reason
            };
            so_far = so_far.saturating_add(i128::from(share.net_minor));
            **share = Given {
                base_minor,
                net_minor,
                reason,
            };
        }
    }
}

/// The pools of a rule for one conversion and partner.
pub(super) fn rule_pools(
    terms: &CompiledTerms,
    rule: &CompiledRule,
    conversion: &Conversion,
    partner: &Slug,
) -> RulePools {
    let key = |purpose, per| pool_key(purpose, per, terms, rule, conversion, partner);
    RulePools {
        tiers: rule.tiers.as_ref().map(|tiers| key("tiers", tiers.per)),
        cap: rule.cap.as_ref().map(|cap| key("cap", cap.per)),
    }
}

/// The pool in which a customer's shares of revenue work off what was paid in advance for it.
pub(super) fn advance_pool(
    terms: &CompiledTerms,
    conversion: &Conversion,
    partner: &Slug,
) -> Option<PoolKey> {
    if !terms.has_advance() {
        return None;
    }
    let customer = conversion.keys.customer.or(conversion.keys.click)?;
    Some(short(&[
        "advance",
        partner.as_str(),
        &format!("{customer:x}"),
    ]))
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
    let names = [
        purpose,
        partner.as_str(),
        conversion.offer.as_str(),
        &rule.id,
    ];
    short_with(&names, &period.to_be_bytes())
}

/// Whether there is something in a conversion that a rule gives more than nothing for.
fn works_on(rule: &CompiledRule, conversion: &Conversion) -> bool {
    match rule.price {
        Price::Revshare(_) => conversion.amount_minor.is_some_and(|amount| amount > 0),
        Price::PerUnit(_) => conversion
            .quantity
            .as_deref()
            .is_some_and(|it| *it > Decimal::ZERO),
        Price::Param(_) => conversion.payout_minor.is_some_and(|payout| payout > 0),
        Price::Cpa(_) | Price::Override(_) => true,
    }
}

/// Whether a rule's line works off an advance.
pub(super) fn works_off(rule: &CompiledRule) -> bool {
    matches!(rule.price, Price::Revshare(_))
}
