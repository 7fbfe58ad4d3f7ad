//! Checks of terms: every rule must have one price, and every amount, kind and name must make sense.

use std::collections::BTreeSet;

use postbook_schemas::{
    Currency, Exact, Kind, Rate, Slug,
    configuration::Offer,
    terms::{
        Cap, Carryover, Fence, OnAbuse, PartnerScope, Rule, Terms, TierBy, TierStep, Tiers, Total,
        When,
    },
};
use rust_decimal::Decimal;

use super::{
    check::{World, is_country, is_known_kind, not_a_country, unknown},
    source::{Place, Problem},
};

/// Checks one set of terms.
pub(super) fn check(
    world: &World<'_>,
    place: &Place<'_>,
    terms: &Terms,
    problems: &mut Vec<Problem>,
) {
    let offer = world.offer(&terms.offer);
    if offer.is_none() {
        problems.push(place.problem("offer", unknown("offer", &terms.offer)));
    }
    let partner_currency = match &terms.partner {
        PartnerScope::All => None,
        PartnerScope::One(slug) => {
            if world.partner(slug).is_none() {
                problems.push(place.problem("partner", unknown("partner", slug)));
            }
            world.partner(slug).map(|partner| partner.currency)
        }
    };
    high_roller(place, terms, partner_currency, problems);
    for (rules, is_price) in [(&terms.rules, false), (&terms.prices, true)] {
        let mut ids = BTreeSet::new();
        for (index, rule) in rules.iter().enumerate() {
            let place = if is_price {
                place.price(index, rule)
            } else {
                place.rule(index, rule)
            };
            name(&place, rule, &mut ids, problems);
            // Without its offer a rule's kinds and amounts cannot be judged; that is a problem
            // already.
            if let Some(offer) = offer {
                let mut checker = RuleChecker {
                    place: &place,
                    offer,
                    partner_currency,
                    problems: &mut *problems,
                };
                checker.rule(rule);
                if is_price {
                    checker.only(rule, "a price", NOT_OF_PRICES);
                }
            }
        }
    }
}

/// What high rollers lose is carried instead of given up, and out of a month that others share.
fn high_roller(
    place: &Place<'_>,
    terms: &Terms,
    partner_currency: Option<Currency>,
    problems: &mut Vec<Problem>,
) {
    let Some(from) = terms.high_roller_from else {
        return;
    };
    let mut problem = |detail: String| problems.push(place.problem("high_roller_from", detail));
    if terms.carryover != Carryover::Reset {
        problem("goes with `carryover = \"reset\"` only".to_owned());
    }
    if terms.fence == Fence::Customer {
        problem(
            "does not go with `fence = \"customer\"`: no customer's month makes up for another's"
                .to_owned(),
        );
    }
    if from.decimal().is_zero() {
        problem("must be above zero".to_owned());
    }
    if let Some(detail) = money_problem(Some(from), partner_currency) {
        problem(detail);
    }
}

fn name<'r>(
    place: &Place<'_>,
    rule: &'r Rule,
    ids: &mut BTreeSet<&'r str>,
    problems: &mut Vec<Problem>,
) {
    if Slug::try_new(&rule.id).is_err() {
        let detail = "write letters, digits, '-', '_' and '.', at most 64, a letter or digit first";
        problems.push(place.problem("id", detail));
    }
    if !ids.insert(&rule.id) {
        let detail = format!("another rule of these terms is called `{}`", rule.id);
        problems.push(place.problem("id", detail));
    }
}

type IsUsed = fn(&Rule) -> bool;

/// An override follows what the partner below earns, refunds and all; these say nothing to it.
const NOT_OF_OVERRIDES: &[(&str, IsUsed)] = &[
    ("tiers", |rule| rule.tiers.is_some()),
    ("chargeback_fee", |rule| rule.chargeback_fee.is_some()),
    ("on_refund", |rule| rule.on_refund.is_some()),
    ("on_chargeback", |rule| rule.on_chargeback.is_some()),
    ("on_abuse", |rule| rule.on_abuse != OnAbuse::default()),
    ("clawback_days", |rule| rule.clawback_days.is_some()),
    ("cap.count", |rule| {
        rule.cap.as_ref().is_some_and(|cap| cap.count.is_some())
    }),
];

/// What an advertiser owes for a conversion does not hang on other conversions or partners.
const NOT_OF_PRICES: &[(&str, IsUsed)] = &[
    ("override", |rule| rule.override_rate.is_some()),
    ("param", |rule| rule.param.is_some()),
    ("advance", |rule| rule.advance),
    ("cap", |rule| rule.cap.is_some()),
    ("tiers", |rule| rule.tiers.is_some()),
    ("hold_days", |rule| rule.hold_days.is_some()),
    ("chargeback_fee", |rule| rule.chargeback_fee.is_some()),
];

