//! What a rule gives for a conversion: exact, rounded once (SPEC 6).

use postbook_schemas::{
    AMOUNT_MINOR_MAX, Currency, ZeroReason,
    terms::{OnAbuse, OnChargeback, OnRefund, TierBy, TierMode, Tiers},
};
use rust_decimal::Decimal;

use crate::{
    conversion::Conversion,
    derivation::Derivation,
    exact::{Product, minor_rounded_up},
    pools::Stand,
    rules::{CompiledRule, Price},
    standing::Taken,
};

/// What remains of an earning after refunds, chargebacks and abuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remaining {
    /// The part that remains: numerator.
    pub part: i64,
    /// The part that remains: denominator, above zero.
    pub of: i64,
    /// Whether a chargeback fee falls due.
    pub fee: bool,
    /// What took all of it, if nothing remains.
    pub reason: Option<ZeroReason>,
}

impl Remaining {
    /// Nothing was taken.
    pub const WHOLE: Self = Self {
        part: 1,
        of: 1,
        fee: false,
        reason: None,
    };

    fn nothing(reason: ZeroReason, fee: bool) -> Self {
        Self {
            part: 0,
            of: 1,
            fee,
            reason: Some(reason),
        }
    }
}

/// What changes within the rule's window leave of its earning.
pub fn remaining(
    rule: &CompiledRule,
    amount_minor: Option<i64>,
    taken: &Taken,
    abused: bool,
) -> Remaining {
    let amount = amount_minor.unwrap_or(0).max(0);
    let fee = taken.charged_back && rule.chargeback_fee.is_some();
    if abused && rule.on_abuse == OnAbuse::Full {
        return Remaining::nothing(ZeroReason::Abuse, fee);
    }
    let charged = match rule.on_chargeback {
        OnChargeback::Full if taken.charged_back => {
            return Remaining::nothing(ZeroReason::ChargedBack, fee);
        }
        OnChargeback::Proportional => taken.charged_back_minor,
        OnChargeback::Full | OnChargeback::Keep => 0,
    };
    // What a chargeback has taken of it already need not be refunded as well.
    let total = taken.refunded && taken.refunded_minor >= amount.saturating_sub(charged);
    let refunded = match rule.on_refund {
        OnRefund::Proportional if amount == 0 && taken.refunded => {
            return Remaining::nothing(ZeroReason::Refunded, fee);
        }
        OnRefund::Full if taken.refunded => {
            return Remaining::nothing(ZeroReason::Refunded, fee);
        }
        OnRefund::FullIfTotal if total => {
            return Remaining::nothing(ZeroReason::Refunded, fee);
        }
        OnRefund::Proportional => taken.refunded_minor,
        OnRefund::Full | OnRefund::FullIfTotal | OnRefund::Keep => 0,
    };
    let part = amount
        .saturating_sub(refunded)
        .saturating_sub(charged)
        .max(0);
    if amount == 0 || part == amount {
        return Remaining {
            fee,
            ..Remaining::WHOLE
        };
    }
    let reason = if charged > 0 {
        ZeroReason::ChargedBack
    } else {
        ZeroReason::Refunded
    };
    Remaining {
        part,
        of: amount,
        fee,
        reason: (part == 0).then_some(reason),
    }
}

/// What turns a rule's amounts into the partner's currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// How much of the partner's currency one unit is; `None` where both are the same.
    pub rate: Option<Decimal>,
    /// From which currency.
    pub from: Currency,
    /// To which.
    pub to: Currency,
}

impl Exchange {
    /// An amount in the other currency; `None` if it does not fit.
    pub fn exchange(self, amount_minor: i64) -> Option<i64> {
        self.of_product(Product::of(amount_minor)).rounded()
    }

    /// A product in the other currency, not rounded yet.
    pub fn of_product(self, product: Product) -> Product {
        match self.rate {
            None => product,
            Some(rate) => {
                let exponent = |currency: Currency| i32::try_from(currency.exponent()).unwrap_or(2);
                product
                    .times_decimal(rate)
                    .shifted(exponent(self.to).saturating_sub(exponent(self.from)))
            }
        }
    }
}

/// The currency in which a rule's price is written: that of its fixed amounts, else that of the
/// conversion's amounts.
pub fn price_currency(rule: &CompiledRule, conversion: &Conversion, offer: Currency) -> Currency {
    match rule.price {
        Price::Cpa(_) | Price::PerUnit(_) => rule.currency.unwrap_or(offer),
        Price::Revshare(_) | Price::Param(_) | Price::Override(_) => conversion.currency,
    }
}

