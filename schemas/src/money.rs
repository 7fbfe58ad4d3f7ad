//! Money: integer minor units of a currency, and exact rates.

mod exact;

use std::{borrow::Cow, fmt, str::FromStr};

use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use exact::Exact;

/// Largest amount that is accepted from outside, in minor units: ten million millions of a
/// currency with cents. Sums of 9,000 such amounts still fit the ledger's 64 bits.
pub const AMOUNT_MINOR_MAX: i64 = 1_000_000_000_000_000;

/// How far from zero people may bring what a partner has coming, in minor units: a hundred of the largest
/// amounts. What many requests at once bring beyond it is far from the end of 64 bits still.
pub const BALANCE_MINOR_MAX: i64 = 100_000_000_000_000_000;

/// Why a text is not an amount.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum AmountError {
    /// Not a plain decimal number.
    #[error("not a number: write digits, with a point before decimals")]
    NotANumber,
    /// More decimals than the currency has.
    #[error("{currency} has {allowed} decimals, not {given}")]
    TooManyDecimals {
        /// The currency.
        currency: Currency,
        /// How many decimals it has.
        allowed: u32,
        /// How many were given.
        given: usize,
    },
    /// Larger than [`AMOUNT_MINOR_MAX`].
    #[error("out of range: at most {AMOUNT_MINOR_MAX} minor units")]
    OutOfRange,
    /// Minor units with a decimal point.
    #[error("minor units are whole numbers")]
    NotWhole,
}

/// An ISO 4217 currency with minor units.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, JsonSchema)]
#[schemars(with = "String")]
pub struct Currency {
    code: [u8; 3],
    /// How many decimals the code has: asked for with every amount, so it is looked up once.
    exponent: u8,
}

impl Currency {
    /// The US dollar.
    pub const USD: Self = Self {
        code: *b"USD",
        exponent: 2,
    };
    /// The euro.
    pub const EUR: Self = Self {
        code: *b"EUR",
        exponent: 2,
    };

    /// The currency with this ISO 4217 code; case does not matter. Codes without minor units
    /// (gold, test codes) are no currencies of a ledger.
    pub fn from_code(code: &str) -> Option<Self> {
        let code = code.to_ascii_uppercase();
        let exponent = iso_currency::Currency::from_code(&code)?.exponent()?;
        let exponent = u8::try_from(exponent).ok()?;
        let code = <[u8; 3]>::try_from(code.as_bytes()).ok()?;
        Some(Self { code, exponent })
    }

    /// The three letters.
    pub fn code(&self) -> &str {
        std::str::from_utf8(&self.code).unwrap_or("???")
    }

    /// How many decimals an amount in major units may have.
    pub fn exponent(self) -> u32 {
        u32::from(self.exponent)
    }

    /// An amount in major units (`49.90`) as minor units (`4990`).
    ///
    /// # Errors
    /// The text is not a plain decimal, has more decimals than the currency, or is out of range.
    pub fn parse_major(self, text: &str) -> Result<i64, AmountError> {
        let (negative, digits) = split_sign(text);
        let (whole, decimals) = digits.split_once('.').unwrap_or((digits, ""));
        if !are_digits(whole) || (digits.contains('.') && !are_digits(decimals)) {
            return Err(AmountError::NotANumber);
        }
        let allowed = self.exponent();
        let padding = usize::try_from(allowed)
            .ok()
            .and_then(|allowed| allowed.checked_sub(decimals.len()))
            .ok_or(AmountError::TooManyDecimals {
                currency: self,
                allowed,
                given: decimals.len(),
            })?;
        let all = format!("{whole}{decimals}{}", "0".repeat(padding));
        in_range(negative, &all)
    }

    /// An amount that is already in minor units.
    ///
    /// # Errors
    /// The text is not a whole number, or is out of range.
    pub fn parse_minor(text: &str) -> Result<i64, AmountError> {
        let (negative, digits) = split_sign(text);
        if !are_digits(digits) {
            let decimal = digits
                .split_once('.')
                .is_some_and(|(a, b)| are_digits(a) && are_digits(b));
            return Err(if decimal {
                AmountError::NotWhole
            } else {
                AmountError::NotANumber
            });
        }
        in_range(negative, digits)
    }

