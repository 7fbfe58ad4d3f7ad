//! Exact numbers, what is left of a conversion, and how much came before it.

use chrono::Datelike;
use postbook_schemas::{
    Change, Currency, Instant, Slug,
    terms::{OnChargeback, OnRefund, Period, Rule, Terms},
};
use rust_decimal::Decimal;

use crate::{
    earnings::{before_cap, matching},
    history::{Conversion, History},
};

/// A fraction of whole numbers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ratio(pub(crate) i128, pub(crate) i128);

impl Ratio {
    pub(crate) fn of(decimal: Decimal) -> Self {
        Self(decimal.mantissa(), 10_i128.pow(decimal.scale()))
    }

    pub(crate) fn times(self, other: Self) -> Self {
        Self(self.0 * other.0, self.1 * other.1)
    }

    /// Half to even.
    pub(crate) fn rounded(self) -> i64 {
        let floor = self.0.div_euclid(self.1);
        let twice = self.0.rem_euclid(self.1) * 2;
        let up = twice > self.1 || (twice == self.1 && floor % 2 != 0);
        i64::try_from(floor + i128::from(up)).expect("small amounts")
    }
}

/// What changes leave of an earning: the part, and whether a chargeback stands.
pub(crate) fn left(
    history: &History<'_>,
    conversion: &Conversion<'_>,
    rule: &Rule,
) -> (Ratio, bool) {
    let until = rule
        .clawback_days
        .map_or(Instant::MAX, |days| conversion.at().plus_days(days));
    let amount = conversion.amount().max(0);
    let (mut refunded, mut charged) = (0_i64, 0_i64);
    let (mut was_refunded, mut is_charged) = (false, false);
    for change in history.changes_of(conversion) {
        // What was charged back in time is given back whenever it is won.
        if change.order.0 > until && change.change != Change::ChargebackWon {
            continue;
        }
        let own = conversion.report.currency;
        let said = match (change.amount, change.currency) {
            (Some(minor), Some(other)) if other != own => {
                let Some(rate) = history.rate(other, own, change.order.0) else {
                    continue;
                };
                Some(Ratio::of(rate).times(Ratio(i128::from(minor), 1)).rounded())
            }
            (minor, _) => minor,
        };
        match change.change {
            Change::Refund => {
                let asked = said.unwrap_or(amount - refunded);
                refunded = amount.min(refunded + asked);
                was_refunded |= asked > 0 || amount == 0;
            }
            Change::Chargeback => {
                let remains = (amount - refunded - charged).max(0);
                charged += said.map_or(remains, |said| said.min(remains));
                is_charged = true;
            }
            Change::ChargebackWon => {
                charged = (charged - said.unwrap_or(charged)).max(0);
                is_charged &= charged > 0;
            }
            Change::Status => {}
        }
    }
    let taken = Taken {
        amount,
        // Only one of the two takes a cent.
        refunded: refunded.min(amount - charged),
        was_refunded,
        charged,
        is_charged,
    };
    if history.is_abused(conversion, until) {
        return (Ratio(0, 1), is_charged);
    }
    (kept(rule, &taken), is_charged)
}

/// What changes have taken of an amount.
struct Taken {
    amount: i64,
    refunded: i64,
    was_refunded: bool,
    charged: i64,
    is_charged: bool,
}

fn kept(rule: &Rule, taken: &Taken) -> Ratio {
    let default = if rule.revshare.is_some() {
        OnRefund::Proportional
    } else {
        OnRefund::FullIfTotal
    };
    let on_refund = rule.on_refund.unwrap_or(default);
    let on_chargeback = rule.on_chargeback.unwrap_or(OnChargeback::Full);
    let charged = if on_chargeback == OnChargeback::Proportional {
        taken.charged
    } else {
        0
    };
    let is_lost = match on_refund {
        OnRefund::Full => taken.was_refunded,
        OnRefund::FullIfTotal => taken.was_refunded && taken.refunded + charged >= taken.amount,
        OnRefund::Proportional => taken.amount == 0 && taken.was_refunded,
        OnRefund::Keep => false,
    };
    if is_lost || (taken.is_charged && on_chargeback == OnChargeback::Full) {
        return Ratio(0, 1);
    }
    if taken.amount == 0 {
        return Ratio(1, 1);
    }
    let mut kept = taken.amount;
    if on_refund == OnRefund::Proportional {
        kept -= taken.refunded;
    }
    kept -= charged;
    Ratio(i128::from(kept), i128::from(taken.amount))
}

