//! Tells how a conversion's lines come about: the same steps as deriving them, one after the other, with
//! where each number comes from.

use std::{collections::BTreeSet, rc::Rc};

use postbook_schemas::{
    Currency, FactId, Instant, Slug,
    envelope::Recorded,
    terms::{Period, TierBy, TierMode},
};

use super::{
    Book,
    earn::{Lines, Sheet},
    seen::{Level, Matched, Seen},
    uplines::Below,
    volume::{advance_pool, works_off},
};
use crate::{
    conditions::{Unmet, told, unmet},
    explain::trace::{AdvanceTrace, CapTrace, LineTrace, RateTrace, TierTrace, Trace, UnmetTrace},
    numbers::{ConversionNumber, PoolKey},
    pricing::{Exchange, exact, is_sliced, price_currency, reached},
    rules::{CompiledRule, Price},
};

type Touched = BTreeSet<ConversionNumber>;

/// How many conversions before one are named where it is counted.
const LAST_MAX: usize = 10;

impl Book {
    /// How a conversion's lines come about, and which of some facts are about it; `None` if there is no
    /// such conversion. The book says the same afterwards: deriving notes down only what it notes down
    /// every time.
    pub fn trace(&mut self, id: &FactId, facts: &[Recorded]) -> Option<Trace> {
        let number = *self.ids.get(id)?;
        let mut seen = Seen::default();
        let situation = self.situation(number, &mut seen);
        let own = self.own_facts(number);
        let mut trace = Trace {
            sources: self.sources(number),
            others: self.others(number, &own, facts, &mut seen),
            change_rates: self.change_rates(number),
            undone: self.undone(self.conversion(number), &situation),
            own,
            ..Trace::default()
        };
        let conversion = self.conversion(number);
        if conversion.sandbox {
            return Some(trace);
        }
        let Some(partner) = conversion.attribution.partner.clone() else {
            return Some(trace);
        };
        let below = self.trace_own(number, &partner, &mut seen, &mut trace);
        if let Some(below) = below {
            for (upline, level) in self.uplines_of(number, &partner) {
                self.trace_override(number, (&upline, level), &below, &mut seen, &mut trace);
            }
        }
        Some(trace)
    }

    fn trace_own(
        &mut self,
        number: ConversionNumber,
        partner: &Slug,
        seen: &mut Seen,
        trace: &mut Trace,
    ) -> Option<Below> {
        let currency = self.programme.partner_currency(partner)?;
        let matched = self.matched(number, partner, 0, seen)?;
        self.trace_unmet(number, partner, &matched, trace);
        let sheet = Sheet {
            number,
            partner,
            currency,
            matched: Rc::clone(&matched),
            situation: self.situation(number, seen),
            lost: None,
        };
        let below = self.own_lines(&sheet, &mut Touched::new(), &mut Lines::default());
        for (rule, given, fee) in self.given(&sheet, &mut Touched::new()) {
            let pools = matched
                .rules()
                .find(|(it, _)| it.id == rule.id)
                .map(|(_, pools)| pools);
            let left = self.left_of(&sheet, rule);
            let volume = self.volume(pools.and_then(|it| it.tiers), number);
            let from = price_currency(
                rule,
                self.conversion(number),
                self.programme
                    .offer_currency(&self.conversion(number).offer),
            );
            let exchange = self.exchange(number, from, currency);
            let priced = self.priced(rule, number, currency, &left, volume.as_ref());
            let conversion = self.conversion(number);
            let offer_currency = self.programme.offer_currency(&conversion.offer);
            let product = exchange.and_then(|exchange| {
                exact(rule, conversion, offer_currency, exchange, volume.as_ref()).ok()
            });
            let price = match (&rule.tiers, &volume) {
                (Some(tiers), Some(volume)) if is_sliced(rule, tiers, volume) => {
                    "each slice at the rate of its step".to_owned()
                }
                (Some(tiers), Some(volume)) => {
                    price_text(rule.price_at(tiers, reached(tiers, volume), volume.exponent))
                }
                _ => price_text(rule.price),
            };
            let is_share = matched.terms.has_advance() && works_off(rule);
            let advance = is_share
                .then(|| self.trace_advance(number, partner, &matched.terms, given.net_minor));
            trace.lines.push(LineTrace {
                rule: rule.id.to_string(),
                group: rule.group.clone(),
                partner: partner.clone(),
                currency,
                level: 0,
                terms_position: self.position_of(&matched.terms.order.id),
                terms_from: matched.terms.effective_from,
                tier: self.trace_tier(rule, pools.and_then(|it| it.tiers), number),
                price,
                below_minor: None,
                rate: self.trace_rate(from, currency, self.conversion(number).occurred_at()),
                exact: product.map(|product| product.to_text()),
                base_minor: priced.base_minor,
                left: (left.part, left.of),
                left_minor: priced.net_minor,
                advance: advance.flatten(),
                cap: self.trace_cap(rule, pools.and_then(|it| it.cap), number, currency),
                fee: left.fee.then_some(fee.ok()),
                net_minor: given.net_minor,
                reason: given.reason.filter(|_| given.net_minor == 0),
            });
        }
        below.ok().flatten()
    }

