//! The lines that the rules give a conversion: which rules match, what they leave and give, and the rows.

use std::{collections::BTreeSet, rc::Rc, sync::Arc};

use postbook_schemas::{
    Change, Currency, Instant, Slug, ZeroReason,
    instant::DAY_US,
    terms::{OnChargeback, OnRefund},
};
use smallvec::SmallVec;

use super::{
    Book,
    seen::{Level, Matched, Seen, Situation},
    volume::rule_pools,
};
use crate::{
    click::ClickSeen,
    conditions::{Unmet, unmet},
    conversion::Conversion,
    numbers::ConversionNumber,
    payouts::{Carried, line_memo},
    posted::{Owed, PostedLine, Standing},
    pricing::{Exchange, Given, Remaining, Volume, fee, price, price_currency, remaining},
    rows::{EarningLine, LineState},
    rules::{CompiledRule, CompiledTerms},
    standing::{MoneyChange, taken},
};

impl Book {
    /// The rules that price a conversion for the partner who is so many levels above the credited
    /// one: those of its kind whose conditions hold, the first of each group.
    pub(super) fn matched(
        &self,
        number: ConversionNumber,
        partner: &Slug,
        level: Level,
        seen: &mut Seen,
    ) -> Option<Rc<Matched>> {
        let key = (number, level, partner.clone());
        seen.matched(key, || self.match_rules(number, partner, level))
    }

    fn match_rules(
        &self,
        number: ConversionNumber,
        partner: &Slug,
        level: Level,
    ) -> Option<Matched> {
        let conversion = self.conversion(number);
        let terms = self.terms_of(conversion, partner)?;
        let around = self.around(conversion);
        let click = self.visit_of(conversion);
        let mut groups_taken = BTreeSet::new();
        let (mut rules, mut pools) = (SmallVec::new(), SmallVec::new());
        let mut unmet_rules = Vec::new();
        for (place, rule) in terms.rules.iter().enumerate() {
            if rule.on != conversion.kind || !is_for(rule, level) {
                continue;
            }
            if let Some(group) = &rule.group
                && groups_taken.contains(group)
            {
                continue;
            }
            match unmet(&rule.when, conversion, click, &around) {
                Some(Unmet::Not(_) | Unmet::Total(_)) => {
                    unmet_rules.push((place, ZeroReason::ConditionUnmet));
                }
                Some(Unmet::AwaitsRate) => unmet_rules.push((place, ZeroReason::AwaitingFx)),
                None => {
                    groups_taken.extend(rule.group.as_ref());
                    rules.push(place);
                    pools.push(rule_pools(&terms, rule, conversion, partner));
                }
            }
        }
        drop(groups_taken);
        Some(Matched {
            terms,
            rules,
            pools,
            unmet: unmet_rules,
        })
    }

    pub(super) fn click_of(&self, conversion: &Conversion) -> Option<&ClickSeen> {
        let id = conversion.references.click_id.as_deref()?;
        self.clicks.get(id).map(AsRef::as_ref)
    }

    /// The click whose country, device and sub values conditions look at: its own, or else that of the
    /// conversion which bound its customer.
    pub(super) fn visit_of(&self, conversion: &Conversion) -> Option<&ClickSeen> {
        if conversion.references.click_id.is_some() {
            return self.click_of(conversion);
        }
        let bond = self.group(conversion.keys.customer)?.bond.as_deref();
        let bond = bond.filter(|bond| bond.order.occurred_at <= conversion.occurred_at())?;
        let binding = self.ids.get(&bond.order.id)?;
        self.click_of(self.conversion(*binding))
    }

    /// A conversion's status and its changes of money in its own currency.
    pub(super) fn situation(&self, number: ConversionNumber, seen: &mut Seen) -> Rc<Situation> {
        seen.situation(number, || self.look_at(self.conversion(number)))
    }

