//! Terms made ready for pricing: exact amounts instead of texts, defaults filled in.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use chrono::{Datelike, Months, TimeDelta, TimeZone};
use chrono_tz::Tz;
use postbook_schemas::{
    Currency, Instant, Kind, Month,
    configuration::TermsPublished,
    terms::{
        Approval, Cap, Carryover, Fence, OnAbuse, OnChargeback, OnRefund, PartnerScope, Period,
        Rule, TierBy, TierMode, Tiers, Total, When,
    },
};
use rust_decimal::Decimal;

use crate::{
    exact::{minor_rounded_down, minor_rounded_up},
    order::OrderKey,
    pools::{Threshold, Thresholds},
};

/// One version of an offer's terms.
#[derive(Clone, Debug)]
pub struct CompiledTerms {
    /// Where its publication stands among the facts.
    pub order: OrderKey,
    /// Its name.
    pub version: Arc<str>,
    /// For whom.
    pub scope: PartnerScope,
    /// From when, in event time.
    pub effective_from: Instant,
    /// Whose days and months are meant.
    pub time_zone: Tz,
    /// What becomes of a month below zero.
    pub carryover: Carryover,
    /// Whose month it is.
    pub fence: Fence,
    /// What a high roller loses in a month, at least, in major units of the partner's currency.
    pub high_roller_from: Option<Decimal>,
    /// The rules, in order.
    pub rules: Vec<CompiledRule>,
    /// What the advertiser owes, as rules.
    pub prices: Vec<CompiledRule>,
    /// Whether a condition looks at the conversion's own amount.
    pub looks_at_amounts: bool,
    /// Whether a condition looks at sums of the customer's amounts.
    pub looks_at_totals: bool,
    /// Which kinds of conversion are looked at by conditions on which others of the same customer.
    pub lookers: Lookers,
}

/// Which conversions look at others of the same customer, by their kinds.
#[derive(Clone, Debug, Default)]
pub struct Lookers {
    /// A kind that is looked at, and the kinds whose conditions do.
    at_kinds: BTreeMap<Kind, BTreeSet<Kind>>,
    /// The kinds whose conditions look at when the first conversion of the customer happened.
    at_firsts: BTreeSet<Kind>,
}

/// One rule.
#[derive(Clone, Debug)]
pub struct CompiledRule {
    /// Its name.
    pub id: Arc<str>,
    /// The kind it prices.
    pub on: Kind,
    /// What it pays.
    pub price: Price,
    /// Of an override: how many levels below.
    pub level: Option<u32>,
    /// Whether revenue share must first exceed it.
    pub advance: bool,
    /// The currency of fixed amounts; the conversion's own if absent.
    pub currency: Option<Currency>,
    /// Alternatives share a group.
    pub group: Option<String>,
    /// Days from approval until it is payable.
    pub hold_days: u32,
    /// What approves.
    pub approval: Approval,
    /// What must hold.
    pub when: When,
    /// How much it may give.
    pub cap: Option<Cap>,
    /// How volume changes the price.
    pub tiers: Option<Tiers>,
    /// What a refund takes.
    pub on_refund: OnRefund,
    /// What a chargeback takes.
    pub on_chargeback: OnChargeback,
    /// What a chargeback costs besides.
    pub chargeback_fee: Option<Decimal>,
    /// What abuse takes.
    pub on_abuse: OnAbuse,
    /// After how many days changes have no effect.
    pub clawback_days: Option<u32>,
}

/// What a rule pays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Price {
    /// A fixed amount, in major units.
    Cpa(Decimal),
    /// A share of the net amount.
    Revshare(Decimal),
    /// An amount for each unit, in major units.
    PerUnit(Decimal),
    /// The `payout` parameter, up to a maximum in major units.
    Param(Option<Decimal>),
    /// A share of what a partner below earns.
    Override(Decimal),
}

impl CompiledTerms {
    /// Terms as published.
    pub fn new(order: OrderKey, published: &TermsPublished) -> Self {
        let terms = &published.terms;
        let compiled = |rules: &[Rule]| -> Vec<CompiledRule> {
            rules.iter().filter_map(CompiledRule::new).collect()
        };
        let (rules, prices) = (compiled(&terms.rules), compiled(&terms.prices));
        let any = |looks: fn(&When) -> bool| {
            let mut all = rules.iter().chain(&prices);
            all.any(|rule: &CompiledRule| looks(&rule.when))
        };
        Self {
            looks_at_amounts: any(|when| when.amount_at_least.is_some()),
            looks_at_totals: any(|when| {
                let mut totals = when.total_at_least.0.iter();
                totals.any(|total| total.amount.is_some())
            }),
            lookers: Lookers::of(rules.iter().chain(&prices)),
            carryover: terms.carryover,
            fence: terms.fence,
            high_roller_from: terms.high_roller_from.map(postbook_schemas::Exact::decimal),
            prices,
            order,
            version: published.version.as_str().into(),
            scope: terms.partner.clone(),
            effective_from: terms.effective_from,
            time_zone: terms.time_zone,
            rules,
        }
    }