    fn trace_override(
        &mut self,
        number: ConversionNumber,
        (upline, level): (&Slug, Level),
        below: &Below,
        seen: &mut Seen,
        trace: &mut Trace,
    ) {
        let Some(currency) = self.programme.partner_currency(upline) else {
            return;
        };
        let Some(matched) = self.matched(number, upline, level, seen) else {
            return;
        };
        self.trace_unmet(number, upline, &matched, trace);
        let mut lines = Lines::default();
        let made = self.override_lines(
            number,
            (upline, level),
            below,
            (seen, &mut Touched::new()),
            &mut lines,
        );
        if made.is_err() {
            return;
        }
        let round = self.derivation().round;
        let at = self.conversion(number).occurred_at();
        for (rule, pools) in matched.rules() {
            let Some(line) = lines.posted.iter().find(|line| line.rule == rule.id) else {
                continue;
            };
            let exchange = self.exchange(number, below.currency, currency);
            let product = exchange.and_then(|exchange| share_of(rule, below.base_minor, exchange));
            let row = lines
                .rows
                .iter()
                .find(|row| row.rule.as_deref() == Some(&*rule.id));
            let left_minor = exchange
                .and_then(|exchange| share_of(rule, below.net_minor, exchange))
                .and_then(|product| round(&product));
            trace.lines.push(LineTrace {
                rule: rule.id.to_string(),
                group: rule.group.clone(),
                partner: upline.clone(),
                currency,
                level,
                terms_position: self.position_of(&matched.terms.order.id),
                terms_from: matched.terms.effective_from,
                tier: None,
                price: price_text(rule.price),
                below_minor: Some((below.base_minor, below.currency)),
                rate: self.trace_rate(below.currency, currency, at),
                exact: product.as_ref().map(crate::exact::Product::to_text),
                base_minor: product.and_then(|product| round(&product)).unwrap_or(0),
                left: (below.net_minor, below.base_minor),
                left_minor: left_minor.unwrap_or(0),
                advance: None,
                cap: self.trace_cap(rule, pools.cap, number, currency),
                fee: None,
                net_minor: line.amount_minor,
                reason: row.and_then(|row| row.reason),
            });
        }
    }

    fn trace_unmet(
        &self,
        number: ConversionNumber,
        partner: &Slug,
        matched: &Matched,
        trace: &mut Trace,
    ) {
        let conversion = self.conversion(number);
        let (around, click) = (self.around(conversion), self.visit_of(conversion));
        for (rule, _) in matched.unmet() {
            if let Some(unmet) = unmet(&rule.when, conversion, click, &around) {
                let total = match unmet {
                    Unmet::Total(place) => rule.when.total_at_least.0.get(place),
                    Unmet::Not(_) | Unmet::AwaitsRate => None,
                };
                let currency = self.programme.offer_currency(&conversion.offer);
                trace.unmet.push(UnmetTrace {
                    total: total.map(|total| told(total, currency, &around)),
                    rule: rule.id.to_string(),
                    group: rule.group.clone(),
                    terms_position: self.position_of(&matched.terms.order.id),
                    partner: partner.clone(),
                    unmet,
                });
            }
        }
    }

    /// The rates of the changes that came in another currency than the conversion's.
    fn change_rates(&self, number: ConversionNumber) -> Vec<(FactId, RateTrace)> {
        let conversion = self.conversion(number);
        let changes = self.changes_of(conversion).into_iter();
        let changes = changes.filter(|change| change.amount_minor.is_some());
        let rates = changes.filter_map(|change| {
            let at = change.order.occurred_at;
            let rate = self.trace_rate(change.currency?, conversion.currency, at)?;
            Some((change.order.id, rate))
        });
        rates.collect()
    }