struct RuleChecker<'a, 'p> {
    place: &'a Place<'p>,
    offer: &'a Offer,
    partner_currency: Option<Currency>,
    problems: &'a mut Vec<Problem>,
}

impl RuleChecker<'_, '_> {
    fn problem(&mut self, key: &str, detail: impl Into<String>) {
        self.problems.push(self.place.problem(key, detail));
    }

    fn problem_below(&mut self, table: &str, key: &str, detail: impl Into<String>) {
        self.problems
            .push(self.place.below(table).problem(key, detail));
    }

    fn rule(&mut self, rule: &Rule) {
        self.above_and_in_advance(rule);
        self.kind("on", &rule.on.0);
        self.price(rule);
        let currency = rule.currency.unwrap_or(self.offer.currency);
        self.money("cpa", rule.cpa, Some(currency));
        // A price per unit is a rate: it may be finer than what the currency can pay.
        self.money("per_unit", rule.per_unit, None);
        self.money("max", rule.max, None);
        self.money("chargeback_fee", rule.chargeback_fee, Some(currency));
        self.rate("revshare", rule.revshare);
        self.rate("override", rule.override_rate);
        if rule
            .group
            .as_deref()
            .is_some_and(|group| group.trim().is_empty())
        {
            self.problem("group", "must not be empty");
        }
        if let Some(when) = &rule.when {
            self.when(when);
        }
        if let Some(cap) = &rule.cap {
            self.cap(cap);
        }
        if let Some(tiers) = &rule.tiers {
            self.tiers(rule, tiers, currency);
        }
    }

    /// Refuses keys that say nothing to this kind of rule: what is ignored would mislead.
    fn only(&mut self, rule: &Rule, what: &str, refused: &[(&str, IsUsed)]) {
        for (key, _) in refused.iter().filter(|(_, is_used)| is_used(rule)) {
            self.problem(key, format!("does not go with {what}"));
        }
    }

    fn above_and_in_advance(&mut self, rule: &Rule) {
        if rule.override_rate.is_some() {
            self.only(rule, "`override`", NOT_OF_OVERRIDES);
        } else if rule.level.is_some() {
            self.problem("level", "goes with `override` only");
        }
        if rule.level == Some(0) {
            self.problem("level", "must be at least 1");
        }
        if rule.advance && rule.cpa.is_none() {
            self.problem("advance", "goes with `cpa` only");
        }
    }

    fn price(&mut self, rule: &Rule) {
        let given: Vec<_> = prices(rule).collect();
        match given.as_slice() {
            [] => self.problem(
                "",
                "has no price: give one of cpa, revshare, per_unit, param and override",
            ),
            [_] => {}
            several => {
                let detail = format!("has several prices ({}): give one", several.join(", "));
                self.problem(several.get(1).copied().unwrap_or(""), detail);
            }
        }
        if rule.max.is_some() && rule.param != Some(true) {
            self.problem("max", "goes with `param = true` only");
        }
        let has_own_amount =
            rule.cpa.is_some() || rule.per_unit.is_some() || rule.chargeback_fee.is_some();
        if rule.currency.is_some() && !has_own_amount && rule.tiers.is_none() {
            self.problem(
                "currency",
                "goes with `cpa`, `per_unit` and `chargeback_fee` only",
            );
        }
    }

    fn kind(&mut self, key: &str, kind: &Kind) {
        if !is_known_kind(kind, self.offer) {
            let detail = format!(
                "`{kind}` is neither a built-in kind nor one of the goals of {}",
                self.offer.reference()
            );
            self.problem(key, detail);
        }
    }

    fn rate(&mut self, key: &str, rate: Option<Rate>) {
        if let Some(rate) = rate
            && (rate.fraction().is_zero() || rate.fraction() > Decimal::ONE)
        {
            self.problem(
                key,
                format!("{rate} is out of range: above 0% and at most 100%"),
            );
        }
    }

    fn money(&mut self, key: &str, amount: Option<Exact>, currency: Option<Currency>) {
        if let Some(detail) = money_problem(amount, currency) {
            self.problem(key, detail);
        }
    }

    fn when(&mut self, when: &When) {
        let currency = self.offer.currency;
        if let Some(detail) = money_problem(when.amount_at_least, Some(currency)) {
            self.problem_below("when", "amount_at_least", detail);
        }
        if let Some(country) = when.country.iter().find(|country| !is_country(country)) {
            self.problem_below("when", "country", not_a_country(country));
        }
        for kind in &when.requires {
            self.kind("when.requires", kind);
        }
        let totals = when.total_at_least.0.as_slice();
        for (index, total) in totals.iter().enumerate() {
            let table = match totals {
                [_] => "when.total_at_least".to_owned(),
                _ => format!("when.total_at_least[{index}]"),
            };
            self.total(&table, total);
        }
    }