/// Why a rule gives nothing, or what it gives before rounding.
type Priced = Result<Product, ZeroReason>;

/// What a price gives for a conversion, in minor units of the price's currency.
fn gross(price: Price, rule: &CompiledRule, conversion: &Conversion, currency: Currency) -> Priced {
    let exponent = i32::try_from(currency.exponent()).unwrap_or(2);
    match price {
        Price::Cpa(amount) => Ok(Product::of_decimal(amount).shifted(exponent)),
        Price::Revshare(rate) => {
            let amount = conversion.amount_minor.ok_or(ZeroReason::NothingToEarn)?;
            Ok(Product::of(amount).times_decimal(rate))
        }
        Price::PerUnit(amount) => {
            let quantity = conversion
                .quantity
                .as_deref()
                .ok_or(ZeroReason::NothingToEarn)?;
            Ok(Product::of_decimal(amount)
                .times_decimal(*quantity)
                .shifted(exponent))
        }
        Price::Param(max) => {
            let given = conversion.payout_minor.ok_or(ZeroReason::NothingToEarn)?;
            let most = max.or(match rule.price {
                Price::Param(max) => max,
                Price::Cpa(_) | Price::Revshare(_) | Price::PerUnit(_) | Price::Override(_) => None,
            });
            let most = most.and_then(|max| Product::of_decimal(max).shifted(exponent).rounded());
            Ok(Product::of(most.map_or(given, |most| given.min(most))))
        }
        // It prices what others earn, not the conversion.
        Price::Override(_) => Err(ZeroReason::NothingToEarn),
    }
}

/// Where a conversion stands among those that share its tiers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Volume {
    /// Its place in the pool.
    pub stand: Stand,
    /// Its own amount in minor units of the offer's currency.
    pub own_minor: i64,
    /// The exponent of that currency.
    pub exponent: u32,
}

/// The price of a conversion at its place in the pool of its tiers.
///
/// By count, a step holds from its number on; by amount, from its amount on. With `mode = "all"` the
/// volume of the whole period decides, with `"above"` what came before.
fn tiered(
    rule: &CompiledRule,
    tiers: &Tiers,
    volume: &Volume,
    conversion: &Conversion,
    currency: Currency,
) -> Priced {
    if is_sliced(rule, tiers, volume) {
        return sliced(rule, tiers, volume, conversion);
    }
    let price = rule.price_at(tiers, reached(tiers, volume), volume.exponent);
    gross(price, rule, conversion, currency)
}

/// Whether a share crosses steps, and is cut where it does.
pub fn is_sliced(rule: &CompiledRule, tiers: &Tiers, volume: &Volume) -> bool {
    matches!(rule.price, Price::Revshare(_))
        && (tiers.by, tiers.mode) == (TierBy::Amount, TierMode::Above)
        && volume.own_minor != 0
}

/// The volume that decides which step holds.
pub fn reached(tiers: &Tiers, volume: &Volume) -> i128 {
    let Volume {
        stand, own_minor, ..
    } = *volume;
    let whole = |count: usize| i128::try_from(count).unwrap_or(i128::MAX);
    match (tiers.by, tiers.mode) {
        (TierBy::Count, TierMode::All) => {
            whole(stand.total.count).saturating_add(i128::from(!stand.is_member))
        }
        (TierBy::Count, TierMode::Above) => whole(stand.before.count).saturating_add(1),
        (TierBy::Amount, TierMode::All) => {
            let own = if stand.is_member { 0 } else { own_minor };
            stand.total.sum.saturating_add(i128::from(own))
        }
        (TierBy::Amount, TierMode::Above) => stand.before.sum,
    }
}