    /// Whether what any rule gives depends on other conversions.
    pub fn is_pooled(&self) -> bool {
        self.has_advance() || self.rules.iter().any(CompiledRule::is_pooled)
    }

    /// Whether any rule pays partners above those who are credited.
    pub fn has_override(&self) -> bool {
        self.rules.iter().any(CompiledRule::is_override)
    }

    /// Whether any rule pays in advance what revenue share must exceed.
    pub fn has_advance(&self) -> bool {
        self.rules.iter().any(|rule| rule.advance)
    }

    /// Whether any condition looks at `sub1` to `sub5`.
    pub fn looks_at_subs(&self) -> bool {
        let mut rules = self.rules.iter().chain(&self.prices);
        rules.any(|rule| rule.when.looks_at_subs())
    }

    /// The month that an instant falls in.
    pub fn month(&self, at: Instant) -> Month {
        let utc = at.to_chrono().naive_utc();
        Month::of_date(&self.time_zone.from_utc_datetime(&utc))
    }

    /// The number of the period that an instant falls in, among periods of its kind.
    pub fn period(&self, per: Period, at: Instant) -> i64 {
        let utc = at.to_chrono().naive_utc();
        let local = || {
            if self.time_zone == Tz::UTC {
                utc.date()
            } else {
                self.time_zone.from_utc_datetime(&utc).date_naive()
            }
        };
        match per {
            Period::Life => 0,
            Period::Month => {
                let date = local();
                let years = i64::from(date.year()).saturating_mul(12);
                years.saturating_add(i64::from(date.month()))
            }
            Period::Day => i64::from(local().num_days_from_ce()),
        }
    }
}

impl CompiledTerms {
    /// When the month of an instant ends: its last instant, so that what takes effect then still
    /// stands in its books.
    pub fn month_end(&self, at: Instant) -> Instant {
        let local = self
            .time_zone
            .from_utc_datetime(&at.to_chrono().naive_utc());
        let first = local.date_naive().with_day(1);
        let next = first.and_then(|first| first.checked_add_months(Months::new(1)));
        let midnight = next.and_then(|next| next.and_hms_opt(0, 0, 0));
        // Where clocks skip midnight the day begins an hour later.
        let begins = midnight.and_then(|midnight| {
            let local = |naive| self.time_zone.from_local_datetime(&naive).earliest();
            local(midnight).or_else(|| local(midnight.checked_add_signed(TimeDelta::hours(1))?))
        });
        begins.map_or(Instant::MAX, |begins| {
            Instant::from_micros(begins.timestamp_micros()).plus_micros(-1)
        })
    }
}

impl Lookers {
    fn of<'a>(rules: impl Iterator<Item = &'a CompiledRule>) -> Self {
        let mut all = Self::default();
        for rule in rules {
            let when = &rule.when;
            let mut looks = |at: &Kind| {
                let lookers = all.at_kinds.entry(at.clone()).or_default();
                lookers.insert(rule.on.clone());
            };
            when.requires.iter().for_each(&mut looks);
            let totals = &when.total_at_least.0;
            totals.iter().map(|total| &total.kind).for_each(&mut looks);
            let is_timed = |total: &Total| total.within_days.is_some();
            let is_timed = totals.iter().any(is_timed);
            if is_timed || when.within_days_of_registration.is_some() {
                looks(&Kind::Registration);
            }
            if is_timed {
                all.at_firsts.insert(rule.on.clone());
            }
        }
        all
    }

    /// Whether a conversion of the kind `on` looks at others of the kind `at`, or at when the first of
    /// the customer happened, if that has `moved`.
    pub fn look(&self, on: &Kind, at: &Kind, moved: bool) -> bool {
        let at_kind = self.at_kinds.get(at);
        at_kind.is_some_and(|lookers| lookers.contains(on))
            || (moved && self.at_firsts.contains(on))
    }
}