    fn look_at(&self, conversion: &Conversion) -> Situation {
        let changes = self.changes_of(conversion);
        let own = conversion.currency;
        let (mut money, mut unvalued) = (Vec::new(), Vec::new());
        for change in &changes {
            let at = change.order.occurred_at;
            let amount_minor = match (change.amount_minor, change.currency) {
                (Some(amount), Some(other)) if other != own => {
                    let Some(amount) = self.exchanged(amount, other, own, at) else {
                        unvalued.push((change.change, at));
                        continue;
                    };
                    Some(amount)
                }
                (amount, _) => amount,
            };
            money.push(MoneyChange {
                change: change.change,
                occurred_at: at,
                amount_minor,
            });
        }
        let others = changes.iter().filter_map(|change| change.currency);
        Situation {
            status: self.status_by_facts(conversion, &changes),
            money,
            others: others.filter(|&currency| currency != own).collect(),
            unvalued,
        }
    }

    pub(super) fn exchanged(
        &self,
        amount: i64,
        from: Currency,
        to: Currency,
        at: Instant,
    ) -> Option<i64> {
        let rate = self.programme.rate(from, to, at)?;
        Exchange {
            rate: Some(rate),
            from,
            to,
        }
        .exchange(amount)
    }

    /// What the changes within a rule's window leave of what it gives.
    pub(super) fn left(
        &self,
        rule: &CompiledRule,
        number: ConversionNumber,
        situation: &Situation,
    ) -> Remaining {
        let conversion = self.conversion(number);
        let until = takes_back_until(rule, conversion);
        // What was charged back in time and is won later is given back.
        let in_time = situation
            .money
            .iter()
            .filter(|change| change.occurred_at <= until || change.change == Change::ChargebackWon);
        let taken = taken(conversion.amount_minor, in_time.copied());
        let abused = self.is_abused(conversion, until);
        remaining(rule, conversion.amount_minor, &taken, abused)
    }

    /// Whether what a rule gives is not known yet: a change takes something of it, and no rate says how much.
    pub(super) fn awaits_rate(
        &self,
        rule: &CompiledRule,
        number: ConversionNumber,
        situation: &Situation,
    ) -> bool {
        let takes = |change: Change| match change {
            Change::Refund => rule.on_refund != OnRefund::Keep,
            Change::Chargeback => {
                rule.on_chargeback != OnChargeback::Keep || rule.chargeback_fee.is_some()
            }
            Change::ChargebackWon | Change::Status => false,
        };
        let mut unvalued = situation.unvalued.iter();
        unvalued.any(|&(change, at)| {
            takes(change) && at <= takes_back_until(rule, self.conversion(number))
        })
    }

    /// What a rule gives for a conversion in a currency, before its cap.
    pub(super) fn priced(
        &mut self,
        rule: &CompiledRule,
        number: ConversionNumber,
        currency: Currency,
        left: &Remaining,
        volume: Option<&Volume>,
    ) -> Given {
        let conversion = self.conversion(number);
        let offer_currency = self.programme.offer_currency(&conversion.offer);
        let from = price_currency(rule, conversion, offer_currency);
        let Some(exchange) = self.exchange(number, from, currency) else {
            return Given::nothing(ZeroReason::AwaitingFx);
        };
        let conversion = self.conversion(number);
        let derivation = self.programme.derivation();
        price(
            derivation,
            rule,
            conversion,
            offer_currency,
            exchange,
            left,
            volume,
        )
    }

    /// What a chargeback of a conversion costs besides what it takes; `Err` while no rate says how much.
    pub(super) fn fee(
        &mut self,
        rule: &CompiledRule,
        number: ConversionNumber,
        currency: Currency,
        left: &Remaining,
    ) -> Result<i64, ZeroReason> {
        if !left.fee {
            return Ok(0);
        }
        let offer = &self.conversion(number).offer;
        let own = rule
            .currency
            .unwrap_or_else(|| self.programme.offer_currency(offer));
        let exchange = self.exchange(number, own, currency);
        let fee = fee(rule, exchange.ok_or(ZeroReason::AwaitingFx)?);
        let round = self.programme.derivation().round;
        fee.map_or(Ok(0), |fee| round(&fee).ok_or(ZeroReason::OutOfRange))
    }