    fn total(&mut self, table: &str, total: &Total) {
        let key = |key: &str| format!("{table}.{key}");
        self.kind(&key("kind"), &total.kind);
        let given = [
            total.amount.is_some(),
            total.count.is_some(),
            total.quantity.is_some(),
        ];
        if given.into_iter().filter(|is_given| *is_given).count() != 1 {
            self.problem(table, "give one measure: amount, count or quantity");
        }
        if let Some(detail) = money_problem(total.amount, Some(self.offer.currency)) {
            self.problem(&key("amount"), detail);
        }
        if total.count == Some(0) {
            self.problem(&key("count"), "must be at least 1");
        }
        if total.quantity.is_some_and(|least| least <= Exact::from(0)) {
            self.problem(&key("quantity"), "must be above zero");
        }
        if total.within_days == Some(0) {
            self.problem(&key("within_days"), "must be at least 1");
        }
    }

    fn cap(&mut self, cap: &Cap) {
        if cap.count.is_some() == cap.amount.is_some() {
            self.problem("cap", "give one measure: count or amount");
        }
        if cap.count == Some(0) {
            self.problem_below("cap", "count", "must be at least 1");
        }
        if cap.amount.is_some_and(|most| most.decimal().is_zero()) {
            self.problem_below("cap", "amount", "must be above zero");
        }
        if let Some(detail) = money_problem(cap.amount, self.partner_currency) {
            self.problem_below("cap", "amount", detail);
        }
    }

    fn tiers(&mut self, rule: &Rule, tiers: &Tiers, currency: Currency) {
        let price = prices(rule).next().unwrap_or("");
        if price == "override" {
            return;
        }
        if !["cpa", "revshare", "per_unit"].contains(&price) {
            self.problem("tiers", "go with `cpa`, `revshare` and `per_unit` only");
            return;
        }
        if tiers.steps.is_empty() {
            self.problem_below("tiers", "steps", "give at least one step");
        }
        let mut last: Option<Exact> = None;
        for (index, step) in tiers.steps.iter().enumerate() {
            let table = format!("tiers.steps[{index}]");
            if last.is_some_and(|last| step.from <= last) {
                let detail = format!(
                    "steps must rise: {} is not above the step before",
                    step.from
                );
                self.problem_below(&table, "from", detail);
            }
            last = Some(step.from);
            self.step(&table, price, tiers.by, step, currency);
        }
    }

    fn step(&mut self, table: &str, price: &str, by: TierBy, step: &TierStep, currency: Currency) {
        let fits = match by {
            TierBy::Count if !step.from.decimal().fract().is_zero() => {
                Some("counts are whole numbers".to_owned())
            }
            TierBy::Count => money_problem(Some(step.from), None),
            TierBy::Amount => money_problem(Some(step.from), Some(self.offer.currency)),
        };
        if let Some(detail) = fits {
            self.problem_below(table, "from", detail);
        }
        let given: Vec<_> = [
            ("cpa", step.cpa.is_some()),
            ("revshare", step.revshare.is_some()),
            ("per_unit", step.per_unit.is_some()),
        ]
        .into_iter()
        .filter_map(|(key, is_given)| is_given.then_some(key))
        .collect();
        if given != [price] {
            let detail = format!("a step of this rule gives `{price}`, and nothing else");
            self.problem_below(table, "", detail);
        }
        if let Some(detail) = money_problem(step.cpa, Some(currency)) {
            self.problem_below(table, "cpa", detail);
        }
        if let Some(detail) = money_problem(step.per_unit, None) {
            self.problem_below(table, "per_unit", detail);
        }
        self.rate(&format!("{table}.revshare"), step.revshare);
    }
}

/// The prices that a rule gives, by key.
fn prices(rule: &Rule) -> impl Iterator<Item = &'static str> {
    [
        ("cpa", rule.cpa.is_some()),
        ("revshare", rule.revshare.is_some()),
        ("per_unit", rule.per_unit.is_some()),
        ("param", rule.param == Some(true)),
        ("override", rule.override_rate.is_some()),
    ]
    .into_iter()
    .filter_map(|(key, is_given)| is_given.then_some(key))
}

fn money_problem(amount: Option<Exact>, currency: Option<Currency>) -> Option<String> {
    let amount = amount?;
    if amount.is_negative() {
        return Some(format!("{amount} is below zero"));
    }
    let error = amount.to_minor(currency?).err()?;
    Some(format!("{amount}: {error}"))
}
