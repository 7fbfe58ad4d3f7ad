//! The `when` of a rule: what must hold for it to price a conversion.

use std::collections::BTreeMap;

use postbook_schemas::{
    Currency, Instant,
    instant::DAY_US,
    terms::{Measure, Total, When},
};

use rust_decimal::Decimal;

use crate::{click::ClickSeen, conversion::Conversion, exact::minor_rounded_up};

/// Quantities are added in units of this many decimals: as many as a quantity may have.
pub const QUANTITY_DECIMALS: u32 = 12;

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

    /// What the customer's conversions of a kind come to from one instant to another, both included:
    /// amounts in minor units of the offer's currency, quantities in units of [`QUANTITY_DECIMALS`] decimals.
    /// `None` if an amount is without a rate.
    fn total(&self, total: &Total, from: Instant, to: Instant) -> Option<i128>;

    /// The decimals of the offer's currency.
    fn exponent(&self) -> u32;
}

/// Why a rule does not price a conversion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unmet {
    /// The condition of this key does not hold.
    Not(&'static str),
    /// The total at this place does not come to what it must.
    Total(usize),
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
    let own = when.amount_at_least.map(|amount| {
        // More decimals than the currency has: no whole amount lies between, so round up.
        let least = minor_rounded_up(amount.decimal(), around.exponent());
        let given = around.amount_minor().map(i128::from);
        (Unmet::Not("amount_at_least"), given, least)
    });
    let totals = when.total_at_least.0.iter().enumerate();
    let totals = totals.map(|(place, total)| {
        let least = least_total(total, around.exponent());
        (Unmet::Total(place), given_total(total, around), least)
    });
    let mut unmet = own
        .into_iter()
        .chain(totals)
        .filter_map(|(which, given, least)| {
            let given = given.ok_or(Unmet::AwaitsRate);
            given.map_or_else(Some, |given| (given < least).then_some(which))
        });
    let first = unmet.next()?;
    // What does not hold settles it; a rate would change nothing.
    Some(
        std::iter::once(first)
            .chain(unmet)
            .find(|it| *it != Unmet::AwaitsRate)
            .unwrap_or(first),
    )
}

/// What a total must come to, in the units in which it is added; a quantity that nothing measures is
/// never reached.
fn least_total(total: &Total, exponent: u32) -> i128 {
    match total.measure() {
        Some(Measure::Amount(amount)) => minor_rounded_up(amount.decimal(), exponent),
        Some(Measure::Count(count)) => i128::from(count),
        Some(Measure::Quantity(quantity)) => {
            minor_rounded_up(quantity.decimal(), QUANTITY_DECIMALS)
        }
        None => i128::MAX,
    }
}

fn given_total(total: &Total, around: &dyn Surroundings) -> Option<i128> {
    let Some(days) = total.within_days else {
        return around.total(total, Instant::MIN, Instant::MAX);
    };
    let Some(from) = around.registered_at().or_else(|| around.first_at()) else {
        return Some(i128::MIN);
    };
    around.total(total, from, from.plus_days(days))
}

/// What a total that is not reached comes to, for people.
pub fn told(total: &Total, currency: Currency, around: &dyn Surroundings) -> String {
    let kind = &total.kind;
    let given = given_total(total, around).unwrap_or(0).max(0);
    let says = match total.measure() {
        Some(Measure::Amount(least)) => {
            let given = i64::try_from(given).unwrap_or(i64::MAX);
            let given = currency.format_major(given);
            format!("amounts of `{kind}` come to {given} of {least} {currency}")
        }
        Some(Measure::Count(least)) => format!("there are {given} of {least} `{kind}`"),
        Some(Measure::Quantity(least)) => {
            let given = Decimal::try_from_i128_with_scale(given, QUANTITY_DECIMALS);
            let given = given.map_or_else(|_| String::new(), |it| it.normalize().to_string());
            format!("quantities of `{kind}` come to {given} of {least}")
        }
        None => format!("nothing measures `{kind}`"),
    };
    match total.within_days {
        Some(days) => format!("{says} within {days} days"),
        None => says,
    }
}
