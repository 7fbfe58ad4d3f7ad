//! Exact decimal numbers, as people write them.

use std::fmt;

use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{AMOUNT_MINOR_MAX, AmountError, Currency, are_digits, split_sign};

/// Largest [`Exact`] number: as large as the largest amount.
const EXACT_MAX: i64 = AMOUNT_MINOR_MAX;

/// Least [`Exact`] number.
const EXACT_MIN: i64 = EXACT_MAX.saturating_neg();

/// Most decimals of an [`Exact`] number; [`EXACT_PATTERN`] says it too.
const EXACT_SCALE_MAX: usize = 12;

/// How [`Exact`] numbers are written as texts, for the JSON Schema.
const EXACT_PATTERN: &str = r"^-?[0-9]+(\.[0-9]{1,12})?$";

/// An exact decimal number, written as text (`"250.00"`) or as a whole number. Numbers with a
/// point outside quotes are refused, since readers on the way may have turned them into floats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, JsonSchema)]
#[schemars(
    with = "String",
    extend(
        "type" = ["string", "integer"],
        "pattern" = EXACT_PATTERN,
        "minimum" = EXACT_MIN,
        "maximum" = EXACT_MAX
    )
)]
pub struct Exact(Decimal);

/// Why a text is not an exact number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
enum ExactError {
    /// Not digits, with a point before decimals.
    #[error("is not an exact number")]
    NotANumber,
    /// Larger than [`EXACT_MAX`].
    #[error("is out of range: at most {EXACT_MAX}")]
    TooLarge,
    /// Less than [`EXACT_MIN`].
    #[error("is out of range: at least {EXACT_MIN}")]
    TooSmall,
    /// More decimals than [`EXACT_SCALE_MAX`].
    #[error("has {0} decimals, {EXACT_SCALE_MAX} at most")]
    TooManyDecimals(usize),
}

impl Exact {
    /// The number.
    pub fn decimal(self) -> Decimal {
        self.0
    }

    /// The number that a text writes: digits, with a point before at most twelve decimals, at most
    /// 10^15.
    pub fn parse(text: &str) -> Option<Self> {
        Self::read(text).ok()
    }

    fn read(text: &str) -> Result<Self, ExactError> {
        let (is_negative, digits) = split_sign(text);
        let (whole, decimals) = digits.split_once('.').unwrap_or((digits, "0"));
        if !are_digits(whole) || !are_digits(decimals) {
            return Err(ExactError::NotANumber);
        }
        if decimals.len() > EXACT_SCALE_MAX {
            return Err(ExactError::TooManyDecimals(decimals.len()));
        }
        // What is too large for a `Decimal` is far out of range.
        Decimal::from_str_exact(text)
            .ok()
            .filter(|number| number.abs() <= Decimal::from(EXACT_MAX))
            .map(Self)
            .ok_or(if is_negative {
                ExactError::TooSmall
            } else {
                ExactError::TooLarge
            })
    }

    /// Whether the number is below zero.
    pub fn is_negative(self) -> bool {
        self.0 < Decimal::ZERO
    }

    /// An amount of this many major units in minor units of a currency.
    ///
    /// # Errors
    /// It has more decimals than the currency.
    pub fn to_minor(self, currency: Currency) -> Result<i64, AmountError> {
        currency.parse_major(&self.0.normalize().to_string())
    }
}

impl From<i64> for Exact {
    fn from(number: i64) -> Self {
        Self(Decimal::from(number.clamp(EXACT_MIN, EXACT_MAX)))
    }
}

impl fmt::Display for Exact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl Serialize for Exact {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Exact {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl serde::de::Visitor<'_> for Visitor {
            type Value = Exact;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an exact number in quotes, as \"250.00\", or a whole number")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Exact, E> {
                Exact::read(text).map_err(|error| match error {
                    ExactError::NotANumber => {
                        E::invalid_value(serde::de::Unexpected::Str(text), &self)
                    }
                    ExactError::TooLarge
                    | ExactError::TooSmall
                    | ExactError::TooManyDecimals(_) => E::custom(format!("`{text}` {error}")),
                })
            }

            fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<Exact, E> {
                self.visit_str(&number.to_string())
            }

            fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Exact, E> {
                self.visit_str(&number.to_string())
            }

            // TOML hands on whole numbers of any size, which are then told to be out of range.
            fn visit_i128<E: serde::de::Error>(self, number: i128) -> Result<Exact, E> {
                self.visit_str(&number.to_string())
            }

            fn visit_u128<E: serde::de::Error>(self, number: u128) -> Result<Exact, E> {
                self.visit_str(&number.to_string())
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    struct Written {
        number: Exact,
    }

    fn read(number: &str) -> Result<Exact, String> {
        let written = toml::from_str::<Written>(&format!("number = {number}"));
        let number = written.map(|written| written.number);
        number.map_err(|error| error.message().to_owned())
    }

    #[test]
    fn a_number_is_a_text_or_whole() {
        for (text, number) in [
            ("\"250.00\"", "250.00"),
            ("\"-0.000000000001\"", "-0.000000000001"),
            ("250", "250"),
            ("-3", "-3"),
            ("1000000000000000", "1000000000000000"),
            (
                "\"1000000000000000.000000000000\"",
                "1000000000000000.000000000000",
            ),
        ] {
            let read = read(text).map(|number| number.to_string());
            assert_eq!(read.as_deref(), Ok(number), "{text}");
        }
    }

    #[test]
    fn what_is_no_exact_number_is_told_what_is_expected() {
        for (text, kind) in [
            ("2.5", "invalid type: floating point `2.5`"),
            ("3.0", "invalid type: floating point `3.0`"),
            ("true", "invalid type: boolean `true`"),
            ("\"1e3\"", "invalid value: string \"1e3\""),
            ("\"+1\"", "invalid value: string \"+1\""),
            ("\"1.\"", "invalid value: string \"1.\""),
        ] {
            let expected = "expected an exact number in quotes, as \"250.00\", or a whole number";
            assert_eq!(read(text), Err(format!("{kind}, {expected}")));
        }
    }

    #[test]
    fn a_number_beyond_the_bounds_is_told_them() {
        let large = "`99999999999999999999` is out of range: at most 1000000000000000";
        let small = "`-1000000000000000.01` is out of range: at least -1000000000000000";
        for (text, told) in [
            ("\"99999999999999999999\"", large),
            ("99999999999999999999", large),
            ("\"-1000000000000000.01\"", small),
            (
                "\"0.1234567890123\"",
                "`0.1234567890123` has 13 decimals, 12 at most",
            ),
        ] {
            assert_eq!(read(text), Err(told.to_owned()));
        }
    }

    #[test]
    fn the_schema_allows_texts_and_whole_numbers() {
        let schema = schemars::schema_for!(Exact).to_value();
        let part = |key: &str| schema.get(key).cloned().unwrap_or_default();
        assert_eq!(part("type"), serde_json::json!(["string", "integer"]));
        assert_eq!(part("pattern"), EXACT_PATTERN);
        assert_eq!(
            (part("minimum"), part("maximum")),
            (EXACT_MIN.into(), EXACT_MAX.into())
        );
    }
}