    /// Minor units written in major units: `-4990` is `-49.90`. Sums may be beyond 64 bits.
    pub fn format_major(self, minor: impl Into<i128>) -> String {
        let minor: i128 = minor.into();
        let exponent = usize::try_from(self.exponent()).unwrap_or(0);
        let width = exponent.saturating_add(1);
        let digits = format!("{:0>width$}", minor.unsigned_abs());
        let sign = if minor < 0 { "-" } else { "" };
        match digits.split_at_checked(digits.len().saturating_sub(exponent)) {
            Some((whole, decimals)) if exponent > 0 => format!("{sign}{whole}.{decimals}"),
            _ => format!("{sign}{digits}"),
        }
    }

    /// Minor units written with the currency: `-4990` is `-49.90 EUR`.
    pub fn format_money(self, minor: impl Into<i128>) -> String {
        format!("{} {self}", self.format_major(minor))
    }
}

fn split_sign(text: &str) -> (bool, &str) {
    match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    }
}

fn are_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

fn in_range(negative: bool, digits: &str) -> Result<i64, AmountError> {
    let amount: i64 = digits.parse().map_err(|_| AmountError::OutOfRange)?;
    if amount > AMOUNT_MINOR_MAX {
        return Err(AmountError::OutOfRange);
    }
    Ok(if negative {
        amount.saturating_neg()
    } else {
        amount
    })
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl FromStr for Currency {
    type Err = UnknownCurrency;

    fn from_str(code: &str) -> Result<Self, UnknownCurrency> {
        Self::from_code(code).ok_or(UnknownCurrency)
    }
}

/// A text that is not the code of a currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("not an ISO 4217 currency with minor units")]
pub struct UnknownCurrency;

impl Serialize for Currency {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}

impl<'de> Deserialize<'de> for Currency {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let code = Cow::<'_, str>::deserialize(deserializer)?;
        Self::from_code(&code)
            .ok_or_else(|| serde::de::Error::custom(format!("`{code}` is {UnknownCurrency}")))
    }
}

/// What a share may be, in the words of the checks of programme files.
const RATE_RANGE: &str = "above 0% and at most 100%";

/// Largest percentage that is read. Shares are at most 100%; what is a little more is for the checks of
/// programme files to refuse, which can name the rule.
const PERCENT_READ_MAX: Decimal = Decimal::ONE_THOUSAND;

/// Most decimals of a percentage.
const PERCENT_SCALE_MAX: u32 = 8;

/// An exact rate, written as a percentage: `30%`, `12.5%`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, JsonSchema)]
#[schemars(with = "String")]
pub struct Rate(Decimal);

impl Rate {
    /// The rate as a fraction: `30%` is `0.30`.
    pub fn fraction(self) -> Decimal {
        self.0
    }
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let not_a_rate = || format!("`{text}` is not a rate: write 30% or 12.5%, {RATE_RANGE}");
        let number = text.strip_suffix('%').ok_or_else(not_a_rate)?;
        let percent = Decimal::from_str_exact(number).map_err(|_| not_a_rate())?;
        if percent.is_sign_negative() || percent > PERCENT_READ_MAX {
            return Err(format!("`{text}` is out of range: {RATE_RANGE}"));
        }
        if percent.scale() > PERCENT_SCALE_MAX {
            return Err(format!(
                "`{text}` has {} decimals, {PERCENT_SCALE_MAX} at most",
                percent.scale()
            ));
        }
        percent
            .checked_div(Decimal::ONE_HUNDRED)
            .map(Self)
            .ok_or_else(not_a_rate)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = self.0.checked_mul(Decimal::ONE_HUNDRED).unwrap_or(self.0);
        write!(f, "{}%", percent.normalize())
    }
}

impl Serialize for Rate {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'_, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_share_is_told_with_what_is_accepted() {
        for (text, told) in [
            (
                "0.3",
                "`0.3` is not a rate: write 30% or 12.5%, above 0% and at most 100%",
            ),
            ("-5%", "`-5%` is out of range: above 0% and at most 100%"),
            (
                "1001%",
                "`1001%` is out of range: above 0% and at most 100%",
            ),
            ("0.123456789%", "`0.123456789%` has 9 decimals, 8 at most"),
        ] {
            assert_eq!(text.parse::<Rate>(), Err(told.to_owned()));
        }
    }
}