    /// What turns one currency into another when a conversion happened; `None` without a rate. The
    /// conversion is derived again when such a rate comes.
    pub(super) fn exchange(
        &mut self,
        number: ConversionNumber,
        from: Currency,
        to: Currency,
    ) -> Option<Exchange> {
        if from == to {
            return Some(Exchange {
                rate: None,
                from,
                to,
            });
        }
        let users = self.rate_users.entry((from, to)).or_default();
        users.insert(number);
        let at = self.conversion(number).occurred_at();
        let rate = Some(self.programme.rate(from, to, at)?);
        Some(Exchange { rate, from, to })
    }
}

/// Whether a rule speaks to the partner so many levels above the credited one.
fn is_for(rule: &CompiledRule, level: Level) -> bool {
    if level == 0 {
        !rule.is_override()
    } else {
        rule.is_override() && rule.level.is_none_or(|wanted| wanted == level)
    }
}

/// Until when changes take back what a rule gives for a conversion.
fn takes_back_until(rule: &CompiledRule, conversion: &Conversion) -> Instant {
    rule.clawback_days.map_or(Instant::MAX, |days| {
        let days = DAY_US.saturating_mul(i64::from(days));
        conversion.occurred_at().plus_micros(days)
    })
}

/// A line's row and what is posted for it.
pub(super) fn line(
    (terms, rule): (&CompiledTerms, &CompiledRule),
    partner: &Slug,
    currency: Currency,
    given: &Given,
    standing: Standing,
    carried: &Carried,
) -> Option<(EarningLine, PostedLine)> {
    let memo = line_memo(given.base_minor, given.net_minor, carried)?;
    let (state, available_at) = match standing {
        _ if given.net_minor == 0 => (LineState::Zero, None),
        Standing::Pending { approves } => (LineState::Pending, approves.map(|(_, at)| at)),
        Standing::Approved { available_at } => (LineState::Approved, Some(available_at)),
    };
    let row = EarningLine {
        rule: Some(Arc::clone(&rule.id)),
        terms_version: Some(Arc::clone(&terms.version)),
        partner: Some(partner.clone()),
        amount_minor: given.net_minor,
        currency: Some(currency),
        state,
        reason: given
            .reason
            .filter(|&reason| given.net_minor == 0 || reason == ZeroReason::AwaitingFx),
        available_at,
        earned_minor: memo.earned_minor,
        reversed_minor: memo.reversed_minor,
        clawed_back_minor: memo.clawed_back_minor,
        recovered_minor: memo.recovered_minor,
        written_off_minor: memo.written_off_minor,
        carried_minor: carried.now_minor,
        payout_id: carried.payout_id,
    };
    let posted = PostedLine {
        rule: Arc::clone(&rule.id),
        terms_version: Arc::clone(&terms.version),
        partner: partner.clone(),
        currency,
        amount_minor: given.net_minor,
        standing,
        memo,
        carried_minor: carried.now_minor,
        payout_id: carried.payout_id,
        owed: Owed::ToPartner,
        carry: None,
    };
    Some((row, posted))
}

/// A line that earns nothing because no rule applies.
pub(super) fn zero_line(
    rule: Option<(&CompiledTerms, &CompiledRule)>,
    partner: Option<Slug>,
    currency: Option<Currency>,
    reason: ZeroReason,
) -> EarningLine {
    EarningLine {
        rule: rule.map(|(_, rule)| Arc::clone(&rule.id)),
        terms_version: rule.map(|(terms, _)| Arc::clone(&terms.version)),
        partner,
        amount_minor: 0,
        currency,
        state: LineState::Zero,
        reason: Some(reason),
        available_at: None,
        earned_minor: 0,
        reversed_minor: 0,
        clawed_back_minor: 0,
        recovered_minor: 0,
        written_off_minor: 0,
        carried_minor: 0,
        payout_id: None,
    }
}