impl CompiledRule {
    /// A rule made ready; `None` if it has no price.
    fn new(rule: &Rule) -> Option<Self> {
        let price = if let Some(amount) = rule.cpa {
            Price::Cpa(amount.decimal())
        } else if let Some(rate) = rule.revshare {
            Price::Revshare(rate.fraction())
        } else if let Some(amount) = rule.per_unit {
            Price::PerUnit(amount.decimal())
        } else if rule.param == Some(true) {
            Price::Param(rule.max.map(postbook_schemas::Exact::decimal))
        } else if let Some(rate) = rule.override_rate {
            Price::Override(rate.fraction())
        } else {
            return None;
        };
        let default_on_refund = match price {
            Price::Revshare(_) => OnRefund::Proportional,
            Price::Cpa(_) | Price::PerUnit(_) | Price::Param(_) | Price::Override(_) => {
                OnRefund::FullIfTotal
            }
        };
        Some(Self {
            id: rule.id.as_str().into(),
            on: rule.on.0.clone(),
            price,
            level: rule.level,
            advance: rule.advance,
            currency: rule.currency,
            group: rule.group.clone(),
            hold_days: rule.hold_days.unwrap_or(0),
            approval: rule.approval,
            when: rule.when.clone().unwrap_or_default(),
            cap: rule.cap.clone(),
            tiers: rule.tiers.clone(),
            on_refund: rule.on_refund.unwrap_or(default_on_refund),
            on_chargeback: rule.on_chargeback.unwrap_or(OnChargeback::Full),
            chargeback_fee: rule.chargeback_fee.map(postbook_schemas::Exact::decimal),
            on_abuse: rule.on_abuse,
            clawback_days: rule.clawback_days,
        })
    }

    /// The price at a step of the tiers: the last step that `volume` has reached, which is a count,
    /// or an amount in minor units of a currency with this exponent.
    pub fn price_at(&self, tiers: &Tiers, volume: i128, exponent: u32) -> Price {
        let exponent = if tiers.by == TierBy::Count {
            0
        } else {
            exponent
        };
        let step = tiers
            .steps
            .iter()
            .rev()
            .find(|step| minor_rounded_up(step.from.decimal(), exponent) <= volume);
        let Some(step) = step else {
            return self.price;
        };
        if let Some(amount) = step.cpa {
            Price::Cpa(amount.decimal())
        } else if let Some(rate) = step.revshare {
            Price::Revshare(rate.fraction())
        } else if let Some(amount) = step.per_unit {
            Price::PerUnit(amount.decimal())
        } else {
            self.price
        }
    }

    /// Whether what it gives depends on other conversions of the partner by its tiers or cap.
    pub fn is_pooled(&self) -> bool {
        self.cap.is_some() || self.tiers.is_some()
    }

    /// Whether it gives a share of what others earn.
    pub fn is_override(&self) -> bool {
        matches!(self.price, Price::Override(_))
    }

    /// Where its tiers turn the price; amounts are in a currency with this exponent.
    pub fn tier_thresholds(&self, exponent: u32) -> Thresholds {
        let Some(tiers) = &self.tiers else {
            return Thresholds::new();
        };
        let threshold = |from: Decimal| match (tiers.by, tiers.mode) {
            (TierBy::Count, TierMode::All) => Threshold::Count(whole(minor_rounded_up(from, 0))),
            // The step holds for the conversion of this number, which has one fewer before it.
            (TierBy::Count, TierMode::Above) => {
                Threshold::Place(whole(minor_rounded_up(from, 0)).saturating_sub(1))
            }
            (TierBy::Amount, TierMode::All) => Threshold::Sum(minor_rounded_up(from, exponent)),
            (TierBy::Amount, TierMode::Above) => {
                Threshold::SumBefore(minor_rounded_up(from, exponent))
            }
        };
        tiers
            .steps
            .iter()
            .map(|step| threshold(step.from.decimal()))
            .collect()
    }

    /// Where its cap ends; amounts are in the partner's currency.
    pub fn cap_thresholds(&self, currency: Currency) -> Thresholds {
        let Some(cap) = &self.cap else {
            return Thresholds::new();
        };
        let count = cap.count.map(|most| whole(i128::from(most)));
        let sum = cap
            .amount
            .map(|most| minor_rounded_down(most.decimal(), currency.exponent()));
        let places = count.map(Threshold::Place);
        places
            .into_iter()
            .chain(sum.map(Threshold::SumBefore))
            .collect()
    }
}

fn whole(count: i128) -> usize {
    usize::try_from(count.max(0)).unwrap_or(usize::MAX)
}