/// A share of an amount that crosses steps: each slice at the rate of its step. The slices are cut in
/// the offer's currency; the mean of their rates is a share of the amount in its own.
fn sliced(rule: &CompiledRule, tiers: &Tiers, volume: &Volume, conversion: &Conversion) -> Priced {
    let amount_minor = conversion.amount_minor.ok_or(ZeroReason::NothingToEarn)?;
    let before = volume.stand.before.sum;
    let end = before.saturating_add(i128::from(volume.own_minor));
    let (mut from, high) = (before.min(end), before.max(end));
    let mut sum = Decimal::ZERO;
    while from < high {
        let steps = tiers.steps.iter();
        let next = steps
            .map(|step| minor_rounded_up(step.from.decimal(), volume.exponent))
            .find(|step| *step > from);
        let to = next.map_or(high, |next| next.min(high));
        let Price::Revshare(rate) = rule.price_at(tiers, from, volume.exponent) else {
            return Err(ZeroReason::NothingToEarn);
        };
        let slice = Decimal::try_from_i128_with_scale(to.saturating_sub(from), 0).ok();
        sum = slice
            .and_then(|slice| slice.checked_mul(rate))
            .and_then(|slice| sum.checked_add(slice))
            .ok_or(ZeroReason::OutOfRange)?;
        from = to;
    }
    let share = Product::of(amount_minor).times_decimal(sum);
    let own = volume
        .own_minor
        .checked_abs()
        .ok_or(ZeroReason::OutOfRange)?;
    Ok(share.over(own))
}

/// What a rule gives: without its own reversals, and as things stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Given {
    /// Before refunds, chargebacks and abuse, in minor units of the partner's currency.
    pub base_minor: i64,
    /// After them.
    pub net_minor: i64,
    /// Why the net is zero.
    pub reason: Option<ZeroReason>,
}

impl Given {
    /// It, or nothing if it is larger than amounts may be: sums of what is posted then stay far
    /// within 64 bits.
    #[must_use]
    pub fn in_range(self) -> Self {
        let fits = |minor: i64| minor.unsigned_abs() <= AMOUNT_MINOR_MAX.unsigned_abs();
        if fits(self.base_minor) && fits(self.net_minor) {
            self
        } else {
            Self::nothing(ZeroReason::OutOfRange)
        }
    }

    /// It, less what a chargeback costs besides.
    #[must_use]
    pub fn less_fee(self, fee_minor: i64) -> Self {
        if fee_minor == 0 || self.reason == Some(ZeroReason::OutOfRange) {
            return self;
        }
        let Some(net_minor) = self.net_minor.checked_sub(fee_minor) else {
            return Self::nothing(ZeroReason::OutOfRange);
        };
        let reason = self.reason.or(Some(ZeroReason::ChargedBack));
        Self {
            net_minor,
            reason: reason.filter(|&it| net_minor == 0 || it == ZeroReason::AwaitingFx),
            ..self
        }
        .in_range()
    }

    /// Nothing, for a reason.
    pub fn nothing(reason: ZeroReason) -> Self {
        Self {
            base_minor: 0,
            net_minor: 0,
            reason: Some(reason),
        }
    }
}

/// What a rule gives for a conversion before refunds and rounding, in the currency that `convert` leads to.
///
/// # Errors
/// Why it gives nothing.
pub fn exact(
    rule: &CompiledRule,
    conversion: &Conversion,
    offer_currency: Currency,
    convert: Exchange,
    volume: Option<&Volume>,
) -> Result<Product, ZeroReason> {
    let currency = price_currency(rule, conversion, offer_currency);
    let priced = match (&rule.tiers, volume) {
        (Some(tiers), Some(volume)) => tiered(rule, tiers, volume, conversion, currency),
        _ => gross(rule.price, rule, conversion, currency),
    };
    priced.map(|product| convert.of_product(product))
}

/// What a chargeback of it costs besides, in the currency that `convert` leads to from that of the rule.
pub fn fee(rule: &CompiledRule, convert: Exchange) -> Option<Product> {
    let exponent = i32::try_from(convert.from.exponent()).unwrap_or(2);
    let fee = rule.chargeback_fee?;
    Some(convert.of_product(Product::of_decimal(fee).shifted(exponent)))
}

/// Prices a conversion by a rule; `volume` is where it stands among those that share its tiers.
pub fn price(
    derivation: &Derivation,
    rule: &CompiledRule,
    conversion: &Conversion,
    offer_currency: Currency,
    convert: Exchange,
    left: &Remaining,
    volume: Option<&Volume>,
) -> Given {
    let round = derivation.round;
    let product = match exact(rule, conversion, offer_currency, convert, volume) {
        Ok(product) => product,
        Err(reason) => return Given::nothing(reason),
    };
    let base = round(&product);
    let net = if left.part == left.of {
        base
    } else {
        round(&product.times(left.part).over(left.of))
    };
    let Some((base_minor, net_minor)) = base.zip(net) else {
        return Given::nothing(ZeroReason::OutOfRange);
    };
    let reason = (net_minor == 0).then(|| left.reason.unwrap_or(ZeroReason::NothingToEarn));
    let given = Given {
        base_minor,
        net_minor,
        reason,
    };
    given.in_range()
}
