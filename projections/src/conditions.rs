//! The `when` of a rule: what must hold for it to price a conversion.

use std::collections::BTreeMap;

use postbook_schemas::{
    Exact, Instant,
    instant::DAY_US,
    terms::{Total, When},
};

use crate::{click::ClickSeen, conversion::Conversion, exact::minor_rounded_up};

/// What a condition looks at besides the conversion.
pub trait Surroundings {
    /// When the customer registered.
    fn registered_at(&self) -> Option<Instant>;

    /// When the customer's first conversion that counts happened.
    fn first_at(&self) -> Option<Instant>;

    /// Whether the customer has a conversion of this kind that counts.
    fn has(&self, kind: &postbook_schemas::Kind) -> bool;

    /// The conversion's amount in the currency of its offer; `None` without a rate.
    fn amount_minor(&self) -> Option<i64>;

    /// The sum of the customer's amounts of a kind from one instant to another, both included, in
    /// the currency of the offer; `None` if one of them is without a rate.
    fn total_minor(
        &self,
        kind: &postbook_schemas::Kind,
        from: Instant,
        to: Instant,
    ) -> Option<i128>;

    /// The decimals of the offer's currency.
    fn exponent(&self) -> u32;
}

/// Why a rule does not price a conversion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unmet {
    /// The condition of this key does not hold.
    Not(&'static str),
    /// Nobody knows before there is an exchange rate.
    AwaitsRate,
}

/// The first condition that does not hold; `None` if all hold. Amounts are looked at last, so that
/// only what depends on nothing else waits for a rate.
pub fn unmet(
    when: &When,
    conversion: &Conversion,
    click: Option<&ClickSeen>,
    around: &dyn Surroundings,
) -> Option<Unmet> {
    if !when.country.is_empty() {
        let country = click.and_then(|click| click.country.as_deref());
        let wanted = |country: &str| when.country.iter().any(|c| c.eq_ignore_ascii_case(country));
        if !country.is_some_and(wanted) {
            return Some(Unmet::Not("country"));
        }
    }
    if !when.device.is_empty() && !click.is_some_and(|click| when.device.contains(&click.device)) {
        return Some(Unmet::Not("device"));
    }
    unmet_sub(when, conversion, click)
        .or_else(|| unmet_history(when, conversion, around))
        .map(Unmet::Not)
        .or_else(|| unmet_amount(when, around))
}

fn unmet_sub(
    when: &When,
    conversion: &Conversion,
    click: Option<&ClickSeen>,
) -> Option<&'static str> {
    let value = |subs: &BTreeMap<String, String>, name: &str| subs.get(name).cloned();
    let checks = [
        ("sub1", &when.sub1),
        ("sub2", &when.sub2),
        ("sub3", &when.sub3),
        ("sub4", &when.sub4),
        ("sub5", &when.sub5),
    ];
    checks.into_iter().find_map(|(name, wanted)| {
        let given = value(&conversion.subs, name)
            .or_else(|| click.and_then(|click| value(&click.subs, name)));
        let met = wanted.is_empty() || given.is_some_and(|given| wanted.contains(&given));
        (!met).then_some(name)
    })
}

fn unmet_history(
    when: &When,
    conversion: &Conversion,
    around: &dyn Surroundings,
) -> Option<&'static str> {
    if let Some(days) = when.within_days_of_registration {
        let limit = DAY_US.saturating_mul(i64::from(days));
        let age = around
            .registered_at()
            .map(|registered| conversion.occurred_at().micros_since(registered));
        if !age.is_some_and(|age| (0..=limit).contains(&age)) {
            return Some("within_days_of_registration");
        }
    }
    if !when.requires.iter().all(|kind| around.has(kind)) {
        return Some("requires");
    }
    None
}

fn unmet_amount(when: &When, around: &dyn Surroundings) -> Option<Unmet> {
    // More decimals than the currency has: no whole amount lies between, so round up.
    let least = |amount: Exact| minor_rounded_up(amount.decimal(), around.exponent());
    let own = when.amount_at_least.map(|amount| {
        let given = around.amount_minor().map(i128::from);
        ("amount_at_least", given, least(amount))
    });
    let total = when.total_at_least.as_ref();
    let total = total.map(|total| {
        let given = total_minor(total, around);
        ("total_at_least", given, least(total.amount))
    });
    let mut unmet = [own, total]
        .into_iter()
        .flatten()
        .filter_map(|(key, given, least)| {
            let given = given.ok_or(Unmet::AwaitsRate);
            given.map_or_else(Some, |given| (given < least).then_some(Unmet::Not(key)))
        });
    let first = unmet.next()?;
    // What does not hold settles it; a rate would change nothing.
    Some(unmet.find(|_| first == Unmet::AwaitsRate).unwrap_or(first))
}

fn total_minor(total: &Total, around: &dyn Surroundings) -> Option<i128> {
    let Some(from) = around.registered_at().or_else(|| around.first_at()) else {
        return Some(i128::MIN);
    };
    around.total_minor(&total.kind, from, from.plus_days(total.within_days))
}