fn period(terms: &Terms, per: Period, at: Instant) -> (i32, u32, u32) {
    let local = at.to_chrono().with_timezone(&terms.time_zone);
    match per {
        Period::Life => (0, 0, 0),
        Period::Month => (local.year(), local.month(), 0),
        Period::Day => (local.year(), local.month(), local.day()),
    }
}

/// The conversions that count with one towards tiers or a cap: of the same offer and period, priced
/// by the rule of that name for the same partner, and still earning.
pub(crate) fn members<'h>(
    history: &'h History<'_>,
    conversion: &Conversion<'_>,
    (partner, terms, rule): (&Slug, &Terms, &Rule),
    per: fn(&Rule) -> Option<Period>,
) -> Vec<&'h Conversion<'h>> {
    let mine = per(rule);
    let Some(own) = mine else { return Vec::new() };
    let here = period(terms, own, conversion.at());
    let counts = |other: &&Conversion<'_>| {
        if other.report.offer != conversion.report.offer || history.is_refused(other) {
            return false;
        }
        let matched = matching(history, other, partner);
        let Some((theirs, same)) = matched.iter().find(|(_, it)| it.id == rule.id) else {
            return false;
        };
        // Each counts in the kind of period that its own terms say.
        per(same) == mine
            && period(theirs, own, other.at()) == here
            && (rule.override_rate.is_some() || left(history, other, same).0.0 > 0)
    };
    history.conversions.iter().filter(counts).collect()
}

/// An amount in the offer's currency, as tiers count it.
pub(crate) fn volume(history: &History<'_>, conversion: &Conversion<'_>) -> i64 {
    let own = conversion.report.currency;
    if own == Currency::USD {
        return conversion.amount();
    }
    let rate = history.rate(own, Currency::USD, conversion.at());
    let amount = Ratio(i128::from(conversion.amount()), 1);
    rate.map_or(0, |rate| Ratio::of(rate).times(amount).rounded())
}

/// Whether there is something in a conversion for a rule to give.
fn gives(rule: &Rule, conversion: &Conversion<'_>) -> bool {
    let report = conversion.report;
    if rule.revshare.is_some() {
        report.amount_minor.is_some_and(|amount| amount > 0)
    } else if rule.per_unit.is_some() {
        let quantity = report.quantity.map(postbook_schemas::Exact::decimal);
        quantity.is_some_and(|quantity| quantity > Decimal::ZERO)
    } else if rule.param == Some(true) {
        report.payout_minor.is_some_and(|payout| payout > 0)
    } else {
        true
    }
}

/// What a cap leaves of an amount.
pub(crate) fn capped(
    history: &History<'_>,
    conversion: &Conversion<'_>,
    (partner, terms, rule): (&Slug, &Terms, &Rule),
    given: i64,
) -> i64 {
    let Some(cap) = &rule.cap else { return given };
    let per = |rule: &Rule| rule.cap.as_ref().map(|cap| cap.per);
    let members = members(history, conversion, (partner, terms, rule), per);
    let before: Vec<_> = members
        .into_iter()
        .filter(|other| other.order < conversion.order && gives(rule, other))
        .collect();
    // What is taken stands, whatever the cap.
    if cap.count.is_some_and(|most| before.len() as u64 >= most) {
        return given.min(0);
    }
    let Some(most) = cap.amount else { return given };
    let currency = history.currency_of(partner).expect("a line has a currency");
    let most = most.to_minor(currency).expect("a whole amount");
    let used: i64 = before
        .into_iter()
        .map(|other| before_cap(history, other, partner, &rule.id).max(0))
        .sum();
    given.min((most - used).max(0))
}
