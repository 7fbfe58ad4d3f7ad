//! The `when` of a rule: what must hold for it to price a conversion.

use std::collections::BTreeMap;

use postbook_schemas::{
    Instant,
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

    /// The sum of the customer's amounts of a kind from one instant to another, both included.
    fn total_minor(&self, kind: &postbook_schemas::Kind, from: Instant, to: Instant) -> i128;
}

/// The first condition that does not hold, by its key; `None` if all hold.
pub fn unmet(
    when: &When,
    conversion: &Conversion,
    click: Option<&ClickSeen>,
    around: &dyn Surroundings,
) -> Option<&'static str> {
    if let Some(least) = when.amount_at_least {
        let amount = conversion.amount_minor.unwrap_or(0);
        // More decimals than the currency has: no whole amount lies between, so round up.
        let least = minor_rounded_up(least.decimal(), conversion.currency.exponent());
        if i128::from(amount) < least {
            return Some("amount_at_least");
        }
    }
    if !when.country.is_empty() {
        let country = click.and_then(|click| click.country.as_deref());
        let wanted = |country: &str| when.country.iter().any(|c| c.eq_ignore_ascii_case(country));
        if !country.is_some_and(wanted) {
            return Some("country");
        }
    }
    if !when.device.is_empty() && !click.is_some_and(|click| when.device.contains(&click.device)) {
        return Some("device");
    }
    unmet_sub(when, conversion, click).or_else(|| unmet_history(when, conversion, around))
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
    let total = when.total_at_least.as_ref()?;
    (!total_reached(total, conversion, around)).then_some("total_at_least")
}

fn total_reached(total: &Total, conversion: &Conversion, around: &dyn Surroundings) -> bool {
    let Some(from) = around.registered_at().or_else(|| around.first_at()) else {
        return false;
    };
    let sum = around.total_minor(&total.kind, from, from.plus_days(total.within_days));
    sum >= minor_rounded_up(total.amount.decimal(), conversion.currency.exponent())
}
