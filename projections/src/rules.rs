//! Terms made ready for pricing: exact amounts instead of texts, defaults filled in.

use std::collections::BTreeSet;

use chrono::{Datelike, TimeZone};
use chrono_tz::Tz;
use postbook_schemas::{
    Currency, Instant, Kind, Month,
    configuration::TermsPublished,
    terms::{
        Approval, Cap, OnAbuse, OnChargeback, OnRefund, PartnerScope, Period, Rule, TierBy,
        TierMode, Tiers, When,
    },
};
use rust_decimal::Decimal;

use crate::{order::OrderKey, pools::Step};

/// One version of an offer's terms.
#[derive(Clone, Debug)]
pub struct CompiledTerms {
    /// Where its publication stands among the facts.
    pub order: OrderKey,
    /// Its name.
    pub version: String,
    /// For whom.
    pub scope: PartnerScope,
    /// From when, in event time.
    pub effective_from: Instant,
    /// Whose days and months are meant.
    pub time_zone: Tz,
    /// The rules, in order.
    pub rules: Vec<CompiledRule>,
    /// The kinds of conversion whose presence or amounts decide about others of the same customer.
    pub kinds_of_interest: BTreeSet<Kind>,
}

/// One rule.
#[derive(Clone, Debug)]
pub struct CompiledRule {
    /// Its name.
    pub id: String,
    /// The kind it prices.
    pub on: Kind,
    /// What it pays.
    pub price: Price,
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
}

impl CompiledTerms {
    /// Terms as published.
    pub fn new(order: OrderKey, published: &TermsPublished) -> Self {
        let terms = &published.terms;
        let rules: Vec<CompiledRule> = terms.rules.iter().filter_map(CompiledRule::new).collect();
        Self {
            kinds_of_interest: kinds_of_interest(&rules),
            order,
            version: published.version.clone(),
            scope: terms.partner.clone(),
            effective_from: terms.effective_from,
            time_zone: terms.time_zone,
            rules,
        }
    }

    /// Whether any condition looks at `sub1` to `sub5`.
    pub fn looks_at_subs(&self) -> bool {
        self.rules.iter().any(|rule| {
            let when = &rule.when;
            [&when.sub1, &when.sub2, &when.sub3, &when.sub4, &when.sub5]
                .iter()
                .any(|wanted| !wanted.is_empty())
        })
    }

    /// The month that an instant falls in.
    pub fn month(&self, at: Instant) -> Month {
        let utc = at.to_chrono().naive_utc();
        Month::of_date(&self.time_zone.from_utc_datetime(&utc))
    }

    /// The period that an instant falls in, as a text: `2026-01`, `2026-01-31` or `life`.
    pub fn period(&self, per: Period, at: Instant) -> String {
        let local = self
            .time_zone
            .from_utc_datetime(&at.to_chrono().naive_utc());
        match per {
            Period::Life => "life".to_owned(),
            Period::Month => format!("{:04}-{:02}", local.year(), local.month()),
            Period::Day => format!(
                "{:04}-{:02}-{:02}",
                local.year(),
                local.month(),
                local.day()
            ),
        }
    }
}

fn kinds_of_interest(rules: &[CompiledRule]) -> BTreeSet<Kind> {
    let mut kinds = BTreeSet::new();
    for rule in rules {
        kinds.extend(rule.when.requires.iter().cloned());
        if let Some(total) = &rule.when.total_at_least {
            kinds.insert(total.kind.clone());
            kinds.insert(Kind::Registration);
        }
        if rule.when.within_days_of_registration.is_some() {
            kinds.insert(Kind::Registration);
        }
    }
    kinds
}

impl CompiledRule {
    /// A rule made ready; `None` for an override, which prices no conversion of its own.
    fn new(rule: &Rule) -> Option<Self> {
        let price = if let Some(amount) = rule.cpa {
            Price::Cpa(amount.decimal())
        } else if let Some(rate) = rule.revshare {
            Price::Revshare(rate.fraction())
        } else if let Some(amount) = rule.per_unit {
            Price::PerUnit(amount.decimal())
        } else if rule.param == Some(true) {
            Price::Param(rule.max.map(postbook_schemas::Exact::decimal))
        } else {
            return None;
        };
        let default_on_refund = match price {
            Price::Revshare(_) => OnRefund::Proportional,
            Price::Cpa(_) | Price::PerUnit(_) | Price::Param(_) => OnRefund::FullIfTotal,
        };
        Some(Self {
            id: rule.id.clone(),
            on: rule.on.0.clone(),
            price,
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

    /// The price at a step of the tiers: the last step that `volume` has reached.
    pub fn price_at(&self, tiers: &Tiers, volume: Decimal) -> Price {
        let step = tiers
            .steps
            .iter()
            .rev()
            .find(|step| step.from.decimal() <= volume);
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

    /// Whether what it gives depends on other conversions of the partner.
    pub fn is_pooled(&self) -> bool {
        self.cap.is_some() || self.tiers.is_some()
    }

    /// At which volumes reaching or leaving a step reprices the whole period.
    pub fn repricing_steps(&self) -> Vec<Step> {
        let Some(tiers) = self
            .tiers
            .as_ref()
            .filter(|tiers| tiers.mode == TierMode::All)
        else {
            return Vec::new();
        };
        let step = |from: Decimal| match tiers.by {
            TierBy::Amount => Step::Amount,
            TierBy::Count => {
                Step::Count(usize::try_from(from.ceil().mantissa()).unwrap_or(usize::MAX))
            }
        };
        tiers
            .steps
            .iter()
            .map(|tier| step(tier.from.decimal()))
            .collect()
    }
}
