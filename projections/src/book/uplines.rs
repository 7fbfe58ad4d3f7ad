//! Overrides: what the partners above earn of what a partner below earns for a conversion.

use std::collections::BTreeSet;

use postbook_schemas::{Currency, Slug, ZeroReason};
use smallvec::SmallVec;

use super::{
    Book,
    approval::{standing, unless_awaited},
    earn::Lines,
    lines::{line, zero_line},
    seen::{Level, Seen},
};
use crate::{
    derivation::Derivation,
    exact::Product,
    numbers::ConversionNumber,
    posted::{Overflow, Standing},
    pricing::{Exchange, Given},
    rules::{CompiledRule, Price},
};

type Touched = BTreeSet<ConversionNumber>;

/// What the credited partner earns for a conversion by its own rules, overrides not among them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Below {
    pub(super) currency: Currency,
    pub(super) base_minor: i64,
    pub(super) net_minor: i64,
    /// Why it is nothing.
    pub(super) reason: Option<ZeroReason>,
    /// The last of its lines to be payable.
    pub(super) standing: Standing,
    /// Whether a change takes something of it, and no rate says how much.
    pub(super) awaits_rate: bool,
}

impl Below {
    /// With one more line. A sum that leaves 64 bits gives a share that is out of range anyway.
    pub(super) fn with(self, other: &Self) -> Self {
        Self {
            currency: self.currency,
            base_minor: self.base_minor.saturating_add(other.base_minor),
            net_minor: self.net_minor.saturating_add(other.net_minor),
            reason: self.reason.or(other.reason),
            standing: self.standing.later(other.standing),
            awaits_rate: self.awaits_rate || other.awaits_rate,
        }
    }
}

impl Book {
    /// The lines of the partners above, each by its own terms.
    pub(super) fn upline_lines(
        &mut self,
        number: ConversionNumber,
        partner: &Slug,
        below: &Below,
        (seen, later): (&mut Seen, &mut Touched),
        lines: &mut Lines,
    ) -> Result<(), Overflow> {
        for (upline, level) in self.uplines_of(number, partner) {
            self.override_lines(number, (&upline, level), below, (seen, later), lines)?;
        }
        Ok(())
    }

    /// The partners above one, with their levels, at an offer that pays them; above somebody who is not
    /// credited only those who are not above the credited partner too, since a line is one partner's once.
    pub(super) fn uplines_of(
        &self,
        number: ConversionNumber,
        partner: &Slug,
    ) -> SmallVec<[(Slug, Level); 2]> {
        let conversion = self.conversion(number);
        let mut terms = self.programme.all_terms(&conversion.offer).iter();
        if !terms.any(|terms| terms.has_override()) {
            return SmallVec::new();
        }
        let at = conversion.occurred_at();
        let mut above: SmallVec<[_; 2]> = self
            .programme
            .uplines(partner, at)
            .into_iter()
            .zip(1..)
            .collect();
        let credited = conversion.attribution.partner.as_ref();
        if let Some(credited) = credited.filter(|credited| *credited != partner)
            && !above.is_empty()
        {
            let taken = self.programme.uplines(credited, at);
            above.retain(|(upline, _)| !taken.contains(upline));
        }
        above
    }

    pub(super) fn override_lines(
        &mut self,
        number: ConversionNumber,
        (upline, level): (&Slug, Level),
        below: &Below,
        (seen, later): (&mut Seen, &mut Touched),
        lines: &mut Lines,
    ) -> Result<(), Overflow> {
        let Some(currency) = self.programme.partner_currency(upline) else {
            return Ok(());
        };
        let Some(matched) = self.matched(number, upline, level, seen) else {
            return Ok(());
        };
        let terms = &matched.terms;
        let status = self.situation(number, seen).status;
        for (rule, pools) in matched.rules() {
            let given = match self.exchange(number, below.currency, currency) {
                Some(exchange) => overridden(self.programme.derivation(), rule, below, exchange),
                None => Given::nothing(ZeroReason::AwaitingFx),
            };
            let given = self.capped((rule, pools.cap), number, currency, given, later);
            let conversion = self.conversion(number);
            let own = standing(rule, status, conversion.occurred_at());
            let carried = self.carried(conversion, &rule.id, upline, currency);
            let stands = own.later(below.standing);
            let (given, stands) = unless_awaited(below.awaits_rate, given, stands, &carried);
            let made = line((terms, rule), upline, currency, &given, stands, &carried);
            lines.push(made.ok_or(Overflow)?);
        }
        lines.rows.extend(matched.unmet().map(|(rule, reason)| {
            let rule = Some((&**terms, rule));
            zero_line(rule, Some(upline.clone()), Some(currency), reason)
        }));
        Ok(())
    }
}

/// A share of what the partner below earns, rounded once.
fn overridden(
    derivation: &Derivation,
    rule: &CompiledRule,
    below: &Below,
    exchange: Exchange,
) -> Given {
    let Price::Override(rate) = rule.price else {
        return Given::nothing(ZeroReason::NoRule);
    };
    let share = |minor: i64| {
        let share = Product::of(minor).times_decimal(rate);
        (derivation.round)(&exchange.of_product(share))
    };
    let Some((base_minor, net_minor)) = share(below.base_minor).zip(share(below.net_minor)) else {
        return Given::nothing(ZeroReason::OutOfRange);
    };
    let reason = below.reason.unwrap_or(ZeroReason::NothingToEarn);
    let given = Given {
        base_minor,
        net_minor,
        reason: (net_minor == 0).then_some(reason),
    };
    given.in_range()
}
