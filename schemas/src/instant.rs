//! UTC instants with microsecond precision.

use std::{borrow::Cow, fmt};

use chrono::{DateTime, Datelike, TimeDelta, Timelike, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A UTC instant, in microseconds since 1970. Written as RFC 3339 with a `Z`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, JsonSchema)]
#[schemars(with = "DateTime<Utc>")]
pub struct Instant(i64);

/// Microseconds in a day.
pub const DAY_US: i64 = 86_400_000_000;

impl Instant {
    /// The start of 1970.
    pub const EPOCH: Self = Self(0);
    /// 0001-01-01, the earliest instant that is accepted.
    pub const MIN: Self = Self(-62_135_596_800_000_000);
    /// 9999-12-31T23:59:59.999999Z, the latest instant that is accepted.
    pub const MAX: Self = Self(253_402_300_799_999_999);

    /// The instant this many microseconds after the start of 1970, held within [`Self::MIN`] and
    /// [`Self::MAX`].
    pub fn from_micros(micros: i64) -> Self {
        Self(micros.clamp(Self::MIN.0, Self::MAX.0))
    }

    /// Microseconds since the start of 1970.
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// The instant `days` days of 24 hours later, held at [`Self::MAX`].
    #[must_use]
    pub fn plus_days(self, days: u32) -> Self {
        Self::from_micros(
            self.0
                .saturating_add(DAY_US.saturating_mul(i64::from(days))),
        )
    }

    /// The instant `micros` later (earlier when negative), held within the accepted range.
    #[must_use]
    pub fn plus_micros(self, micros: i64) -> Self {
        Self::from_micros(self.0.saturating_add(micros))
    }

    /// How much later this is than `earlier`, in microseconds; negative if it is not.
    pub fn micros_since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// As a chrono date and time.
    pub fn to_chrono(self) -> DateTime<Utc> {
        DateTime::from_timestamp_micros(self.0).unwrap_or_default()
    }

    /// An RFC 3339 text with any offset.
    pub fn parse_rfc3339(text: &str) -> Option<Self> {
        let time = DateTime::parse_from_rfc3339(text).ok()?.to_utc();
        let instant = Self(time.timestamp_micros());
        (Self::MIN..=Self::MAX)
            .contains(&instant)
            .then_some(instant)
    }

    /// A sender's timestamp: RFC 3339, or whole seconds or milliseconds since 1970. Numbers of
    /// twelve digits and more are milliseconds (seconds of that size lie beyond the year 5000).
    pub fn parse_timestamp(text: &str) -> Option<Self> {
        let text = text.trim();
        if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
            return Self::parse_rfc3339(text);
        }
        let number: i64 = text.parse().ok()?;
        let micros = if text.len() >= 12 {
            number.checked_mul(1_000)?
        } else {
            number.checked_mul(1_000_000)?
        };
        (micros <= Self::MAX.0).then_some(Self(micros))
    }
}

impl From<DateTime<Utc>> for Instant {
    fn from(time: DateTime<Utc>) -> Self {
        Self::from_micros(time.timestamp_micros())
    }
}

impl std::ops::Add<TimeDelta> for Instant {
    type Output = Self;

    fn add(self, delta: TimeDelta) -> Self {
        Self::from_micros(
            self.0
                .saturating_add(delta.num_microseconds().unwrap_or(i64::MAX)),
        )
    }
}

/// An instant as RFC 3339 with microseconds.
struct Text([u8; 27]);

impl Text {
    fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("")
    }

    /// Writes a number that has at most this many digits.
    fn put<const DIGITS: usize>(&mut self, at: usize, number: u32) {
        let mut rest = number;
        let places = self.0.iter_mut().skip(at).take(DIGITS);
        for place in places.rev() {
            *place = b'0' | u8::try_from(rest % 10).unwrap_or(0);
            rest /= 10;
        }
    }
}

impl Instant {
    /// Every fact has two instants, so they are not left to chrono's formatting, which takes ten
    /// times as long.
    fn text(self) -> Text {
        let time = self.to_chrono();
        let mut text = Text(*b"0000-00-00T00:00:00.000000Z");
        text.put::<4>(0, u32::try_from(time.year()).unwrap_or(0));
        text.put::<2>(5, time.month());
        text.put::<2>(8, time.day());
        text.put::<2>(11, time.hour());
        text.put::<2>(14, time.minute());
        text.put::<2>(17, time.second());
        text.put::<6>(20, time.timestamp_subsec_micros());
        text
    }
}

impl fmt::Display for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.text().as_str())
    }
}

impl fmt::Debug for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Instant {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.text().as_str())
    }
}

impl<'de> Deserialize<'de> for Instant {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'_, str>::deserialize(deserializer)?;
        Self::parse_rfc3339(&text)
            .ok_or_else(|| serde::de::Error::custom("not an RFC 3339 time with an offset"))
    }
}

#[cfg(test)]
mod tests {
    use chrono::SecondsFormat;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_text_is_what_chrono_writes_and_is_read_again(micros in Instant::MIN.0..=Instant::MAX.0) {
            let instant = Instant::from_micros(micros);
            let text = instant.to_string();
            let theirs = instant.to_chrono().to_rfc3339_opts(SecondsFormat::Micros, true);
            prop_assert_eq!(&text, &theirs);
            prop_assert_eq!(Instant::parse_rfc3339(&text), Some(instant));
        }
    }

    #[test]
    fn the_ends_of_the_range_are_written_whole() {
        assert_eq!(Instant::MIN.to_string(), "0001-01-01T00:00:00.000000Z");
        assert_eq!(Instant::MAX.to_string(), "9999-12-31T23:59:59.999999Z");
    }
}
