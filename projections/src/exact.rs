//! Exact products of integers and fractions, rounded once, half to even (SPEC 6).

use num_bigint::BigInt;
use num_integer::Integer;
use num_traits::{Signed, ToPrimitive, Zero};
use rust_decimal::Decimal;
use smallvec::{SmallVec, smallvec};

/// A product of integers over a product of integers, kept unmultiplied until it is rounded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Product {
    numerators: Factors,
    denominators: Factors,
}

/// As many as a price has are kept in place: one is made for every line of every conversion.
type Factors = SmallVec<[i128; 6]>;

impl Product {
    /// A product that begins with a whole number.
    pub fn of(number: i64) -> Self {
        Self {
            numerators: smallvec![i128::from(number)],
            denominators: Factors::new(),
        }
    }

    /// A product that begins with a decimal.
    pub fn of_decimal(number: Decimal) -> Self {
        Self::default().times_decimal(number)
    }

    /// Times a whole number.
    #[must_use]
    pub fn times(mut self, number: i64) -> Self {
        self.numerators.push(i128::from(number));
        self
    }

    /// Times a decimal.
    #[must_use]
    pub fn times_decimal(mut self, number: Decimal) -> Self {
        self.numerators.push(number.mantissa());
        self.denominators.push(power_of_ten(number.scale()));
        self
    }

    /// Divided by a whole number that is not zero.
    #[must_use]
    pub fn over(mut self, number: i64) -> Self {
        self.denominators.push(i128::from(number));
        self
    }

    /// Times ten to this power.
    #[must_use]
    pub fn shifted(mut self, exponent: i32) -> Self {
        let factor = power_of_ten(exponent.unsigned_abs());
        if exponent < 0 {
            self.denominators.push(factor);
        } else {
            self.numerators.push(factor);
        }
        self
    }

    /// The product in decimal notation, cut after six places.
    pub fn to_text(&self) -> String {
        let numerator = big_product(&self.numerators);
        let denominator = big_product(&self.denominators);
        let scaled = numerator
            .checked_mul(&BigInt::from(1_000_000))
            .and_then(|scaled| scaled.checked_div(&denominator));
        let Some(scaled) = scaled else {
            return String::new();
        };
        let (whole, rest) = scaled.abs().div_rem(&BigInt::from(1_000_000));
        let sign = if scaled.is_negative() { "-" } else { "" };
        let rest = format!("{rest:0>6}");
        let rest = rest.trim_end_matches('0');
        if rest.is_empty() {
            format!("{sign}{whole}")
        } else {
            format!("{sign}{whole}.{rest}")
        }
    }

    /// The product as a whole number, rounded half to even; `None` if it does not fit 64 bits.
    pub fn rounded(&self) -> Option<i64> {
        let small = checked_product(&self.numerators).zip(checked_product(&self.denominators));
        match small {
            Some((numerator, denominator)) => round_small(numerator, denominator),
            None => round_large(
                &big_product(&self.numerators),
                &big_product(&self.denominators),
            ),
        }
    }
}

/// A major amount in minor units of a currency with this exponent, rounded up: a whole amount
/// reaches it when it reaches that.
pub fn minor_rounded_up(major: Decimal, exponent: u32) -> i128 {
    minor(major, exponent, |scaled, divisor| {
        Integer::div_ceil(&scaled, &divisor)
    })
}

/// A major amount in minor units of a currency with this exponent, rounded down: no more than that.
pub fn minor_rounded_down(major: Decimal, exponent: u32) -> i128 {
    minor(major, exponent, |scaled, divisor| {
        Integer::div_floor(&scaled, &divisor)
    })
}

fn minor(major: Decimal, exponent: u32, over: fn(i128, i128) -> i128) -> i128 {
    let power = |exponent: u32| 10_i128.checked_pow(exponent);
    let mantissa = major.mantissa();
    let minor = if let Some(more) = exponent.checked_sub(major.scale()) {
        power(more).and_then(|factor| mantissa.checked_mul(factor))
    } else {
        let fewer = major.scale().saturating_sub(exponent);
        power(fewer).map(|divisor| over(mantissa, divisor))
    };
    minor.unwrap_or(i128::MAX)
}

fn power_of_ten(exponent: u32) -> i128 {
    10_i128.checked_pow(exponent).unwrap_or(i128::MAX)
}

fn checked_product(factors: &[i128]) -> Option<i128> {
    factors
        .iter()
        .try_fold(1_i128, |product, &factor| product.checked_mul(factor))
}

fn big_product(factors: &[i128]) -> BigInt {
    factors.iter().map(|&factor| BigInt::from(factor)).product()
}

fn round_small(numerator: i128, denominator: i128) -> Option<i64> {
    let (quotient, remainder) = numerator
        .checked_div(denominator)
        .zip(numerator.checked_rem(denominator))?;
    if remainder == 0 {
        return i64::try_from(quotient).ok();
    }
    let (Some(twice), Some(whole)) = (
        remainder.unsigned_abs().checked_mul(2),
        Some(denominator.unsigned_abs()),
    ) else {
        return round_large(&BigInt::from(numerator), &BigInt::from(denominator));
    };
    let away = twice > whole || (twice == whole && quotient % 2 != 0);
    let step = if (numerator < 0) == (denominator < 0) {
        1
    } else {
        -1
    };
    let rounded = if away {
        quotient.checked_add(step)?
    } else {
        quotient
    };
    i64::try_from(rounded).ok()
}

fn round_large(numerator: &BigInt, denominator: &BigInt) -> Option<i64> {
    if denominator.is_zero() {
        return None;
    }
    let (floor, remainder) = numerator.div_mod_floor(denominator);
    // With a floored quotient the remainder has the sign of the denominator.
    let twice = (remainder.abs()).checked_mul(&BigInt::from(2))?;
    let up = match twice.cmp(&denominator.abs()) {
        std::cmp::Ordering::Less => false,
        std::cmp::Ordering::Greater => true,
        std::cmp::Ordering::Equal => floor.is_odd(),
    };
    let rounded = if up {
        floor.checked_add(&BigInt::from(1))?
    } else {
        floor
    };
    rounded.to_i64()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn halves_go_to_the_even_neighbour() {
        for (numerator, expected) in [(5, 2), (15, 8), (25, 12), (-5, -2), (-15, -8), (14, 7)] {
            assert_eq!(
                Product::of(numerator).over(2).rounded(),
                Some(expected),
                "{numerator}/2"
            );
        }
    }

    #[test]
    fn a_rate_of_an_amount_is_exact() {
        let rate = "0.3333".parse().expect("a decimal");
        assert_eq!(
            Product::of(10_000).times_decimal(rate).rounded(),
            Some(3_333)
        );
    }

    #[test]
    fn what_does_not_fit_is_none_and_not_a_wrap() {
        assert_eq!(Product::of(i64::MAX).times(2).rounded(), None);
        let huge = Product::of(i64::MAX)
            .times(i64::MAX)
            .times(i64::MAX)
            .over(i64::MAX)
            .over(i64::MAX);
        assert_eq!(huge.rounded(), Some(i64::MAX));
    }

    proptest! {
        #[test]
        fn small_and_large_paths_agree(a in any::<i64>(), b in any::<i64>(), c in 1_i64..i64::MAX) {
            let (numerator, denominator) = (i128::from(a).saturating_mul(i128::from(b)), i128::from(c));
            prop_assert_eq!(
                round_small(numerator, denominator),
                round_large(&BigInt::from(numerator), &BigInt::from(denominator))
            );
        }
    }
}