    fn trace_rate(&self, from: Currency, to: Currency, at: Instant) -> Option<RateTrace> {
        if from == to {
            return None;
        }
        let fact = self.programme.rate_fact(from, to, at);
        Some(RateTrace {
            base: from,
            quote: to,
            rate: self
                .programme
                .rate(from, to, at)
                .map(|rate| rate.to_string()),
            at: fact.map(|(_, at)| at),
            position: fact.and_then(|(id, _)| self.position_of(&id)),
        })
    }

    fn trace_tier(
        &mut self,
        rule: &CompiledRule,
        pool: Option<PoolKey>,
        number: ConversionNumber,
    ) -> Option<TierTrace> {
        let tiers = rule.tiers.as_ref()?;
        let volume = self.volume(pool, number)?;
        let conversion = self.conversion(number);
        let stand = volume.stand;
        let by = match tiers.by {
            TierBy::Count => "count",
            TierBy::Amount => "amount",
        };
        let mode = match tiers.mode {
            TierMode::All => "all",
            TierMode::Above => "above",
        };
        Some(TierTrace {
            says: format!("by {by}, per {}, mode {mode}", period_text(tiers.per)),
            is_by_amount: matches!(tiers.by, TierBy::Amount),
            before_count: stand.before.count,
            before_minor: stand.before.sum,
            total_count: stand.total.count,
            total_minor: stand.total.sum,
            currency: self.programme.offer_currency(&conversion.offer),
            reached: reached(tiers, &volume),
            last: self.last_before(pool?, number),
        })
    }

    fn trace_cap(
        &self,
        rule: &CompiledRule,
        pool: Option<PoolKey>,
        number: ConversionNumber,
        currency: Currency,
    ) -> Option<CapTrace> {
        let (cap, key) = (rule.cap.as_ref()?, pool?);
        let before = self.pools.get(&key)?.before(&self.conversion(number).order);
        let most = cap.amount.and_then(|most| most.to_minor(currency).ok());
        let left = |most: i64| i128::from(most).saturating_sub(before.sum).max(0);
        let count = cap.count.map(|count| count.to_string());
        let amount = most.map(|most| format!("{} {currency}", currency.format_major(most)));
        let says: Vec<String> = count.into_iter().chain(amount).collect();
        let taken = u64::try_from(before.count).unwrap_or(u64::MAX);
        Some(CapTrace {
            says: format!("{} per {}", says.join(" and "), period_text(cap.per)),
            before_count: before.count,
            before_minor: before.sum,
            left_minor: most.map(|most| i64::try_from(left(most)).unwrap_or(i64::MAX)),
            left_count: cap.count.map(|most| most.saturating_sub(taken)),
            last: self.last_before(key, number),
        })
    }

    fn trace_advance(
        &self,
        number: ConversionNumber,
        partner: &Slug,
        terms: &crate::rules::CompiledTerms,
        beyond_minor: i64,
    ) -> Option<AdvanceTrace> {
        let conversion = self.conversion(number);
        let pool = self.pools.get(&advance_pool(terms, conversion, partner)?)?;
        let advanced_minor = pool.advanced();
        (advanced_minor != 0).then(|| AdvanceTrace {
            advanced_minor,
            before_minor: pool.before(&conversion.order).sum,
            beyond_minor,
        })
    }

    fn last_before(&self, pool: PoolKey, number: ConversionNumber) -> Vec<u64> {
        let order = &self.conversion(number).order;
        let pool = self.pools.get(&pool);
        let last = pool.map(|pool| pool.last_before(order, LAST_MAX));
        let last = last.into_iter().flatten();
        last.map(|before| self.conversion(before).position)
            .collect()
    }
}

fn share_of(rule: &CompiledRule, minor: i64, exchange: Exchange) -> Option<crate::exact::Product> {
    let Price::Override(rate) = rule.price else {
        return None;
    };
    Some(exchange.of_product(crate::exact::Product::of(minor).times_decimal(rate)))
}

fn period_text(per: Period) -> &'static str {
    match per {
        Period::Day => "day",
        Period::Month => "month",
        Period::Life => "life",
    }
}

fn price_text(price: Price) -> String {
    let percent = |rate: rust_decimal::Decimal| {
        let hundred = rust_decimal::Decimal::ONE_HUNDRED;
        rate.checked_mul(hundred).unwrap_or(rate).normalize()
    };
    match price {
        Price::Cpa(amount) => format!("cpa {amount}"),
        Price::Revshare(rate) => format!("revshare {}%", percent(rate)),
        Price::PerUnit(amount) => format!("per_unit {amount}"),
        Price::Param(None) => "the payout parameter".to_owned(),
        Price::Param(Some(most)) => format!("the payout parameter, at most {most}"),
        Price::Override(rate) => format!("override {}%", percent(rate)),
    }
}
